//! The canonical model: each value in the one type that its key has, and nothing that says nothing.

use serde_json::{Number, Value, json};

use super::{
    duration,
    interpolate::boolean,
    shape::{Scalar, Shape},
    tree::{Mapping, Path, kind_of, text_of},
};
use crate::engine::{bytes, error::Result};

/// A value of the shape; `None` where it says what a missing key says.
pub(super) fn encode(value: Value, shape: &Shape, path: &Path) -> Result<Option<Value>> {
    let fail = |why: String| path.wrong(why);
    Ok(match shape {
        Shape::One(_, scalar) | Shape::Ranged(_, _, scalar) => encode_scalar(&value, *scalar).map_err(fail)?,
        Shape::Word(_) | Shape::Ruled(..) => Some(value),
        Shape::Object(fields) | Shape::Closed(fields) => match value {
            Value::Object(mapping) => {
                let mut encoded = Mapping::new();
                for (key, value) in mapping {
                    // Extensions are for other readers.
                    let Some(field) = fields.iter().find(|field| field.name == key) else { continue };
                    if let Some(value) = encode(value, &field.shape, &path.next(&key))? {
                        encoded.insert(key, value);
                    }
                }
                Some(Value::Object(encoded))
            }
            other => Some(other),
        },
        Shape::Maybe(_) if value.is_null() => Some(Value::Null),
        Shape::Maybe(shape) => encode(value, shape, path)?,
        Shape::Named(shape) => match value {
            Value::Object(mapping) => {
                let mut encoded = Mapping::new();
                for (name, value) in mapping {
                    let value = encode(value, shape, &path.next(&name))?;
                    encoded.insert(name, value.unwrap_or(Value::Null));
                }
                Some(Value::Object(encoded))
            }
            other => Some(other),
        },
        Shape::List(shape, _) => match value {
            Value::Array(items) => {
                let items = items.into_iter().enumerate().map(|(at, item)| encode(item, shape, &path.element(at)));
                let items = items.map(|item| item.map(|item| item.unwrap_or(Value::Null)));
                Some(Value::Array(items.collect::<Result<_>>()?))
            }
            other => Some(other),
        },
        Shape::Either(shapes) => {
            let is_compound = value.is_object() || value.is_array();
            let its = |shape: &&Shape| match shape {
                Shape::Object(_) | Shape::Closed(_) | Shape::Named(_) => value.is_object(),
                Shape::List(..) => value.is_array(),
                _ => !is_compound,
            };
            match shapes.iter().find(its) {
                Some(shape) => encode(value, shape, path)?,
                None => Some(value),
            }
        }
        Shape::Options(_) | Shape::Open => Some(text_values(value, false)),
        Shape::Command => command(value).map_err(fail)?,
        Shape::Texts => Some(match value {
            text @ Value::String(_) => json!([text]),
            other => other,
        }),
        Shape::Pairs(keep_null) => Some(pairs(value, *keep_null).map_err(fail)?),
        Shape::Keys => Some(match value {
            Value::Object(keys) => {
                let key =
                    |(id, path): (String, Value)| if path.is_null() { id } else { format!("{id}={}", text_of(&path)) };
                Value::Array(keys.into_iter().map(key).map(Value::String).collect())
            }
            other => other,
        }),
        Shape::Hosts => Some(hosts(&value).map_err(fail)?),
        Shape::Test => Some(match value {
            Value::String(line) => json!(["CMD-SHELL", line]),
            other => other,
        }),
        Shape::Ulimits => Some(ulimits(value).map_err(fail)?),
        Shape::MultiOptions => Some(multi_options(value)),
    })
}

fn encode_scalar(value: &Value, scalar: Scalar) -> Result<Option<Value>, String> {
    let text = text_of(value);
    let wrong = |what: &str| format!("{text:?} is no {what}");
    if value.is_null() {
        return Ok(None);
    }
    let flag = || value.as_bool().or_else(|| boolean(&text)).ok_or_else(|| wrong("boolean"));
    let integer = || {
        let whole = value.as_f64().filter(|float| float.fract() == 0.0).map(|float| float as i64);
        value.as_i64().or(whole).or_else(|| text.parse().ok()).ok_or_else(|| wrong("integer"))
    };
    let unless_zero = |number: i64| (number != 0).then(|| json!(number));
    Ok(match scalar {
        Scalar::Text => Some(Value::String(text)),
        Scalar::Flag => flag()?.then_some(Value::Bool(true)),
        Scalar::Choice => Some(Value::Bool(flag()?)),
        Scalar::OptOut => (!flag()?).then_some(Value::Bool(false)),
        Scalar::Count => Some(json!(integer()?)),
        Scalar::Float => {
            let float: f64 = text.parse().map_err(|_| wrong("number"))?;
            // A whole number is written as one.
            let whole = (float.fract() == 0.0 && float.abs() < 1e15).then(|| Number::from(float as i64));
            let number = whole.or_else(|| Number::from_f64(float)).ok_or_else(|| wrong("number"))?;
            (float != 0.0).then_some(Value::Number(number))
        }
        Scalar::Bytes => {
            let number = text.parse::<i64>().ok().or_else(|| i64::try_from(bytes::parse(&text).ok()?).ok());
            let number = number.ok_or_else(|| wrong("size, such as 512m"))?;
            (number != 0).then(|| json!(number.to_string()))
        }
        Scalar::Duration | Scalar::Timeout => {
            let nanoseconds = duration::parse(&text).ok_or_else(|| wrong("duration, such as 1m30s"))?;
            (nanoseconds != 0 || scalar == Scalar::Timeout).then(|| json!(duration::format(nanoseconds)))
        }
        Scalar::Mode => {
            let mode = if value.is_string() { i64::from_str_radix(&text, 8).ok() } else { value.as_i64() };
            Some(json!(format!("0{:o}", mode.ok_or_else(|| wrong("mode, such as 0440"))?)))
        }
        Scalar::Devices if text.eq_ignore_ascii_case("all") => Some(json!(-1)),
        Scalar::Integer | Scalar::Devices => unless_zero(integer()?),
    })
}

