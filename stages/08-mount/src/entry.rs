//! One mount of a table: what, where, and with which attributes.

use std::{
    ffi::{CStr, CString, NulError},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    sync::Arc,
};

use nix::libc::{dev_t, mode_t};
use process::{
    Errno,
    sys::{self, MountAttr, OpenTree, Propagation},
};

use crate::table;

/// Where a mount comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A new filesystem of this kind with these options; one whose value is empty is a flag.
    Filesystem(&'static CStr, Vec<(&'static CStr, CString)>),
    /// A file or directory of the host, without what is mounted below it.
    Bind(CString),
    /// A file of the host that was made for this container alone: its root gets it.
    Own(CString),
    /// A file or directory of the host with all that is mounted below it.
    BindAll(CString),
    /// A file or directory of the host that is open already, so that it is what was looked at.
    Open(Tree),
    /// What stands at the path already, for the sake of other attributes.
    Itself,
    /// The mount at the path, with more attributes now that what belongs in it is in it.
    Seal,
    /// A symbolic link to this target, where nothing is yet.
    Link(CString),
    /// No mount: only the directory, where there is none.
    Directory,
    /// No mount: a device file, made there, which belongs to the container (mknod(2)).
    Node(Node),
}

/// A device file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// `S_IFCHR` or `S_IFBLK`, and the permissions.
    pub mode: mode_t,
    /// Its number, as stat(2) has it.
    pub device: dev_t,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// A file or directory of the host, to be bound in the container.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its path, for words, and for a container whose mounts are made in a user namespace.
    pub path: CString,
    /// Itself; `O_PATH` is enough.
    pub fd: Arc<OwnedFd>,
    /// Whether what is mounted below it comes along.
    pub recursive: bool,
    /// Whether what comes along gets the attributes too.
    pub attr_recursive: bool,
    /// Which later mounts are passed on.
    pub propagation: Propagation,
    /// Whether the mounts below it pass on the same.
    pub propagation_recursive: bool,
}

impl Source {
    /// Whether it is made before it is put in its place.
    pub(crate) fn is_made(&self) -> bool {
        matches!(self, Self::Filesystem(..) | Self::Bind(_) | Self::Own(_) | Self::BindAll(_) | Self::Open(_))
    }

    /// Whether nobody has said what mode it is to have.
    pub(crate) fn is_tmpfs_of_any_mode(&self) -> bool {
        matches!(self, Self::Filesystem(kind, options) if *kind == c"tmpfs" && options.iter().all(|(key, _)| *key != c"mode"))
    }

    pub(crate) fn drop_option(&mut self, name: &CStr) {
        if let Self::Filesystem(_, options) = self {
            options.retain(|(key, _)| *key != name);
        }
    }
}

/// What is made at the path where the image has nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
    /// Nothing: then nothing is mounted.
    Present,
}

/// One mount.
#[derive(Debug, Clone)]
pub struct Mount {
    /// Where it is mounted, in the container.
    pub path: CString,
    /// What is made there if there is nothing.
    pub target: Target,
    /// What is mounted.
    pub source: Source,
    /// With which attributes.
    pub attr: MountAttr,
    /// Whether links of the image are followed to the place, which no path into /proc leads to.
    pub follows: bool,
    /// Whether it is a filesystem that a container in a user namespace may not mount, because it shows what is the host's.
    pub by_parent: bool,
    pub(crate) parents: Vec<CString>,
}

impl Mount {
    /// `path` is absolute, in the container. No link is followed.
    ///
    /// # Errors
    /// A path with a null byte in it.
    pub fn new(path: &Path, target: Target, source: Source, attr: MountAttr) -> Result<Self, NulError> {
        let c_string = |p: &Path| CString::new(p.as_os_str().as_bytes());
        let mut parents: Vec<_> = path.ancestors().skip(1).filter(|p| p.parent().is_some()).collect();
        parents.reverse();
        let parents = parents.into_iter().map(c_string).collect::<Result<_, _>>()?;
        Ok(Self { path: c_string(path)?, target, source, attr, follows: false, by_parent: false, parents })
    }

    /// At a place that the user names, who means what is behind the links of his image: /var/run, say.
    #[must_use]
    pub fn following(self) -> Self {
        Self { follows: true, ..self }
    }

    /// Makes a device of the host's that was to be bound a file of the container's own.
    pub(crate) fn own_device(&mut self) {
        if let Source::Bind(path) = &self.source
            && *path == self.path
            && let Some(node) = table::node(path)
        {
            self.source = Source::Node(node);
        }
    }

