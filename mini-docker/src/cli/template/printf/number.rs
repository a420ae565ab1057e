//! Integers: `%d %b %o %O %x %X %c %q %U %v`; floats: `%e %E %f %F %g %G %v`.

use super::{Flags, text::push_padded};
use crate::cli::template::literal;

/// Adds an integer; `false`: not by this verb.
pub(super) fn push_integer(output: &mut String, value: i128, verb: char, flags: Flags) -> bool {
    let magnitude = value.unsigned_abs();
    let character = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let (prefix, digits) = match verb {
        'd' | 'v' => ("", magnitude.to_string()),
        'b' => (if flags.sharp { "0b" } else { "" }, format!("{magnitude:b}")),
        'o' => (if flags.sharp { "0" } else { "" }, format!("{magnitude:o}")),
        'O' => ("0o", format!("{magnitude:o}")),
        'x' => (if flags.sharp { "0x" } else { "" }, format!("{magnitude:x}")),
        'X' => (if flags.sharp { "0X" } else { "" }, format!("{magnitude:X}")),
        'c' => {
            push_padded(output, &character.to_string(), Flags { zero: false, ..flags });
            return true;
        }
        'q' => {
            let mut quoted = String::from("'");
            literal::push_escaped(&mut quoted, character, '\'', flags.plus);
            quoted.push('\'');
            push_padded(output, &quoted, Flags { zero: false, ..flags });
            return true;
        }
        'U' => {
            let shown = if flags.sharp { format!(" '{character}'") } else { String::new() };
            push_padded(output, &format!("U+{magnitude:04X}{shown}"), Flags { zero: false, ..flags });
            return true;
        }
        _ => return false,
    };
    let sign = sign(value < 0, flags);
    let least = match (flags.precision, flags.width) {
        (Some(0), _) if value == 0 => {
            push_padded(output, "", Flags { zero: false, ..flags });
            return true;
        }
        (Some(precision), _) => precision,
        (None, Some(width)) if flags.zero => width.saturating_sub(sign.len() + prefix.len()),
        _ => 0,
    };
    let number = format!("{sign}{prefix}{digits:0>least$}");
    push_padded(output, &number, Flags { zero: false, ..flags });
    true
}

fn sign(negative: bool, flags: Flags) -> &'static str {
    match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (false, true, _) => "+",
        (false, false, true) => " ",
        (false, false, false) => "",
    }
}

/// Adds a float; `false`: not by this verb.
pub(super) fn push_float(output: &mut String, value: f64, verb: char, flags: Flags) -> bool {
    if !matches!(verb, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | 'v') {
        return false;
    }
    let default = if matches!(verb, 'g' | 'G' | 'v') { None } else { Some(6) };
    let digits = float(value.abs(), verb, flags.precision.or(default), flags.sharp);
    let sign = sign(value.is_sign_negative(), flags);
    let least = if flags.zero { flags.width.unwrap_or(0).saturating_sub(sign.len()) } else { 0 };
    push_padded(output, &format!("{sign}{digits:0>least$}"), Flags { zero: false, ..flags });
    true
}

/// The digits of a float, with its sign.
pub(in crate::cli::template) fn float(value: f64, verb: char, precision: Option<usize>, sharp: bool) -> String {
    let text = match (verb, precision) {
        ('f' | 'F', precision) => format!("{value:.*}", precision.unwrap_or(6)),
        ('e' | 'E', precision) => exponent(&format!("{value:.*e}", precision.unwrap_or(6))),
        (_, precision) => general(value, precision, sharp),
    };
    if matches!(verb, 'E' | 'G') { text.to_uppercase() } else { text }
}

/// `1e6` as `1e+06`.
fn exponent(text: &str) -> String {
    let Some((digits, exponent)) = text.split_once('e') else { return text.to_owned() };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

/// As few digits as tell the value, or `precision` of them; with an exponent where that is below -4 or too large.
fn general(value: f64, precision: Option<usize>, sharp: bool) -> String {
    let precision = precision.map(|precision| precision.max(1));
    let scientific = match precision {
        None => format!("{value:e}"),
        Some(precision) => format!("{value:.*e}", precision - 1),
    };
    let Some((digits, power)) = scientific.split_once('e') else { return scientific };
    let power: i32 = power.parse().unwrap_or(0);
    let has_zeros = digits.contains('.') && !sharp;
    let digits = if has_zeros { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    let large = precision.unwrap_or(6) as i32;
    if power < -4 || power >= large {
        return exponent(&format!("{digits}e{power}"));
    }
    let count = digits.bytes().filter(u8::is_ascii_digit).count() as i32;
    format!("{value:.*}", (count - 1 - power).max(0) as usize)
}
