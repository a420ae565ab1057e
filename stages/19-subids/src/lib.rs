//! Stage 19: a user namespace with ids of its own.
//!
//! With the map of stage 11, 0 to 65535 on the same numbers, root of the container is root of the host for every file
//! that reaches it, for signals, for ptrace(2). Here the ids inside are numbers that nobody else has outside:
//! subordinate ids (subuid(5), subgid(5)). Where a way leads out, whoever takes it arrives as nobody.
//!
//! Supersedes `User` of stage 03.
#![forbid(unsafe_code)]

mod pool;
mod reserve;
mod table;

use std::{fs, path::PathBuf};

pub use pool::{DEFAULT_POOL, RANGE, allocate, pool};
use process::{Child, CloneArgs, Errno, Error, Host, IdMaps, IdRange, Inside, Primitive, Result, may_map_any_id, sys};
pub use reserve::{in_use, reserve, share};
pub use table::{Owner, SubRange, ranges};

/// What gives users their subordinate ids; administrators edit them with usermod(8).
pub const SUBUID: &str = "/etc/subuid";
/// The same for groups.
pub const SUBGID: &str = "/etc/subgid";

/// The most lines that the kernel takes (user_namespaces(7); 5 before Linux 4.15).
const MOST_LINES: usize = 340;

// ANCHOR: subids
/// A user namespace with its two maps, which both map 0.
#[derive(Debug, Clone)]
pub struct SubIds {
    maps: IdMaps,
    /// Whose ids they have to be; `None` where root says so.
    owner: Option<Owner>,
    /// Where the maps are still to come from: a directory for [`reserve`], and their owner.
    pool: Option<(PathBuf, PathBuf)>,
    /// Whether newuidmap and newgidmap write the maps.
    helpers: bool,
}

const SET_GROUPS: usize = 0;
const SET_GID: usize = 1;
const SET_UID: usize = 2;

impl Primitive for SubIds {
    fn name(&self) -> &'static str {
        "subids"
    }

    /// Checks the maps before there is a process: the kernel says no more than EINVAL. A second call does no harm.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        self.helpers = !may_map_any_id();
        if let Some((directory, owner)) = self.pool.take() {
            self.maps = own(reserve(&directory, &owner, host)?);
        }
        check("uid_map", &self.maps.uids)?;
        check("gid_map", &self.maps.gids)?;
        if let Some(owner) = &self.owner {
            permit(owner, SUBUID, owner.uid, &self.maps.uids)?;
            permit(owner, SUBGID, owner.gid, &self.maps.gids)?;
        }
        // What the container mounts belongs to its namespace, so that it has to make the mounts itself.
        host.unprivileged = true;
        host.maps = Some(self.maps.clone());
        Ok(())
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUSER);
    }

    /// The child waits at the gate meanwhile, without any id.
    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        if self.helpers { self.maps.write_by_helpers(host, child.pid) } else { self.maps.write(host, child.pid) }
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        // The caller's groups are not mapped, and would still be accesses.
        inside.at(SET_GROUPS);
        sys::set_groups(&[])?;
        inside.at(SET_GID);
        sys::set_gid(0)?;
        inside.at(SET_UID);
        sys::set_uid(0)
    }

    fn step(&self, step: u16) -> String {
        ["setgroups([])", "setresgid(0, 0, 0)", "setresuid(0, 0, 0)"][usize::from(step).min(SET_UID)].to_owned()
    }
}
// ANCHOR_END: subids

impl SubIds {
    /// Any maps. Without `CAP_SETUID` and `CAP_SETGID` newuidmap and newgidmap write them, as far as /etc/subuid and
    /// /etc/subgid allow.
    pub fn new(maps: IdMaps) -> Self {
        Self { maps, owner: None, pool: None, helpers: false }
    }

    /// A container's own [`RANGE`] of ids: 0 to 65535 are those from `first` on, of users and of groups.
    pub fn own(first: u32) -> Self {
        Self::new(own(first))
    }

    /// As [`SubIds::own`], with a range that nobody has: see [`reserve`].
    pub fn reserved(directory: PathBuf, owner: PathBuf) -> Self {
        Self { pool: Some((directory, owner)), ..Self::new(IdMaps::default()) }
    }

