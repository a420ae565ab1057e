//! From points to what the runtime mounts, when a container is started.

use std::{
    ffi::CString,
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::DirBuilderExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use mount::{Mount, Source, Target, Tree};
use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2},
    sys::stat::{Mode, SFlag, fstat},
};
use process::sys::{MountAttr, Propagation};

use super::tmpfs;
use crate::engine::{
    Engine,
    container::{
        Config,
        storage::{Access, From, Point},
    },
    error::{Context, Error, Result},
};

/// A propagation in Docker's words, and whether it holds below.
fn propagation(text: &str) -> (Propagation, bool) {
    let (name, recursive) = text.strip_prefix('r').map_or((text, text.is_empty()), |name| (name, true));
    let propagation = match name {
        "shared" => Propagation::Shared,
        "slave" => Propagation::Slave,
        _ => Propagation::Private,
    };
    (propagation, recursive)
}

impl Engine {
    /// What is mounted in the container beside what every container has, parents before children. Opens sources, mounts
    /// what volumes stand for, and makes what `-v` may find missing.
    pub(in crate::engine) fn mounts(&self, config: &Config) -> Result<Vec<Mount>> {
        let mut mounts = self.etc_mounts(config)?;
        // The user's own files come in their place.
        mounts.retain(|(path, _)| !config.storage.points.iter().any(|point| point.destination == *path));
        for point in &config.storage.points {
            mounts.push((point.destination.clone(), self.mount(point)?));
        }
        for (target, options) in &config.storage.tmpfs {
            let destination = super::clean(target);
            mounts.retain(|(other, _)| *other != destination);
            mounts.push((destination.clone(), tmpfs_mount(&destination, options)?));
        }
        mounts.sort_by_key(|(destination, _)| destination.split('/').count());
        Ok(mounts.into_iter().map(|(_, mount)| mount).collect())
    }

    fn mount(&self, point: &Point) -> Result<Mount> {
        let (path, fd, recursive) = match &point.from {
            From::Tmpfs(options) => {
                let read_only = if point.access == Access::Write { "" } else { ",ro" };
                return tmpfs_mount(&point.destination, &format!("{options}{read_only}"));
            }
            From::Bind { path, create, recursive } => {
                let path = PathBuf::from(path);
                let fd = open_source(&path, *create)?;
                check_propagation(&path, &fd, &point.propagation)?;
                (path, fd, *recursive)
            }
            From::Volume { name, subpath, .. } => {
                let (path, fd) = self.open_volume(name)?;
                let fd = if subpath.is_empty() { fd } else { open_below(&fd, name, subpath)? };
                (path.join(subpath), fd, true)
            }
        };
        let is_directory = kind(&fd, &path)? == SFlag::S_IFDIR;
        let (propagation, propagation_recursive) = propagation(&point.propagation);
        let tree = Tree {
            path: c_string(&path.to_string_lossy())?,
            fd: Arc::new(fd),
            recursive,
            attr_recursive: point.access == Access::Read,
            propagation,
            propagation_recursive,
        };
        let target = if is_directory { Target::Directory } else { Target::File };
        let attr = if point.access == Access::Write { MountAttr::default() } else { MountAttr::READ_ONLY };
        place(&point.destination, target, Source::Open(tree), attr)
    }
}

fn place(destination: &str, target: Target, source: Source, attr: MountAttr) -> Result<Mount> {
    let mount = Mount::new(Path::new(destination), target, source, attr);
    Ok(mount.map_err(|_| null_byte(destination))?.following())
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| null_byte(text))
}

fn null_byte(path: &str) -> Error {
    Error::invalid(format!("the path {path:?} has a null byte in it"))
}

fn tmpfs_mount(destination: &str, options: &str) -> Result<Mount> {
    let (attr, values) = tmpfs::parse(options)?;
    place(destination, Target::Directory, Source::Filesystem(c"tmpfs", values), attr)
}

fn kind(fd: &OwnedFd, path: &Path) -> Result<SFlag> {
    Ok(SFlag::from_bits_truncate(fstat(fd).doing("look at", path)?.st_mode) & SFlag::S_IFMT)
}

/// Opens a file or directory of the host; with `create` a missing one is made: a directory.
fn open_source(path: &Path, create: bool) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    match open(path, flags, Mode::empty()) {
        Err(Errno::ENOENT) if create => {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(path);
            made.map_err(|e| {
                Error::system(format_args!("error while creating mount source path '{}'", path.display()), &e)
            })?;
            open(path, flags, Mode::empty()).doing("open", path)
        }
        Err(Errno::ENOENT) => Err(Error::invalid(format!(
            "invalid mount config for type \"bind\": bind source path does not exist: {}",
            path.display()
        ))),
        opened => opened.doing("open", path),
    }
}

/// Opens a directory of a volume; links in it lead nowhere else.
fn open_below(volume: &OwnedFd, name: &str, subpath: &str) -> Result<OwnedFd> {
    let confined = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(confined);
    openat2(volume, subpath, how).map_err(|errno| {
        Error::system(
            format_args!(
                "open the subpath {subpath} of volume {name}: make it first, in a container with the whole volume"
            ),
            &errno.into(),
        )
    })
}

/// What the container's mounts are to share or to be told of, the host has to share.
fn check_propagation(path: &Path, fd: &OwnedFd, wanted: &str) -> Result<()> {
    let needs: &[&str] = match propagation(wanted).0 {
        Propagation::Private => return Ok(()),
        Propagation::Slave => &["shared:", "master:"],
        Propagation::Shared => &["shared:"],
    };
    let info = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let info = fs::read_to_string(&info).doing("read", Path::new(&info))?;
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map_or("", str::trim);
    let table = Path::new("/proc/self/mountinfo");
    let table = fs::read_to_string(table).doing("read", table)?;
    let Some(line) = table.lines().find(|line| line.split(' ').next() == Some(id)) else {
        return Ok(());
    };
    let mut fields = line.split(' ').skip(4);
    let point = fields.next().unwrap_or_default();
    // Optional fields, after the options and up to a dash.
    let mut tags = fields.skip(1).take_while(|field| *field != "-");
    if tags.any(|tag| needs.iter().any(|need| tag.starts_with(need))) {
        return Ok(());
    }
    let missing = if needs.len() > 1 { "shared or slave" } else { "shared" };
    Err(Error::invalid(format!(
        "path {} is mounted on {point} but it is not a {missing} mount: mount --make-shared {point}",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_propagation() {
        assert_eq!(propagation("rshared"), (Propagation::Shared, true));
        assert_eq!(propagation("slave"), (Propagation::Slave, false));
        assert_eq!(propagation("rprivate"), (Propagation::Private, true));
        assert_eq!(propagation(""), (Propagation::Private, true));
    }
}
