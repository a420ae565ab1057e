//! Files of a log that are not written any more, compressed.
//!
//! A reader that stays with a log knows its files by their inodes, so a compressed one has in its head that of the file
//! it was made of. Another file may have that inode then, but not the next one: that is made before.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Seek},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder, bufread::GzDecoder};

/// Where the compressed form of `path` is.
pub(super) fn place(path: &Path) -> PathBuf {
    with_end(path, ".gz")
}

/// What is there of it while it is made.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    with_end(path, ".new")
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Compresses the file at `path`, which goes when that is done. Whoever is killed in between leaves both, of which the
/// file counts.
pub(super) fn pack(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let unfinished = unfinished(path);
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let inode = file.metadata()?.ino().to_string();
    let mut gzip = GzBuilder::new().comment(inode).write(to, Compression::fast());
    io::copy(&mut file, &mut gzip)?;
    gzip.finish()?;
    fs::rename(&unfinished, place(path))?;
    fs::remove_file(path)
}

/// What a file of a log is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Its inode, or that of the file it was made of.
    inode: u64,
    packed: bool,
}

impl Identity {
    /// Whether this file is the other one, later: a compressed one does not become a plain one again.
    pub(super) fn was(self, other: Self) -> bool {
        self.inode == other.inode && (self.packed || !other.packed)
    }
}

/// One file of a log, opened.
#[derive(Debug)]
pub(super) struct Kept {
    file: File,
    pub(super) identity: Identity,
}

impl Kept {
    /// Opens `path`, or its compressed form.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            opened => {
                let file = opened?;
                let identity = Identity { inode: file.metadata()?.ino(), packed: false };
                return Ok(Self { file, identity });
            }
        }
        let mut file = File::open(place(path))?;
        let gzip = GzDecoder::new(BufReader::new(&file));
        let head = gzip.header().and_then(|head| std::str::from_utf8(head.comment()?).ok());
        let inode = head.and_then(|text| text.parse().ok()).unwrap_or(0);
        file.rewind()?;
        Ok(Self { file, identity: Identity { inode, packed: true } })
    }

    /// The file, uncompressed: one without a name where it was not.
    pub(super) fn unpack(self, directory: &Path) -> io::Result<File> {
        if !self.identity.packed {
            return Ok(self.file);
        }
        let mut whole = nameless(directory)?;
        match io::copy(&mut GzDecoder::new(BufReader::new(self.file)), &mut whole) {
            // What can be read of a damaged one.
            Err(e) if matches!(e.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput) => {}
            copied => drop(copied?),
        }
        whole.rewind()?;
        Ok(whole)
    }
}

/// A file that is gone with its descriptor, where the filesystem can; in memory where not, or where it is full.
fn nameless(directory: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc::O_TMPFILE);
    options.open(directory).or_else(|_| {
        let file = nix::sys::memfd::memfd_create(c"log", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)?;
        Ok(file.into())
    })
}
