//! The loop: one entry after the other, whatever its kind.
//!
//! Memory does not grow with the archive: one entry, one open directory and one buffer at a time.

use std::{
    io::Read,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    fcntl::AtFlags,
    sys::stat::{Mode, SFlag, fstatat, mknodat},
};
use process::sys;

use crate::{
    archive::{Archive, Entry},
    attributes,
    confine::Tree,
    decompress::decompress,
    error::{Error, Refusal},
    header::Kind,
    name::{self, Mark},
    node::{self, Made},
    options::{AbsoluteNames, Devices, Options, Replaces, Summary, Whiteouts},
};

/// Files of so many bytes go to the disk while the next ones are unpacked; smaller ones would cost more calls than they gain.
const LARGE: u64 = 32 << 10;
/// Bytes that are read and written at once.
pub(crate) const CHUNK: usize = 128 << 10;

/// Unpacks an archive, compressed or not, into the directory `target`.
///
/// `target` exists and is empty. It may be an `O_PATH` descriptor. On failure it holds what was unpacked so far. Nothing
/// is known to be on the disk: a caller that needs it calls syncfs(2) once, at the end.
///
/// The archive is read to its last byte. Later entries replace earlier ones; a directory in the place of a directory
/// leaves what is in it.
///
/// # Errors
/// The first entry that cannot be unpacked or must not be; see [`Error`].
pub fn unpack(reader: impl Read, target: BorrowedFd, options: &Options) -> Result<Summary, Error> {
    unpack_tar(decompress(reader)?, target, options)
}

/// As [`unpack`], for a stream that is uncompressed already: what [`decompress`] returned, or a digest over it.
///
/// # Errors
/// As [`unpack`].
pub fn unpack_tar(reader: impl Read, target: BorrowedFd, options: &Options) -> Result<Summary, Error> {
    let mut unpacker = Unpacker {
        archive: Archive::new(reader, &options.limits),
        tree: Tree::new(target, options)?,
        options,
        summary: Summary::default(),
        buffer: vec![0; CHUNK],
    };
    while let Some(entry) = unpacker.archive.next()? {
        unpacker.entry(&entry)?;
    }
    unpacker.tree.leave()?;
    unpacker.archive.drain()?;
    Ok(unpacker.summary)
}

struct Unpacker<'a, R> {
    archive: Archive<R>,
    tree: Tree<'a>,
    options: &'a Options,
    summary: Summary,
    buffer: Vec<u8>,
}

