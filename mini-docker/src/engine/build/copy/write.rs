//! Files on their way into a stage.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::{
        stat::{FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, mkdirat, mknodat, utimensat},
        time::TimeSpec,
    },
    unistd::{UnlinkatFlags, linkat, symlinkat, unlinkat},
};
use process::sys;

use super::{
    Arrival, base_name, digest, files, is_tar_header,
    select::{Attributes, Selected, Small},
};
use crate::engine::{
    build::{
        onto::{self, Owner, open_in},
        workspace::Workspace,
    },
    error::{Context, Error, Kind, Result},
};

/// Writes the sources to their place.
pub(super) fn write(workspace: &Workspace, selected: &[Selected], arrival: &Arrival) -> Result<()> {
    let named = || arrival.copy.chown.as_deref().map(|text| onto::owner(workspace, text)).transpose();
    let owner = if arrival.owner.is_some() { arrival.owner } else { named()? };
    let destination = Path::new(&arrival.destination);
    let into = arrival.into || files(selected) > 1 || onto::is_directory(workspace.root(), destination);
    let mut writer = Writer { root: workspace.root(), arrival, owner, links: HashMap::new(), parent: None };
    for source in selected {
        let place = if arrival.copy.parents { destination.join(&source.kept) } else { destination.to_owned() };
        if source.is_directory() {
            writer.tree(source, &place)?;
        } else if arrival.unpacks && writer.unpack(source, destination)? {
        } else {
            let place = match (arrival.copy.parents, into) {
                (false, true) => place.join(base_name(&source.path)),
                // What a link names, and not the link.
                (false, false) => onto::resolve(workspace.root(), &place)?,
                (true, _) => place,
            };
            writer.links.clear();
            writer.file(source.fd.as_fd(), Path::new(""), &source.stat, source.small.as_ref(), &place)?;
        }
    }
    for file in &arrival.copy.inline {
        let place = if into { destination.join(&file.name) } else { onto::resolve(workspace.root(), destination)? };
        writer.inline(file.content.as_bytes(), &place)?;
    }
    Ok(())
}

struct Writer<'a> {
    root: BorrowedFd<'a>,
    arrival: &'a Arrival<'a>,
    owner: Option<Owner>,
    /// Where a file of several names was written, by device and inode.
    links: HashMap<(u64, u64), PathBuf>,
    /// The directory that was written to last.
    parent: Option<(PathBuf, OwnedFd)>,
}

