//! Which devices a container's processes may open and make.

use std::fmt;

use process::{Errno, Error, Result};
use serde::{Deserialize, Serialize};

/// What may be opened or made: a line of v1's `devices.allow` (admin-guide/cgroup-v1/devices.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// Of which kind.
    pub kind: DeviceKind,
    /// The major number; `None`: any.
    pub major: Option<u32>,
    /// The minor number; `None`: any.
    pub minor: Option<u32>,
    /// What may be done with it.
    pub access: Access,
}

/// The kinds of device files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceKind {
    /// Every device, whatever else the rule says: so the kernel reads it.
    All,
    /// Characters one after the other.
    Character,
    /// Blocks, in any order.
    Block,
}

/// What is done with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct Access {
    /// It is opened to read.
    pub read: bool,
    /// It is opened to write.
    pub write: bool,
    /// A file for it is made (mknod(2)).
    pub make: bool,
}

impl Access {
    /// From some of the letters `r`, `w` and `m`, at least one.
    pub fn parse(text: &str) -> Option<Self> {
        let known = !text.is_empty() && text.len() <= 3 && text.chars().all(|letter| "rwm".contains(letter));
        let has = |letter| text.contains(letter);
        known.then(|| Self { read: has('r'), write: has('w'), make: has('m') })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = [(self.read, "r"), (self.write, "w"), (self.make, "m")];
        letters.iter().filter(|(has, _)| *has).try_for_each(|(_, letter)| f.write_str(letter))
    }
}

const ALL: Access = Access { read: true, write: true, make: true };
const MAKE: Access = Access { read: false, write: false, make: true };

const fn character(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule { kind: DeviceKind::Character, major: Some(major), minor, access: ALL }
}

/// What every container may: make all files, and open those that are the same everywhere. Docker's may open the machine's
/// console (5:1) and net/tun (10:200) too, where an image brings the file.
pub const DEFAULT_DEVICES: [DeviceRule; 10] = [
    DeviceRule { kind: DeviceKind::Character, major: None, minor: None, access: MAKE },
    DeviceRule { kind: DeviceKind::Block, major: None, minor: None, access: MAKE },
    // null, zero, full, random, urandom;
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(1, Some(8)),
    character(1, Some(9)),
    // tty, ptmx, and the terminals of its own /dev/pts.
    character(5, Some(0)),
    character(5, Some(2)),
    character(136, None),
];

impl DeviceRule {
    /// From Docker's words, such as `c 189:* rmw`.
    ///
    /// # Errors
    /// EINVAL for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| {
            Error::new("cgroup", format!("read the device rule {text:?}"), Errno::EINVAL)
                .hint("write a|b|c MAJOR:MINOR and some of rwm, with * for any number: 'c 189:* rmw'")
        })
    }

    fn read(text: &str) -> Option<Self> {
        let [kind, numbers, access] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
        let kind = match kind {
            "a" => DeviceKind::All,
            "b" => DeviceKind::Block,
            "c" => DeviceKind::Character,
            _ => return None,
        };
        let number = |text: &str| match text {
            "*" => Some(None),
            text => text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok().map(Some))?,
        };
        let (major, minor) = numbers.split_once(':')?;
        Some(Self { kind, major: number(major)?, minor: number(minor)?, access: Access::parse(access)? })
    }
}

impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DeviceKind::All => 'a',
            DeviceKind::Block => 'b',
            DeviceKind::Character => 'c',
        };
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        write!(f, "{kind} {}:{} {}", number(self.major), number(self.minor), self.access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_read_as_docker_writes_it_and_nothing_else_is() {
        for text in ["c 1:3 rwm", "b *:* m", "c 189:* r", "a *:* rwm"] {
            assert_eq!(DeviceRule::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(DeviceRule::parse("c 1:3 mwr").unwrap().to_string(), "c 1:3 rwm");
        for text in [
            "",
            "c",
            "c 1:3",
            "c 1:3 ",
            "c 1:3 x",
            "d 1:3 r",
            "c 1 r",
            "c 1:+3 r",
            "c 1:-3 r",
            "c :3 r",
            "c 1:3 rwmr",
            "c 1:4294967296 r",
            "c  1:3 r",
            "c 1:3 r ",
            "c 1:3:4 r",
        ] {
            assert!(DeviceRule::parse(text).is_err(), "{text:?}");
        }
    }
}
