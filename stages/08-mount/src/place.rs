//! The way to a place in the container that its user names, after the pivot.
//!
//! Step by step, each from the descriptor of the one before: links of the image are followed as the container itself would,
//! and what another container changes in a shared volume meanwhile can only lead to another place inside (CVE-2021-30465).
//! Not into /proc, where links lead anywhere (`/proc/self/fd/7`) and a mount could hide what a later step writes to
//! (CVE-2019-19921).

use std::{
    ffi::CStr,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    fcntl::{OFlag, open, openat},
    libc::PATH_MAX,
    sys::{
        stat::{Mode, SFlag, fstat, mkdirat},
        statfs::{PROC_SUPER_MAGIC, fstatfs},
    },
};
use process::{Errno, sys};

use crate::entry::Target;

/// As the kernel's own limit.
const MOST_LINKS: usize = 40;
const LONGEST: usize = PATH_MAX as usize;
const LONGEST_NAME: usize = 255;

/// A place to mount something at.
pub(crate) struct Place {
    pub(crate) fd: OwnedFd,
    /// Whether it had to be made.
    pub(crate) is_new: bool,
}

/// Opens the place at `path`, an absolute path, and makes what is missing on the way.
pub(crate) fn find(path: &CStr, target: Target) -> Result<Place, Errno> {
    let mut rest = Rest::new(path.to_bytes())?;
    let (mut name, mut link) = ([0; LONGEST_NAME + 1], [0; LONGEST]);
    let mut links = 0;
    let (mut here, mut is_new) = (root()?, false);
    while let Some(name) = rest.next(&mut name)? {
        if name == c"." || name == c".." {
            here = openat(&here, name, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
            continue;
        }
        let found = match step(&here, name) {
            Err(Errno::ENOENT) if target != Target::Present => {
                is_new = true;
                make(&here, name, if rest.is_empty() { target } else { Target::Directory })?;
                step(&here, name)?
            }
            found => found?,
        };
        if SFlag::from_bits_truncate(fstat(&found)?.st_mode) & SFlag::S_IFMT != SFlag::S_IFLNK {
            here = found;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(Errno::ELOOP);
        }
        if is_proc(&found)? {
            return Err(Errno::EACCES);
        }
        let length = sys::read_link(found.as_fd(), &mut link)?;
        let to = link.get(..length).ok_or(Errno::ENAMETOOLONG)?;
        if to.starts_with(b"/") {
            here = root()?;
        }
        rest.prepend(to)?;
    }
    Ok(Place { fd: here, is_new })
}

/// Whether it is in a /proc.
pub(crate) fn is_proc(fd: impl AsFd) -> Result<bool, Errno> {
    Ok(fstatfs(fd)?.filesystem_type() == PROC_SUPER_MAGIC)
}

fn root() -> Result<OwnedFd, Errno> {
    open(c"/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
}

fn step(from: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(from, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

fn make(parent: &OwnedFd, name: &CStr, target: Target) -> Result<(), Errno> {
    let made = if target == Target::File {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(parent, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
    } else {
        mkdirat(parent, name, Mode::from_bits_truncate(0o755))
    };
    match made {
        // Somebody else has just made it; the next step says what it is.
        Err(Errno::EEXIST) => Ok(()),
        made => made,
    }
}

/// What is left of the way: the end of a buffer, so that a link's text fits before it.
struct Rest {
    bytes: [u8; LONGEST],
    start: usize,
}

impl Rest {
    fn new(path: &[u8]) -> Result<Self, Errno> {
        let mut rest = Self { bytes: [0; LONGEST], start: LONGEST };
        rest.push(path)?;
        Ok(rest)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        let start = self.start.checked_sub(bytes.len()).ok_or(Errno::ENAMETOOLONG)?;
        self.bytes[start..self.start].copy_from_slice(bytes);
        self.start = start;
        Ok(())
    }

    fn prepend(&mut self, link: &[u8]) -> Result<(), Errno> {
        self.push(b"/")?;
        self.push(link)
    }

    fn is_empty(&self) -> bool {
        self.bytes[self.start..].iter().all(|&byte| byte == b'/')
    }

    /// The next name of the way, in `buffer`.
    fn next<'a>(&mut self, buffer: &'a mut [u8; LONGEST_NAME + 1]) -> Result<Option<&'a CStr>, Errno> {
        let slashes = self.bytes[self.start..].iter().take_while(|&&byte| byte == b'/').count();
        let from = self.start + slashes;
        let length = self.bytes[from..].iter().take_while(|&&byte| byte != b'/').count();
        self.start = from + length;
        if length == 0 {
            return Ok(None);
        }
        let name = buffer.get_mut(..=length).ok_or(Errno::ENAMETOOLONG)?;
        name[..length].copy_from_slice(&self.bytes[from..from + length]);
        name[length] = 0;
        CStr::from_bytes_with_nul(name).map(Some).map_err(|_| Errno::EINVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rest: &mut Rest) -> Vec<String> {
        let mut buffer = [0; LONGEST_NAME + 1];
        let mut names = Vec::new();
        while let Some(name) = rest.next(&mut buffer).unwrap() {
            names.push(name.to_str().unwrap().to_owned());
        }
        names
    }

    #[test]
    fn a_way_is_taken_name_by_name() {
        let mut rest = Rest::new(b"//var/./run//x/").unwrap();
        let mut buffer = [0; LONGEST_NAME + 1];
        assert_eq!(rest.next(&mut buffer).unwrap(), Some(c"var"));
        rest.prepend(b"../else/where").unwrap();
        assert!(!rest.is_empty());
        assert_eq!(names(&mut rest), ["..", "else", "where", ".", "run", "x"]);
        assert!(rest.is_empty());
        assert_eq!(names(&mut Rest::new(b"/").unwrap()), [""; 0]);
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(Rest::new(&[b'a'; LONGEST + 1]).is_err());
        let mut rest = Rest::new(&[b'a'; LONGEST]).unwrap();
        assert_eq!(rest.next(&mut [0; LONGEST_NAME + 1]), Err(Errno::ENAMETOOLONG));
        let mut rest = Rest::new(&[b'/'; 100]).unwrap();
        assert_eq!(rest.prepend(&[b'x'; LONGEST - 100]), Err(Errno::ENAMETOOLONG));
    }
}
