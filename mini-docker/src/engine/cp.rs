//! Copying between the host and a container, or an archive on either side, by Docker's rules for paths.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    thread,
};

use nix::errno::Errno;
use process::{Aside, sys};
use rootfs::{AbsoluteNames, Devices, Options, Owners, Packer, Refusal, Replaces, decompress, unpack_tar};

use super::{
    error::{Error, Kind, Result},
    tree::{Spot, Tree},
};

/// One end of a copy.
#[derive(Debug)]
pub struct End<'a> {
    /// Where its path begins.
    pub tree: &'a Tree,
    /// As the user wrote it: what it ends in counts.
    pub path: &'a str,
    /// What the user calls it.
    pub shown: String,
}

/// How to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// With owners by number, device nodes and set-user-id bits.
    pub archive: bool,
    /// The file that a link leads to, in its place.
    pub follow: bool,
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub struct Copied {
    /// Bytes of files.
    pub bytes: u64,
    /// What the host did not get.
    pub left_out: LeftOut,
}

/// What files that come from a container or an image do not bring to the host: it could be used by whoever finds it there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LeftOut {
    /// Device nodes.
    pub devices: u64,
    /// Set-user-id and set-group-id bits and capabilities, of so many files.
    pub set_ids: u64,
}

impl End<'_> {
    /// Whether the user means a directory, or what is in one.
    fn is_meant_as_directory(&self) -> bool {
        self.path.ends_with('/') || self.is_contents()
    }

    /// Whether device nodes and set-user-id bits go there: to the host only by the user's word.
    fn takes_all(&self, how: How) -> bool {
        how.archive || matches!(self.tree, Tree::Container(_))
    }

    fn is_contents(&self) -> bool {
        self.path == "." || self.path.ends_with("/.")
    }

    fn failed(&self, errno: Errno) -> Error {
        match errno {
            Errno::ENOENT => self.missing(),
            errno => Error::system(format_args!("find {}", self.shown), &errno.into()),
        }
    }

    fn missing(&self) -> Error {
        match self.tree {
            Tree::Host => Error::not_found(format!("lstat {}: no such file or directory", self.path)),
            Tree::Container(_) => Error::not_found(format!("could not find the file {} in container", self.shown)),
        }
    }

    /// The directory that it would be in is not there.
    fn nowhere(&self) -> Error {
        let above = Path::new(self.path).parent().unwrap_or(Path::new("/")).display();
        match (self.tree, self.shown.split_once(':')) {
            (Tree::Container(_), Some((name, _))) => {
                Error::not_found(format!("could not find the file {above} in container {name}"))
            }
            _ => Error::not_found(format!("invalid output path: directory \"{above}\" does not exist")),
        }
    }

    fn not_a_directory(&self) -> Error {
        Error::invalid(format!("{}: not a directory", self.shown))
    }

    /// The last part of the path, as an archive names it.
    fn name(&self) -> OsString {
        let name = Path::new(self.path).file_name().map(OsStr::to_owned);
        if self.is_contents() { OsString::new() } else { name.unwrap_or_default() }
    }

    /// What is to be copied.
    fn source(&self, how: How) -> Result<Spot> {
        let spot = self.tree.find(Path::new(self.path), how.follow || self.is_meant_as_directory());
        let spot = spot.map_err(|errno| self.failed(errno))?;
        match spot.found {
            None => Err(self.missing()),
            Some(_) if self.is_meant_as_directory() && !spot.is_directory() => Err(self.not_a_directory()),
            Some(_) => Ok(spot),
        }
    }

    /// Where it goes to, and by which name: empty for the directory itself.
    fn target(&self, source_is_directory: bool, name: OsString) -> Result<(Spot, OsString)> {
        let spot = self.tree.find(Path::new(self.path), true).map_err(|errno| match errno {
            Errno::ENOENT => self.nowhere(),
            errno => self.failed(errno),
        })?;
        if spot.read_only {
            return Err(Error::invalid(format!(
                "{}: the container's rootfs or volume is marked read-only",
                self.shown
            )));
        }
        let own = spot.name.clone();
        match (spot.found.is_some(), spot.is_directory()) {
            (_, true) => Ok((spot, name)),
            (true, false) if source_is_directory => {
                Err(Error::invalid(format!("cannot copy a directory to {}, which is a file", self.shown)))
            }
            (true, false) if self.is_meant_as_directory() => Err(self.not_a_directory()),
            (false, _) if self.is_meant_as_directory() && !source_is_directory => {
                Err(Error::not_found(format!("no such directory: {}", self.shown)))
            }
            _ => Ok((Spot { name: OsString::from("."), ..spot }, own)),
        }
    }
}

