//! What is mounted in a container, and where.

use std::{
    ffi::{CStr, CString},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use process::{
    Errno,
    sys::{self, MountAttr, OpenTree},
};

/// Where a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A new filesystem of this kind with these options; one whose value is empty is a flag.
    Filesystem(&'static CStr, Vec<(&'static CStr, CString)>),
    /// A file or directory of the host, without what is mounted below it.
    Bind(CString),
    /// A file or directory of the host with all that is mounted below it.
    BindAll(CString),
    /// What stands at the path already, for the sake of other attributes.
    Itself,
    /// The mount that this table put at the path, with more attributes now that what belongs in it is in it.
    Seal,
    /// A symbolic link to this target, where nothing is yet.
    Link(CString),
}

impl Source {
    /// Whether it is made before it is put in its place.
    pub(crate) fn is_made(&self) -> bool {
        matches!(self, Self::Filesystem(..) | Self::Bind(_) | Self::BindAll(_))
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
    pub(crate) parents: Vec<CString>,
}

impl Mount {
    /// `path` is absolute, in the container.
    ///
    /// # Errors
    /// A path with a null byte in it.
    pub fn new(path: &Path, target: Target, source: Source, attr: MountAttr) -> Result<Self, std::ffi::NulError> {
        let c_string = |p: &Path| CString::new(p.as_os_str().as_bytes());
        let mut parents: Vec<_> = path.ancestors().skip(1).filter(|p| p.parent().is_some()).collect();
        parents.reverse();
        let parents = parents.into_iter().map(c_string).collect::<Result<_, _>>()?;
        Ok(Self { path: c_string(path)?, target, source, attr, parents })
    }

    /// Makes the mount, attached nowhere. No allocation: this runs between clone and exec.
    pub(crate) fn make(&self) -> Result<OwnedFd, Errno> {
        match &self.source {
            Source::Filesystem(kind, options) => {
                let context = sys::fsopen(kind)?;
                // Only a name, for /proc/mounts.
                sys::fsconfig_string(context.as_fd(), c"source", kind)?;
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
            Source::Bind(path) => self.bind(path, OpenTree::Clone),
            Source::BindAll(path) => self.bind(path, OpenTree::CloneAll),
            Source::Itself | Source::Seal | Source::Link(_) => Err(Errno::EINVAL),
        }
    }

    fn bind(&self, path: &CStr, how: OpenTree) -> Result<OwnedFd, Errno> {
        let tree = sys::open_tree(None, path, how)?;
        if self.attr != MountAttr::default() {
            sys::mount_setattr(tree.as_fd(), self.attr, how == OpenTree::CloneAll)?;
        }
        Ok(tree)
    }

    pub(crate) fn making(&self) -> String {
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
            Source::Bind(path) | Source::BindAll(path) => {
                format!("open_tree({path:?}{})", comma(&names(self.attr)))
            }
            Source::Itself | Source::Seal | Source::Link(_) => String::new(),
        }
    }

