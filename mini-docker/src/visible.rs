//! What strangers wrote, such as names of files and labels of images, commands no terminal: its control characters are
//! shown as Go quotes them.

use std::{borrow::Cow, fmt::Write};

/// A text of lines, which may have tabs.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    escape(text, |c| c.is_control() && !matches!(c, '\t' | '\n'))
}

/// One line: it does not become several either.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escape(text, char::is_control)
}

fn escape(text: &str, is_meant: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_meant) {
        return text.into();
    }
    let mut shown = String::with_capacity(2 * text.len());
    for c in text.chars() {
        // Writing to a String cannot fail.
        match c {
            _ if !is_meant(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            ..'\u{80}' => drop(write!(shown, "\\x{:02x}", u32::from(c))),
            _ => drop(write!(shown, "\\u{:04x}", u32::from(c))),
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_commands_a_terminal_is_shown_and_nothing_else() {
        assert_eq!(super::text("a\u{1b}[31mb\r\tc\u{9b}1m ü\n"), "a\\x1b[31mb\\x0d\tc\\u009b1m ü\n");
        assert_eq!(super::line("one\ntwo\tthree\u{7f}"), "one\\ntwo\\tthree\\x7f");
    }
}