/// Words of a line, as a shell without variables splits it.
fn command(value: Value) -> Result<Option<Value>, String> {
    Ok(match value {
        Value::Null => None,
        Value::String(line) => Some(Value::Array(words(&line)?.into_iter().map(Value::String).collect())),
        other => Some(other),
    })
}

/// The words of a line, as a shell parts them.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => match chars.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(format!("{line:?} ends in a backslash")),
            },
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            // What a shell would do next is none of the command.
            (';' | '&' | '|' | '<' | '>', None) => break,
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("{line:?} has a quote without its end"));
    }
    words.extend(word);
    Ok(words)
}

fn text_values(value: Value, keep_null: bool) -> Value {
    let Value::Object(mapping) = value else { return value };
    let text = |value: Value| if keep_null && value.is_null() { value } else { Value::String(text_of(&value)) };
    Value::Object(mapping.into_iter().map(|(key, value)| (key, text(value))).collect())
}

fn pairs(value: Value, keep_null: bool) -> Result<Value, String> {
    let Value::Array(list) = value else { return Ok(text_values(value, keep_null)) };
    let mut mapping = Mapping::new();
    for entry in list {
        let text = text_of(&entry);
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, json!(value)),
            None if keep_null => (text.as_str(), Value::Null),
            None => (text.as_str(), json!("")),
        };
        if keep_null && key.ends_with(char::is_whitespace) {
            return Err(format!("environment variable {key:?} is declared with a trailing space"));
        }
        mapping.insert(key.to_owned(), value);
    }
    Ok(Value::Object(mapping))
}

/// Sorted `HOST=ADDRESS`.
fn hosts(value: &Value) -> Result<Value, String> {
    let mut list = Vec::new();
    let mut add = |host: &str, address: &str| {
        if host.is_empty() || host.contains([':', '=']) {
            return Err(format!("bad host name {host:?}"));
        }
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
        list.push(format!("{host}={bare}"));
        Ok(())
    };
    match value {
        Value::Object(mapping) => {
            for (host, addresses) in mapping {
                match addresses {
                    Value::Array(all) => all.iter().try_for_each(|address| add(host, &text_of(address)))?,
                    one => add(host, &text_of(one))?,
                }
            }
        }
        Value::Array(entries) => {
            for entry in entries {
                let text = text_of(entry);
                let (host, addresses) = text
                    .split_once('=')
                    .or_else(|| text.split_once(':'))
                    .ok_or_else(|| format!("invalid additional host, missing IP: {text}"))?;
                addresses.split(',').try_for_each(|address| add(host, address))?;
            }
        }
        other => return Err(format!("{} makes no sense here", kind_of(other))),
    }
    list.sort();
    Ok(json!(list))
}

fn ulimits(value: Value) -> Result<Value, String> {
    let Value::Object(limits) = value else { return Ok(value) };
    let number = |value: &Value| {
        let parsed = value.as_i64().or_else(|| text_of(value).parse().ok());
        parsed.ok_or_else(|| format!("{value} is no integer"))
    };
    let one = |(name, limit): (String, Value)| -> Result<(String, Value), String> {
        let encoded = match &limit {
            Value::Object(pair) => {
                let mut both = Mapping::new();
                for key in ["soft", "hard"] {
                    let value = pair.get(key).map_or(Ok(0), number)?;
                    if value != 0 {
                        both.insert(key.to_owned(), json!(value));
                    }
                }
                Value::Object(both)
            }
            single => json!(number(single)?),
        };
        Ok((name, encoded))
    };
    Ok(Value::Object(limits.into_iter().map(one).collect::<Result<_, String>>()?))
}

fn multi_options(value: Value) -> Value {
    let Value::Object(options) = value else { return value };
    let list = |value: &Value| match value {
        Value::Array(items) => items.iter().map(text_of).collect(),
        one => vec![text_of(one)],
    };
    Value::Object(options.into_iter().map(|(key, value)| (key, json!(list(&value)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_a_shell_does() {
        for (line, split) in [
            ("a 'b c' \"d \\\" e\" f\\ g", vec!["a", "b c", "d \" e", "f g"]),
            ("  ", vec![]),
            ("sh -c \"x; y\" '' ", vec!["sh", "-c", "x; y", ""]),
        ] {
            assert_eq!(words(line).unwrap(), split, "{line}");
        }
        assert!(words("a 'b").is_err());
        assert!(words("a\\").is_err());
    }
}
