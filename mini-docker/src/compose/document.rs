//! YAML to trees: documents, merge keys, and the tags `!reset` and `!override`.

use serde::Deserialize;
use serde_json::{Number, Value};
use serde_yaml::value::TaggedValue;

use super::{
    load::Source,
    position::find,
    tree::{Mapping, Path},
};
use crate::engine::error::{Error, Result};

/// Deeper than any description, and far from the stack's end.
const DEEPEST: usize = 100;

/// One YAML document of a file.
#[derive(Debug)]
pub(super) struct Document {
    /// What it says.
    pub(super) model: Mapping,
    /// What it wants gone from the files before it: `!reset` and `!override`.
    pub(super) cleared: Vec<Path>,
}

/// Reads all documents of `text`; `file` is for error messages.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_yaml::Value::deserialize(document).map_err(|e| syntax(file, text, &e))?;
        let mut cleared = Vec::new();
        let converted = convert(value, &Path::default(), &mut cleared, 0);
        let source = || Source { path: file.into(), text: text.to_owned() };
        match converted.map_err(|e| e.placed(|keys| find(&[source()], keys)))? {
            Some(Value::Object(model)) => documents.push(Document { model, cleared }),
            // An empty document, as between two separators.
            Some(Value::Null) | None => {}
            Some(_) => return Err(Error::invalid(format!("{file}: top-level object must be a mapping"))),
        }
    }
    Ok(documents)
}

/// What the parser says, with the place first, and what it does not say of tabs.
fn syntax(file: &str, text: &str, error: &serde_yaml::Error) -> Error {
    let Some(location) = error.location() else { return Error::invalid(format!("failed to parse {file}: {error}")) };
    let (line, column) = (location.line(), location.column());
    let before = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let is_tab = before.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let hint = if is_tab { "; indent with spaces, YAML knows no tabs" } else { "" };
    let said = error.to_string().replacen(&format!(" at line {line} column {column}"), "", 1);
    Error::invalid(format!("{file}:{line}:{column}: failed to parse: {said}{hint}"))
}

/// The value, or `None` for what is reset.
fn convert(value: serde_yaml::Value, path: &Path, cleared: &mut Vec<Path>, depth: usize) -> Result<Option<Value>> {
    if depth > DEEPEST {
        return Err(path.wrong(format!("more than {DEEPEST} levels")));
    }
    Ok(Some(match value {
        serde_yaml::Value::Null => Value::Null,
        serde_yaml::Value::Bool(value) => Value::Bool(value),
        serde_yaml::Value::Number(number) => convert_number(&number),
        serde_yaml::Value::String(text) => Value::String(text),
        serde_yaml::Value::Sequence(items) => {
            let mut list = Vec::new();
            for (at, item) in items.into_iter().enumerate() {
                list.extend(convert(item, &path.element(at), cleared, depth + 1)?);
            }
            Value::Array(list)
        }
        serde_yaml::Value::Mapping(mapping) => Value::Object(convert_mapping(mapping, path, cleared, depth)?),
        serde_yaml::Value::Tagged(tagged) => {
            let TaggedValue { tag, value } = *tagged;
            if tag == "!reset" {
                cleared.push(path.clone());
                return Ok(None);
            }
            if tag == "!override" {
                cleared.push(path.clone());
            }
            return convert(value, path, cleared, depth + 1);
        }
    }))
}

fn convert_number(number: &serde_yaml::Number) -> Value {
    let float = || number.as_f64().and_then(Number::from_f64);
    let exact = number.as_i64().map(Number::from).or_else(|| number.as_u64().map(Number::from));
    // Infinity and its like are no JSON.
    exact.or_else(float).map_or_else(|| Value::String(number.to_string()), Value::Number)
}

fn convert_mapping(
    mapping: serde_yaml::Mapping,
    path: &Path,
    cleared: &mut Vec<Path>,
    depth: usize,
) -> Result<Mapping> {
    let mut converted = Mapping::new();
    let mut merged = Vec::new();
    for (key, value) in mapping {
        let serde_yaml::Value::String(key) = key else {
            let key = serde_yaml::to_string(&key).unwrap_or_default();
            return Err(path.wrong(format!("non-string key {}: put it in quotes, or write a list", key.trim())));
        };
        if key == "<<" {
            merged.push(value);
        } else if let Some(value) = convert(value, &path.next(&key), cleared, depth + 1)? {
            converted.insert(key, value);
        }
    }
    // What the mapping says itself wins, and of several the first.
    for value in merged {
        let sources = match value {
            serde_yaml::Value::Sequence(items) => items,
            other => vec![other],
        };
        for source in sources {
            match convert(source, path, cleared, depth + 1)? {
                Some(Value::Object(source)) => {
                    for (key, value) in source {
                        converted.entry(key).or_insert(value);
                    }
                }
                Some(Value::Null) | None => {}
                Some(_) => {
                    return Err(path.next("<<").wrong("map merge requires map or sequence of maps as the value"));
                }
            }
        }
    }
    Ok(converted)
}

/// Takes out of `model` what a later document has cleared.
pub(super) fn clear(model: &mut Mapping, cleared: &[Path]) {
    if !cleared.is_empty() {
        clear_below(model, &Path::default(), cleared);
    }
}

fn clear_below(mapping: &mut Mapping, path: &Path, cleared: &[Path]) {
    mapping.retain(|key, _| !cleared.contains(&path.next(key)));
    for (key, value) in mapping {
        if let Value::Object(below) = value {
            clear_below(below, &path.next(key), cleared);
        }
    }
}
