//! Which names an entry may have.
//!
//! A name becomes a path without `.`, `..`, empty parts or slashes at its ends; the root is the empty path. Whatever
//! comes later can rely on that: a path's last part is one name in one directory.

use crate::{
    error::Refusal,
    options::{AbsoluteNames, Limits},
};

/// `NAME_MAX`: bytes in one part of a path.
const PART: usize = 255;

// ANCHOR: normalise
/// The path that `raw` names, relative to the root.
///
/// A `..` is refused even where it would not lead out (`a/../b`): `a` may be a link, and no archiver writes it.
pub(crate) fn normalise(raw: &[u8], absolute: AbsoluteNames, limits: &Limits) -> Result<Vec<u8>, Refusal> {
    if raw.is_empty() {
        return Err(Refusal::NoName);
    }
    if raw.contains(&0) {
        return Err(Refusal::Null);
    }
    let mut path = Vec::with_capacity(raw.len());
    let mut depth = 0;
    for part in raw.split(|&b| b == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(Refusal::DotDot),
            _ if part.len() > PART => return Err(Refusal::TooLong(PART)),
            _ => {}
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(part);
        depth += 1;
    }
    if path.len() > limits.path {
        return Err(Refusal::TooLong(limits.path));
    }
    if depth > limits.depth {
        return Err(Refusal::TooDeep(limits.depth));
    }
    // `/` alone is the root, which some builders of images put into every layer.
    if raw[0] == b'/' && depth > 0 && absolute == AbsoluteNames::Refuse {
        return Err(Refusal::Absolute);
    }
    Ok(path)
}
// ANCHOR_END: normalise

/// A normalised path as directory and last part. The root is the last part of itself.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&b| b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// What a name means in a layer of an image.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark<'a> {
    /// A file like any other.
    None,
    /// Deletes this name from its directory.
    Whiteout(&'a [u8]),
    /// Deletes all that lower layers have in its directory.
    Opaque,
    /// Notes that the aufs filesystem made for itself, and that the oldest images still carry.
    Bookkeeping,
}

/// What the normalised `path` means in a layer (OCI image specification, `layer.md`, "Whiteouts").
///
/// The rest of the name after `.wh.` is used as a name itself: `.wh...` would delete `..`.
pub(crate) fn mark(path: &[u8]) -> Result<Mark<'_>, Refusal> {
    const PREFIX: &[u8] = b".wh.";
    const META: &[u8] = b".wh..wh.";
    let (directory, last) = split(path);
    if path.starts_with(META) && path != b".wh..wh..opq" {
        return Ok(Mark::Bookkeeping);
    }
    if directory.split(|&b| b == b'/').any(|part| part.starts_with(PREFIX)) {
        return Err(Refusal::Whiteout);
    }
    match last.strip_prefix(PREFIX) {
        None => Ok(Mark::None),
        Some(b".wh..opq") => Ok(Mark::Opaque),
        Some(b"" | b"." | b"..") => Err(Refusal::Whiteout),
        Some(name) if name.starts_with(PREFIX) => Err(Refusal::Whiteout),
        Some(name) => Ok(Mark::Whiteout(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &[u8]) -> Result<Vec<u8>, Refusal> {
        normalise(raw, AbsoluteNames::Refuse, &Limits::default())
    }

    #[test]
    fn a_name_becomes_a_plain_path() {
        for (raw, expected) in [
            ("./", ""),
            (".", ""),
            ("/", ""),
            ("a", "a"),
            ("./a//b/./c/", "a/b/c"),
            ("...", "..."),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(path(raw.as_bytes()), Ok(expected.as_bytes().to_vec()), "{raw}");
        }
    }

    #[test]
    fn a_name_that_leads_out_is_refused() {
        for raw in ["..", "../a", "a/..", "a/../b", "a/../../b", "./..", "/.."] {
            assert_eq!(path(raw.as_bytes()), Err(Refusal::DotDot), "{raw}");
        }
        assert_eq!(path(b"/etc/passwd"), Err(Refusal::Absolute));
        assert_eq!(path(b"//etc"), Err(Refusal::Absolute));
        assert_eq!(path(b""), Err(Refusal::NoName));
        assert_eq!(path(b"a\0b"), Err(Refusal::Null));
        assert_eq!(path(&[b'a'; 256]), Err(Refusal::TooLong(255)));
        assert_eq!(path(&b"a/".repeat(2048)), Err(Refusal::TooDeep(256)));
        assert_eq!(path(&b"abcdefghijklmnopqrstuvwxyz/".repeat(200)), Err(Refusal::TooLong(4095)));
    }

    #[test]
    fn a_whiteout_deletes_a_name_beside_it_and_nothing_else() {
        assert_eq!(mark(b"a/.wh.b"), Ok(Mark::Whiteout(b"b")));
        assert_eq!(mark(b".wh.b"), Ok(Mark::Whiteout(b"b")));
        assert_eq!(mark(b"a/.wh..b"), Ok(Mark::Whiteout(b".b")));
        assert_eq!(mark(b"a/.wh..wh..opq"), Ok(Mark::Opaque));
        assert_eq!(mark(b".wh..wh..opq"), Ok(Mark::Opaque));
        assert_eq!(mark(b".wh..wh.plnk/1.2"), Ok(Mark::Bookkeeping));
        assert_eq!(mark(b"a.wh.b"), Ok(Mark::None));
        for hostile in
            ["a/.wh.", "a/.wh..", "a/.wh...", "a/.wh..wh.x", ".wh.a/b", ".wh.../x", "a/.wh.b/c", "a/.wh..wh..opq/x"]
        {
            assert_eq!(mark(hostile.as_bytes()), Err(Refusal::Whiteout), "{hostile}");
        }
    }
}
