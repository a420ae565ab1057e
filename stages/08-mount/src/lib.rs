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

mod attach;
mod entry;
mod parent;
mod place;
mod table;

use std::{
    cell::Cell,
    ffi::{CStr, CString, NulError},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

pub use attach::hint;
pub use entry::{Mount, Node, Source, Target, Tree};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    unistd::{chdir, fchdir, pivot_root},
};
use process::{
    CloneArgs, Errno, Error, Host, IdMaps, Inside, Primitive, Result, in_initial_user_namespace,
    sys::{self, OpenTree},
};
pub use table::{MASKED, MASKED_FROM_ROOT, READ_ONLY, cgroup_table, default_table, devices, filesystems, masks};

// ANCHOR: mounts
/// A mount namespace with the container's root and the mounts in it.
#[derive(Debug)]
pub struct Mounts {
    /// Where the root is attached for the moment before it becomes the root.
    at: CString,
    table: Vec<Mount>,
    /// The mounts of the table that were made in the parent.
    made: Vec<Option<OwnedFd>>,
    /// For each mount of the table an earlier one that shows the same: an empty directory over another.
    twins: Vec<Option<usize>>,
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
/// From here on two steps a mount: made, attached.
const TABLE: usize = 4;

impl Mounts {
    /// The container's root is what an earlier primitive made, attached for a moment at `at`: any directory that the
    /// child may reach, `/` too. Without such a primitive it is the directory `at` itself. `table` is in the order of
    /// mounting: parents first.
    ///
    /// # Errors
    /// A path with a null byte in it.
    pub fn new(at: &Path, table: Vec<Mount>) -> Result<Self, NulError> {
        let at = CString::new(at.as_os_str().as_bytes())?;
        Ok(Self { at, table, made: Vec::new(), twins: Vec::new(), detached: Vec::new() })
    }

    /// For a container in a user namespace whose ids can be shown: device files, and what is bound from the host.
    fn make_for(&mut self, host: &mut Host, maps: &IdMaps) -> Result<()> {
        self.table.iter_mut().for_each(Mount::own_device);
        let is_node = |mount: &Mount| matches!(mount.source, Source::Node(_));
        let (nodes, table): (Vec<_>, Vec<_>) = self.table.drain(..).partition(is_node);
        self.table = table;
        let (in_dev, elsewhere): (Vec<_>, Vec<_>) =
            nodes.iter().partition(|node| node.path.to_bytes().starts_with(b"/dev/"));
        for node in elsewhere {
            let root = host.root.take().ok_or_else(|| Error::new("mount", node.attaching(), Errno::ENOENT))?;
            let made = parent::device(host, root.as_fd(), node, maps);
            host.root = Some(root);
            made?;
        }
        for entry in &self.table {
            self.made.push(match &entry.source {
                Source::Filesystem(..) if *entry.path == *c"/dev" => Some(parent::devices(host, entry, &in_dev, maps)?),
                Source::BindAll(path) | Source::Open(Tree { path, .. }) => Some(parent::bind(host, entry, path)?),
                // It shows what belongs to the host.
                Source::Filesystem(..) if entry.by_parent => Some(host.act(|| entry.making(), || entry.make())?),
                Source::Own(path) => Some(parent::own(host, entry, path, maps)?),
                // One of the kernel's own, or of several containers' with the same ids.
                Source::Bind(_) => Some(host.act(|| entry.making(), || entry.make())?),
                _ => None,
            });
        }
        Ok(())
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
        if host.maps.is_none() && !host.unprivileged && in_initial_user_namespace() {
            // A third of a bound one's cost. In a user namespace there is no mknod(2).
            self.table.iter_mut().for_each(Mount::own_device);
        }
        if let Some(maps) = host.maps.clone().filter(|_| host.idmap.is_some()) {
            self.make_for(host, &maps)?;
        } else {
            // What is shared with the host has to be taken from the host's mounts themselves, and only the host's root may.
            let early = !host.unprivileged;
            for entry in &self.table {
                let is_early = early && matches!(entry.source, Source::Open(_));
                self.made.push(is_early.then(|| host.act(|| entry.making(), || entry.make())).transpose()?);
            }
        }
        let twin = |(number, mount)| self.table[..number].iter().position(|other| other.shows_same(mount));
        self.twins = self.table.iter().enumerate().map(twin).collect();
        self.detached = self.table.iter().map(|_| Cell::new(None)).collect();
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
            let made = self.made.get(number).and_then(Option::as_ref);
            if let Some(proc) = inside.proc().filter(|_| entry.is_proc()) {
                detached.set(Some(proc));
            } else if made.is_none() && entry.source.is_made() {
                inside.at(TABLE + 2 * number);
                let twin = self.twins.get(number).copied().flatten().and_then(|twin| self.detached.get(twin)?.get());
                // Before Linux 6.15, what stands nowhere has no copies.
                let copy = twin.and_then(|twin| sys::open_tree(Some(twin), c"", OpenTree::Clone).ok());
                detached.set(Some(sys::keep_until_exec(copy.map_or_else(|| entry.make(), Ok)?)));
            }
        }
        self.change_root(inside)?;
        for (number, (entry, detached)) in self.table.iter().zip(&self.detached).enumerate() {
            inside.at(TABLE + 2 * number + 1);
            let made = self.made.get(number).and_then(Option::as_ref);
            attach::attach(entry, made.map(AsFd::as_fd).or(detached.get()))?;
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
            (step @ TABLE.., errno) => {
                let entry = self.table.get((step - TABLE) / 2)?;
                hint(entry, !(step - TABLE).is_multiple_of(2), errno).map(str::to_owned)
            }
            _ => None,
        }
    }
}