    /// Whether both are one and the same emptiness: no room for a file, and read-only.
    pub(crate) fn shows_same(&self, other: &Self) -> bool {
        let (Source::Filesystem(kind, options), Source::Filesystem(kind_too, options_too)) =
            (&self.source, &other.source)
        else {
            return false;
        };
        let full = options.iter().any(|(key, value)| *key == c"nr_inodes" && value.as_c_str() == c"1");
        let empty = *kind == c"tmpfs" && full && self.attr.has(MountAttr::READ_ONLY);
        empty && (kind, options, self.attr) == (kind_too, options_too, other.attr)
    }

    /// Whether it is a /proc of the container's own.
    pub fn is_proc(&self) -> bool {
        *self.path == *c"/proc" && matches!(self.source, Source::Filesystem(kind, _) if kind == c"proc")
    }

    /// Makes the mount, attached nowhere. No allocation: this runs between clone and exec.
    pub fn make(&self) -> Result<OwnedFd, Errno> {
        match &self.source {
            Source::Filesystem(kind, options) => {
                let context = sys::fsopen(kind)?;
                if options.iter().all(|(key, _)| *key != c"source") {
                    // Only a name, for /proc/mounts.
                    sys::fsconfig_string(context.as_fd(), c"source", kind)?;
                }
                for (key, value) in options {
                    if value.is_empty() {
                        sys::fsconfig_flag(context.as_fd(), key)?;
                    } else {
                        sys::fsconfig_string(context.as_fd(), key, value)?;
                    }
                }
                sys::fsconfig_create(context.as_fd())?;
                sys::fsmount(context.as_fd(), self.attr)
            }
            Source::Bind(path) | Source::Own(path) => self.bind(path, OpenTree::Clone),
            Source::BindAll(path) => self.bind(path, OpenTree::CloneAll),
            Source::Open(tree) => self.bind_open(tree),
            Source::Itself | Source::Seal | Source::Link(_) | Source::Directory | Source::Node(_) => Err(Errno::EINVAL),
        }
    }

    fn bind(&self, path: &CStr, how: OpenTree) -> Result<OwnedFd, Errno> {
        let tree = sys::open_tree(None, path, how)?;
        if self.attr != MountAttr::default() {
            sys::mount_setattr(tree.as_fd(), self.attr, how == OpenTree::CloneAll)?;
        }
        Ok(tree)
    }

    fn bind_open(&self, from: &Tree) -> Result<OwnedFd, Errno> {
        let how = if from.recursive { OpenTree::CloneAll } else { OpenTree::Clone };
        let tree = match sys::open_tree(Some(from.fd.as_fd()), c"", how) {
            // In another mount namespace than the one it was opened in.
            Err(Errno::EINVAL) => sys::open_tree(None, &from.path, how)?,
            tree => tree?,
        };
        sys::mount_propagation(tree.as_fd(), from.propagation, from.propagation_recursive)?;
        if self.attr != MountAttr::default() {
            sys::mount_setattr(tree.as_fd(), self.attr, from.attr_recursive)?;
        }
        Ok(tree)
    }

    /// The same in words.
    pub fn making(&self) -> String {
        match &self.source {
            Source::Filesystem(kind, options) => {
                let options: Vec<_> = options
                    .iter()
                    .map(|(key, value)| match (key.to_string_lossy(), value.to_string_lossy()) {
                        (key, value) if value.is_empty() => key.into_owned(),
                        (key, value) => format!("{key}={value}"),
                    })
                    .collect();
                format!("fsmount({}{}{})", kind.to_string_lossy(), comma(&options.join(",")), comma(&names(self.attr)))
            }
            Source::Bind(path) | Source::Own(path) | Source::BindAll(path) | Source::Open(Tree { path, .. }) => {
                format!("open_tree({path:?}{})", comma(&names(self.attr)))
            }
            Source::Itself | Source::Seal | Source::Link(_) | Source::Directory | Source::Node(_) => String::new(),
        }
    }

    pub(crate) fn attaching(&self) -> String {
        match &self.source {
            Source::Link(target) => format!("symlink({target:?}, {:?})", self.path),
            Source::Itself | Source::Seal => format!("mount_setattr({:?}, {})", self.path, names(self.attr)),
            Source::Directory => format!("mkdir -p {:?}", self.path),
            Source::Node(_) => format!("mknod({:?})", self.path),
            _ => format!("move_mount({:?})", self.path),
        }
    }
}

fn comma(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", {text}") }
}

fn names(attr: MountAttr) -> String {
    let all = [
        (MountAttr::READ_ONLY, "ro"),
        (MountAttr::NO_SUID, "nosuid"),
        (MountAttr::NO_DEV, "nodev"),
        (MountAttr::NO_EXEC, "noexec"),
    ];
    let set: Vec<_> = all.iter().filter(|(flag, _)| attr.has(*flag)).map(|(_, name)| *name).collect();
    set.join(",")
}
