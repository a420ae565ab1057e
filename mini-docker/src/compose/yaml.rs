//! Trees to YAML that readers of every version take for what it is.
//!
//! Kubernetes and Python read YAML 1.1, where `no` is a boolean, `010` is eight and `1:30` is ninety: what any version takes
//! for something else than text is quoted, as Docker does it.

use std::fmt::Write;

use serde_json::Value;

/// The value as a YAML document, indented by two.
pub fn to_string(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(_) | Value::Array(_) if !is_empty(value) => block(&mut text, value, 0, false),
        scalar => {
            inline(&mut text, scalar, 0);
            text = text.trim_start().to_owned();
        }
    }
    text
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(mapping) => mapping.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n("  ", depth));
}

/// A mapping or a list with something in it; `open` where its first line has begun already, behind a dash.
fn block(text: &mut String, value: &Value, depth: usize, mut open: bool) {
    let mut begin = |text: &mut String| {
        if !std::mem::take(&mut open) {
            indent(text, depth);
        }
    };
    match value {
        Value::Object(mapping) => {
            for (key, value) in mapping {
                begin(text);
                text.push_str(&if key.contains('\n') { quoted(key) } else { flow(key) });
                text.push(':');
                inline(text, value, depth + 1);
            }
        }
        Value::Array(items) => {
            for item in items {
                begin(text);
                text.push('-');
                if is_empty(item) {
                    inline(text, item, depth + 1);
                } else {
                    text.push(' ');
                    block(text, item, depth + 1, true);
                }
            }
        }
        _ => {}
    }
}

/// What follows a key or a dash, with the end of its line.
fn inline(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(string) if is_literal(string) => literal(text, string, depth),
        Value::String(string) => {
            text.push(' ');
            text.push_str(&flow(string));
            text.push('\n');
        }
        compound if !is_empty(compound) => {
            text.push('\n');
            block(text, compound, depth, false);
        }
        // The same in both languages: numbers, booleans, null, [] and {}.
        other => {
            text.push(' ');
            text.push_str(&other.to_string());
            text.push('\n');
        }
    }
}

/// Whether a text of several lines can stand as it is.
fn is_literal(text: &str) -> bool {
    text.contains('\n') && !text.starts_with([' ', '\t', '\n']) && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn literal(text: &mut String, string: &str, depth: usize) {
    let body = string.strip_suffix('\n');
    text.push_str(match body {
        None => " |-\n",
        Some(body) if body.ends_with('\n') => " |+\n",
        Some(_) => " |\n",
    });
    for line in body.unwrap_or(string).split('\n') {
        if !line.is_empty() {
            indent(text, depth.max(1));
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// A text in one line, in quotes where it needs them.
fn flow(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if is_printable(c) => quoted.push(c),
            // No string fails to grow.
            c if u32::from(c) > 0xffff => drop(write!(quoted, "\\U{:08x}", u32::from(c))),
            c => drop(write!(quoted, "\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// YAML 1.1's printable characters and tabs, without line ends of any kind and the byte order mark.
fn is_printable(c: char) -> bool {
    matches!(c, '\t' | ' '..='~' | '\u{a0}'..='\u{2027}' | '\u{202a}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..)
}

fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let second = text.chars().nth(1);
    let begins = match first {
        '-' | '?' | ':' => second.is_some_and(|c| !c.is_whitespace() && c != first),
        _ => !",[]{}#&*!|>'\"%@`".contains(first),
    };
    begins
        && text.trim() == text
        && !text.ends_with(':')
        && ![": ", " #", "\t"].iter().any(|mark| text.contains(mark))
        && text.chars().all(is_printable)
        && !is_something_else(text)
}

/// Whether some version of YAML reads it as null, a boolean, a number, a date, or a merge.
fn is_something_else(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    if matches!(lower.as_str(), "~" | "null" | "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "<<" | "=")
    {
        return true;
    }
    let digits = lower.trim_start_matches(['+', '-']).replace('_', "");
    if matches!(digits.as_str(), ".inf" | ".nan") {
        return true;
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.contains(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let radix = ["0x", "0o", "0b"].iter().find_map(|prefix| digits.strip_prefix(prefix));
    if radix.is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit())) {
        return true;
    }
    let only = |more: &str| digits.chars().all(|c| c.is_ascii_digit() || more.contains(c));
    // Degrees, minutes and seconds; 2001-02-03.
    let is_sexagesimal = digits.contains(':') && only(":.");
    let is_date = digits.len() > 7 && digits.as_bytes()[4] == b'-' && digits.split('-').count() > 2;
    digits.parse::<f64>().is_ok() || is_sexagesimal || is_date
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_reads_back_as_it_was() {
        let value = json!({
            "plain": ["a b", "/x:/y", "a#b", "1m30s", "127.0.0.1", "http://x/?a=b&c={d}", "-x", "--flag", ":x", "ü"],
            "quoted": ["", " a", "a ", "a: b", "a:", "a #b", "- a", "---", "#", "'", "\"", "a\tb", "@x", "\u{7f}\u{1f600}\u{2028}\u{feff}\r"],
            "lines": ["one\n", "one\ntwo", "\n", "a\n\nb\n\n", "  a\nb", "a\n  b # c\n", "x: y\n\n\n", "a\r\nb"],
            "nothing": [null, [], {}, true, false, 1, -1.5],
            "nested": [[["a"], []], [{ "b": { "c": [{ "d": 1, "e": "f\ng\n" }] } }]],
            "a: b\nc": { "no": "no", "8": "8", "a b": "a\nb\n" },
        });
        let read: Value = serde_yaml::from_str(&to_string(&value)).unwrap();
        assert_eq!(read, value, "{}", to_string(&value));
        for scalar in [json!(null), json!("no"), json!("a\n"), json!([]), json!({}), json!(3)] {
            assert_eq!(serde_yaml::from_str::<Value>(&to_string(&scalar)).unwrap(), scalar);
        }
    }

    #[test]
    fn what_another_version_reads_otherwise_is_quoted() {
        for word in [
            "no",
            "Yes",
            "ON",
            "off",
            "y",
            "N",
            "null",
            "~",
            "1",
            "-1",
            "+1",
            "010",
            "0o10",
            "0x1f",
            "0b1",
            "1_000",
            "1.5",
            ".5",
            "1e3",
            "1:30",
            "22:22",
            "190:20:30.15",
            "2001-12-14",
            "2001-12-14t21:59:43.10-05:00",
            ".inf",
            "-.INF",
            ".NaN",
            "<<",
            "=",
        ] {
            assert_eq!(to_string(&json!([word])), format!("- \"{word}\"\n"));
        }
        assert_eq!(to_string(&json!(["a\tb"])), "- \"a\\tb\"\n");
    }

    #[test]
    fn it_looks_as_people_write_it() {
        let value = json!({ "services": { "web": { "command": ["sh", "-c", "a\nb"], "ports": [{ "target": 80 }] } } });
        let text = "services:\n  web:\n    command:\n      - sh\n      - -c\n      - |-\n        a\n        b\n    ports:\n      - target: 80\n";
        assert_eq!(to_string(&value), text);
    }
}
