//! Where the cgroups of this machine are.
//!
//! /proc/self/cgroup names the hierarchies with their controllers, /proc/self/mountinfo where each can be reached
//! (cgroups(7), proc(5)). A machine has one for all (v2), several with a controller or a few each (v1), or both: in
//! such a hybrid each controller belongs to one of the two.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use nix::unistd::{AccessFlags, access};
use process::{in_initial_user_namespace, kernel_file};

/// A resource that the kernel counts and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory and swap.
    Memory,
    /// Processor time.
    Cpu,
    /// How much of it was used. v2 knows always; a controller of v1.
    CpuAccounting,
    /// Which processors and memory nodes.
    Cpuset,
    /// Block devices: `blkio` in v1.
    Io,
    /// Stops and continues processes. v2 can always; a controller of v1.
    Freezer,
    /// Who may open and make which devices. v2 asks a program; a controller of v1.
    Devices,
    /// Processes and threads.
    Pids,
}

impl Controller {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Memory,
        Self::Cpu,
        Self::CpuAccounting,
        Self::Cpuset,
        Self::Io,
        Self::Freezer,
        Self::Devices,
        Self::Pids,
    ];

    /// The kernel's name in v1.
    pub const fn v1(self) -> &'static str {
        match self {
            Self::Io => "blkio",
            Self::CpuAccounting => "cpuacct",
            Self::Freezer => "freezer",
            Self::Devices => "devices",
            other => match other.v2() {
                Some(name) => name,
                None => "",
            },
        }
    }

    /// The kernel's name in v2; `None` for what every v2 cgroup does without a controller.
    pub const fn v2(self) -> Option<&'static str> {
        match self {
            Self::Memory => Some("memory"),
            Self::Cpu => Some("cpu"),
            Self::Cpuset => Some("cpuset"),
            Self::Io => Some("io"),
            Self::Pids => Some("pids"),
            Self::CpuAccounting | Self::Freezer | Self::Devices => None,
        }
    }
}

/// Which of the two interfaces a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The kernel's Documentation/admin-guide/cgroup-v1.
    V1,
    /// The kernel's Documentation/admin-guide/cgroup-v2.rst.
    V2,
}

/// One tree of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// Where its root, or as much of it as this process may see, is mounted.
    pub mount: PathBuf,
    /// The kernel's names of its controllers.
    pub controllers: Vec<String>,
    /// This process's cgroup.
    pub own: PathBuf,
}

impl Hierarchy {
    /// Whether it does what `controller` stands for.
    pub fn has(&self, controller: Controller) -> bool {
        let name = match self.version {
            Version::V1 => Some(controller.v1()),
            Version::V2 => controller.v2(),
        };
        name.is_none_or(|name| self.controllers.iter().any(|has| has == name))
    }

    /// The topmost cgroup above this process that it may make others in and move itself within: what was delegated to
    /// its user (the kernel's cgroup-v2.rst, "Delegation"). `None` where there is none; v1 has no delegation.
    pub fn delegated(&self) -> Option<PathBuf> {
        let may_write = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
        let is_given = |cgroup: &&Path| {
            let directory = self.directory(cgroup);
            let files = ["", "cgroup.procs", "cgroup.subtree_control"];
            cgroup.parent().is_some() && files.iter().all(|file| may_write(&directory.join(file)))
        };
        let all = (self.version == Version::V2).then(|| self.own.ancestors())?;
        all.take_while(is_given).last().map(Path::to_owned)
    }

    /// The kernel's names of the controllers that cgroups below what was delegated can have.
    pub fn delegated_controllers(&self, delegated: &Path) -> Vec<String> {
        let text = |file| fs::read_to_string(self.directory(delegated).join(file)).unwrap_or_default();
        // One with processes of its own gives no more away.
        let is_full = !text("cgroup.procs").is_empty();
        let names = text(if is_full { "cgroup.subtree_control" } else { "cgroup.controllers" });
        names.split_whitespace().map(str::to_owned).collect()
    }