/// Copies `from` to `to`.
///
/// # Errors
/// What Docker's rules refuse; what cannot be read or written.
pub fn copy(from: &End, to: &End, how: How) -> Result<Copied> {
    let source = from.source(how)?;
    let (target, name) = to.target(source.is_directory(), from.name())?;
    let devices = if to.takes_all(how) { Devices::Create } else { Devices::Skip };
    let broken = |e: io::Error| Error::system("make a pipe", &e);
    let (reader, writer) = io::pipe().map_err(broken)?;
    let (packed, unpacked) = match (from.tree.owner(), to.tree.owner()) {
        // Of two sides a container's is a process of its own, where it has a user namespace.
        (Some(owner), _) => {
            let other = reader.as_raw_fd();
            let packing = begin(owner, move || {
                close(other);
                pack(&source, &name, writer, devices)
            })?;
            let unpacked = unpack(reader, &target, to, how);
            (end(packing), unpacked)
        }
        (None, Some(owner)) => {
            let other = writer.as_raw_fd();
            let unpacking = begin(owner, move || {
                close(other);
                unpack(reader, &target, to, how)
            })?;
            let packed = pack(&source, &name, writer, devices);
            (packed, end(unpacking))
        }
        (None, None) => thread::scope(|scope| {
            let packed = thread::Builder::new().spawn_scoped(scope, move || pack(&source, &name, writer, devices));
            let packed = packed.map_err(|e| Error::system("start a thread", &e))?;
            let unpacked = unpack(reader, &target, to, how);
            let packed = packed.join().unwrap_or_else(|_| Err(Error::new(Kind::System, "the copy broke off")));
            Ok((packed, unpacked))
        })?,
    };
    // Of two errors the first cause: who writes fails when nobody reads any more.
    unpacked.and_then(|unpacked| {
        let LeftOut { devices, .. } = packed?.left_out;
        Ok(Copied { left_out: LeftOut { devices, ..unpacked.left_out }, ..unpacked })
    })
}

/// Begins what is done as root of a container.
fn begin(owner: BorrowedFd, act: impl FnOnce() -> Result<Copied>) -> Result<Aside> {
    let act = || serde_json::to_vec(&act()).unwrap_or_default();
    Aside::begin(owner, act).map_err(|e| Error::system("begin the copy", &e))
}

fn end(aside: Aside) -> Result<Copied> {
    let said = aside.end().map_err(|e| Error::system("copy as the container's root", &e))?;
    serde_json::from_slice(&said).unwrap_or_else(|e| Err(Error::system("finish the copy", &e.into())))
}

/// Or a process would keep a pipe alive whose other end it waits at.
fn close(fd: RawFd) {
    // EBADF is the only error there is.
    let _ = sys::close_range(fd.cast_unsigned(), fd.cast_unsigned());
}

/// Does one side as whom the files of the tree belong to.
fn beside(tree: &Tree, act: impl FnOnce() -> Result<Copied>) -> Result<Copied> {
    match tree.owner() {
        Some(owner) => end(begin(owner, act)?),
        None => act(),
    }
}

/// Writes an archive of `from`.
pub fn copy_out(from: &End, writer: impl Write, how: How) -> Result<()> {
    let source = from.source(how)?;
    // What a link leads to has its own name, as with Docker.
    let name = if how.follow && !from.is_contents() { source.name.clone() } else { from.name() };
    let name = if name.is_empty() { OsStr::new(".") } else { &name };
    beside(from.tree, || pack(&source, name, writer, Devices::Create)).map(drop)
}

/// Unpacks an archive, compressed or not, into the directory `to`.
pub fn copy_in(reader: impl Read, to: &End, how: How) -> Result<Copied> {
    let spot = to.tree.find(Path::new(to.path), true).map_err(|errno| to.failed(errno))?;
    if spot.found.is_none() {
        return Err(to.missing());
    }
    if !spot.is_directory() {
        return Err(Error::invalid(format!("destination \"{}\" must be a directory", to.shown)));
    }
    if spot.read_only {
        return Err(Error::invalid(format!("{}: the container's rootfs or volume is marked read-only", to.shown)));
    }
    let reader = decompress(reader).map_err(|e| Error::new(Kind::Invalid, e.to_string()))?;
    beside(to.tree, || unpack(reader, &spot, to, How { archive: true, ..how }))
}

fn pack(source: &Spot, name: &OsStr, writer: impl Write, devices: Devices) -> Result<Copied> {
    let options = Options { devices, ..Options::default() };
    let failed = |e: rootfs::Error| Error::new(Kind::System, format!("read what is to be copied: {e}"));
    let mut packer = Packer::new(writer, &options);
    if source.is_directory() {
        let directory = source.directory().map_err(|e| Error::system("open what is to be copied", &e.into()))?;
        packer.tree(directory.as_fd(), name.as_bytes()).map_err(failed)?;
    } else {
        packer.add(source.parent.as_fd(), source.name.as_bytes(), name.as_bytes()).map_err(failed)?;
    }
    let devices = packer.finish().map_err(failed)?.1.skipped_devices;
    Ok(Copied { left_out: LeftOut { devices, set_ids: 0 }, ..Copied::default() })
}

fn unpack(mut reader: impl Read, target: &Spot, to: &End, how: How) -> Result<Copied> {
    let options = Options {
        owners: if how.archive { Owners::Archive } else { Owners::Caller },
        devices: Devices::Create,
        set_ids: to.takes_all(how),
        absolute_names: AbsoluteNames::Confine,
        replaces: Replaces::SameKind,
        ..Options::default()
    };
    let directory = target.directory().map_err(|errno| to.failed(errno))?;
    let summary = unpack_tar(&mut reader, directory.as_fd(), &options);
    // Or the writer would wait for ever; it may have more to say than was of use.
    let _ = io::copy(&mut reader, &mut io::sink());
    summary
        .map(|summary| Copied {
            bytes: summary.bytes,
            left_out: LeftOut { devices: 0, set_ids: summary.cleared_set_ids },
        })
        .map_err(|e| match e {
            rootfs::Error::Refused { entry, why: Refusal::OverDirectory } => Error::invalid(format!(
                "cannot overwrite directory {entry} in {} with non-directory: remove it first, or copy to another name",
                to.shown
            )),
            rootfs::Error::Refused { entry, why: Refusal::OverFile } => Error::invalid(format!(
                "cannot overwrite non-directory {entry} in {} with directory: remove it first, or copy to another name",
                to.shown
            )),
            e => Error::new(Kind::System, format!("write {}: {e}", to.shown)),
        })
}
