//! Go's literals: numbers, strings and characters; and a string put into quotes.

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Uint(u64),
    Float(f64),
}

/// Reads a number with sign, base and underscores. `None`: it is none, or too large.
pub(super) fn number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', rest @ ..] if !rest.is_empty() && rest.iter().all(|b| b.is_ascii_digit() || *b == b'_') => {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    let misplaced = body.ends_with('_') || body.contains("__") || (base == 10 && body.starts_with('_'));
    if body.is_empty() || misplaced {
        return None;
    }
    let body = body.replace('_', "");
    if let Ok(value) = u64::from_str_radix(&body, base) {
        return match (negative, i64::try_from(value)) {
            (false, Ok(value)) => Some(Number::Int(value)),
            (true, Ok(value)) => Some(Number::Int(-value)),
            (true, Err(_)) => (value == i64::MIN.unsigned_abs()).then_some(Number::Int(i64::MIN)),
            (false, Err(_)) => Some(Number::Uint(value)),
        };
    }
    if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value = if base == 16 { hexadecimal(&body)? } else { (base == 10).then(|| body.parse().ok())?? };
    f64::is_finite(value).then_some(Number::Float(if negative { -value } else { value }))
}

/// `1.8p3`: the exponent is needed, and of two.
fn hexadecimal(body: &str) -> Option<f64> {
    let (mantissa, exponent) = body.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let exponent: i32 = exponent.parse().ok()?;
    // More digits than a float holds are not exact in Go either.
    #[allow(clippy::cast_precision_loss)]
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let shift = exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?;
    Some(value * f64::from(shift).exp2())
}

/// Takes a string or a character out of its quotes. `None`: it is malformed.
pub(super) fn unquote(text: &str) -> Option<String> {
    let quote = text.chars().next()?;
    let body = text.strip_prefix(quote)?.strip_suffix(quote)?;
    if quote == '`' {
        return Some(body.replace('\r', ""));
    }
    let mut bytes = Vec::with_capacity(body.len());
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\n' => return None,
            '\\' => escape(&mut chars, quote, &mut bytes)?,
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn escape(chars: &mut std::str::Chars, quote: char, bytes: &mut Vec<u8>) -> Option<()> {
    let first = chars.next()?;
    match first {
        'a' => bytes.push(7),
        'b' => bytes.push(8),
        'f' => bytes.push(12),
        'n' => bytes.push(b'\n'),
        'r' => bytes.push(b'\r'),
        't' => bytes.push(b'\t'),
        'v' => bytes.push(11),
        'x' => bytes.push(u8::try_from(digits(chars, 2, 16, 0)?).ok()?),
        '0'..='7' => bytes.push(u8::try_from(digits(chars, 2, 8, first.to_digit(8)?)?).ok()?),
        'u' | 'U' => {
            let c = char::from_u32(digits(chars, if first == 'u' { 4 } else { 8 }, 16, 0)?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        '\\' => bytes.push(b'\\'),
        c if c == quote => bytes.push(u8::try_from(quote).ok()?),
        _ => return None,
    }
    Some(())
}

/// Exactly `count` digits, after `value`.
fn digits(chars: &mut std::str::Chars, count: usize, radix: u32, value: u32) -> Option<u32> {
    (0..count).try_fold(value, |value, _| value.checked_mul(radix)?.checked_add(chars.next()?.to_digit(radix)?))
}

/// Reads a character's literal.
pub(super) fn character(text: &str) -> Option<char> {
    let inside = unquote(text)?;
    let mut chars = inside.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// Puts text into double quotes, as Go's `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    text.chars().for_each(|c| push_escaped(&mut quoted, c, '"', false));
    quoted.push('"');
    quoted
}

/// Adds a character as it stands between quotes; `ascii`: nothing else.
pub(super) fn push_escaped(text: &mut String, c: char, quote: char, ascii: bool) {
    use std::fmt::Write;
    // Writing to a String cannot fail.
    let _ = match c {
        '\\' => write!(text, "\\\\"),
        _ if c == quote => write!(text, "\\{c}"),
        '\x07' => write!(text, "\\a"),
        '\x08' => write!(text, "\\b"),
        '\x0c' => write!(text, "\\f"),
        '\n' => write!(text, "\\n"),
        '\r' => write!(text, "\\r"),
        '\t' => write!(text, "\\t"),
        '\x0b' => write!(text, "\\v"),
        ' '..='~' => write!(text, "{c}"),
        '\0'..='\x7f' => write!(text, "\\x{:02x}", c as u32),
        _ if !ascii && is_printable(c) => write!(text, "{c}"),
        _ if (c as u32) < 0x1_0000 => write!(text, "\\u{:04x}", c as u32),
        _ => write!(text, "\\U{:08x}", c as u32),
    };
}

/// Near enough to Go's tables, which no two versions share.
fn is_printable(c: char) -> bool {
    c.is_alphanumeric() || (c != '\u{ad}' && !c.is_whitespace() && c.escape_debug().next() == Some(c))
}