    /// An ordinary user's map: 0 is himself, and 1 and up are the ids that /etc/subuid and /etc/subgid give him.
    ///
    /// # Errors
    /// ENOENT where they give him none: the error has the line to add.
    pub fn of(owner: Owner) -> Result<Self> {
        let uids = after_self(owner.uid, &subordinate(&owner, SUBUID)?);
        let gids = after_self(owner.gid, &subordinate(&owner, SUBGID)?);
        Ok(Self::new(IdMaps { uids, gids }).permitted(owner))
    }

    /// Refuses, also for root, what newuidmap would refuse `owner`: ids that are neither his own nor subordinate.
    #[must_use]
    pub fn permitted(self, owner: Owner) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// The maps.
    pub fn maps(&self) -> &IdMaps {
        &self.maps
    }
}

fn own(first: u32) -> IdMaps {
    let all = vec![IdRange { inside: 0, outside: first, count: RANGE }];
    IdMaps { uids: all.clone(), gids: all }
}

/// 0 is `id`, and the ranges follow one another from 1 on.
fn after_self(id: u32, ranges: &[SubRange]) -> Vec<IdRange> {
    let mut map = vec![IdRange { inside: 0, outside: id, count: 1 }];
    let mut next = 1_u32;
    for range in ranges {
        // More than all ids there are: what is too much stays unmapped.
        let count = range.count.min(u32::MAX - next);
        if count > 0 && map.len() < MOST_LINES {
            map.push(IdRange { inside: next, outside: range.first, count });
            next += count;
        }
    }
    map
}

/// The ranges that `file` gives the owner: at least one.
fn subordinate(owner: &Owner, file: &str) -> Result<Vec<SubRange>> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = ranges(&text, owner);
    if found.is_empty() {
        let name = owner.name();
        let all: Vec<SubRange> = table::entries(&text).map(|(_, range)| range).collect();
        let free = allocate(&[SubRange { first: 100_000, count: 600_000_000 }], &all).unwrap_or(100_000);
        let mut hint = format!("as root add a line of ids that are nobody's, such as {name}:{free}:{RANGE}");
        if let Some(line) = table::spoilt(&text, owner) {
            hint = format!("line {line} is not NAME:FIRST:COUNT and does not count; {hint}");
        }
        let doing = format!("find ids of {name} in {file}");
        return Err(Error::new("subids", doing, Errno::ENOENT).hint(hint));
    }
    Ok(found)
}

/// What the kernel asks of a map.
fn check(name: &str, map: &[IdRange]) -> Result<()> {
    let refuse = |what: String, hint: &str| Err(Error::new("subids", what, Errno::EINVAL).hint(hint));
    if map.len() > MOST_LINES {
        return refuse(format!("{name} of {} lines", map.len()), "the kernel takes 340: join neighbouring ranges");
    }
    for (number, range) in map.iter().enumerate() {
        let IdRange { inside, outside, count } = *range;
        let line = format!("{name}: {inside} {outside} {count}");
        if count == 0 {
            return refuse(line, "the range is empty: give a count of 1 or more");
        }
        // 4294967295 is (uid_t) -1, nobody's id.
        if inside.checked_add(count).is_none() || outside.checked_add(count).is_none() {
            return refuse(line, "the range goes beyond 4294967294, the last id");
        }
        let meet = |a: u32, b: u32, other: &IdRange| a < b + other.count && b < a + count;
        for other in &map[..number] {
            if meet(inside, other.inside, other) || meet(outside, other.outside, other) {
                let other = format!("{} {} {}", other.inside, other.outside, other.count);
                return refuse(line, &format!("it overlaps {other}: an id can stand for one other only"));
            }
        }
    }
    if map.iter().any(|range| range.inside == 0) {
        Ok(())
    } else {
        refuse(format!("{name} without 0"), "the container begins as its root: map 0")
    }
}

/// What newuidmap asks of a map.
fn permit(owner: &Owner, file: &str, own: u32, map: &[IdRange]) -> Result<()> {
    let theirs = ranges(&fs::read_to_string(file).unwrap_or_default(), owner);
    for range in map {
        let is_own = range.count == 1 && range.outside == own;
        if !is_own && !table::cover(&theirs, range.outside, range.count) {
            let (first, last) = (range.outside, range.outside + (range.count - 1));
            let what = format!("map {first}-{last} for {}", owner.name());
            let hint = format!("{file} does not give all of them: take others, or add the missing as root");
            return Err(Error::new("subids", what, Errno::EPERM).hint(hint));
        }
    }
    Ok(())
}
