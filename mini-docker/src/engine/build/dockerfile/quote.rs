//! Strings as Go's strconv.Quote writes them: what BuildKit's dump of a syntax tree is made of.

use std::fmt::Write;

/// `text` between double quotes, with everything that is not printable escaped.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            c if is_printable(c) => quoted.push(c),
            c => escape(&mut quoted, c),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(quoted: &mut String, c: char) {
    let code = c as u32;
    // Writing to a string does not fail.
    let _ = match code {
        0..=0x7f => write!(quoted, "\\x{code:02x}"),
        0x80..=0xffff => write!(quoted, "\\u{code:04x}"),
        _ => write!(quoted, "\\U{code:08x}"),
    };
}

fn is_printable(c: char) -> bool {
    // The standard library keeps its table to itself; behind another letter, a combining mark is printed as it is.
    let mut pair = String::from("a");
    pair.push(c);
    !c.is_control() && (c == '{' || !pair.escape_debug().any(|part| part == '{'))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn what_is_not_printable_is_escaped_as_in_go() {
        assert_eq!(quote("a\"b\\\t\0\x01\x7f"), r#""a\"b\\\t\x00\x01\x7f""#);
        assert_eq!(quote("é{}日e\u{301}"), "\"é{}日e\u{301}\"");
        assert_eq!(quote("\u{200b}\u{a0}\u{e0001}"), r#""\u200b\u00a0\U000e0001""#);
    }
}
