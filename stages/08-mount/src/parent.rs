//! What root makes for a container in a user namespace, because the container could not.
//!
//! There is no mknod(2) in a user namespace, and what is bound from the host is shown with the container's own ids
//! (mount_setattr(2), `MOUNT_ATTR_IDMAP`), which takes rights over the filesystem.

use std::{
    ffi::{CStr, CString, OsStr},
    fs,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, mkdirat, mknodat},
    unistd::{Gid, Uid, UnlinkatFlags, chown, fchownat, unlinkat},
};
use process::{
    Errno, Error, Host, IdMaps, Result,
    sys::{self, MountAttr, OpenTree, Propagation},
};

use crate::entry::{Mount, Source};

/// Filesystems of the kernel's own, which have no files of anybody's.
const KERNEL: [&str; 20] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nsfs",
    "proc",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// A mount as /proc/self/mountinfo has it.
struct Line {
    id: u64,
    at: PathBuf,
    kind: String,
}

impl Line {
    /// Whether nobody's files are in it.
    fn is_kernel(&self) -> bool {
        KERNEL.contains(&self.kind.as_str())
    }
}

/// Binds what `entry` names, with the container's ids as far as its filesystems can.
pub(crate) fn bind(host: &mut Host, entry: &Mount, path: &CString) -> Result<OwnedFd> {
    let tree = host.act(|| entry.making(), || entry.make())?;
    let Some(maps) = host.idmap.take() else { return Ok(tree) };
    let bound = idmap(host, entry, path, tree, maps.as_fd());
    host.idmap = Some(maps);
    bound
}

