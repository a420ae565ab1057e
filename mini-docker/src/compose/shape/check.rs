//! The check of a model against its shape.

use serde_json::Value;

use super::{Field, Shape, Types};
use crate::compose::tree::{Mapping, Path, kind_of, text_of};

/// What is wrong, and where.
#[derive(Debug)]
pub(in crate::compose) struct Mistake {
    pub(in crate::compose) path: Path,
    pub(in crate::compose) why: String,
}

/// Compares a value with what is allowed; the first mistake.
pub(in crate::compose) fn check(value: &Value, shape: &Shape, path: &Path) -> Result<(), Mistake> {
    let mistake = |why: String| Err(Mistake { path: path.clone(), why });
    let expected = |what: &str| mistake(format!("must be {what}, not {}", kind_of(value)));
    let allowed = |types: Types| if types.has(types_of(value)) { Ok(()) } else { expected(&words(types)) };
    match shape {
        Shape::One(types, _) => allowed(*types),
        Shape::Ranged(least, most, _) => match value.as_i64() {
            Some(number) if number < *least => mistake(format!("must be greater than or equal to {least}")),
            Some(number) if number > *most => mistake(format!("must be less than or equal to {most}")),
            Some(_) => Ok(()),
            None => allowed(Types::TEXT.or(Types::INTEGER)),
        },
        Shape::Word(choices) => match value.as_str() {
            Some(text) if choices.contains(&text) => Ok(()),
            Some(text) => mistake(format!("must be one of {}, not {text:?}", choices.join(", "))),
            None => expected("a string"),
        },
        Shape::Ruled(rule, what) => match value.as_str() {
            Some(text) if rule(text) => Ok(()),
            Some(text) => mistake(format!("{text:?} does not match: {what}")),
            None => expected("a string"),
        },
        Shape::Object(fields) => fields_of(value, fields, true, path),
        Shape::Closed(fields) => fields_of(value, fields, false, path),
        Shape::Maybe(_) if value.is_null() => Ok(()),
        Shape::Maybe(shape) => check(value, shape, path),
        Shape::Named(shape) => named(value, shape, path),
        Shape::Options(types) => each_scalar(value, *types, path),
        Shape::Open => value.as_object().map_or_else(|| expected("a mapping"), |_| Ok(())),
        Shape::List(shape, different) => list(value, shape, *different, path),
        Shape::Either(shapes) => match shapes.iter().find(|shape| is_for(shape, value)) {
            Some(shape) => check(value, shape, path),
            None => expected("something else"),
        },
        Shape::Command | Shape::Test => match value {
            Value::Null if matches!(shape, Shape::Command) => Ok(()),
            Value::String(_) => Ok(()),
            Value::Array(_) => list(value, &super::TEXT, false, path),
            _ => expected("a string or a list of strings"),
        },
        Shape::Texts => match value {
            Value::String(_) => Ok(()),
            Value::Array(_) => list(value, &super::TEXT, true, path),
            _ => expected("a string or a list of strings"),
        },
        Shape::Pairs(_) | Shape::Keys => match value {
            Value::Object(_) => {
                each_scalar(value, Types::TEXT.or(Types::NUMBER).or(Types::BOOLEAN).or(Types::NULL), path)
            }
            Value::Array(_) => list(value, &super::TEXT, true, path),
            _ => expected("a mapping or a list"),
        },
        Shape::Hosts => hosts(value, path),
        Shape::Ulimits => ulimits(value, path),
        Shape::MultiOptions => match value {
            Value::Object(options) => options.iter().try_for_each(|(key, value)| match value {
                Value::Object(_) | Value::Null => Err(Mistake {
                    path: path.next(key),
                    why: format!("must be a scalar or a list, not {}", kind_of(value)),
                }),
                _ => Ok(()),
            }),
            _ => expected("a mapping"),
        },
    }
}

fn types_of(value: &Value) -> Types {
    match value {
        Value::Null => Types::NULL,
        Value::Bool(_) => Types::BOOLEAN,
        Value::String(_) => Types::TEXT,
        Value::Number(number) if number.is_f64() && number.as_f64().is_none_or(|n| n.fract() != 0.0) => Types(4),
        Value::Number(_) => Types::INTEGER,
        Value::Array(_) | Value::Object(_) => Types(0),
    }
}

fn words(types: Types) -> String {
    let all = [
        (Types::TEXT, "a string"),
        (Types(4), "a number"),
        (Types::INTEGER, "an integer"),
        (Types::BOOLEAN, "a boolean"),
        (Types::NULL, "null"),
    ];
    let names: Vec<_> = all.iter().filter(|(one, _)| types.has(*one)).map(|(_, name)| *name).collect();
    names.join(" or ")
}

/// Whether the shape is for values of this JSON type.
fn is_for(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::One(types, _) => types.has(types_of(value)),
        Shape::Word(_) | Shape::Ruled(..) => value.is_string(),
        Shape::Object(_) | Shape::Closed(_) | Shape::Named(_) | Shape::Options(_) | Shape::Open => value.is_object(),
        Shape::List(..) => value.is_array(),
        Shape::Maybe(shape) => value.is_null() || is_for(shape, value),
        _ => true,
    }
}

