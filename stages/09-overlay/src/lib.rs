//! Stage 09: a writable layer over read-only ones.
//!
//! overlayfs (the kernel's Documentation/filesystems/overlayfs.rst) shows several directories as one. Reads find the
//! topmost file of a name; the first write copies the file up to the upper directory; a deletion leaves a whiteout
//! there. So that a hundred containers share one image, and none can change it.
#![forbid(unsafe_code)]

mod idmapped;

use std::{
    ffi::{CStr, CString},
    fs,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, chown},
        },
    },
    path::{Path, PathBuf},
    sync::OnceLock,
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::{Mode, mode_t},
    sys::utsname::uname,
    unistd::{chdir, fchdir, mkdir},
};
use process::{
    Errno, Error, Host, IdMaps, Inside, Primitive, Result, Undo, in_initial_user_namespace,
    sys::{self, MountAttr},
};

/// fsconfig(2) takes values of up to 255 bytes.
const LONGEST_VALUE: usize = 255;

// ANCHOR: overlay
/// The container's root: `lower` directories under a writable one.
#[derive(Debug)]
pub struct Overlay {
    /// Read-only directories, the topmost first.
    lower: Vec<PathBuf>,
    /// The container's own directory; see [`Overlay::new`].
    base: PathBuf,
    /// Whether the upper directory vanishes with the container: then fsync in it, and the sync of its whole
    /// filesystem when the container ends, are left out.
    pub volatile: bool,
    /// The mount's attributes.
    pub attr: MountAttr,
    /// Takes the way of kernels before 6.15 to idmapped layers: for tests.
    #[doc(hidden)]
    pub attach_layers: bool,
    prepared: Option<Prepared>,
    /// What idmapped layers were opened through.
    copies: Vec<OwnedFd>,
}
// ANCHOR_END: overlay

/// What the mount needs, opened and spelt out before the clone.
#[derive(Debug)]
struct Prepared {
    attr: MountAttr,
    flags: Vec<&'static CStr>,
    upper: CString,
    work: CString,
    lower: Vec<CString>,
    /// All lower directories by descriptor, `3:4:5`, for kernels before 6.7.
    joined: CString,
    pinned: Vec<(CString, OwnedFd)>,
}

/// What is the same for every overlay.
const OPTIONS: [(&CStr, &CStr); 3] = [
    // A renamed directory is copied, and the upper directory stays a plain record of what changed.
    (c"redirect_dir", c"nofollow"),
    (c"index", c"off"),
    (c"metacopy", c"off"),
];

/// The name of the directory below where there is none.
const EMPTY: &str = "empty";

/// What the table of mounts calls it.
const SOURCE: &CStr = c"overlay";

const MOUNT: usize = 0;

impl Overlay {
    /// An overlay over `lower`, the topmost first. `base` is the container's own directory, on one filesystem, where
    /// `upper` takes what it writes and `work` is the kernel's; the overlay may be attached at `base` itself. What is
    /// missing of them is made; where that is `base` itself, it goes when the journal is undone. Without a `lower`, which
    /// overlayfs refuses, an empty directory in `base` is below.
    pub fn new(mut lower: Vec<PathBuf>, base: PathBuf) -> Self {
        if lower.is_empty() {
            lower.push(base.join(EMPTY));
        }
        let (attr, copies) = (MountAttr::default(), Vec::new());
        Self { lower, base, volatile: false, attr, attach_layers: false, prepared: None, copies }
    }

    /// Makes the directories. The upper one shows as the container's `/`, so that it takes mode and owner of the
    /// topmost lower one.
    fn make(&self, host: &mut Host) -> Result<()> {
        if !self.base.exists() {
            let path = self.base.clone();
            host.undo(match &host.maps {
                Some(maps) if host.idmap.is_none() => Undo::RemoveMappedTree { path, maps: maps.clone() },
                _ => Undo::RemoveTree(path),
            })?;
            // What the container makes set-user-id, the host's users must not reach: overlayfs looks from below.
            let inside = host.unprivileged && host.idmap.is_none();
            self.make_directory(host, "", if inside { 0o755 } else { 0o700 })?;
        }
        if self.lower == [self.base.join(EMPTY)] {
            self.make_directory(host, EMPTY, 0o755)?;
        }
        let upper = self.base.join("upper");
        if !upper.exists() {
            self.make_directory(host, "upper", 0o755)?;
            let like = self.lower.first().map(fs::metadata);
            if let Some(Ok(like)) = like {
                // With a user namespace and no idmap, who is nobody inside could not own its root.
                let foreign = host.maps.as_ref().filter(|maps| host.idmap.is_none() && !maps.holds_user(like.uid()));
                let owner = foreign.map_or((Some(like.uid()), Some(like.gid())), root_of);
                let same = chown(&upper, owner.0, owner.1)
                    .or_else(|e| if host.unprivileged { Ok(()) } else { Err(e) })
                    .and_then(|()| fs::set_permissions(&upper, like.permissions()));
                same.map_err(|e| Error::from_io("overlay", format!("chmod {}", upper.display()), &e))?;
            }
        }
        self.make_directory(host, "work", 0o755)
    }