impl Writer<'_> {
    /// Whose what has no source is.
    fn default_owner(&self) -> Owner {
        self.owner.unwrap_or((0, 0))
    }

    fn owner_of(&self, stat: &FileStat) -> Owner {
        let kept = if self.arrival.keeps_owners { (stat.st_uid, stat.st_gid) } else { (0, 0) };
        self.owner.unwrap_or(kept)
    }

    fn mode_of(&self, stat: &FileStat) -> Mode {
        let mode = stat.st_mode & 0o7777;
        let directory = onto::kind(stat) == SFlag::S_IFDIR;
        Mode::from_bits_truncate(self.arrival.mode.as_ref().map_or(mode, |change| change.of(mode, directory)))
    }

    /// The contents of a directory.
    fn tree(&mut self, source: &Selected, place: &Path) -> Result<()> {
        onto::make(self.root, place, self.default_owner())?;
        let mut times = Vec::new();
        self.links.clear();
        for entry in &source.entries {
            let target = place.join(&entry.path);
            if onto::kind(&entry.stat) == SFlag::S_IFDIR {
                let read;
                let attributes = if let Some(small) = &entry.small {
                    &small.attributes
                } else {
                    read = attributes(digest::directory(source.fd.as_fd(), &entry.path)?.as_fd(), &entry.path)?;
                    &read
                };
                self.directory(&target, &entry.stat, attributes)?;
                times.push((target, entry.stat));
            } else {
                self.file(source.fd.as_fd(), &entry.path, &entry.stat, entry.small.as_ref(), &target)?;
            }
        }
        // Last, and from below: what is made in a directory changes its time.
        for (path, stat) in times.iter().rev() {
            let directory = open_in(self.root, path, onto::DIRECTORY).doing("open", path)?;
            set_times(directory.as_fd(), Path::new("."), stat).doing("set the times of", path)?;
        }
        Ok(())
    }

    fn directory(&mut self, place: &Path, stat: &FileStat, attributes: &Attributes) -> Result<()> {
        let parent = self.parent_of(place)?;
        match mkdirat(parent, base_name(place), Mode::from_bits_truncate(0o700)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(e).doing("make the directory", place),
        }
        let directory = match open_in(self.root, place, onto::DIRECTORY) {
            Err(Errno::ENOTDIR | Errno::ENOENT) => {
                return Err(Error::invalid(format!("cannot copy to non-directory: {}", place.display())));
            }
            opened => opened.doing("open", place)?,
        };
        self.dress(directory.as_fd(), place, stat)?;
        set_attributes(directory.as_fd(), place, attributes)
    }

    /// Gives a directory its mode and owner.
    fn dress(&self, directory: BorrowedFd, path: &Path, stat: &FileStat) -> Result<()> {
        let (uid, gid) = self.owner_of(stat);
        nix::unistd::fchown(directory, Some(uid.into()), Some(gid.into())).doing("give away", path)?;
        fchmod(directory, self.mode_of(stat)).doing("chmod", path)
    }

    fn parent_of(&mut self, place: &Path) -> Result<BorrowedFd<'_>> {
        let path = place.parent().unwrap_or(Path::new("/"));
        if self.parent.as_ref().is_none_or(|(last, _)| last != path) {
            let fd = onto::make(self.root, path, self.default_owner())?;
            self.parent = Some((path.to_owned(), fd));
        }
        match &self.parent {
            Some((_, fd)) => Ok(fd.as_fd()),
            None => Err(Error::new(Kind::System, format!("open {}: it is gone", path.display()))),
        }
    }

    /// Anything but a directory.
    fn file(
        &mut self,
        source: BorrowedFd,
        path: &Path,
        stat: &FileStat,
        small: Option<&Small>,
        place: &Path,
    ) -> Result<()> {
        let owner = self.owner_of(stat);
        let mode = self.mode_of(stat);
        let inode = (stat.st_dev, stat.st_ino);
        let first = if stat.st_nlink > 1 { self.links.insert(inode, place.to_owned()) } else { None };
        let root = self.root;
        let parent = self.parent_of(place)?;
        let name = base_name(place);
        if onto::kind(stat) == SFlag::S_IFREG && first.is_none() {
            let mut file = create(parent, name, mode, place)?;
            let read;
            let attributes = if let Some(small) = small {
                file.write_all(&small.bytes).doing("copy", place)?;
                &small.attributes
            } else {
                let mut from = digest::open(source, path)?;
                io::copy(&mut from, &mut file).doing("copy", place)?;
                read = attributes(from.as_fd(), path)?;
                &read
            };
            finish(&file, owner, mode, place)?;
            set_attributes(file.as_fd(), place, attributes)?;
            let time = modified(stat);
            return futimens(&file, &time, &time).doing("set the times of", place);
        }
        clear(parent, name, place)?;
        if let Some(first) = first {
            let old = open_in(root, &first, OFlag::O_PATH | OFlag::O_NOFOLLOW).doing("open", &first)?;
            return linkat(&old, "", parent, name, AtFlags::AT_EMPTY_PATH).doing("link", place);
        }
        match onto::kind(stat) {
            SFlag::S_IFLNK => {
                let target = readlinkat(source, path).doing("read the link", path)?;
                symlinkat(target.as_os_str(), parent, name).doing("make the link", place)?;
                onto::chown(parent, name, owner).doing("give away", place)?;
            }
            kind => {
                mknodat(parent, name, kind, mode, stat.st_rdev).doing("make the node", place)?;
                onto::chown(parent, name, owner).doing("give away", place)?;
            }
        }
        set_times(parent, name, stat).doing("set the times of", place)
    }

    fn inline(&mut self, content: &[u8], place: &Path) -> Result<()> {
        let owner = self.default_owner();
        let mode = self.arrival.mode.as_ref().map_or(0o644, |change| change.of(0o644, false));
        let parent = self.parent_of(place)?;
        let mode = Mode::from_bits_truncate(mode);
        let mut file = create(parent, base_name(place), mode, place)?;
        file.write_all(content).doing("write", place)?;
        finish(&file, owner, mode, place)
    }

    /// Unpacks a source that is an archive; whether it is one.
    fn unpack(&self, source: &Selected, place: &Path) -> Result<bool> {
        if onto::kind(&source.stat) != SFlag::S_IFREG {
            return Ok(false);
        }
        let file = digest::open(source.fd.as_fd(), Path::new(""))?;
        let mut start = [0; 512];
        let length = file.read_at(&mut start, 0).doing("read", &source.path)?;
        if !super::is_archive(&start[..length]) {
            return Ok(false);
        }
        let Ok(mut plain) = rootfs::decompress(file) else { return Ok(false) };
        let mut header = Vec::new();
        if plain.by_ref().take(512).read_to_end(&mut header).is_err() || !is_tar_header(&header) {
            return Ok(false);
        }
        let directory = onto::make(self.root, place, self.default_owner())?;
        let options = rootfs::Options {
            devices: rootfs::Devices::Create,
            absolute_names: rootfs::AbsoluteNames::Confine,
            ..rootfs::Options::default()
        };
        rootfs::unpack_tar(io::Cursor::new(header).chain(plain), directory.as_fd(), &options)
            .map_err(|e| Error::invalid(format!("unpack {}: {e}", source.path.display())))?;
        Ok(true)
    }
}