fn fields_of(value: &Value, fields: &[Field], extensible: bool, path: &Path) -> Result<(), Mistake> {
    let Value::Object(mapping) = value else {
        return Err(Mistake { path: path.clone(), why: format!("must be a mapping, not {}", kind_of(value)) });
    };
    for (key, value) in mapping {
        match fields.iter().find(|field| field.name == key) {
            Some(field) => check(value, &field.shape, &path.next(key))?,
            None if extensible && key.starts_with("x-") => {}
            None => {
                let hint = similar(key, fields).map_or(String::new(), |name| format!("; did you mean {name}?"));
                let why = format!("additional properties {key:?} not allowed{hint}");
                return Err(Mistake { path: path.next(key), why });
            }
        }
    }
    match fields.iter().find(|field| field.required && !mapping.contains_key(field.name)) {
        Some(field) => Err(Mistake { path: path.clone(), why: format!("{} is required", field.name) }),
        None => Ok(()),
    }
}

/// A known key that differs in one letter, or in `-` for `_`.
/// The known key that somebody who wrote this one may have meant.
fn similar(key: &str, fields: &[Field]) -> Option<&'static str> {
    let plain = |text: &str| text.replace(['-', '_'], "").to_lowercase();
    let key = plain(key);
    let near = fields.iter().map(|field| (distance(&key, &plain(field.name)), field.name));
    near.filter(|(distance, name)| *distance <= 2 && *distance * 2 < name.len()).min().map(|(_, name)| name)
}

/// How many letters have to be added, left out or changed to make one text of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

fn named(value: &Value, shape: &Shape, path: &Path) -> Result<(), Mistake> {
    let Value::Object(mapping) = value else {
        return Err(Mistake { path: path.clone(), why: format!("must be a mapping, not {}", kind_of(value)) });
    };
    for (name, value) in mapping {
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        // As in the specification's own schema.
        let any = matches!(path.keys(), [section] if section == "networks" || section == "models");
        if !good && !any {
            let why = format!("{name:?} is no name: letters, digits, . _ and - are allowed");
            return Err(Mistake { path: path.next(name), why });
        }
        if good {
            check(value, shape, &path.next(name))?;
        }
    }
    Ok(())
}

fn each_scalar(value: &Value, types: Types, path: &Path) -> Result<(), Mistake> {
    let Value::Object(mapping) = value else {
        return Err(Mistake { path: path.clone(), why: format!("must be a mapping, not {}", kind_of(value)) });
    };
    for (key, value) in mapping {
        if !types.has(types_of(value)) {
            let why = format!("must be {}, not {}", words(types), kind_of(value));
            return Err(Mistake { path: path.next(key), why });
        }
    }
    Ok(())
}

fn list(value: &Value, shape: &Shape, different: bool, path: &Path) -> Result<(), Mistake> {
    let Value::Array(items) = value else {
        return Err(Mistake { path: path.clone(), why: format!("must be a list, not {}", kind_of(value)) });
    };
    for (at, item) in items.iter().enumerate() {
        check(item, shape, &path.next(&format!("[{at}]")))?;
        if different && items[..at].contains(item) {
            let why = format!("has {} twice", if item.is_string() { text_of(item) } else { item.to_string() });
            return Err(Mistake { path: path.clone(), why });
        }
    }
    Ok(())
}

fn hosts(value: &Value, path: &Path) -> Result<(), Mistake> {
    let check_one = |(host, addresses): (&String, &Value)| match addresses {
        Value::String(_) => Ok(()),
        Value::Array(_) => list(addresses, &super::TEXT, false, &path.next(host)),
        other => Err(Mistake {
            path: path.next(host),
            why: format!("must be an address or a list of them, not {}", kind_of(other)),
        }),
    };
    match value {
        Value::Object(hosts) => hosts.iter().try_for_each(check_one),
        _ => list(value, &super::TEXT, true, path),
    }
}

fn ulimits(value: &Value, path: &Path) -> Result<(), Mistake> {
    const PAIR: Shape = Shape::Object(&[super::needed("soft", super::INTEGER), super::needed("hard", super::INTEGER)]);
    let Value::Object(limits) = value else {
        return Err(Mistake { path: path.clone(), why: format!("must be a mapping, not {}", kind_of(value)) });
    };
    let one = |(name, limit): (&String, &Value)| {
        let shape = if limit.is_object() { &PAIR } else { &super::INTEGER };
        check(limit, shape, &path.next(name))
    };
    limits.iter().filter(|(name, _)| name.bytes().all(|b| b.is_ascii_lowercase())).try_for_each(one)
}

/// Keys that are no part of the model, kept for whoever reads them.
pub(in crate::compose) fn extensions(model: &Mapping) -> impl Iterator<Item = (&String, &Value)> {
    model.iter().filter(|(key, _)| key.starts_with("x-"))
}
