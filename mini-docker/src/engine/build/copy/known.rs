//! Contents that need not be read again.
//!
//! `build/contents/KEY.json` is about one COPY, from one directory or from one list of layers: the digest of its content, and
//! where it is from a directory also that of what the kernel said of its files, their inodes and the times of their last
//! change among it. Nobody can set those times; so files of which the kernel says the same are the same, where
//!
//! - the file system sets them at every change: [`KINDS`],
//! - the last change is so long ago that one of today has another time,
//! - and nothing in memory waits for the disk, which somebody who has it mapped could change unnoticed.
//!
//! It is taken for what it is worth: where a file is not whole, or the clock was set back behind it, all is read again.

use std::{
    fs,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use nix::sys::{
    stat::{FileStat, SFlag, fstat},
    statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FsType, XFS_SUPER_MAGIC, fstatfs},
};
use process::sys;
use serde::{Deserialize, Serialize};

use super::{Arrival, digest::how, origin::Origin, select::Selected};
use crate::engine::{
    Engine,
    build::{cache, onto},
    digest::Digest,
    error::{Context as _, Result},
    files::{Durability, Locking, read_json, write_json},
    store::make_directory,
};

/// File systems whose inodes keep their numbers and get a new time with every change, a write to mapped memory too: that of
/// ext2 and ext3 is also ext4's number. Not tmpfs, which learns nothing of such writes, nor what others may change from afar.
const KINDS: [FsType; 4] = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC];

/// How long ago the last change has to be, in seconds: the coarsest times of [`KINDS`] are whole seconds.
const SETTLED: i64 = 2;

/// How many records there may be: with more they begin anew.
const MOST: usize = 1000;

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// What the kernel said of the files; nothing of layers, which do not change.
    state: Option<Digest>,
    /// The digest of the content.
    content: Digest,
    /// When it was read.
    read: Timestamp,
}

/// One COPY, and whether its content may be remembered.
pub(super) struct Known {
    path: PathBuf,
    state: Option<Digest>,
    /// Before anything was asked of the files.
    begun: SystemTime,
    trusted: bool,
}

impl Known {
    /// Before anything is asked of the files.
    pub(super) fn of(engine: &Engine, origin: &Origin, arrival: &Arrival) -> Result<Self> {
        Ok(match origin {
            Origin::Directory(context) => {
                let stat = fstat(&context.root).doing("look at", Path::new("the context"))?;
                Self::new(engine, &[&format!("{} {}", stat.st_dev, stat.st_ino)], arrival)
            }
            Origin::Image(image) => {
                let layers: Vec<_> = image.rootfs.diff_ids.iter().map(Digest::hex).collect();
                Self { trusted: true, ..Self::new(engine, &layers, arrival) }
            }
        })
    }

    fn new(engine: &Engine, place: &[&str], arrival: &Arrival) -> Self {
        let how = how(arrival);
        let inline = arrival.copy.inline.iter().flat_map(|file| [&*file.name, &*file.content]);
        let inline: Vec<_> = inline.collect();
        let key = cache::key(&[place, &["by", &how], &inline[..]].concat());
        let path = directory(engine).join(format!("{key}.json"));
        Self { path, state: None, begun: SystemTime::now(), trusted: false }
    }

    /// Takes what the kernel said of the files of a directory.
    pub(super) fn look(&mut self, selected: &[Selected]) -> Result<()> {
        let mut bytes = Vec::new();
        let begun = self.begun.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let settled = i64::try_from(begun.as_secs()).unwrap_or(0) - SETTLED;
        let mut device = None;
        self.trusted = true;
        for source in selected {
            if device != Some(source.stat.st_dev) {
                device = Some(source.stat.st_dev);
                let kind = fstatfs(&source.fd).doing("look at", &source.path)?.filesystem_type();
                self.trusted &= KINDS.contains(&kind);
            }
            let all = source.entries.iter().map(|entry| (&*entry.path, &entry.stat));
            for (path, stat) in [(&*source.path, &source.stat)].into_iter().chain(all) {
                self.trusted &= is_settled(stat, settled) && device == Some(stat.st_dev);
                write(&mut bytes, path, stat);
            }
        }
        self.state = Some(Digest::of(&bytes));
        Ok(())
    }

    /// The digest of the content, where it is known.
    pub(super) fn content(&self) -> Option<String> {
        let record = read_json::<Record>(&self.path).ok().flatten()?;
        let now = Timestamp::try_from(self.begun).ok()?;
        // One from the future was written before somebody set the clock back, and times may come again.
        let good = self.trusted && record.state == self.state && record.read <= now;
        good.then(|| record.content.hex().to_owned())
    }

    /// Is told of a file that is read.
    pub(super) fn reads(&mut self, file: BorrowedFd) {
        if self.trusted && self.state.is_some() {
            self.trusted = sys::is_clean(file).unwrap_or(false);
        }
    }

    /// Keeps the digest of what was read.
    pub(super) fn keep(&self, engine: &Engine, content: &str) -> Result<()> {
        let (Some(content), Ok(read)) = (Digest::from_hex(content), Timestamp::try_from(self.begun)) else {
            return Ok(());
        };
        if !self.trusted {
            return Ok(());
        }
        // Who prunes takes what is not whole for abandoned.
        let _no_removal = engine.store.lock(Locking::Shared)?;
        let directory = directory(engine);
        if fs::read_dir(&directory).is_ok_and(|entries| entries.count() >= MOST) {
            engine.store.discard(&directory)?;
        }
        make_directory(&directory, 0o700)?;
        let record = Record { state: self.state.clone(), content, read };
        write_json(&self.path, &record, Durability::Process)
    }
}

fn directory(engine: &Engine) -> PathBuf {
    engine.store.root().join("build").join("contents")
}

impl Engine {
    /// Forgets all contents. The store's lock is held exclusively.
    pub(in crate::engine::build) fn forget_contents(&self) -> Result<()> {
        self.store.discard(&directory(self))
    }
}

/// Whether a file's content can have changed only before `settled`, in seconds since 1970.
fn is_settled(stat: &FileStat, settled: i64) -> bool {
    match onto::kind(stat) {
        // What is in it stands for itself, and what a node is its mode says.
        SFlag::S_IFDIR | SFlag::S_IFIFO | SFlag::S_IFCHR | SFlag::S_IFBLK => true,
        // Whole seconds alone are no time that does not come again.
        _ => stat.st_ctime <= settled && stat.st_ctime_nsec != 0,
    }
}

fn write(bytes: &mut Vec<u8>, path: &Path, stat: &FileStat) {
    let path = path.as_os_str().as_encoded_bytes();
    let mut numbers =
        vec![path.len() as u64, stat.st_mode.into(), stat.st_uid.into(), stat.st_gid.into(), stat.st_rdev];
    if onto::kind(stat) != SFlag::S_IFDIR {
        let times = [stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec, stat.st_size];
        numbers.extend([stat.st_dev, stat.st_ino]);
        numbers.extend(times.map(i64::cast_unsigned));
    }
    bytes.extend(path);
    bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
}
