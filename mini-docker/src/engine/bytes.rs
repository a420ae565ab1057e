//! Sizes as Docker's users write them.

/// Docker's sizes: a number, a fraction if need be, and b, k, m, g, t or p, powers of 1024, with or without `b` or `ib`.
pub fn parse(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid size {text:?}: use a number with b, k, m, g or t, such as 512m");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" if !unit.starts_with('i') => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(invalid()),
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(invalid());
    }
    let value = number.parse::<f64>().map_err(|_| invalid())? * f64::from(shift).exp2();
    // 2^63: what does not fit the kernel's own type.
    if value < 9.3e18 { Ok(value as u64) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dockers() {
        for (text, value) in
            [("1", 1), ("10b", 10), ("2k", 2048), ("2KiB", 2048), ("1.5m", 3 << 19), ("1 g", 1 << 30), ("2gb", 2 << 30)]
        {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
        for text in ["", "m", "-1", "1x", ".5", "1ii", "1.2.3", "99999999999999999999", "1e3", "1i"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