    fn make_directory(&self, host: &mut Host, name: &str, mode: mode_t) -> Result<()> {
        let path = self.base.join(name);
        // The child's root where the child makes the mount, and works in it.
        let owner = host.maps.as_ref().filter(|_| host.idmap.is_none()).map(root_of);
        host.act(
            || format!("mkdir({:?})", path.display()),
            || match mkdir(&path, Mode::from_bits_truncate(mode)) {
                Err(Errno::EEXIST) => Ok(()),
                done => done.map(|()| {
                    // An ordinary user cannot, and needs not: he is that root.
                    let _ = owner.map(|(uid, gid)| chown(&path, uid, gid));
                }),
            },
        )
    }

    fn words(&self) -> String {
        let lower: Vec<_> = self.lower.iter().map(|p| p.display().to_string()).collect();
        format!("fsmount(overlay, lowerdir={}, upperdir={})", lower.join(":"), self.base.join("upper").display())
    }

    fn spell_out(&self, user_xattr: bool) -> Result<Prepared, Errno> {
        let mut pinned = Vec::new();
        let mut spell = |path: &Path| -> Result<(CString, i32), Errno> {
            let fd = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
            let number = fd.as_raw_fd();
            pinned.push((CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?, fd));
            let name = if is_value(path.as_os_str().as_bytes()) {
                path.as_os_str().as_bytes().to_owned()
            } else {
                format!("/proc/self/fd/{number}").into_bytes()
            };
            Ok((CString::new(name).map_err(|_| Errno::EINVAL)?, number))
        };
        let mut lower = Vec::new();
        let mut numbers = Vec::new();
        for path in &self.lower {
            let (name, number) = spell(path)?;
            lower.push(name);
            numbers.push(number.to_string());
        }
        let (upper, _) = spell(&self.base.join("upper"))?;
        let (work, _) = spell(&self.base.join("work"))?;
        // In a user namespace the kernel's own marks go to user.* attributes; trusted.* belongs to the host.
        let flags = [(self.volatile, c"volatile"), (user_xattr, c"userxattr")].into_iter().filter(|f| f.0).map(|f| f.1);
        let joined = join(&numbers)?;
        Ok(Prepared { attr: self.attr, flags: flags.collect(), upper, work, lower, joined, pinned })
    }
}

/// Whether the kernel takes a path as it is: not too long, and where options are still one line of text, without what
/// parts them.
fn is_value(path: &[u8]) -> bool {
    path.len() <= LONGEST_VALUE && (takes_each() || !path.iter().any(|byte| b",:\\".contains(byte)))
}

/// The host's ids of the container's root.
fn root_of(maps: &IdMaps) -> (Option<u32>, Option<u32>) {
    (maps.outside_user(0), maps.outside_group(0))
}

impl Prepared {
    /// In the child's mount namespace: the parent's descriptors lead to mounts of the parent's, which overlayfs refuses.
    fn pin_again(&self) -> Result<(), Errno> {
        for (path, pinned) in &self.pinned {
            let here = open(path.as_c_str(), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
            sys::duplicate_to(here.as_fd(), pinned.as_raw_fd())?;
        }
        Ok(())
    }

    // ANCHOR: mount
    /// Makes the mount, attached nowhere.
    fn mount(&self) -> Result<OwnedFd, Errno> {
        let context = sys::fsopen(c"overlay")?;
        sys::fsconfig_string(context.as_fd(), c"upperdir", &self.upper)?;
        sys::fsconfig_string(context.as_fd(), c"workdir", &self.work)?;
        finish(context.as_fd(), SOURCE, (&self.lower, &self.joined), &self.flags, self.attr)
    }
    // ANCHOR_END: mount
}

/// The layers as one tree that cannot be written, the topmost first, mounted nowhere: to be read by its owner.
///
/// # Errors
/// EPERM without `CAP_SYS_ADMIN`; ENOENT where a layer is missing.
pub fn merged(lower: &[PathBuf]) -> Result<OwnedFd, Errno> {
    if lower.is_empty() {
        let context = sys::fsopen(c"tmpfs")?;
        sys::fsconfig_create(context.as_fd())?;
        return sys::fsmount(context.as_fd(), MountAttr::READ_ONLY);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let pinned = lower.iter().map(|path| open(path, flags, Mode::empty())).collect::<Result<Vec<_>, _>>()?;
    // One layer is no overlay.
    if let [only] = pinned.as_slice() {
        return only.try_clone().map_err(|_| Errno::EMFILE);
    }
    let numbers: Vec<_> = pinned.iter().map(|fd| fd.as_raw_fd().to_string()).collect();
    let names = numbers.iter().map(|number| CString::new(format!("/proc/self/fd/{number}")));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(|_| Errno::EINVAL)?;
    let joined = join(&numbers)?;
    let context = sys::fsopen(c"overlay")?;
    let flags: &[&CStr] = if in_initial_user_namespace() { &[] } else { &[c"userxattr"] };
    finish(context.as_fd(), SOURCE, (&names, &joined), flags, MountAttr::READ_ONLY)
}

/// All lower directories as one option.
fn join(numbers: &[String]) -> Result<CString, Errno> {
    let joined = CString::new(numbers.join(":")).map_err(|_| Errno::EINVAL)?;
    if takes_each() || joined.count_bytes() <= LONGEST_VALUE { Ok(joined) } else { Err(Errno::E2BIG) }
}

/// Whether the kernel takes an option for each lower directory: Linux 6.7. It cannot be asked: before 6.5 it takes every
/// option, and then refuses the mount.
fn takes_each() -> bool {
    // Known before the clone: the child waits for nobody.
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let version = uname().ok().and_then(|names| {
            let mut numbers = names.release().as_bytes().split(|byte| !byte.is_ascii_digit());
            let mut number = || std::str::from_utf8(numbers.next()?).ok()?.parse::<u32>().ok();
            Some((number()?, number()?))
        });
        version >= Some((6, 7))
    })
}

