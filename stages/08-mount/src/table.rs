//! What is mounted in every container, and where.

use std::{
    ffi::{CStr, CString},
    path::Path,
};

use nix::sys::stat::{SFlag, makedev};
use process::sys::MountAttr;

use crate::entry::{Mount, Node, Source, Target};

// ANCHOR: table
/// Files and directories of /proc and /sys that speak of the whole machine and that no container needs.
pub const MASKED: [&str; 13] = [
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

/// The same, of which only root of the host may read anything: which pages of memory are whose, and what the kernel has
/// where.
pub const MASKED_FROM_ROOT: [&str; 4] =
    ["/proc/kpagecgroup", "/proc/kpagecount", "/proc/kpageflags", "/proc/vmallocinfo"];

/// Parts of /proc that set the kernel's behaviour.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Devices that every program may expect and that give nothing of the machine away: path, major and minor number, as the
/// kernel's admin-guide/devices.txt has them.
const DEVICES: [(&str, u64, u64); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// What leads to the program's own descriptors and terminals: target, path.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

const NONE: MountAttr = MountAttr::NO_SUID.and(MountAttr::NO_DEV).and(MountAttr::NO_EXEC);

/// The mounts that every container has, as the OCI runtime specification's "Default Filesystems" asks, with the
/// masked and read-only paths of Docker. `shm_size` is in bytes.
pub fn default_table(shm_size: u64) -> Vec<Mount> {
    [filesystems(shm_size), devices(), masks(false)].concat()
}

/// The filesystems of [`default_table`].
pub fn filesystems(shm_size: u64) -> Vec<Mount> {
    let directory = |path, kind, options: &[(&'static CStr, &str)], attr| {
        let options = options.iter().map(|(key, value)| (*key, c_string(value))).collect();
        mount(path, Target::Directory, Source::Filesystem(kind, options), attr)
    };
    let shm_size = shm_size.to_string();
    vec![
        directory("/proc", c"proc", &[], NONE),
        directory("/sys", c"sysfs", &[], NONE.and(MountAttr::READ_ONLY)),
        directory("/dev", c"tmpfs", &[(c"mode", "755"), (c"size", "65536k")], MountAttr::NO_SUID),
        directory(
            "/dev/pts",
            c"devpts",
            &[(c"ptmxmode", "0666"), (c"mode", "0620"), (c"gid", "5")],
            MountAttr::NO_SUID.and(MountAttr::NO_EXEC),
        ),
        directory("/dev/shm", c"tmpfs", &[(c"source", "shm"), (c"mode", "1777"), (c"size", &shm_size)], NONE),
        directory("/dev/mqueue", c"mqueue", &[], NONE),
    ]
}

/// What is in the /dev of [`default_table`].
pub fn devices() -> Vec<Mount> {
    // They may be the host's own: who is root inside could change their modes and owners for all. A read-only mount keeps
    // those, and lets devices be written.
    let device =
        |(path, ..): &(&str, u64, u64)| mount(path, Target::File, Source::Bind(c_string(path)), MountAttr::READ_ONLY);
    let link = |(target, path): &(&str, &str)| {
        mount(path, Target::Directory, Source::Link(c_string(target)), MountAttr::default())
    };
    DEVICES.iter().map(device).chain(LINKS.iter().map(link)).collect()
}

/// The device file that stands for the host's at `path`.
pub(crate) fn node(path: &CStr) -> Option<Node> {
    let (_, major, minor) = DEVICES.iter().find(|(known, ..)| known.as_bytes() == path.to_bytes())?;
    Some(Node { mode: SFlag::S_IFCHR.bits() | 0o666, device: makedev(*major, *minor), uid: 0, gid: 0 })
}

/// What covers the parts of /proc and /sys that no container needs to see or set. After all others, which it holds for
/// too. `host_root`: whether its root is the host's.
pub fn masks(host_root: bool) -> Vec<Mount> {
    let sealed = NONE.and(MountAttr::READ_ONLY);
    let of_root: &[&str] = if host_root { &MASKED_FROM_ROOT } else { &[] };
    let masked = MASKED.iter().chain(of_root).filter_map(|path| {
        // What is not there on the host's /proc is not there in the container's: it is the same kernel.
        let source = if std::fs::metadata(path).ok()?.is_dir() {
            Source::Filesystem(c"tmpfs", vec![(c"size", c"0".to_owned()), (c"nr_inodes", c"1".to_owned())])
        } else {
            Source::Bind(c"/dev/null".to_owned())
        };
        let attr = if matches!(source, Source::Bind(_)) { MountAttr::READ_ONLY } else { sealed };
        Some(mount(path, Target::Present, source, attr))
    });
    masked.chain(READ_ONLY.iter().map(|path| mount(path, Target::Present, Source::Itself, sealed))).collect()
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
