//! /etc/subuid and /etc/subgid, read as shadow-utils reads them: who disagrees with newuidmap(1) about whose an id is,
//! opens a door.

use std::fs;

/// `count` ids from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubRange {
    /// The first id.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl SubRange {
    /// The id after the last.
    pub(crate) fn end(self) -> u64 {
        u64::from(self.first) + u64::from(self.count)
    }
}

/// Whose subordinate ids are meant: the files name users, or give their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user, who may map himself.
    pub uid: u32,
    /// His group, which he may map too.
    pub gid: u32,
    /// All names with that number; one is usual, and none is possible.
    pub names: Vec<String>,
}

impl Owner {
    /// The user of this process, with his names from /etc/passwd.
    ///
    /// Not by getpwuid(3), which in a static program needs the libraries of the machine that it was linked on: a user
    /// whom only a directory service knows is found by his number.
    pub fn caller() -> Self {
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        Self { uid, gid, names: names(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid) }
    }

    /// A name for messages.
    pub(crate) fn name(&self) -> String {
        self.names.first().cloned().unwrap_or_else(|| self.uid.to_string())
    }

    fn is(&self, field: &str) -> bool {
        self.names.iter().any(|name| name == field) || field == self.uid.to_string()
    }
}

fn names(passwd: &str, uid: u32) -> Vec<String> {
    let entries = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let same = entries.filter(|fields| fields.get(2).is_some_and(|field| field.parse() == Ok(uid)));
    same.filter_map(|fields| fields.first().map(|name| (*name).to_owned())).collect()
}

/// The ranges that `text` gives to `owner`, in the order of the lines.
pub fn ranges(text: &str, owner: &Owner) -> Vec<SubRange> {
    entries(text).filter(|(field, _)| owner.is(field)).map(|(_, range)| range).collect()
}

/// All lines that are an entry, with the owner's field. The others, comments among them, count for nothing.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = (&str, SubRange)> {
    text.split('\n').filter_map(entry)
}

fn entry(line: &str) -> Option<(&str, SubRange)> {
    // A fourth field is there for nothing.
    let mut fields = line.split(':');
    let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
    let range = SubRange { first: number(first)?, count: number(count)? };
    (!owner.is_empty()).then_some((owner, range))
}

/// As strtoul(3) with base 0: `0x` begins hexadecimal numbers, `0` octal ones.
fn number(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let lower = text.to_ascii_lowercase();
    if let Some(digits) = lower.strip_prefix("0x") {
        return u32::from_str_radix(digits, 16).ok();
    }
    let radix = if text.len() > 1 && text.starts_with('0') { 8 } else { 10 };
    u32::from_str_radix(text, radix).ok()
}

/// The number of the first line that seems to be meant for `owner` and is no entry.
pub(crate) fn spoilt(text: &str, owner: &Owner) -> Option<usize> {
    let meant = |line: &str| line.split(':').next().is_some_and(|field| owner.is(field.trim()));
    text.split('\n')
        .position(|line| meant(line) && entry(line).is_none_or(|(field, _)| !owner.is(field)))
        .map(|n| n + 1)
}

/// Whether `ranges` hold all of the `count` ids from `first` on: several may follow one another.
pub(crate) fn cover(ranges: &[SubRange], first: u32, count: u32) -> bool {
    let (mut next, end) = (u64::from(first), u64::from(first) + u64::from(count));
    while next < end {
        match ranges.iter().find(|range| u64::from(range.first) <= next && next < range.end()) {
            Some(range) => next = range.end(),
            None => return false,
        }
    }
    count > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Owner {
        Owner { uid: 4242, gid: 4242, names: vec!["alice".to_owned()] }
    }

    /// Each of these was put to newuidmap of shadow 4.13.
    #[test]
    fn lines_are_read_as_newuidmap_reads_them() {
        let range = |first, count| vec![SubRange { first, count }];
        for (text, expected) in [
            ("alice:200000:10\n", range(200_000, 10)),
            ("alice:200000:10", range(200_000, 10)),
            ("4242:200000:65536\n", range(200_000, 65_536)),
            ("alice:0x30d40:0X10\n", range(200_000, 16)),
            ("alice:010000:0x10\n", range(4096, 16)),
            ("alice:200000:10:5\n", range(200_000, 10)),
            ("alice: 200000:10\n", range(200_000, 10)),
            ("alice:200000:4294967295\n", range(200_000, u32::MAX)),
            ("# alice\n\ngarbage\nalice:1\nbob:1:1\nalice:5:6", range(5, 6)),
            ("alice:200000:10 \n", vec![]),
            ("alice:200000:10\r\n", vec![]),
            ("alice:-1:10\n", vec![]),
            ("alice:1:\n", vec![]),
            (" alice:1:1\n", vec![]),
            ("alice:08:1\nalice:4294967296:1\nalice:0x:1\n", vec![]),
            ("#alice:1:1\n", vec![]),
            (":1:1\n", vec![]),
        ] {
            assert_eq!(ranges(text, &alice()), expected, "{text:?}");
        }
        let both = ranges("alice:200000:10\n4242:300000:10\n", &alice());
        assert_eq!(both.iter().map(|r| r.first).collect::<Vec<_>>(), [200_000, 300_000]);
    }

    #[test]
    fn a_line_that_was_meant_is_found() {
        assert_eq!(spoilt("bob:1:x\nalice:1:1 \n", &alice()), Some(2));
        assert_eq!(spoilt(" alice:1:1\n", &alice()), Some(1));
        assert_eq!(spoilt("bob:1:x\nalice:1:1\n", &alice()), None);
    }

    #[test]
    fn ranges_that_follow_one_another_are_one() {
        let ranges = [(100, 10), (120, 5), (110, 10)].map(|(first, count)| SubRange { first, count });
        for (first, count, expected) in
            [(100, 25, true), (100, 26, false), (99, 2, false), (124, 1, true), (125, 1, false), (100, 0, false)]
        {
            assert_eq!(cover(&ranges, first, count), expected, "{first} {count}");
        }
        assert!(!cover(&[SubRange { first: 5, count: 0 }], 5, 1));
        assert!(!cover(&ranges, u32::MAX, 2));
    }

    #[test]
    fn a_user_may_have_several_names_or_none() {
        let passwd = "root:x:0:0::/:\nalice:x:4242:1::/:\nx\n:::\nally:x:4242:1::/:\n";
        assert_eq!(names(passwd, 4242), ["alice", "ally"]);
        assert!(names(passwd, 7).is_empty());
        assert_eq!(Owner { names: vec![], ..alice() }.name(), "4242");
    }
}