/// Removes what is in the way of a file.
fn clear(parent: BorrowedFd, name: &Path, place: &Path) -> Result<()> {
    match onto::look(parent, name).doing("look at", place)? {
        None => Ok(()),
        Some(stat) if onto::kind(&stat) == SFlag::S_IFDIR => {
            Err(Error::invalid(format!("cannot copy a file over the directory {}", place.display())))
        }
        Some(_) => unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).doing("replace", place),
    }
}

/// A new file, in the place of what was there.
fn create(parent: BorrowedFd, name: &Path, mode: Mode, place: &Path) -> Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let create = || openat(parent, name, flags, mode).map(File::from);
    match create() {
        Err(Errno::EEXIST) => {
            clear(parent, name, place)?;
            create().doing("create", place)
        }
        created => created.doing("create", place),
    }
}

fn finish(file: &File, (uid, gid): Owner, mode: Mode, place: &Path) -> Result<()> {
    let now = fstat(file).doing("look at", place)?;
    // Before the mode: a change of owner takes set-user-id bits away.
    let moves = (now.st_uid, now.st_gid) != (uid, gid);
    if moves {
        nix::unistd::fchown(file, Some(uid.into()), Some(gid.into())).doing("give away", place)?;
    }
    // A directory's own list of rights may have changed it.
    if moves || now.st_mode & 0o7777 != mode.bits() {
        fchmod(file, mode).doing("chmod", place)?;
    }
    Ok(())
}

fn modified(stat: &FileStat) -> TimeSpec {
    TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec)
}

fn set_times(parent: BorrowedFd, name: &Path, stat: &FileStat) -> nix::Result<()> {
    let time = modified(stat);
    utimensat(parent, name, &time, &time, UtimensatFlags::NoFollowSymlink)
}

fn set_attributes(file: BorrowedFd, place: &Path, attributes: &Attributes) -> Result<()> {
    let mut all = attributes.iter();
    all.try_for_each(|(name, value)| sys::set_xattr(file, name, value).doing("set an attribute of", place))
}

/// The attributes of a file that a layer keeps.
pub(super) fn attributes(file: BorrowedFd, path: &Path) -> Result<Attributes> {
    let mut kept = Vec::new();
    let names = match sys::list_xattrs(file) {
        Err(Errno::EOPNOTSUPP) => return Ok(kept),
        names => names.doing("list the attributes of", path)?,
    };
    for name in names {
        let bytes = name.to_bytes();
        if bytes.starts_with(b"user.") && !bytes.starts_with(b"user.overlay.") || bytes == b"security.capability" {
            let mut value = vec![0; 64 << 10];
            let length = sys::get_xattr(file, &name, &mut value).doing("read an attribute of", path)?;
            value.truncate(length);
            kept.push((name, value));
        }
    }
    Ok(kept)
}
