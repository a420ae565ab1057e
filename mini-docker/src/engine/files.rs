//! State on disk: written whole or not at all, and locked by the kernel.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use serde::{Serialize, de::DeserializeOwned};

use super::error::{Context, Error, Result};

/// Whether a file must outlive the machine's death, or only this process's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// fsync of file and directory: some milliseconds.
    Machine,
    /// None: for what goes with the container, or means nothing after a restart. Such a file may be empty after a power
    /// cut, and has a mode that says so: [`may_be_lost`].
    Process,
}

impl Durability {
    const fn mode(self) -> u32 {
        match self {
            Self::Machine => 0o600,
            Self::Process => 0o400,
        }
    }
}

/// Whether nobody has waited for this file to reach the disk, so that a power cut may have emptied it. Its mode is there
/// as soon as its name is: the journals of filesystems keep both in order, and the content in none.
pub fn may_be_lost(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.mode() & 0o777 == Durability::Process.mode())
}

/// How names begin that files have until they are whole. [`super::store::Store::clear_unfinished`] removes what stays.
pub const UNFINISHED: &str = ".new-";

// ANCHOR: write
/// Writes a file so that a reader sees the old one or the new one and nothing between. Its owner alone may read it.
pub fn write_atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    let write = || -> io::Result<()> {
        // A name that is none of an image's or anything's else, should this process die before it is gone.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!("{UNFINISHED}{}-{number}", std::process::id()));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(durability.mode()).open(&temporary)?;
        let written = file.write_all(bytes).and_then(|()| match durability {
            Durability::Machine => file.sync_all(),
            Durability::Process => Ok(()),
        });
        if let Err(e) = written.and_then(|()| fs::rename(&temporary, path)) {
            let _ = fs::remove_file(&temporary);
            return Err(e);
        }
        match (durability, path.parent()) {
            (Durability::Machine, Some(directory)) => File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().doing("write", path)
}
// ANCHOR_END: write

/// As [`write_atomic`] for the machine's death, of what most often is there already: then nothing is written, but waited for
/// all the same, for who wrote it may have died before he had waited.
pub fn write_unless_same(path: &Path, bytes: &[u8]) -> Result<()> {
    match (fs::read(path), path.parent()) {
        // One that may be lost has that from its mode.
        (Ok(old), Some(directory)) if old == bytes && !may_be_lost(path) => {
            File::open(directory).and_then(|directory| directory.sync_all()).doing("write", path)
        }
        _ => write_atomic(path, bytes, Durability::Machine),
    }
}

/// As [`write_atomic`], of a value as JSON that a person can read.
pub fn write_json<T: Serialize>(path: &Path, value: &T, durability: Durability) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::system(format_args!("write {}", path.display()), &e.into()))?;
    bytes.push(b'\n');
    write_atomic(path, &bytes, durability)
}

/// Bytes that [`reserve`] takes: more than most of what is written there, and the least that filesystems give.
const RESERVED: [u8; 4096] = [b' '; 4096];

/// Makes a file that has room for what is to be written even when the disk is full, unless it is there: see
/// [`write_json_reserved`].
pub fn reserve(path: &Path) -> Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        opened => opened.and_then(|mut file| file.write_all(&RESERVED)).doing("write", path),
    }
}

/// As [`write_json`] of a file that is there; where the disk is full, by another that has its room already and changes places
/// with it. Both have room afterwards.
pub fn write_json_reserved<T: Serialize>(
    path: &Path,
    reserved: &Path,
    value: &T,
    durability: Durability,
) -> Result<()> {
    let Err(failed) = write_json(path, value, durability) else { return Ok(()) };
    let write = || -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(value)?;
        let mut file = OpenOptions::new().write(true).open(reserved)?;
        // In this order it keeps its room.
        file.write_all(&bytes)?;
        file.set_len(bytes.len() as u64)?;
        if durability == Durability::Machine {
            file.sync_all()?;
        }
        renameat2(AT_FDCWD, reserved, AT_FDCWD, path, RenameFlags::RENAME_EXCHANGE)?;
        match (durability, path.parent()) {
            (Durability::Machine, Some(directory)) => File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    };
    write().map_err(|_| failed)
}

