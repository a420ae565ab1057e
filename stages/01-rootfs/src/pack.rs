//! The way back: a directory tree becomes an archive.
//!
//! The archive is *canonical*: it depends on the tree alone, not on when, where or how often it was made. Names are in
//! the order of their bytes, owners are numbers, times are whole seconds (as Docker and containerd write them), and of
//! several names of one file the first has the contents. So a layer needs no copy of its archive: unpacked and packed
//! again it has the same digest.
//!
//! The tree may be a container's, and the container may run: nothing of it is trusted. Each name is opened as it is
//! (`O_PATH`, `O_NOFOLLOW`), looked at, and only a regular file is opened again, by the descriptor: no link leads out, no
//! device or FIFO is opened, whatever takes the name's place meanwhile. With [`Options::still`] nothing does.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat, readlinkat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat},
};

use crate::{
    attributes,
    error::{Error, Refusal},
    options::{Devices, Options, Whiteouts},
    unpack::CHUNK,
    write::{Kind, Meta, Node, Writer},
};

/// What was packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Packed {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes in regular files, holes included; of a file with several names once.
    pub bytes: u64,
    /// Device nodes that [`Devices::Skip`] left out.
    pub skipped_devices: u64,
    /// Sockets, which no archive can hold.
    pub skipped_sockets: u64,
    /// Files that became shorter while they were read; zeros took the place of what was gone.
    pub changed: u64,
}

/// Packs all that is below `directory`. [`Options::whiteouts`] says what overlayfs's whiteouts become, and
/// [`Options::xattrs`], [`Options::limits`] and [`Devices::Skip`] count here too.
///
/// The root has an entry of its own only where an unpacker would not make it so: 0755, root's, without attributes.
///
/// # Errors
/// The first file that cannot be read or kept, and those of `writer`.
pub fn pack(directory: BorrowedFd, writer: impl Write, options: &Options) -> Result<Packed, Error> {
    let mut packer = Packer::new(writer, options);
    packer.tree(directory, b"")?;
    packer.finish().map(|(_, packed)| packed)
}

/// An archive in the making.
pub struct Packer<'a, W: Write> {
    writer: Writer<W>,
    options: &'a Options,
    /// Files of several names: device and inode, and the name that has the contents.
    first: HashMap<(u64, u64), Vec<u8>>,
    /// Paths that the archive does not get.
    left_out: Vec<Vec<u8>>,
    packed: Packed,
    buffer: Vec<u8>,
    bytes_left: u64,
}

impl<'a, W: Write> Packer<'a, W> {
    /// An empty archive that goes to `writer`.
    pub fn new(writer: W, options: &'a Options) -> Self {
        Self {
            writer: Writer::new(writer),
            options,
            first: HashMap::new(),
            left_out: Vec::new(),
            packed: Packed::default(),
            buffer: vec![0; CHUNK],
            bytes_left: options.limits.bytes,
        }
    }

    /// Leaves these paths of the archive out, with all that is below them.
    pub fn leave_out(&mut self, paths: &[&[u8]]) {
        self.left_out.extend(paths.iter().map(|path| path.to_vec()));
    }

