//! What a header block says. The `tar` crate knows the layouts; the numbers are read here, because its reader cuts a
//! base-256 number off at 64 bits and takes a negative one for a huge one.

use tar::{EntryType, Header};

/// Bytes in a block, the unit of a tar archive (pax(1), "ustar Interchange Format").
pub(crate) const BLOCK: usize = 512;

/// What kind of file an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    Character,
    Block,
    /// Not known: the byte that the header has for it.
    Other(u8),
}

impl Kind {
    /// Only contents of files follow the header; a size in any other header means nothing, whatever it says.
    pub(crate) fn has_contents(self) -> bool {
        matches!(self, Self::File | Self::Other(_))
    }
}

/// The fields of a header whose meaning does not depend on other headers. `None` where a number makes no sense.
pub(crate) struct Fields {
    pub(crate) kind: Kind,
    pub(crate) size: Option<u64>,
    pub(crate) mode: Option<u32>,
    pub(crate) uid: Option<i64>,
    pub(crate) gid: Option<i64>,
    pub(crate) mtime: Option<i64>,
    pub(crate) device: Option<(u32, u32)>,
}

/// Reads the fields of `header`.
pub(crate) fn fields(header: &Header) -> Fields {
    let old = header.as_old();
    let kind = kind(header);
    Fields {
        kind,
        size: number(&old.size).and_then(|n| u64::try_from(n).ok()),
        mode: number(&old.mode).map(|n| (n & 0o7777) as u32),
        uid: number(&old.uid),
        gid: number(&old.gid),
        mtime: number(&old.mtime),
        device: device(header),
    }
}

fn kind(header: &Header) -> Kind {
    match header.entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink,
        EntryType::Link => Kind::HardLink,
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char => Kind::Character,
        EntryType::Block => Kind::Block,
        other => Kind::Other(other.as_byte()),
    }
}

fn device(header: &Header) -> Option<(u32, u32)> {
    let (major, minor) = if let Some(ustar) = header.as_ustar() {
        (&ustar.dev_major, &ustar.dev_minor)
    } else {
        let gnu = header.as_gnu()?;
        (&gnu.dev_major, &gnu.dev_minor)
    };
    Some((u32::try_from(number(major)?).ok()?, u32::try_from(number(minor)?).ok()?))
}

/// Whether the header's checksum is right: the sum of its bytes, with the sum's own field taken as spaces.
pub(crate) fn checksum_is_right(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let sum: i64 = bytes.iter().map(|&b| i64::from(b)).sum();
    let field = &bytes[148..156];
    let own: i64 = field.iter().map(|&b| i64::from(b)).sum();
    number(field) == Some(sum - own + 8 * i64::from(b' '))
}

/// A number: octal digits between spaces and nulls, or, if the first bit is set, big-endian base 256 in two's
/// complement (a GNU extension for what does not fit). Blank is zero. `None` for anything else, and beyond 64 bits.
pub(crate) fn number(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // The first bit is the mark, the second one the sign.
        let negative = first & 0x40 != 0;
        let start = i64::from(first & 0x3f) - if negative { 0x40 } else { 0 };
        return rest.iter().try_fold(start, |n, &b| n.checked_mul(256)?.checked_add(i64::from(b)));
    }
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let digits = field.iter().skip_while(|b| blank(b)).take_while(|b| !blank(b));
    digits.copied().try_fold(0_i64, |n, digit| match digit {
        b'0'..=b'7' => n.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"77777777777\0"), Some((8 << 30) - 1));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Some(256));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0xff; 8]), Some(-1));
    }

    #[test]
    fn numbers_that_do_not_fit_are_no_numbers() {
        assert_eq!(number(b"0000648\0"), None);
        assert_eq!(number(b"-1\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\x80\0\0\x01\0\0\0\0\0\0\0\0"), None);
        assert_eq!(number(b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), None);
        assert_eq!(number(b""), None);
    }
}