    pub(crate) fn attaching(&self) -> String {
        match &self.source {
            Source::Link(target) => format!("symlink({target:?}, {:?})", self.path),
            Source::Itself | Source::Seal => format!("mount_setattr({:?}, {})", self.path, names(self.attr)),
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

// ANCHOR: table
/// Files and directories of /proc and /sys that speak of the whole machine and that no container needs.
const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/security",
];

/// Parts of /proc that set the kernel's behaviour.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Devices that every program may expect and that give nothing of the machine away.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// The mounts that every container has, as the OCI runtime specification's "Default Filesystems" asks, with the
/// masked and read-only paths of Docker. `shm_size` is in bytes.
pub fn default_table(shm_size: u64) -> Vec<Mount> {
    let none = MountAttr::NO_SUID.and(MountAttr::NO_DEV).and(MountAttr::NO_EXEC);
    let directory = |path, kind, options: &[(&'static CStr, &str)], attr| {
        let options = options.iter().map(|(key, value)| (*key, c_string(value))).collect();
        mount(path, Target::Directory, Source::Filesystem(kind, options), attr)
    };
    let shm_size = shm_size.to_string();
    let mut table = vec![
        directory("/proc", c"proc", &[], none),
        directory("/sys", c"sysfs", &[], none.and(MountAttr::READ_ONLY)),
        directory("/dev", c"tmpfs", &[(c"mode", "755"), (c"size", "65536k")], MountAttr::NO_SUID),
        directory(
            "/dev/pts",
            c"devpts",
            &[(c"ptmxmode", "0666"), (c"mode", "0620"), (c"gid", "5")],
            MountAttr::NO_SUID.and(MountAttr::NO_EXEC),
        ),
        directory("/dev/shm", c"tmpfs", &[(c"mode", "1777"), (c"size", &shm_size)], none),
        directory("/dev/mqueue", c"mqueue", &[], none),
    ];
    for device in DEVICES {
        table.push(mount(device, Target::File, Source::Bind(c_string(device)), MountAttr::default()));
    }
    // What is not there on the host's /proc is not there in the container's: it is the same kernel.
    for path in MASKED {
        let Ok(found) = std::fs::metadata(path) else {
            continue;
        };
        table.push(if found.is_dir() {
            directory(path, c"tmpfs", &[(c"size", "0"), (c"nr_inodes", "1")], none.and(MountAttr::READ_ONLY))
        } else {
            mount(path, Target::File, Source::Bind(c"/dev/null".to_owned()), MountAttr::default())
        });
    }
    for path in READ_ONLY {
        table.push(mount(path, Target::Directory, Source::Itself, none.and(MountAttr::READ_ONLY)));
    }
    table
}
// ANCHOR_END: table

// ANCHOR: cgroups
/// What shows a container its cgroup at /sys/fs/cgroup, read-only: put behind [`default_table`] for one with a cgroup
/// namespace of its own, without which the host's tree would be seen.
///
/// `v1` has the kernel's names of the controllers of each hierarchy of version 1 that the container is in, `v2` says
/// whether it is in that of version 2. Where that is all, it is mounted there alone; else each gets a directory, with
/// links for controllers that share one.
pub fn cgroup_table(v1: &[Vec<String>], v2: bool) -> Vec<Mount> {
    const AT: &str = "/sys/fs/cgroup";
    let attr = MountAttr::NO_SUID.and(MountAttr::NO_DEV).and(MountAttr::NO_EXEC);
    let sealed = attr.and(MountAttr::READ_ONLY);
    let entry = |path: &str, source, attr| Mount::new(Path::new(path), Target::Directory, source, attr);
    let unified = || Source::Filesystem(c"cgroup2", vec![]);
    let mut table = Vec::new();
    if v1.is_empty() {
        table.extend(v2.then(|| entry(AT, unified(), sealed)));
    } else {
        let options = [(c"mode", "755"), (c"size", "65536")].map(|(key, value)| (key, c_string(value)));
        table.push(entry(AT, Source::Filesystem(c"tmpfs", options.into()), attr));
        for names in v1 {
            let directory = names.join(",");
            let known = names.iter().filter_map(|name| V1.iter().find(|known| known.to_bytes() == name.as_bytes()));
            let flags = known.map(|name| (*name, CString::default())).collect();
            table.push(entry(&format!("{AT}/{directory}"), Source::Filesystem(c"cgroup", flags), sealed));
            for name in names.iter().filter(|_| names.len() > 1) {
                table.push(entry(&format!("{AT}/{name}"), Source::Link(c_string(&directory)), attr));
            }
        }
        table.extend(v2.then(|| entry(&format!("{AT}/unified"), unified(), sealed)));
        table.push(entry(AT, Source::Seal, sealed));
    }
    table.into_iter().map(|mount| mount.expect("no null in a controller's name")).collect()
}

/// All controllers that version 1 ever had.
const V1: [&CStr; 14] = [
    c"cpuset",
    c"cpu",
    c"cpuacct",
    c"blkio",
    c"memory",
    c"devices",
    c"freezer",
    c"net_cls",
    c"perf_event",
    c"net_prio",
    c"hugetlb",
    c"pids",
    c"rdma",
    c"misc",
];
// ANCHOR_END: cgroups

fn c_string(text: &str) -> CString {
    CString::new(text).expect("no null in a literal or a number")
}

fn mount(path: &str, target: Target, source: Source, attr: MountAttr) -> Mount {
    Mount::new(Path::new(path), target, source, attr).expect("no null in a literal")
}