    /// Adds all that is below `directory`, as if it were at `path`: no slash at its ends, and empty for the archive's
    /// root. `directory` itself has an entry unless [`pack`] would leave it out.
    pub fn tree(&mut self, directory: BorrowedFd, path: &[u8]) -> Result<(), Error> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = openat(directory, c".", flags, Mode::empty()).map_err(Error::system("open", path))?;
        let stat = fstat(&directory).map_err(Error::system("stat", path))?;
        let xattrs = attributes::xattrs(directory.as_fd(), path, self.options)?;
        let plain = (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) == (0o755, 0, 0) && xattrs.is_empty();
        if !path.is_empty() || !plain {
            self.entry(path, &stat, Kind::Directory, xattrs)?;
        }
        self.below(directory, path)
    }

    /// Adds `name` of the directory `parent`, a plain name, as `path`; a directory with all that is below. A link is
    /// added as a link.
    pub fn add(&mut self, parent: BorrowedFd, name: &[u8], path: &[u8]) -> Result<(), Error> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let open = || openat(parent, name, flags, Mode::empty()).map_err(Error::system("open", path));
        let node = if self.options.still { None } else { Some(open()?) };
        let stat = match &node {
            Some(node) => fstat(node),
            None => fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW),
        };
        let stat = stat.map_err(Error::system("stat", path))?;
        let translates = self.options.whiteouts != Whiteouts::Literal;
        let kind = SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits());
        if translates && kind == SFlag::S_IFCHR && stat.st_rdev == 0 {
            return self.mark(path, &[b".wh.", name].concat());
        }
        if translates && name.starts_with(b".wh.") {
            return Err(Refusal::Marker.of(path));
        }
        if self.options.devices == Devices::Skip && matches!(kind, SFlag::S_IFCHR | SFlag::S_IFBLK) {
            self.packed.skipped_devices += 1;
            return Ok(());
        }
        if kind != SFlag::S_IFDIR && stat.st_nlink > 1 {
            let number = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.first.get(&number) {
                let kind = Kind::HardLink(first.clone());
                return self.entry(path, &stat, kind, Vec::new());
            }
            self.first.insert(number, path.to_vec());
        }
        if kind == SFlag::S_IFREG {
            let file = node.map_or_else(|| by_name(parent, name), |node| by_descriptor(&node));
            return self.file(File::from(file.map_err(Error::system("open for reading", path))?), path, &stat);
        }
        let node = node.map_or_else(open, Ok)?;
        if kind == SFlag::S_IFDIR {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let directory = openat(&node, c".", flags, Mode::empty()).map_err(Error::system("open", path))?;
            let xattrs = attributes::xattrs(directory.as_fd(), path, self.options)?;
            self.entry(path, &stat, Kind::Directory, xattrs)?;
            return self.below(directory, path);
        }
        let xattrs = attributes::xattrs(node.as_fd(), path, self.options)?;
        let kind = match kind {
            SFlag::S_IFLNK => {
                let target = readlinkat(&node, c"").map_err(Error::system("read the link", path))?;
                Kind::Symlink(std::os::unix::ffi::OsStringExt::into_vec(target))
            }
            SFlag::S_IFIFO => Kind::Fifo,
            SFlag::S_IFCHR => Kind::Character,
            SFlag::S_IFBLK => Kind::Block,
            _ => {
                self.first.remove(&(stat.st_dev, stat.st_ino));
                self.packed.skipped_sockets += 1;
                return Ok(());
            }
        };
        self.entry(path, &stat, kind, xattrs)
    }

    /// Writes the end mark, and hands the writer back.
    pub fn finish(self) -> Result<(W, Packed), Error> {
        Ok((self.writer.finish()?, self.packed))
    }

    /// What is in a directory, in order.
    fn below(&mut self, directory: OwnedFd, path: &[u8]) -> Result<(), Error> {
        let failed = |doing| Error::system(doing, path);
        let limits = &self.options.limits;
        if path.split(|&b| b == b'/').count() > limits.depth {
            return Err(Refusal::TooDeep(limits.depth).of(path));
        }
        if self.is_opaque(directory.as_fd()) {
            self.mark(&join(path, b"."), b".wh..wh..opq")?;
        }
        let mut directory = Dir::from_fd(directory).map_err(failed("read the directory"))?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let entry = entry.map_err(failed("read the directory"))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
            if names.len() as u64 + self.packed.entries > limits.entries {
                return Err(Error::too_many(path, limits.entries, "entries"));
            }
        }
        names.sort_unstable();
        for name in names {
            let path = join(path, &name);
            if self.left_out.contains(&path) {
                continue;
            }
            match self.add(directory.as_fd(), &name, &path) {
                // A running container removes files as it likes.
                Err(Error::System { doing: "open", errno: Errno::ENOENT, .. }) => {}
                added => added?,
            }
        }
        Ok(())
    }

    fn is_opaque(&self, directory: BorrowedFd) -> bool {
        let Some(name) = self.options.whiteouts.opaque() else { return false };
        let mut value = [0; 1];
        process::sys::get_xattr(directory, name, &mut value) == Ok(1) && value == *b"y"
    }

    /// An empty file beside `path` whose name `mark` means a deletion. Only the name counts: the rest is always the same.
    fn mark(&mut self, path: &[u8], mark: &[u8]) -> Result<(), Error> {
        let path = join(crate::name::split(path).0, mark);
        self.packed.entries += 1;
        self.writer.header(&Node { path: &path, meta: Meta::MARK, kind: Kind::File(0), xattrs: Vec::new() })
    }

    fn file(&mut self, mut file: File, path: &[u8], stat: &FileStat) -> Result<(), Error> {
        let xattrs = attributes::xattrs(file.as_fd(), path, self.options)?;
        let size = stat.st_size as u64;
        let limits = &self.options.limits;
        let left = self.bytes_left.checked_sub(size);
        self.bytes_left = left.ok_or_else(|| Error::too_many(path, limits.bytes, "bytes"))?;
        self.entry(path, stat, Kind::File(size), xattrs)?;
        self.packed.bytes += size;
        let mut left = size;
        while left > 0 {
            let part = left.min(CHUNK as u64) as usize;
            let read = file.read(&mut self.buffer[..part]).map_err(|e| Error::reading(path, &e))?;
            if read == 0 {
                self.packed.changed += 1;
                self.writer.zeros(left)?;
                break;
            }
            self.writer.contents(&self.buffer[..read])?;
            left -= read as u64;
        }
        self.writer.pad(size)
    }

    fn entry(&mut self, path: &[u8], stat: &FileStat, kind: Kind, xattrs: Xattrs) -> Result<(), Error> {
        self.packed.entries += 1;
        self.writer.header(&Node { path, meta: Meta::of(stat), kind, xattrs })
    }
}

/// Opens a regular file again, to be read.
fn by_descriptor(node: &OwnedFd) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/self/fd/{}", node.as_raw_fd());
    open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())
}

/// Opens what was a regular file a moment ago.
fn by_name(parent: BorrowedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    match openat(parent, name, flags | OFlag::O_NOATIME, Mode::empty()) {
        // Whoever does not own a file marks it as read.
        Err(Errno::EPERM) => openat(parent, name, flags, Mode::empty()),
        opened => opened,
    }
}

/// Names and values.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}
