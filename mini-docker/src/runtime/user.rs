//! Who `-u NAME` is: read from the container's own /etc/passwd and /etc/group, which may be hostile.

use std::{
    fs::File,
    io::Read,
    os::fd::{BorrowedFd, OwnedFd},
};

use ids::Ids;
use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{SFlag, fstat},
};
use process::{Errno, Error, Result};

/// A user of the container.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) ids: Ids,
    /// From /etc/passwd, or `/`.
    pub(crate) home: String,
}

/// setgroups(2) takes no more, and a hostile file may name a million.
const MOST_GROUPS: usize = 65_536;
/// More than this is no list of users.
const LARGEST: u64 = 4 << 20;

/// Finds `NAME|ID[:NAME|ID]` in the root, and `NAME|ID` of more groups. Ids need no entry; names do.
pub(super) fn find(root: BorrowedFd, text: &str, more: &[String]) -> Result<User> {
    let (passwd, group) = (read(root, "etc/passwd")?, read(root, "etc/group")?);
    let mut user = resolve(&passwd, &group, text)?;
    for name in more {
        let id = group_id(&group, name)?;
        if !user.ids.groups.contains(&id) && user.ids.groups.len() < MOST_GROUPS {
            user.ids.groups.push(id);
        }
    }
    Ok(user)
}

fn group_id(group: &str, name: &str) -> Result<u32> {
    // A number is never a name: an image could call group 0 that (CVE-2016-3697).
    number(name)
        .or_else(|| entries(group).find(|e| e.first() == Some(&name)).and_then(|e| number(e.get(2)?)))
        .ok_or_else(|| missing("group", name, "group"))
}

pub(crate) fn resolve(passwd: &str, group: &str, text: &str) -> Result<User> {
    let (user, given_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    // A number is never a name here either, and it is the same user however it is written.
    let id = number(user);
    let entry = entries(passwd).find(|e| match id {
        Some(id) => e.get(2).and_then(|text| number(text)) == Some(id),
        None => e.first() == Some(&user),
    });
    let field = |at: usize| entry.as_ref().and_then(|e| e.get(at)).copied();
    let uid = id.or_else(|| field(2).and_then(number)).ok_or_else(|| missing("user", user, "passwd"))?;
    let mut gid = field(3).and_then(number).unwrap_or(0);
    let mut groups = Vec::new();
    match given_group {
        Some(name) if !name.is_empty() => {
            gid = group_id(group, name)?;
        }
        _ => {
            if let Some(name) = field(0) {
                let member = |e: &Vec<&str>| e.get(3).is_some_and(|list| list.split(',').any(|m| m == name));
                groups.extend(entries(group).filter(member).filter_map(|e| number(e.get(2)?)));
            }
        }
    }
    // As in Docker, the group is one of the groups too: otherwise newgrp could shed a group that denies access.
    groups.retain(|group| *group != gid);
    groups.insert(0, gid);
    groups.truncate(MOST_GROUPS);
    let home = field(5).filter(|home| home.starts_with('/')).unwrap_or("/").to_owned();
    Ok(User { ids: Ids { uid, gid, groups, ..Ids::default() }, home })
}

fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// Ids above the signed range are refused, as by runc: the kernel's -1 means "leave it".
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id <= i32::MAX.cast_unsigned())
}

fn missing(what: &str, name: &str, file: &str) -> Error {
    if name.parse::<i64>().is_ok() {
        let text = format!("find {what} {name}: uids and gids must be in range 0-2147483647");
        return Error::new("ids", text, Errno::EINVAL);
    }
    Error::new("ids", format!("unable to find {what} {name}: no matching entries in {file} file"), Errno::ENOENT)
        .hint("use a number, or a name that the image knows")
}

/// A small regular file of the root, without following a link out of it; empty where it is missing.
fn read(root: BorrowedFd, path: &str) -> Result<String> {
    let failed = |errno| Error::new("ids", format!("read /{path} of the image"), errno);
    // Not blocking: the image may have a pipe there.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let confined = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let opened: OwnedFd = match openat2(root, path, OpenHow::new().flags(flags).resolve(confined)) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(String::new()),
        opened => opened.map_err(failed)?,
    };
    let kind = SFlag::from_bits_truncate(fstat(&opened).map_err(failed)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG {
        return Err(failed(Errno::EINVAL).hint("it is no regular file"));
    }
    let mut bytes = Vec::new();
    let read = File::from(opened).take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|e| failed(Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))))?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(Errno::EFBIG));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\nbad:x:99999999999:0::/:\n:::\nx\n";
    const GROUP: &str = "root:x:0:\nwww:x:34:\nlog:x:50:web,root\nadm:x:51:web\n";

    fn ids(text: &str) -> (u32, u32, Vec<u32>) {
        let ids = resolve(PASSWD, GROUP, text).unwrap().ids;
        (ids.uid, ids.gid, ids.groups)
    }

    #[test]
    fn names_and_ids_are_found() {
        assert_eq!(ids(""), (0, 0, vec![0, 50]));
        assert_eq!(ids("web"), (33, 34, vec![34, 50, 51]));
        assert_eq!(ids("33"), (33, 34, vec![34, 50, 51]));
        assert_eq!(ids("web:adm"), (33, 51, vec![51]));
        assert_eq!(ids("1234:5678"), (1234, 5678, vec![5678]));
        assert_eq!(ids("1234"), (1234, 0, vec![0]));
        assert_eq!(resolve(PASSWD, GROUP, "web").unwrap().home, "/srv");
        assert_eq!(resolve("", "", "7").unwrap().home, "/");
    }

    #[test]
    fn a_number_is_no_name() {
        let (passwd, group) = ("1000:x:0:0::/:\nweb:x:33:34::/srv:\n", "1000:x:0:\nwww:x:34:\n");
        for (text, expected) in [("1000", (1000, 0)), ("1000:1000", (1000, 1000)), ("033", (33, 34)), ("+33", (33, 34))]
        {
            let ids = resolve(passwd, group, text).unwrap().ids;
            assert_eq!((ids.uid, ids.gid), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        for text in ["nobody", "web:nothing", "4294967295", "-1", "bad"] {
            let error = resolve(PASSWD, GROUP, text).unwrap_err().to_string();
            assert!(
                ["no matching entries", "must be in range"].iter().any(|said| error.contains(said)),
                "{text}: {error}"
            );
        }
    }
}
