//! How Go prints values.

use super::data::{Data, Nil};

/// Adds a value as an action shows it.
pub(super) fn push_shown(text: &mut String, value: &Data) {
    match value {
        Data::Missing => text.push_str("<no value>"),
        other => text.push_str(&plain(other)),
    }
}

/// A value as `%v` prints it.
pub(super) fn plain(value: &Data) -> String {
    match value {
        Data::Missing | Data::Nil(Nil::Pointer) => "<nil>".to_owned(),
        Data::Nil(Nil::List) => "[]".to_owned(),
        Data::Nil(Nil::Map) => "map[]".to_owned(),
        Data::Bool(value) => value.to_string(),
        Data::Int(value) => value.to_string(),
        Data::Uint(value) => value.to_string(),
        Data::Float(value) => super::printf::float(*value, 'v', None, false),
        Data::Text(text) => text.to_string(),
        Data::List(items) => format!("[{}]", items.iter().map(plain).collect::<Vec<_>>().join(" ")),
        Data::Map(map) => {
            let entries: Vec<_> = map.entries.iter().map(|(key, value)| format!("{key}:{}", plain(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Data::Struct(it) => {
            format!("{{{}}}", it.fields.iter().map(|(_, value)| plain(value)).collect::<Vec<_>>().join(" "))
        }
    }
}

/// Go's `Sprint`: a space between two of which neither is a text.
pub(super) fn sprint(values: &[Data]) -> String {
    let mut text = String::new();
    for (i, value) in values.iter().enumerate() {
        let is_text = |value: &Data| matches!(value, Data::Text(_));
        if i > 0 && !is_text(value) && !is_text(&values[i - 1]) {
            text.push(' ');
        }
        text.push_str(&plain(value));
    }
    text
}

/// Go's `Sprintln`: a space between any two, and a newline.
pub(super) fn sprintln(values: &[Data]) -> String {
    format!("{}\n", values.iter().map(plain).collect::<Vec<_>>().join(" "))
}