fn idmap(host: &mut Host, entry: &Mount, path: &CString, tree: OwnedFd, maps: BorrowedFd) -> Result<OwnedFd> {
    let recursive = !matches!(&entry.source, Source::Open(tree) if !tree.recursive);
    let mut all = Ok(());
    host.act(
        || format!("mount_setattr({path:?}, MOUNT_ATTR_IDMAP)"),
        || {
            all = sys::mount_idmapped(tree.as_fd(), maps, recursive);
            Ok(())
        },
    )?;
    let cannot = |idmapped| matches!(idmapped, Err(Errno::EINVAL | Errno::EPERM));
    if !cannot(all) {
        return all.map(|()| tree).map_err(|errno| Error::new("mount", format!("mount_setattr({path:?})"), errno));
    }
    // Where one filesystem cannot, the others may: each mount of the tree for itself.
    let failed = |doing: &'static str| move |e: std::io::Error| Error::from_io("mount", doing, &e);
    let source = fs::canonicalize(OsStr::from_bytes(path.to_bytes())).map_err(failed("find what is to be bound"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(failed("read /proc/self/mountinfo"))?;
    let mounts = visible(&mounts, path, &source, recursive);
    let (tree, idmapped) = match assemble(entry, &source, &mounts, maps) {
        Ok(assembled) if recursive => assembled,
        // Before Linux 6.15 nothing is mounted on what stands nowhere: the topmost alone.
        _ => {
            let top = sys::mount_idmapped(tree.as_fd(), maps, false).is_ok();
            (tree, mounts.iter().enumerate().map(|(number, _)| top && number == 0).collect())
        }
    };
    let left = mounts.iter().zip(idmapped).filter(|(mount, idmapped)| !idmapped && !mount.is_kernel());
    let left: Vec<_> = left.map(|(mount, _)| format!("{} ({})", mount.at.display(), mount.kind)).collect();
    if !left.is_empty() {
        host.warnings.push(format!(
            "files of filesystems that cannot be idmapped are nobody's in the container: those of {}; --userns=host shows their owners",
            left.join(", ")
        ));
    }
    Ok(tree)
}

/// The mount of a tree of the host's and those below it, parents first, that can be seen.
fn visible(table: &str, path: &CStr, source: &Path, recursive: bool) -> Vec<Line> {
    let id = |path: &Path| CString::new(path.as_os_str().as_bytes()).ok().and_then(|path| sys::mount_id(&path).ok());
    let top = sys::mount_id(path).ok();
    let below =
        |line: &Line| recursive && line.at != source && line.at.starts_with(source) && id(&line.at) == Some(line.id);
    let mut lines: Vec<_> = table.lines().filter_map(line).filter(|line| Some(line.id) == top || below(line)).collect();
    lines.sort_by_key(|line| (Some(line.id) != top, line.at.components().count()));
    lines
}

/// The same tree put together of single mounts, and which of them are idmapped.
fn assemble(entry: &Mount, source: &Path, mounts: &[Line], maps: BorrowedFd) -> Result<(OwnedFd, Vec<bool>), Errno> {
    let mut top = entry.clone();
    let attr_recursive = match &mut top.source {
        // What is mounted on a tree that is shared appears in the others too.
        Source::Open(tree) if tree.propagation != Propagation::Private => return Err(Errno::EINVAL),
        Source::Open(tree) => {
            tree.recursive = false;
            tree.attr_recursive
        }
        Source::BindAll(path) => {
            top.source = Source::Bind(path.clone());
            true
        }
        _ => return Err(Errno::EINVAL),
    };
    let top = top.make()?;
    sys::mount_propagation(top.as_fd(), Propagation::Private, false)?;
    let mut idmapped = vec![sys::mount_idmapped(top.as_fd(), maps, false).is_ok()];
    for mount in &mounts[1..] {
        let path = CString::new(mount.at.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
        let one = sys::open_tree(None, &path, OpenTree::Clone)?;
        sys::mount_propagation(one.as_fd(), Propagation::Private, false)?;
        if attr_recursive && entry.attr != MountAttr::default() {
            sys::mount_setattr(one.as_fd(), entry.attr, false)?;
        }
        idmapped.push(sys::mount_idmapped(one.as_fd(), maps, false).is_ok());
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let place = openat2(&top, mount.at.strip_prefix(source).unwrap_or(&mount.at), how)?;
        sys::move_mount(one.as_fd(), Some(place.as_fd()), c"")?;
    }
    Ok((top, idmapped))
}

/// Binds a file that was made for the container, and is its root's from now on.
pub(crate) fn own(host: &mut Host, entry: &Mount, path: &CString, maps: &IdMaps) -> Result<OwnedFd> {
    let (uid, gid) = root(maps)?;
    let give = || chown(path.as_c_str(), Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    host.act(|| format!("chown({path:?}, {uid}, {gid})"), give)?;
    host.act(|| entry.making(), || entry.make())
}

fn line(text: &str) -> Option<Line> {
    let (mount, filesystem) = text.split_once(" - ")?;
    let mut fields = mount.split(' ');
    let (id, root, at) = (fields.next()?, fields.nth(2)?, fields.next()?);
    // A mount namespace does not come along with a tree: it could hold itself.
    if root.starts_with("mnt:[") {
        return None;
    }
    // As proc_pid_mountinfo(5) writes blanks, tabs, line ends and backslashes.
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    let at = codes.iter().fold(at.to_owned(), |text, (code, char)| text.replace(code, char));
    Some(Line { id: id.parse().ok()?, at: at.into(), kind: filesystem.split(' ').next()?.to_owned() })
}

/// Makes the container's /dev with its device files, which belong to the container's ids.
pub(crate) fn devices(host: &mut Host, dev: &Mount, nodes: &[&Mount], maps: &IdMaps) -> Result<OwnedFd> {
    let (uid, gid) = root(maps)?;
    let mut dev = dev.clone();
    if let Source::Filesystem(_, options) = &mut dev.source {
        for (key, id) in [(c"uid", uid), (c"gid", gid)] {
            options.push((key, CString::new(id.to_string()).unwrap_or_default()));
        }
    }
    let made = host.act(|| dev.making(), || dev.make())?;
    let path = |mount: &Mount| Path::new(OsStr::from_bytes(mount.path.to_bytes())).to_owned();
    let all = || nodes.iter().map(|node| path(node).display().to_string()).collect::<Vec<_>>().join(", ");
    let below = |node: &Mount| path(node).strip_prefix("/dev").unwrap_or(Path::new("")).to_owned();
    let fill = || nodes.iter().try_for_each(|node| make_node(made.as_fd(), &below(node), node, maps, (uid, gid)));
    host.act(|| format!("mknod({})", all()), fill)?;
    Ok(made)
}

/// Makes a device file at a path of the container's root.
pub(crate) fn device(host: &mut Host, root: BorrowedFd, mount: &Mount, maps: &IdMaps) -> Result<()> {
    let path = Path::new(OsStr::from_bytes(mount.path.to_bytes()));
    let path = path.strip_prefix("/").unwrap_or(path);
    let (uid, gid) = self::root(maps)?;
    // The host's root has no id in idmapped layers.
    host.act(|| mount.attaching(), || sys::as_file_owner(uid, gid, || make_node(root, path, mount, maps, (uid, gid))))
}

fn make_node(root: BorrowedFd, path: &Path, mount: &Mount, maps: &IdMaps, owner: (u32, u32)) -> Result<(), Errno> {
    let Source::Node(node) = &mount.source else { return Ok(()) };
    let name = path.file_name().ok_or(Errno::EINVAL)?;
    let above = path.parent().filter(|above| !above.as_os_str().is_empty());
    let below = above.map(|above| directory(root, above, owner)).transpose()?;
    let parent = below.as_ref().map_or(root, AsFd::as_fd);
    let (kind, mode) =
        (SFlag::from_bits_truncate(node.mode & SFlag::S_IFMT.bits()), Mode::from_bits_truncate(node.mode));
    let make = || mknodat(parent, name, kind, mode, node.device);
    match make() {
        Err(Errno::EEXIST) => unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).and_then(|()| make())?,
        done => done?,
    }
    // An owner whom the container does not have is its root.
    let uid = Uid::from_raw(maps.outside_user(node.uid).unwrap_or(owner.0));
    let gid = Gid::from_raw(maps.outside_group(node.gid).unwrap_or(owner.1));
    fchownat(parent, name, Some(uid), Some(gid), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    // Whatever the mask of modes takes away.
    fchmodat(parent, name, mode, FchmodatFlags::FollowSymlink)
}

/// Opens a directory, and makes what is missing of it. No process of the container is there to change it meanwhile.
fn directory(root: BorrowedFd, path: &Path, (uid, gid): (u32, u32)) -> Result<OwnedFd, Errno> {
    let open = |from: BorrowedFd, path: &Path| {
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(from, path, how)
    };
    let mut here = open(root, Path::new("."))?;
    let mut so_far = PathBuf::new();
    for part in path {
        so_far.push(part);
        here = match open(root, &so_far) {
            Err(Errno::ENOENT) => {
                mkdirat(&here, part, Mode::from_bits_truncate(0o755))?;
                fchownat(
                    &here,
                    part,
                    Some(Uid::from_raw(uid)),
                    Some(Gid::from_raw(gid)),
                    AtFlags::AT_SYMLINK_NOFOLLOW,
                )?;
                fchmodat(&here, part, Mode::from_bits_truncate(0o755), FchmodatFlags::FollowSymlink)?;
                open(root, &so_far)?
            }
            opened => opened?,
        };
    }
    Ok(here)
}

/// The container's root outside.
fn root(maps: &IdMaps) -> Result<(u32, u32)> {
    let both = maps.outside_user(0).zip(maps.outside_group(0));
    both.ok_or_else(|| Error::new("mount", "find the container's root", Errno::EOVERFLOW))
}
