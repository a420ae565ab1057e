//! `html`, `js` and `urlquery`.

use std::fmt::Write;

/// For HTML's text and attributes.
pub(super) fn html(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        match c {
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\0' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
        escaped
    })
}

/// For a string of JavaScript.
pub(super) fn js(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        // Writing to a String cannot fail.
        let _ = match c {
            '\\' | '\'' | '"' => write!(escaped, "\\{c}"),
            '<' | '>' | '&' | '=' | '\0'..' ' => write!(escaped, "\\u{:04X}", c as u32),
            c => write!(escaped, "{c}"),
        };
        escaped
    })
}

/// For a query of a URL.
pub(super) fn urlquery(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'~' => escaped.push(char::from(byte)),
            b' ' => escaped.push('+'),
            // Writing to a String cannot fail.
            _ => drop(write!(escaped, "%{byte:02X}")),
        }
        escaped
    })
}
