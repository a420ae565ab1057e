//! A disk of a test's own.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    process::Command,
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::statvfs::statvfs,
};

/// A small ext4 filesystem in a file. Dropped, it is unmounted and gone.
pub struct Disk {
    directory: tempfile::TempDir,
}

impl Disk {
    /// One of so many MiB; `None`, and a word why, where there is no loop device.
    pub fn new(size: u64) -> Option<Self> {
        let disk = Self { directory: tempfile::Builder::new().prefix("mini-docker-disk-").tempdir().unwrap() };
        File::create(disk.image()).and_then(|file| file.set_len(size << 20)).unwrap();
        fs::create_dir(disk.path()).unwrap();
        let (image, path) = (disk.image(), disk.path());
        // Nothing of it for root alone; and what nobody syncs stays in memory.
        let made = Command::new("mkfs.ext4").args(["-q", "-m", "0", "-E", "lazy_itable_init=0"]).arg(&image).status();
        assert!(made.unwrap().success(), "mkfs.ext4 (e2fsprogs)");
        let mounted = Command::new("mount").args(["-o", "loop,commit=600"]).arg(&image).arg(&path).output().unwrap();
        if mounted.status.success() {
            return Some(disk);
        }
        println!("skipped: no loop device here: {}", String::from_utf8_lossy(&mounted.stderr).trim());
        None
    }

    /// The file that it is in.
    pub fn image(&self) -> PathBuf {
        self.directory.path().join("image")
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Takes all room but `free` bytes, until [`Disk::empty`].
    ///
    /// # Panics
    /// Where there is another reason than want of room.
    pub fn fill(&self, free: u64) {
        let file = File::create(self.filler()).unwrap();
        let (mut length, mut part) = (0, u64::MAX);
        // Its own description takes room too, so that the last bytes are taken in small parts.
        while part > 4096 {
            let found = statvfs(&self.path()).unwrap();
            let room = (found.blocks_available() * found.fragment_size()).saturating_sub(free);
            part = part.min(room);
            match fallocate(&file, FallocateFlags::empty(), length as i64, part.min(room).max(1) as i64) {
                Ok(()) => length += part,
                Err(Errno::ENOSPC) => part /= 2,
                Err(errno) => panic!("fallocate: {errno}"),
            }
        }
        if free == 0 {
            // What is left in pieces.
            while file.write_all_at(&[1; 1024], length).is_ok() && file.sync_all().is_ok() {
                length += 1024;
            }
        }
        file.sync_all().unwrap();
    }

    /// Gives the room back.
    pub fn empty(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    ///
    /// # Panics
    /// Where there is another reason than want of room.
    pub fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}
