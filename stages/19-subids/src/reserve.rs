//! Which ranges of ids are whose just now: for containers that are made by many processes at once.
//!
//! A range in use is a symbolic link in a directory that the whole machine shares: its name is the first id, and it leads to
//! what its owner has as long as he lives. symlink(2) lets one of many win, and who dies before he gives the range back has
//! his undo journal, or leaves a link that leads nowhere.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, symlink},
    path::{Path, PathBuf},
};

use nix::fcntl::{Flock, FlockArg};
use process::{Errno, Error, Host, Result, Undo, sys};

use crate::{
    SUBGID, SUBUID, pool,
    pool::{slot, slots},
};

/// Links of those who use a range together with its owner, and may live longer: FIRST.NAME.
const SHARED: &str = "shared";
/// A range that is hit at random is free, until most are taken.
const GUESSES: u64 = 64;

// ANCHOR: reserve
/// Takes a [`crate::RANGE`] of ids that is nobody's, and returns the first: in `directory` stands then that `owner` has it, a path
/// that is there as long as he needs them, until the journal is undone.
///
/// At random: whoever has just had a range, and left something of it somewhere, does not meet the next one.
pub fn reserve(directory: &Path, owner: &Path, host: &mut Host) -> Result<u32> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let (pool, taken) = pool(&read(SUBUID), &read(SUBGID));
    let all = slots(&pool);
    let full = || {
        let hint = "end some of them, or give root more of these ids in /etc/subuid and /etc/subgid";
        Error::new("subids", "find 65536 ids that nobody uses", Errno::ENOSPC).hint(hint)
    };
    if all == 0 {
        return Err(full());
    }
    let mut bytes = [0; 8];
    for guess in 0..GUESSES + all {
        // First anywhere, and at last one after the other.
        if guess <= GUESSES {
            sys::random(&mut bytes).map_err(|errno| Error::new("subids", "getrandom()", errno))?;
        }
        let number = (u64::from_ne_bytes(bytes) % all + guess.saturating_sub(GUESSES)) % all;
        let Some(first) = slot(&pool, &taken, number) else { continue };
        if take(directory, &first.to_string(), owner, host)? && !is_shared(directory, first) {
            return Ok(first);
        }
    }
    Err(full())
}
// ANCHOR_END: reserve

/// Writes down that `owner` uses the range from `first` on too, whose owner lives.
pub fn share(directory: &Path, first: u32, owner: &Path, host: &mut Host) -> Result<()> {
    let name = owner.file_name().unwrap_or_default().to_string_lossy();
    take(&directory.join(SHARED), &format!("{first}.{name}"), owner, host).map(drop)
}

/// Removes links that lead nowhere, and returns those that are left: the first id, and whose it is.
///
/// # Errors
/// Where the directory cannot be read or written.
pub fn in_use(directory: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let lock = match fs::File::open(directory) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    // Or of two who do this the second could remove what somebody has taken after the first.
    let _lock = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
    let mut left = Vec::new();
    for directory in [directory.to_owned(), directory.join(SHARED)] {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(owner) = fs::read_link(entry.path()) else { continue };
            if owner.exists() {
                left.push((entry.file_name().to_string_lossy().into_owned(), owner));
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(left)
}

/// Makes a link; false where there is one of that name.
fn take(directory: &Path, name: &str, owner: &Path, host: &mut Host) -> Result<bool> {
    let path = directory.join(name);
    host.undo(Undo::RemoveLink { path: path.clone(), target: owner.to_owned() })?;
    let make = || match symlink(owner, &path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            symlink(owner, &path)
        }
        done => done,
    };
    let mut taken = true;
    host.act(
        || format!("symlink({:?}, {:?})", owner.display(), path.display()),
        || match make() {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                taken = false;
                Ok(())
            }
            done => done.map_err(|e| Error::from_io("", "", &e).errno),
        },
    )?;
    Ok(taken)
}

/// Whether somebody has outlived the last owner of a range. His own link stays until the journal is undone.
fn is_shared(directory: &Path, first: u32) -> bool {
    let shared = fs::read_dir(directory.join(SHARED)).into_iter().flatten().flatten();
    let prefix = format!("{first}.");
    shared.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use process::Journal;

    use super::*;
    use crate::RANGE;

    #[test]
    fn a_range_is_one_owner_s_until_he_gives_it_back() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("ids");
        let owner = place.path().join("owner");
        fs::create_dir(&owner).unwrap();
        let mut host = Host::new(Journal::in_memory());
        let mut all: Vec<u32> = (0..50).map(|_| reserve(&directory, &owner, &mut host).unwrap()).collect();
        assert!(!take(&directory, &all[0].to_string(), &owner, &mut host).unwrap());
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] + RANGE <= pair[1]), "{all:?}");
        assert_eq!(in_use(&directory).unwrap().len(), 50);
        host.journal.undo_all().unwrap();
        assert_eq!(in_use(&directory).unwrap(), []);
    }

    #[test]
    fn what_another_has_is_not_taken_back() {
        let place = tempfile::tempdir().unwrap();
        let (mine, theirs) = (place.path().join("mine"), place.path().join("theirs"));
        fs::create_dir(&theirs).unwrap();
        symlink(&theirs, place.path().join("700000")).unwrap();
        let mut host = Host::new(Journal::in_memory());
        assert!(!take(place.path(), "700000", &mine, &mut host).unwrap());
        host.journal.undo_all().unwrap();
        assert_eq!(in_use(place.path()).unwrap(), [("700000".to_owned(), theirs.clone())]);
        share(place.path(), 700_000, &theirs, &mut Host::new(Journal::in_memory())).unwrap();
        assert!(is_shared(place.path(), 700_000) && !is_shared(place.path(), 70_000));
        fs::remove_dir(&theirs).unwrap();
        assert_eq!(in_use(place.path()).unwrap(), []);
    }
}