    /// The directory of the cgroup `path`.
    pub fn directory(&self, path: &Path) -> PathBuf {
        self.mount.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// All hierarchies that are mounted where this process can reach them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies(pub Vec<Hierarchy>);

impl Hierarchies {
    /// Those of this machine.
    pub fn find() -> io::Result<Self> {
        let read = |path| kernel_file(path).map_err(|e| io::Error::new(e.kind(), format!("{path}: {e}")));
        let controllers = |mount: &Path| fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        Ok(Self::parse(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?, controllers))
    }

    /// Those that this process may make cgroups in. All of them for root of the machine; in another user namespace what
    /// was delegated, with the controllers that came with it.
    pub fn usable() -> io::Result<Self> {
        let mut all = Self::find()?;
        if in_initial_user_namespace() {
            return Ok(all);
        }
        all.0.retain_mut(|hierarchy| {
            if access(&hierarchy.mount, AccessFlags::W_OK).is_ok() {
                return true;
            }
            let Some(delegated) = hierarchy.delegated() else { return false };
            hierarchy.controllers = hierarchy.delegated_controllers(&delegated);
            true
        });
        Ok(all)
    }

    /// `controllers` reads what a v2 mount has.
    fn parse(mountinfo: &[u8], own: &[u8], controllers: impl Fn(&Path) -> String) -> Self {
        let mounts: Vec<Mount> = mountinfo.split(|&b| b == b'\n').filter_map(Mount::parse).collect();
        let mut all: Vec<Hierarchy> = Vec::new();
        for line in own.split(|&b| b == b'\n') {
            let mut fields = line.splitn(3, |&b| b == b':');
            let (Some(id), Some(names), Some(own)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let names: Vec<String> = String::from_utf8_lossy(names).split(',').map(str::to_owned).collect();
            let version = if id == b"0" { Version::V2 } else { Version::V1 };
            // name=systemd and its like have no controllers.
            if version == Version::V1 && names.iter().any(|name| name.is_empty() || name.starts_with("name=")) {
                continue;
            }
            let own = PathBuf::from(OsStr::from_bytes(own));
            if let Some(mount) = best(&mounts, version, &names, &own) {
                let controllers = match version {
                    Version::V1 => names,
                    Version::V2 => controllers(&mount.at).split_whitespace().map(str::to_owned).collect(),
                };
                all.push(Hierarchy { version, mount: mount.at.clone(), controllers, own });
            }
        }
        Self(all)
    }

    /// The hierarchy that does what `controller` stands for.
    pub fn of(&self, controller: Controller) -> Option<&Hierarchy> {
        // v2 first: what it does without a controller needs no v1 hierarchy.
        self.v2().filter(|v2| v2.has(controller)).or_else(|| self.0.iter().find(|h| h.has(controller)))
    }

    /// The v2 hierarchy.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.0.iter().find(|h| h.version == Version::V2)
    }
}

/// A line of mountinfo about a cgroup filesystem.
struct Mount {
    version: Version,
    root: PathBuf,
    at: PathBuf,
    options: Vec<String>,
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
        let end = fields.iter().position(|field| *field == b"-")?;
        let version = match *fields.get(end + 1)? {
            b"cgroup" => Version::V1,
            b"cgroup2" => Version::V2,
            _ => return None,
        };
        let options = String::from_utf8_lossy(fields.get(end + 3)?).split(',').map(str::to_owned).collect();
        let path = |field: usize| Some(PathBuf::from(unescape(fields.get(field)?)));
        Some(Self { version, root: path(3)?, at: path(4)?, options })
    }
}

/// The mount that shows most of a hierarchy: its root, or else what our own cgroup is below of.
fn best<'a>(mounts: &'a [Mount], version: Version, names: &[String], own: &Path) -> Option<&'a Mount> {
    let fits = |mount: &&Mount| {
        mount.version == version && (version == Version::V2 || names.iter().all(|name| mount.options.contains(name)))
    };
    let rank = |mount: &&Mount| match mount.root.as_os_str().as_bytes() {
        b"/" => 0,
        _ if own.starts_with(&mount.root) => 1,
        _ => 2,
    };
    mounts.iter().filter(fits).min_by_key(rank)
}

/// mountinfo writes blanks, tabs, line ends and backslashes as octal numbers.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &str, own: &str, v2: &str) -> Vec<(Version, String, Vec<String>)> {
        let all = Hierarchies::parse(mountinfo.as_bytes(), own.as_bytes(), |_| v2.to_owned());
        all.0.into_iter().map(|h| (h.version, h.mount.display().to_string(), h.controllers)).collect()
    }

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn unified_is_one_hierarchy() {
        let mountinfo = "29 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n\
                         30 22 0:5 / /dev rw - devtmpfs devtmpfs rw\n";
        let all = found(mountinfo, "0::/user.slice/session-1.scope\n", "cpu io memory pids\n");
        assert_eq!(all, [(Version::V2, "/sys/fs/cgroup".to_owned(), names("cpu io memory pids"))]);
    }

    #[test]
    fn co_mounted_controllers_share_a_hierarchy_and_named_ones_have_none() {
        let mountinfo = "31 25 0:28 / /cg/cpu,cpuacct rw shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct\n\
                         32 25 0:29 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                         33 25 0:30 / /cg/with\\040blank rw - cgroup cgroup rw,memory\n";
        let own = "5:cpu,cpuacct:/\n4:memory:/a:b\n3:hugetlb:/\n1:name=systemd:/init.scope\n0::/\n";
        let all = found(mountinfo, own, "");
        let expected = [("/cg/cpu,cpuacct", "cpu cpuacct"), ("/cg/with blank", "memory")];
        assert_eq!(all, expected.map(|(at, has)| (Version::V1, at.to_owned(), names(has))));
    }

    #[test]
    fn in_a_hybrid_each_controller_has_one_home() {
        let mountinfo = "1 1 0:1 / /cg/pids rw - cgroup cgroup rw,pids\n\
                         2 1 0:2 / /cg/freezer rw - cgroup cgroup rw,freezer\n\
                         3 1 0:3 / /cg/unified rw - cgroup2 cgroup2 rw\n";
        let own = "2:pids:/\n1:freezer:/\n0::/\n";
        let all = Hierarchies::parse(mountinfo.as_bytes(), own.as_bytes(), |_| "memory\n".to_owned());
        let home = |controller| all.of(controller).map(|h| h.mount.display().to_string());
        assert_eq!(home(Controller::Pids).as_deref(), Some("/cg/pids"));
        assert_eq!(home(Controller::Memory).as_deref(), Some("/cg/unified"));
        assert_eq!(home(Controller::Freezer).as_deref(), Some("/cg/unified"));
        assert_eq!(home(Controller::Cpuset), None);
    }

    #[test]
    fn the_mount_that_shows_most_is_taken() {
        let mountinfo = "1 1 0:1 /other /a rw - cgroup cgroup rw,pids\n\
                         2 1 0:1 /docker/x /b rw - cgroup cgroup rw,pids\n\
                         3 1 0:1 / /c\\134d rw - cgroup cgroup rw,pids\n";
        let at = |mountinfo: &str| found(mountinfo, "2:pids:/docker/x/y\n", "")[0].1.clone();
        assert_eq!(at(mountinfo), "/c\\d");
        assert_eq!(at(mountinfo.rsplit_once("3 1").unwrap().0), "/b");
    }
}