impl<R: Read> Unpacker<'_, R> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Error> {
        let refused = |why: Refusal| why.of(&entry.name);
        self.summary.entries += 1;
        // Docker leaves out what names nothing, and what would be the root without being a directory.
        let lenient = self.options.absolute_names == AbsoluteNames::Confine;
        if lenient && entry.name.is_empty() {
            return Ok(());
        }
        let path = name::normalise(&entry.name, self.options.absolute_names, &self.options.limits).map_err(refused)?;
        attributes::check_xattrs(entry).map_err(refused)?;
        if self.options.whiteouts != Whiteouts::Literal {
            let mark = name::mark(&path).map_err(refused)?;
            if mark != Mark::None {
                return self.whiteout(entry, &path, &mark);
            }
        }
        if path.is_empty() && entry.kind != Kind::Directory {
            return if lenient { Ok(()) } else { Err(refused(Refusal::Root)) };
        }
        match entry.kind {
            Kind::File => self.file(entry, &path),
            Kind::Directory => self.directory(entry, &path),
            Kind::Other(byte) => Err(refused(Refusal::Type(byte))),
            Kind::Character | Kind::Block if self.options.devices == Devices::Refuse => Err(refused(Refusal::Device)),
            Kind::Character | Kind::Block if self.options.devices == Devices::Skip => {
                self.summary.skipped_devices += 1;
                Ok(())
            }
            Kind::Symlink | Kind::HardLink | Kind::Fifo | Kind::Character | Kind::Block => self.other(entry, &path),
        }
    }

    // ANCHOR: file
    fn file(&mut self, entry: &Entry, path: &[u8]) -> Result<(), Error> {
        let (parent, name) = self.enter_parent(entry, path)?;
        let (file, made) = node::file(parent, name, entry.mode).map_err(Error::system("create", &entry.name))?;
        node::write_contents(&file, entry, &mut self.archive, &mut self.buffer)?;
        attributes::apply(file.as_fd(), entry, self.options, &mut self.summary)?;
        attributes::set_time(file.as_fd(), entry)?;
        if entry.contents.size >= LARGE {
            // What goes wrong there the caller's syncfs says.
            let _ = sys::begin_to_write(file.as_fd(), 0, 0);
        }
        self.summary.bytes += entry.contents.size;
        self.note(made);
        Ok(())
    }
    // ANCHOR_END: file

    fn directory(&mut self, entry: &Entry, path: &[u8]) -> Result<(), Error> {
        let failed = |doing| Error::system(doing, &entry.name);
        let (fd, hides, made) = if path.is_empty() {
            (self.tree.open(b"").map_err(failed("open"))?, false, Made::New)
        } else {
            let (parent, name) = name::split(path);
            self.enter(entry, parent)?;
            let parent = self.tree.here().map_err(failed("open"))?;
            self.check_replaced(entry, parent, name)?;
            let hides = self.tree.is_whiteout(parent, name);
            let (fd, made) = node::directory(parent, name).map_err(failed("mkdir"))?;
            (fd, hides, made)
        };
        attributes::apply(fd.as_fd(), entry, self.options, &mut self.summary)?;
        if hides {
            attributes::set_opaque(fd.as_fd(), self.options).map_err(failed("make opaque"))?;
        }
        // What comes next most likely goes in here. The time is set when that is done.
        self.tree.stay(path, fd, entry.mtime)?;
        self.note(made);
        Ok(())
    }

    fn other(&mut self, entry: &Entry, path: &[u8]) -> Result<(), Error> {
        let (directory, name) = name::split(path);
        self.enter(entry, directory)?;
        let parent = self.tree.here().map_err(Error::system("open", &entry.name))?;
        self.check_replaced(entry, parent, name)?;
        let made = match entry.kind {
            Kind::HardLink => {
                let made = node::hard_link(parent, name, entry, &self.options.limits, |target| self.tree.open(target))?;
                self.note(made);
                // The file has its owner, mode and times from the entry that brought it.
                return Ok(());
            }
            Kind::Symlink => {
                check_target(&entry.link).map_err(|why| why.of(&entry.name))?;
                node::symlink(parent, name, &entry.link).map_err(Error::system("symlink", &entry.name))?
            }
            _ => node::special(parent, name, entry)?,
        };
        attributes::apply_at(parent, name, entry, self.options, &mut self.summary)?;
        self.note(made);
        Ok(())
    }

    /// Converts a whiteout to overlayfs's own form.
    fn whiteout(&mut self, entry: &Entry, path: &[u8], mark: &Mark) -> Result<(), Error> {
        let failed = |doing| Error::system(doing, &entry.name);
        let name = match mark {
            Mark::None | Mark::Bookkeeping => return Ok(()),
            // A directory of that name would have files in it, which delete nothing.
            _ if entry.kind == Kind::Directory => return Err(Refusal::Whiteout.of(&entry.name)),
            Mark::Opaque => None,
            Mark::Whiteout(name) => Some(*name),
        };
        self.enter(entry, name::split(path).0)?;
        let parent = self.tree.here().map_err(failed("open"))?;
        self.summary.whiteouts += 1;
        let Some(name) = name else {
            return attributes::set_opaque(parent, self.options).map_err(failed("make opaque the directory of"));
        };
        match mknodat(parent, name, SFlag::S_IFCHR, Mode::empty(), 0) {
            // It deletes what lower layers have, not what this one has, in whichever order they come: a file hides the
            // lower one anyway, a directory must be told to.
            Err(Errno::EEXIST) => match node::open_directory(parent, name) {
                Ok(directory) => attributes::set_opaque(directory.as_fd(), self.options).map_err(failed("make opaque")),
                Err(Errno::ENOTDIR | Errno::ELOOP) => Ok(()),
                Err(errno) => Err(failed("open")(errno)),
            },
            made => made.map_err(failed("mknod")),
        }
    }

    /// Works in the directory `path` from here on, which is made if it is missing.
    fn enter(&mut self, entry: &Entry, path: &[u8]) -> Result<(), Error> {
        let archive = &mut self.archive;
        self.tree.enter(path, &mut || archive.count_entry()).map_err(|e| e.for_entry(&entry.name))
    }

    /// As [`Unpacker::enter`] for the parent of `path`, with the name that is left.
    fn enter_parent<'p>(&mut self, entry: &Entry, path: &'p [u8]) -> Result<(BorrowedFd<'_>, &'p [u8]), Error> {
        let (parent, name) = name::split(path);
        self.enter(entry, parent)?;
        let parent = self.tree.here().map_err(Error::system("open", path))?;
        self.check_replaced(entry, parent, name)?;
        Ok((parent, name))
    }

    fn check_replaced(&self, entry: &Entry, parent: BorrowedFd, name: &[u8]) -> Result<(), Error> {
        if self.options.replaces == Replaces::Anything {
            return Ok(());
        }
        let Ok(found) = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { return Ok(()) };
        match (found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits(), entry.kind == Kind::Directory) {
            (true, false) => Err(Refusal::OverDirectory.of(&entry.name)),
            (false, true) => Err(Refusal::OverFile.of(&entry.name)),
            _ => Ok(()),
        }
    }

    fn note(&mut self, made: Made) {
        if made == Made::Replaced {
            self.tree.forget_path();
        }
    }
}

/// A target that symlink(2) takes: 1 to 4095 bytes, and no null, which would cut it short.
fn check_target(target: &[u8]) -> Result<(), Refusal> {
    match target.len() {
        _ if target.contains(&0) => Err(Refusal::Null),
        1..=4095 => Ok(()),
        _ => Err(Refusal::SymlinkTarget),
    }
}
