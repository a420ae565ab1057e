//! Extended headers (pax(1), "pax Extended Header"): what does not fit into a header block.
//!
//! Each record is `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record. The value may hold anything, a newline
//! too: a file capability is binary. Whoever splits at newlines instead of counting sees other entries than the next
//! program does, and that is how an archive hides something from a check.

use nix::sys::time::TimeSpec;

/// What an extended header says of the entry after it.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<i64>,
    pub(crate) gid: Option<i64>,
    pub(crate) mtime: Option<TimeSpec>,
    /// Names without the prefix `SCHILY.xattr.`, by which star, GNU tar and Go's archive/tar write them.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: Option<PaxSparse>,
}

/// A sparse file in GNU's PAX formats.
#[derive(Debug, Default)]
pub(crate) struct PaxSparse {
    /// Version 1.0, where the map stands before the contents. There are older ones.
    pub(crate) map_in_contents: bool,
    /// The file's size in bytes, holes included.
    pub(crate) size: Option<u64>,
    /// The file's name; the entry's own is made up.
    pub(crate) name: Option<Vec<u8>>,
}

/// Reads all records; `None` if one of them is malformed. Of two with one key the last counts.
pub(crate) fn parse(mut rest: &[u8]) -> Option<Pax> {
    let mut pax = Pax::default();
    while !rest.is_empty() {
        let space = rest.iter().position(|&b| b == b' ')?;
        let length = usize::try_from(decimal(&rest[..space])?).ok()?;
        let record = rest.get(space + 1..length)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&b| b == b'=')?;
        pax.set(&record[..equals], &record[equals + 1..])?;
        rest = &rest[length..];
    }
    Some(pax)
}

impl Pax {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        // An empty value takes an earlier one back.
        let bytes = || Some(value.to_vec()).filter(|value| !value.is_empty());
        let number = || {
            if value.is_empty() { Some(None) } else { decimal(value).map(Some) }
        };
        match key {
            b"path" => self.path = bytes(),
            b"linkpath" => self.link = bytes(),
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?.map(i64::try_from).transpose().ok()?,
            b"gid" => self.gid = number()?.map(i64::try_from).transpose().ok()?,
            b"mtime" => self.mtime = if value.is_empty() { None } else { Some(time(value)?) },
            b"GNU.sparse.major" => self.sparse().map_in_contents = value == b"1",
            b"GNU.sparse.name" => self.sparse().name = bytes(),
            b"GNU.sparse.realsize" | b"GNU.sparse.size" => self.sparse().size = number()?,
            _ if key.starts_with(b"GNU.sparse.") => drop(self.sparse()),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.retain(|(other, _)| other != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }

    fn sparse(&mut self) -> &mut PaxSparse {
        self.sparse.get_or_insert_default()
    }
}

/// Decimal digits, at least one, of at most 64 bits; no sign.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |n: u64, &b: &u8| match b {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// Seconds since 1970 with an optional sign and fraction: `-1.25` is 250 ms before the second -1.
fn time(value: &[u8]) -> Option<TimeSpec> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |rest| (true, rest));
    let mut halves = value.splitn(2, |&b| b == b'.');
    let seconds = i64::try_from(decimal(halves.next()?)?).ok()?;
    let mut nanoseconds = 0;
    let fraction = halves.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    for place in 0..9 {
        nanoseconds = nanoseconds * 10 + i64::from(fraction.get(place).map_or(0, |b| b - b'0'));
    }
    Some(match (negative, nanoseconds) {
        (false, _) => TimeSpec::new(seconds, nanoseconds),
        (true, 0) => TimeSpec::new(-seconds, 0),
        (true, _) => TimeSpec::new(-seconds - 1, 1_000_000_000 - nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_newlines_and_the_last_record_counts() {
        let pax =
            parse(b"12 path=a\nb\n20 mtime=12.5000001\n30 SCHILY.xattr.user.a=\n14 x=y\nz=\0\n\n9 path=c\n9 size=7\n");
        assert!(pax.is_none(), "a wrong length");
        let pax = parse(b"12 path=a\nb\n9 path=c\n9 size=7\n27 SCHILY.xattr.user.a=\n14\n").unwrap();
        assert_eq!((pax.path, pax.size), (Some(b"c".to_vec()), Some(7)));
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"\n14".to_vec())]);
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"x"[..],
            b"5",
            b"0 \n",
            b"99 path=a\n",
            b"9 path=ab\n",
            b"7 path\n\n",
            b"10 size=-1\n",
            b"-1 a=b\n",
            b"3 =\n",
            b"31 size=99999999999999999999999\n",
            b"18446744073709551615 a=b\n",
        ] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn times_have_signs_and_fractions() {
        let at = |text: &str| time(text.as_bytes()).map(|t| (t.tv_sec(), t.tv_nsec()));
        assert_eq!(at("12"), Some((12, 0)));
        assert_eq!(at("12.5"), Some((12, 500_000_000)));
        assert_eq!(at("1.0000000019"), Some((1, 1)));
        assert_eq!(at("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(at("-3"), Some((-3, 0)));
        assert_eq!(at("1.x"), None);
        assert_eq!(at("99999999999999999999"), None);
    }
}
