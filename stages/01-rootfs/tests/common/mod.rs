//! A place where an escape shows.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::{self, File},
    io::Read,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use rootfs::{Error, Options, Owners, Summary};
use tempfile::TempDir;
pub use tests::archive::{Maker, naive_unpack};

/// A target directory, and beside it a file that must not change.
pub struct Scratch {
    folder: TempDir,
    before: BTreeMap<PathBuf, String>,
}

impl Scratch {
    pub fn new() -> Self {
        Self::in_folder(TempDir::new().expect("a temporary directory"))
    }

    /// Where there is one, on a filesystem in memory: for tests that make many files.
    pub fn quick() -> Self {
        Self::in_folder(TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory"))
    }

    fn in_folder(folder: TempDir) -> Self {
        fs::create_dir(folder.path().join("outside")).expect("mkdir");
        fs::write(folder.path().join("outside/canary"), "untouched").expect("write");
        fs::create_dir(folder.path().join("target")).expect("mkdir");
        let before = outside(folder.path());
        Self { folder, before }
    }

    pub fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    pub fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    pub fn unpack(&self, archive: impl Read, options: &Options) -> Result<Summary, Error> {
        let target = File::open(self.target()).expect("open the target");
        rootfs::unpack(archive, target.as_fd(), options)
    }

    /// Whether all but the target is as it was.
    pub fn is_intact(&self) -> bool {
        outside(self.folder.path()) == self.before
    }
}

/// All but the target, which the attack may fill as it likes, and the directory that holds it.
fn outside(folder: &Path) -> BTreeMap<PathBuf, String> {
    let names = fs::read_dir(folder).expect("readdir").map(|e| e.expect("entry").path());
    let mut all = snapshot(&folder.join("outside"), &[]);
    all.extend(names.map(|path| (path, String::new())));
    all
}

/// Unpacks, expects a refusal, and checks the outside.
pub fn refused(archive: &[u8], options: &Options) -> Error {
    let scratch = Scratch::new();
    let error = scratch.unpack(archive, options).expect_err("an attack");
    assert!(scratch.is_intact(), "{error}");
    error
}

/// Whether this test can run; says so if not.
pub fn is_root(what: &str) -> bool {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: {what} takes root");
    }
    nix::unistd::geteuid().is_root()
}

/// The default, with the caller's owners where the archive's cannot be had.
pub fn options() -> Options {
    let owners = if nix::unistd::geteuid().is_root() { Owners::Archive } else { Owners::Caller };
    Options { owners, ..Options::default() }
}

/// Every file below `root`: kind, mode, owner, time, device, contents or target, links, and the attributes `xattrs`.
pub fn snapshot(root: &Path, xattrs: &[&str]) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut inodes: BTreeMap<u64, PathBuf> = BTreeMap::new();
    let mut todo = vec![root.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = path.symlink_metadata().expect("lstat");
        let kind = meta.file_type();
        let mut text = format!(
            "{:o} {}:{} {}.{:09} rdev {} ",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.rdev()
        );
        if kind.is_dir() {
            let mut names: Vec<_> = fs::read_dir(&path).expect("readdir").map(|e| e.expect("entry").path()).collect();
            names.sort();
            todo.extend(names.into_iter().rev());
        } else if kind.is_symlink() {
            text.push_str(&fs::read_link(&path).expect("readlink").to_string_lossy());
        } else if kind.is_file() {
            write!(text, "{} bytes {:x}", meta.len(), hash(&fs::read(&path).expect("read"))).expect("a string");
        } else {
            assert!(kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket());
        }
        let relative = path.strip_prefix(root).expect("below the root").to_owned();
        if !kind.is_dir() {
            let first = inodes.entry(meta.ino()).or_insert_with(|| relative.clone());
            write!(text, " same as {} x{}", first.display(), meta.nlink()).expect("a string");
        }
        for name in xattrs {
            if let Some(value) = xattr(&path, name) {
                write!(text, " {name}={value:x?}").expect("a string");
            }
        }
        found.insert(relative, text);
    }
    found
}

/// An extended attribute of the file itself, not of what it links to.
pub fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_NOFOLLOW;
    let fd = nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty()).expect("open");
    let name = std::ffi::CString::new(name).expect("a name");
    let mut value = [0; 4096];
    let length = process::sys::get_xattr(fd.as_fd(), &name, &mut value).ok()?;
    Some(value[..length].to_vec())
}

pub fn set_xattr(path: &Path, name: &str, value: &[u8]) -> Result<(), process::Errno> {
    let file = File::open(path).expect("open");
    process::sys::set_xattr(file.as_fd(), &std::ffi::CString::new(name).expect("a name"), value)
}

/// FNV-1a: enough to tell contents apart.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}