/// Adds the lower directories, and makes the mount. Where they are one option, of 255 bytes, they are named by descriptor
/// (`joined`), so that some 80 fit; the kernel looks for them when it makes the mount.
fn finish(
    context: BorrowedFd,
    source: &CStr,
    (lower, joined): (&[CString], &CStr),
    flags: &[&CStr],
    attr: MountAttr,
) -> Result<OwnedFd, Errno> {
    if takes_each() {
        lower.iter().try_for_each(|lower| sys::fsconfig_string(context, c"lowerdir+", lower))?;
        return create(context, source, flags, attr);
    }
    let here = open(c".", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    chdir(c"/proc/self/fd")?;
    let made = sys::fsconfig_string(context, c"lowerdir", joined).and_then(|()| create(context, source, flags, attr));
    fchdir(here)?;
    made
}

fn create(context: BorrowedFd, source: &CStr, flags: &[&CStr], attr: MountAttr) -> Result<OwnedFd, Errno> {
    sys::fsconfig_string(context, c"source", source)?;
    for (key, value) in OPTIONS {
        sys::fsconfig_string(context, key, value)?;
    }
    for flag in flags {
        sys::fsconfig_flag(context, flag)?;
    }
    sys::fsconfig_create(context)?;
    sys::fsmount(context, attr)
}

impl Primitive for Overlay {
    fn name(&self) -> &'static str {
        "overlay"
    }

    /// Mounts in the parent where it may, so that the root can be looked into before the container exists. A second
    /// call does nothing.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        if self.prepared.is_some() {
            return Ok(());
        }
        self.make(host)?;
        let advised = |e: Error| match advice(e.errno) {
            Some(hint) if e.hint.is_none() => e.hint(hint),
            _ => e,
        };
        let user_xattr = (host.unprivileged && host.idmap.is_none()) || !in_initial_user_namespace();
        let spelt = self.spell_out(user_xattr);
        let prepared = spelt.map_err(|errno| advised(Error::new("overlay", self.words(), errno)))?;
        if let Some(maps) = host.idmap.take() {
            let mounted = self.mount_idmapped(host, &prepared, maps.as_fd());
            host.idmap = Some(maps);
            host.root = Some(mounted.map_err(advised)?);
        } else if !host.unprivileged {
            let mounted = host.act(|| self.words(), || prepared.mount());
            host.root = Some(mounted.map_err(advised)?);
        }
        self.prepared = Some(prepared);
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        if inside.root().is_err()
            && let Some(prepared) = &self.prepared
        {
            inside.at(MOUNT);
            prepared.pin_again()?;
            inside.set_root(prepared.mount()?);
        }
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        self.words()
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        advice(errno).map(str::to_owned)
    }
}

fn advice(errno: Errno) -> Option<&'static str> {
    match errno {
        Errno::EPERM => Some("overlay in a user namespace needs Linux 5.11; without one, root"),
        Errno::E2BIG => Some("before Linux 6.7 some 80 layers are the most: a newer kernel, or an image of fewer"),
        Errno::ENODEV => Some("the kernel has no overlayfs: modprobe overlay"),
        Errno::EINVAL => {
            Some("the container's directory must be outside its layers, on a filesystem with xattrs; see `dmesg`")
        }
        Errno::ENOENT | Errno::ENOTDIR => Some("the root filesystem is no directory: make one with ./rootfs-fetch.sh"),
        _ => None,
    }
}
