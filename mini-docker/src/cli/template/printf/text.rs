//! Texts: `%s %q %x %X %v`.

use std::fmt::Write;

use super::Flags;
use crate::cli::template::literal;

/// Adds text as wide as the flags want it.
pub(super) fn push_padded(output: &mut String, text: &str, flags: Flags) {
    let fill = flags.width.unwrap_or(0).saturating_sub(text.chars().count());
    if flags.minus {
        output.push_str(text);
        output.extend(std::iter::repeat_n(' ', fill));
    } else {
        output.extend(std::iter::repeat_n(if flags.zero { '0' } else { ' ' }, fill));
        output.push_str(text);
    }
}

/// Adds a text; `false`: not by this verb.
pub(super) fn push_text(output: &mut String, text: &str, verb: char, flags: Flags) -> bool {
    let cut: String = text.chars().take(flags.precision.unwrap_or(usize::MAX)).collect();
    match verb {
        'v' | 's' => push_padded(output, &cut, flags),
        'q' if flags.sharp
            && !cut.contains(['`', '\u{feff}'])
            && !cut.contains(|c: char| c.is_control() && c != '\t') =>
        {
            push_padded(output, &format!("`{cut}`"), flags);
        }
        'q' => {
            let mut quoted = String::from("\"");
            cut.chars().for_each(|c| literal::push_escaped(&mut quoted, c, '"', flags.plus));
            quoted.push('"');
            push_padded(output, &quoted, flags);
        }
        'x' | 'X' => push_padded(output, &hexadecimal(text, verb == 'X', flags), flags),
        _ => return false,
    }
    true
}

/// `# x` puts 0x before each byte, `#x` before them all, ` x` a space between.
fn hexadecimal(text: &str, upper: bool, flags: Flags) -> String {
    let bytes = text.as_bytes().iter().take(flags.precision.unwrap_or(usize::MAX));
    let mut digits = String::new();
    for (i, byte) in bytes.enumerate() {
        if flags.space && i > 0 {
            digits.push(' ');
        }
        if flags.sharp && (flags.space || i == 0) {
            digits.push_str(if upper { "0X" } else { "0x" });
        }
        // Writing to a String cannot fail.
        let _ = if upper { write!(digits, "{byte:02X}") } else { write!(digits, "{byte:02x}") };
    }
    digits
}
