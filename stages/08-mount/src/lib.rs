//! Stage 08: a mount namespace.
//!
//! The container gets a copy of the host's mounts (mount_namespaces(7)), makes its root the root of that copy with
//! pivot_root(2), and lets go of everything else: unlike after chroot(2) there is no outside left to walk to. Then it
//! gets the filesystems that programs expect: /proc, /sys and /dev of its own, with the parts hidden that speak of the
//! whole machine.
//!
//! The order is the safety. All mounts are made first, attached nowhere ([`Source`]). After the pivot they are put in
//! their places by paths that cannot lead out of the container, whatever links its image holds: nothing is there to
//! lead to.
#![forbid(unsafe_code)]

mod table;

use std::{
    cell::Cell,
    ffi::{CStr, CString, NulError},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use nix::{
    fcntl::{OFlag, open},
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::stat::{Mode, mode_t},
    unistd::{chdir, fchdir, mkdir, pivot_root, symlinkat},
};
use process::{
    CloneArgs, Errno, Host, Inside, Primitive, Result,
    sys::{self, OpenTree},
};
pub use table::{Mount, Source, Target, cgroup_table, default_table};

// ANCHOR: mounts
/// A mount namespace with the container's root and the mounts in it.
#[derive(Debug)]
pub struct Mounts {
    /// Where the root is attached for the moment before it becomes the root.
    at: CString,
    table: Vec<Mount>,
    /// Symbolic links to make in it: target, path.
    links: Vec<(CString, CString)>,
    /// The mounts of the table that stand nowhere yet.
    detached: Vec<Cell<Option<BorrowedFd<'static>>>>,
}
// ANCHOR_END: mounts

/// The group of terminals, by convention.
const TTY: u32 = 5;

const PRIVATE: usize = 0;
const ROOT: usize = 1;
const PIVOT: usize = 2;
const LEAVE: usize = 3;
const LINKS: usize = 4;
/// From here on two steps a mount: made, attached.
const TABLE: usize = 5;

impl Mounts {
    /// The container's root is what an earlier primitive made, attached for a moment at `at`: any directory that the
    /// child may reach, `/` too. Without such a primitive it is the directory `at` itself. `table` is in the order of
    /// mounting: parents first.
    ///
    /// # Errors
    /// A path with a null byte in it.
    pub fn new(at: &Path, table: Vec<Mount>) -> Result<Self, NulError> {
        let detached = table.iter().map(|_| Cell::new(None)).collect();
        let links = [
            (c"/proc/self/fd", c"/dev/fd"),
            (c"/proc/self/fd/0", c"/dev/stdin"),
            (c"/proc/self/fd/1", c"/dev/stdout"),
            (c"/proc/self/fd/2", c"/dev/stderr"),
            (c"pts/ptmx", c"/dev/ptmx"),
        ];
        let links = links.map(|(target, path)| (target.to_owned(), path.to_owned())).into();
        Ok(Self { at: CString::new(at.as_os_str().as_bytes())?, table, links, detached })
    }

    // ANCHOR: pivot
    /// Leaves the host's mounts behind. The man page of pivot_root(2) tells why `.` twice works.
    fn change_root(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(ROOT);
        let root = match inside.root() {
            Ok(root) => root,
            Err(_) => sys::keep_until_exec(sys::open_tree(None, &self.at, OpenTree::CloneAll)?),
        };
        sys::move_mount(root, None, &self.at)?;
        inside.at(PIVOT);
        // By descriptor: a path to `/` would lead under the mount that covers it.
        fchdir(root)?;
        pivot_root(c".", c".")?;
        inside.at(LEAVE);
        umount2(c".", MntFlags::MNT_DETACH)?;
        chdir(c"/")
    }
    // ANCHOR_END: pivot
}

impl Primitive for Mounts {
    fn name(&self) -> &'static str {
        "mount"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let tty = host.maps.as_ref().is_none_or(|maps| maps.outside_group(TTY).is_some());
        if !tty {
            // In a map of one user it has no id, and the kernel takes none without.
            for mount in &mut self.table {
                mount.source.drop_option(c"gid");
            }
        }
        Ok(())
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWNS);
    }

    // ANCHOR: enter
    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        // Or the host would see the mounts made here, and the container those made there.
        inside.at(PRIVATE);
        mount(None::<&CStr>, c"/", None::<&CStr>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&CStr>)?;
        for (number, (entry, detached)) in self.table.iter().zip(&self.detached).enumerate() {
            if entry.source.is_made() {
                inside.at(TABLE + 2 * number);
                detached.set(Some(sys::keep_until_exec(entry.make()?)));
            }
        }
        self.change_root(inside)?;
        for (number, (entry, detached)) in self.table.iter().zip(&self.detached).enumerate() {
            inside.at(TABLE + 2 * number + 1);
            attach(entry, detached.get())?;
        }
        inside.at(LINKS);
        for (target, path) in &self.links {
            match symlinkat(target.as_c_str(), nix::fcntl::AT_FDCWD, path.as_c_str()) {
                // The image has its own; ENOENT: it has no /dev, which nothing was mounted on either.
                Ok(()) | Err(Errno::EEXIST | Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
    // ANCHOR_END: enter

    fn step(&self, step: u16) -> String {
        match usize::from(step) {
            PRIVATE => "mount(\"/\", MS_REC|MS_PRIVATE)".to_owned(),
            ROOT => format!("move_mount(root, {:?})", self.at),
            PIVOT => "pivot_root(\".\", \".\")".to_owned(),
            LEAVE => "umount2(\".\", MNT_DETACH)".to_owned(),
            LINKS => "symlink /dev/{fd,stdin,stdout,stderr,ptmx}".to_owned(),
            n => self.table.get((n - TABLE) / 2).map_or_else(String::new, |mount| {
                if (n - TABLE).is_multiple_of(2) { mount.making() } else { mount.attaching() }
            }),
        }
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        match (usize::from(step), errno) {
            (ROOT, Errno::ENOENT | Errno::ENOTDIR) => {
                Some("the root filesystem is no directory: make one with ./rootfs-fetch.sh".to_owned())
            }
            (TABLE.., Errno::EPERM) => {
                Some("in a user namespace this needs a host whose /proc and /sys are not covered in part".to_owned())
            }
            (step @ TABLE.., Errno::EINVAL | Errno::ELOOP) if !(step - TABLE).is_multiple_of(2) => {
                Some("the image has a symbolic link there; nothing is mounted through links".to_owned())
            }
            _ => None,
        }
    }
}

/// Puts one mount in its place, which is made where the image lacks it.
fn attach(entry: &Mount, detached: Option<BorrowedFd>) -> Result<(), Errno> {
    match &entry.source {
        Source::Link(target) => return symlinkat(target.as_c_str(), nix::fcntl::AT_FDCWD, entry.path.as_c_str()),
        Source::Seal => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let here = open(entry.path.as_c_str(), flags, Mode::empty())?;
            return sys::mount_setattr(here.as_fd(), entry.attr, false);
        }
        _ => {}
    }
    let Some(detached) = detached else {
        return match sys::open_tree(None, &entry.path, OpenTree::Clone) {
            // A file of another kernel's /proc: nothing to protect.
            Err(Errno::ENOENT) => Ok(()),
            tree => {
                let tree = tree?;
                sys::mount_setattr(tree.as_fd(), entry.attr, false)?;
                sys::move_mount(tree.as_fd(), None, &entry.path)
            }
        };
    };
    match sys::move_mount(detached, None, &entry.path) {
        Err(Errno::ENOENT) => {
            make_target(entry)?;
            sys::move_mount(detached, None, &entry.path)
        }
        moved => moved,
    }
}

fn make_target(entry: &Mount) -> Result<(), Errno> {
    const DIRECTORY: mode_t = 0o755;
    for parent in &entry.parents {
        match mkdir(parent.as_c_str(), Mode::from_bits_truncate(DIRECTORY)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    match entry.target {
        Target::Directory => mkdir(entry.path.as_c_str(), Mode::from_bits_truncate(DIRECTORY)),
        Target::File => {
            let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            open(entry.path.as_c_str(), flags, Mode::from_bits_truncate(0o644)).map(drop)
        }
    }
}