/// Reads a value from JSON; `None` where there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let bytes = match fs::read(path) {
        // Not asked for again: by then it may have been written.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.doing("read", path)?,
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|e| {
        let cause = io::Error::new(io::ErrorKind::InvalidData, e);
        Error::system(format_args!("read {}: the file is damaged", path.display()), &cause)
    })
}

/// How to take a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locking {
    /// With others, waiting for an exclusive holder.
    Shared,
    /// Alone, waiting for all others.
    Exclusive,
    /// Alone or not at all. Whoever only looks ([`Lock::is_held`]) is in the way, too: see [`Lock::take_free`].
    Try,
}

/// A lock on a file (flock(2)). The kernel lets go of it when the last process that holds it ends: it is never stale.
#[derive(Debug)]
pub struct Lock(Flock<File>);

impl Lock {
    /// Takes the lock on `path`, which is made if need be; `None` only for [`Locking::Try`], if it is held.
    pub fn take(path: &Path, how: Locking) -> Result<Option<Self>> {
        let mut options = OpenOptions::new();
        let opened = match options.write(true).create(true).truncate(false).mode(0o600).open(path) {
            // Nothing is written to it. What its holder is to change says so; what he only reads can be read.
            Err(e) if e.kind() == io::ErrorKind::ReadOnlyFilesystem => File::open(path).map_err(|_| e),
            opened => opened,
        };
        Self::take_open(opened.doing("open", path)?, path, how)
    }

    /// Takes the lock on a file of something that may go, alone, waiting for all others; `None` where it is not there.
    pub fn take_existing(path: &Path) -> Result<Option<Self>> {
        match OpenOptions::new().write(true).open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Self::take_open(opened.doing("open", path)?, path, Locking::Exclusive),
        }
    }

    fn take_open(mut file: File, path: &Path, how: Locking) -> Result<Option<Self>> {
        let argument = match how {
            Locking::Shared => FlockArg::LockShared,
            Locking::Exclusive => FlockArg::LockExclusive,
            Locking::Try => FlockArg::LockExclusiveNonblock,
        };
        loop {
            match Flock::lock(file, argument) {
                Ok(lock) => return Ok(Some(Self(lock))),
                Err((_, nix::Error::EWOULDBLOCK)) => return Ok(None),
                Err((same, nix::Error::EINTR)) => file = same,
                Err((_, errno)) => return Err(errno).doing("lock", path),
            }
        }
    }

    /// Takes a lock that is never shared; `None` if somebody holds it. As [`Locking::Try`], but not put off by others who just look.
    pub fn take_free(path: &Path) -> Result<Option<Self>> {
        loop {
            let lock = Self::take(path, Locking::Try)?;
            if lock.is_some() || Self::is_held(path)? {
                return Ok(lock);
            }
        }
    }

    /// Whether somebody holds the lock on `path` alone. Makes nothing: where there is no file, nobody does.
    pub fn is_held(path: &Path) -> Result<bool> {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            opened => opened.doing("open", path)?,
        };
        // Shared: many may look at once, and none is taken for a holder by another.
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Err((_, nix::Error::EWOULDBLOCK)) => Ok(true),
            taken => taken.map(|_| false).map_err(|(_, errno)| errno).doing("lock", path),
        }
    }

    /// The open file, for a process that is to keep the lock.
    pub fn file(&self) -> &File {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn who_looks_whether_a_lock_is_held_is_no_holder() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = Lock::take_free(&path).unwrap().unwrap();
        assert!(Lock::is_held(&path).unwrap() && Lock::take_free(&path).unwrap().is_none());
        drop(held);
        // As somebody who looks has it, for the moment.
        let looks = Flock::lock(File::open(&path).unwrap(), FlockArg::LockSharedNonblock).unwrap();
        assert!(!Lock::is_held(&path).unwrap());
        assert!(Lock::take(&path, Locking::Try).unwrap().is_none());
        thread::scope(|scope| {
            let taker = scope.spawn(|| Lock::take_free(&path).unwrap().is_some());
            drop(looks);
            assert!(taker.join().unwrap());
        });
    }
}
