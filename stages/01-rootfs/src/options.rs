//! What to unpack, how much of it, and what came of it.

use std::ffi::CStr;

/// How an archive becomes files.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whose the files will be.
    pub owners: Owners,
    /// What becomes of device nodes.
    pub devices: Devices,
    /// Whether files run with the rights of their owner or group where the archive says so: by set-user-id and
    /// set-group-id bits, and by file capabilities. Where not, those are left out, and the files counted.
    pub set_ids: bool,
    /// What becomes of names that begin with `.wh.`.
    pub whiteouts: Whiteouts,
    /// What becomes of names that begin with `/`.
    pub absolute_names: AbsoluteNames,
    /// The extended attributes to set: whole names, or prefixes that end in a dot. Others are left out and counted,
    /// because honest archives carry attributes that mean nothing elsewhere, such as `security.selinux`.
    ///
    /// `trusted.overlay.…` and `user.overlay.…` are refused whatever this says: with them an archive could make a
    /// layer of an overlay point to files that it does not own.
    pub xattrs: Vec<String>,
    /// What an entry may take the place of.
    pub replaces: Replaces,
    /// How much is too much.
    pub limits: Limits,
    /// Whether nobody else changes the tree that is packed: then a regular file is opened by its name, which takes less
    /// time, and its time of access stays.
    pub still: bool,
}

impl Default for Options {
    /// For root: an ordinary archive as `tar` makes it, with no device nodes in it.
    fn default() -> Self {
        let xattrs = ["user.", "security.capability", "system.posix_acl_access", "system.posix_acl_default"];
        Self {
            owners: Owners::Archive,
            devices: Devices::Refuse,
            set_ids: true,
            whiteouts: Whiteouts::Literal,
            absolute_names: AbsoluteNames::Refuse,
            xattrs: xattrs.map(str::to_owned).to_vec(),
            replaces: Replaces::Anything,
            limits: Limits::default(),
            still: false,
        }
    }
}

/// Whose the files will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// The user and group ids of the archive. Needs `CAP_CHOWN`; in a user namespace the ids must be mapped.
    Archive,
    /// The caller's. File capabilities, which only root can set, are left out and counted.
    Caller,
}

/// What becomes of character and block devices. FIFOs are always made: they lead nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// The archive is refused. A device node is a door to the machine: whoever may open `8:0` owns the disk.
    Refuse,
    /// They are left out and counted. A container gets its own /dev.
    Skip,
    /// They are made. Needs `CAP_MKNOD` in the first user namespace.
    Create,
}

/// What becomes of whiteouts, by which a layer of an image deletes what lower layers hold.
///
/// OCI image specification, `layer.md`, "Whiteouts": `.wh.NAME` deletes `NAME`, `.wh..wh..opq` deletes all that lower
/// layers hold in its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// They are names like any other: for an archive that is no layer, such as an imported root filesystem.
    Literal,
    /// Becomes overlayfs's own form: a character device 0/0, and `trusted.overlay.opaque`. Needs `CAP_SYS_ADMIN`.
    Overlay,
    /// The same with `user.overlay.opaque`, for overlay mounts with `userxattr`, which users other than root make.
    OverlayUser,
}

impl Whiteouts {
    /// What the overlays read that this process may mount.
    pub fn native() -> Self {
        if process::in_initial_user_namespace() { Self::Overlay } else { Self::OverlayUser }
    }

    /// The attribute with the value `y` on a directory that hides what lower layers have in it (kernel documentation,
    /// `overlayfs.rst`).
    pub fn opaque(self) -> Option<&'static CStr> {
        match self {
            Self::Literal => None,
            Self::Overlay => Some(c"trusted.overlay.opaque"),
            Self::OverlayUser => Some(c"user.overlay.opaque"),
        }
    }
}

impl Devices {
    /// Made where this process may make them, else left out.
    pub fn native() -> Self {
        if process::in_initial_user_namespace() { Self::Create } else { Self::Skip }
    }
}

/// What becomes of names that begin with `/`. (`/` itself is the root in either case.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbsoluteNames {
    /// The archive is refused: nobody makes such names by accident, as tar strips the slash.
    Refuse,
    /// They are taken to begin at the unpacked root, as Docker does with layers; which leaves out entries without a name,
    /// and those that would replace the root.
    Confine,
}

/// What an entry may take the place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// Whatever is there, a directory with all that it holds too: a layer says what a tree is.
    Anything,
    /// A directory that of a directory, and anything else that of anything else: the rest is refused. For a tree that is
    /// somebody's, as `docker cp` has it.
    SameKind,
}

/// How much is too much. Beyond a limit the archive is refused; what was unpacked so far stays for the caller to remove.
///
/// There is no limit on the ratio of compression. Deflate ends at 1032:1, and honest images get there with files of
/// zeros (`/var/log/lastlog`, disk images). Zeros are written as holes, so that they take time but no space, and the
/// time is bounded by `bytes`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the uncompressed archive (headers and padding too), plus the holes of its sparse files.
    pub bytes: u64,
    /// Headers in the archive, plus the directories that are made because an entry needs them.
    pub entries: u64,
    /// Bytes in a name. The kernel takes paths of up to 4095 (`PATH_MAX` less its null), parts of up to 255.
    pub path: usize,
    /// Directories in each other, counted from the root.
    pub depth: usize,
}

impl Default for Limits {
    /// 64 GiB, 4 million entries, names of 4095 bytes, 256 levels: beyond any sane image.
    fn default() -> Self {
        Self { bytes: 64 << 30, entries: 4_000_000, path: 4095, depth: 256 }
    }
}

/// What was unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Entries of the archive, without the headers that only describe others.
    pub entries: u64,
    /// Bytes in regular files, holes included.
    pub bytes: u64,
    /// Whiteouts that were converted.
    pub whiteouts: u64,
    /// Device nodes that [`Devices::Skip`] left out.
    pub skipped_devices: u64,
    /// Files that run with no other's rights because [`Options::set_ids`] does not let them.
    pub cleared_set_ids: u64,
    /// Extended attributes that are not on the list, or that the filesystem or the caller's rights do not allow.
    pub skipped_xattrs: u64,
}
