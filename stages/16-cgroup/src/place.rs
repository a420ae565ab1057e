//! The directories of one cgroup: one a hierarchy that it is in.

use std::{
    fs, io,
    os::unix::fs::chown,
    path::{Component, Path, PathBuf},
};

use nix::{sys::stat::Mode, unistd::mkdir};
use process::{Errno, Error, Host, Result, Undo, in_initial_user_namespace};

use crate::{
    Controller, Limits,
    hierarchy::{Hierarchies, Hierarchy, Version},
    program,
    settings::{self, Now, advise, settings},
};

/// A cgroup in one hierarchy.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) hierarchy: Hierarchy,
    pub(crate) directory: PathBuf,
    /// Controllers that limits need.
    required: Vec<Controller>,
    /// Controllers that may be missing.
    wanted: Vec<Controller>,
}

/// `path` with its rules: absolute, below the root, no `..`.
pub(crate) fn checked(path: &Path) -> Result<PathBuf> {
    let mut parts = path.components();
    let absolute = parts.next() == Some(Component::RootDir);
    let plain = parts.clone().all(|part| matches!(part, Component::Normal(_)));
    let printable = path.to_str().is_some_and(|text| !text.contains(char::is_control));
    if absolute && plain && printable && parts.next().is_some() {
        // Without a double or a last slash.
        return Ok(path.components().collect());
    }
    Err(Error::new("cgroup", format!("find the cgroup {:?}", path.display()), Errno::EINVAL)
        .hint("name an absolute path below the root of the cgroups, without `..`, such as /mini-docker/NAME"))
}

/// Where this process may make cgroups.
pub(crate) fn usable() -> Result<Hierarchies> {
    Hierarchies::usable().map_err(|e| unreadable(&e))
}

fn unreadable(e: &io::Error) -> Error {
    Error::from_io("cgroup", "read /proc/self/mountinfo and /proc/self/cgroup", e)
}

/// Which hierarchies the cgroup has to be in. v2 is the last one, pids the last of v1: what is undone first stops forks.
pub(crate) fn plan(
    hierarchies: &Hierarchies,
    path: &Path,
    limits: &Limits,
    accounting: &[Controller],
) -> Result<Vec<Place>> {
    let required = limits.controllers();
    if let Some(missing) = required.iter().find(|controller| hierarchies.of(**controller).is_none()) {
        return Err(absent(*missing, hierarchies));
    }
    let mut places: Vec<Place> = Vec::new();
    for hierarchy in &hierarchies.0 {
        let here = |all: &[Controller]| -> Vec<Controller> {
            all.iter().copied().filter(|controller| hierarchies.of(*controller) == Some(hierarchy)).collect()
        };
        let (required, mut wanted) = (here(&required), here(accounting));
        if hierarchy.version == Version::V2 {
            // There they cost nothing: no move, no other directory.
            wanted.extend(here(&[Controller::Memory, Controller::Io, Controller::Pids]));
        }
        // v2 in any case: it kills and freezes.
        if required.is_empty() && wanted.is_empty() && hierarchy.version == Version::V1 {
            continue;
        }
        let directory = hierarchy.directory(path);
        places.push(Place { hierarchy: hierarchy.clone(), directory, required, wanted });
    }
    places.sort_by_key(|place| (place.hierarchy.version == Version::V2, place.hierarchy.has(Controller::Pids)));
    Ok(places)
}

/// Where the cgroup is already: in which of `hierarchies`.
pub(crate) fn existing_in(hierarchies: Hierarchies, path: &Path) -> Vec<Place> {
    let place = |hierarchy: Hierarchy| {
        let directory = hierarchy.directory(path);
        Place { hierarchy, directory, required: Vec::new(), wanted: Vec::new() }
    };
    hierarchies.0.into_iter().map(place).filter(|place| place.directory.is_dir()).collect()
}

/// Where the cgroup is already.
pub(crate) fn existing(path: &Path) -> Result<Vec<Place>> {
    let places = existing_in(Hierarchies::find().map_err(|e| unreadable(&e))?, path);
    if places.is_empty() {
        let doing = format!("find the cgroup {:?}", path.display());
        return Err(Error::new("cgroup", doing, Errno::ENOENT).hint("its container has ended, or never had one"));
    }
    Ok(places)
}

/// The same for a process that is to move there. A user's process to which nothing was delegated stays where it is.
pub(crate) fn joinable(path: &Path) -> Result<Vec<Place>> {
    if in_initial_user_namespace() { existing(path) } else { Ok(existing_in(usable()?, path)) }
}

fn absent(controller: Controller, hierarchies: &Hierarchies) -> Error {
    let name = controller.v2().unwrap_or(controller.v1());
    let in_kernel = fs::read_to_string("/proc/cgroups")
        .is_ok_and(|text| text.lines().any(|line| line.split('\t').next() == Some(controller.v1())));
    let hint = if !in_kernel {
        format!("this kernel has no {name} controller: boot one that has, or leave the limit out")
    } else if !in_initial_user_namespace() && hierarchies.v2().is_some() {
        format!("{name} is not among what was delegated to you: {}", settings::DELEGATE_MORE)
    } else if !in_initial_user_namespace() {
        settings::DELEGATE.to_owned()
    } else if hierarchies.0.is_empty() {
        "no cgroup filesystem is mounted: mount -t cgroup2 none /sys/fs/cgroup".to_owned()
    } else {
        format!(
            "the kernel has it (/proc/cgroups), but no mounted hierarchy does: boot without cgroup_disable={name}, or mount it"
        )
    };
    Error::new("cgroup", format!("find the controller {name}, which a limit needs"), Errno::ENOENT).hint(hint)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32))
}

impl Place {
    pub(crate) fn controllers(&self) -> impl Iterator<Item = Controller> {
        Controller::ALL.into_iter().filter(|controller| self.hierarchy.has(*controller))
    }

    /// Makes the cgroup, and what is missing above it.
    pub(crate) fn make(&self, host: &mut Host) -> Result<()> {
        let exists = |place: &Self| {
            Error::new("cgroup", format!("mkdir({:?})", place.directory.display()), Errno::EEXIST)
                .hint("another container has this cgroup, or an earlier one left it: choose another name, or rmdir it")
        };
        // Before the journal has it, whose undo would kill what is in there.
        if self.directory.exists() {
            return Err(exists(self));
        }
        if self.hierarchy.version == Version::V2 {
            self.enable(host)?;
        }
        let mark = host.journal.mark();
        host.undo(Undo::RemoveCgroup(self.directory.clone()))?;
        match Self::mkdir(host, &self.directory) {
            Err(e) if e.errno == Errno::ENOENT => {
                self.make_parents(host)?;
                Self::mkdir(host, &self.directory)
            }
            Err(e) if e.errno == Errno::EEXIST => {
                // Somebody was faster: it is not ours to undo.
                let _ = host.journal.keep_from(mark);
                Err(exists(self))
            }
            made => made,
        }?;
        self.inherit_cpuset(host, &self.directory)
    }

    fn mkdir(host: &mut Host, path: &Path) -> Result<()> {
        let made = host.act(|| format!("mkdir({:?})", path.display()), || mkdir(path, Mode::from_bits_truncate(0o755)));
        made.map_err(|e| match e.errno {
            Errno::ENOENT => e,
            Errno::EAGAIN => e.hint("cgroup.max.descendants or cgroup.max.depth of a cgroup above is reached"),
            _ => advise(e, path),
        })
    }

    /// Gives somebody what the kernel's admin-guide/cgroup-v2 ("Model of Delegation") has him own: the directory, and the
    /// files by which processes are moved, and v2's by which its children get controllers.
    pub(crate) fn give(&self, host: &mut Host, uid: u32, gid: u32) -> Result<()> {
        let files: &[&str] = match self.hierarchy.version {
            Version::V1 => &["", "tasks", "cgroup.procs"],
            Version::V2 => &["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"],
        };
        for file in files {
            let path = self.directory.join(file);
            host.act(
                || format!("chown({:?}, {uid}, {gid})", path.display()),
                || chown(&path, Some(uid), Some(gid)).map_err(|e| errno(&e)),
            )?;
        }
        Ok(())
    }

    /// Cgroups above this one, from the root's children on.
    fn parents(&self) -> Vec<PathBuf> {
        let above = self.directory.ancestors().skip(1).take_while(|path| *path != self.hierarchy.mount);
        let mut parents: Vec<_> = above.map(Path::to_owned).collect();
        parents.reverse();
        parents
    }

    /// They stay when the container goes: other containers share them.
    fn make_parents(&self, host: &mut Host) -> Result<()> {
        for parent in self.parents() {
            match Self::mkdir(host, &parent) {
                Err(e) if e.errno != Errno::EEXIST => return Err(e),
                _ => self.inherit_cpuset(host, &parent)?,
            }
        }
        Ok(())
    }

    /// v1 takes no process into a cgroup whose cpuset is empty, as a new one's is.
    fn inherit_cpuset(&self, host: &mut Host, path: &Path) -> Result<()> {
        if self.hierarchy.version == Version::V2 || !self.hierarchy.has(Controller::Cpuset) {
            return Ok(());
        }
        let above = path.parent().unwrap_or(path);
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let read = |directory: &Path| fs::read_to_string(directory.join(file)).unwrap_or_default();
            if read(path).trim().is_empty() {
                write(host, &path.join(file), read(above).trim())?;
            }
        }
        Ok(())
    }

    /// v2: a cgroup has the controllers that the one above gives to its children.
    pub(crate) fn enable(&self, host: &mut Host) -> Result<()> {
        let names = |file: PathBuf| fs::read_to_string(file).unwrap_or_default();
        let has = |text: &str, name: &str| text.split_whitespace().any(|word| word == name);
        let wanted = self.wanted.iter().map(|controller| (controller, false));
        let all = self.required.iter().map(|controller| (controller, true)).chain(wanted);
        let all: Vec<_> = all.filter_map(|(controller, required)| Some((controller.v2()?, required))).collect();
        let Some(above) = self.directory.parent() else { return Ok(()) };
        let given = names(above.join("cgroup.subtree_control"));
        if all.iter().all(|(name, _)| has(&given, name)) {
            return Ok(());
        }
        self.make_parents(host)?;
        for (name, required) in all {
            for giver in std::iter::once(self.hierarchy.mount.clone()).chain(self.parents()) {
                let file = giver.join("cgroup.subtree_control");
                if has(&names(file.clone()), name) {
                    continue;
                }
                // The kernel would take pids, cpu and cpuset here, and then no process in the cgroups below: it would
                // make them threaded ones. Only a hierarchy's root has no cgroup.type, and may have both.
                let full = giver.join("cgroup.type").exists() && !names(giver.join("cgroup.procs")).is_empty();
                let enabled = if full {
                    Err(Error::new("cgroup", format!("write({:?}, \"+{name}\")", file.display()), Errno::EBUSY))
                } else {
                    write(host, &file, &format!("+{name}"))
                };
                match enabled {
                    Err(e) if required => return Err(advise_enabling(e, &giver, name)),
                    Err(_) => break,
                    Ok(()) => {}
                }
            }
        }
        Ok(())
    }

    /// Writes the limits that belong to this hierarchy.
    pub(crate) fn limit(&self, host: &mut Host, limits: &Limits, now: Now) -> Result<()> {
        for controller in self.controllers() {
            let concerned = matches!(controller, Controller::Memory | Controller::Cpu);
            if concerned && limits.controllers().contains(&controller) {
                settings::check_version(limits, self.hierarchy.version)?;
            }
            if controller == Controller::Cpuset {
                settings::check_cpuset(limits, &self.hierarchy)?;
            }
            if let (Controller::Devices, Version::V2, Some(rules)) =
                (controller, self.hierarchy.version, &limits.access)
            {
                program::fence(host, &self.directory, rules)?;
            }
            for setting in settings(limits, controller, self.hierarchy.version, now) {
                if let Some((path, value)) = setting.find(&self.directory) {
                    write(host, &path, value).map_err(|e| advise(e, &path))?;
                }
            }
        }
        Ok(())
    }

    /// Whether the controller's limits can be written here now.
    pub(crate) fn does(&self, controller: Controller) -> bool {
        // v2: the parent may not have given it.
        let file = match (controller, self.hierarchy.version) {
            (_, Version::V1) => return self.hierarchy.has(controller),
            (Controller::Memory, _) => "memory.max",
            (Controller::Cpu, _) => "cpu.weight",
            (Controller::Cpuset, _) => "cpuset.cpus",
            (Controller::Io, _) => "io.stat",
            (Controller::Pids, _) => "pids.max",
            (Controller::CpuAccounting | Controller::Freezer | Controller::Devices, _) => "cgroup.procs",
        };
        self.directory.join(file).exists()
    }
}

fn write(host: &mut Host, path: &Path, value: &str) -> Result<()> {
    host.act(|| format!("write({:?}, {value:?})", path.display()), || settings::write(path, value))
}

fn advise_enabling(error: Error, giver: &Path, name: &str) -> Error {
    let hint = match error.errno {
        Errno::EBUSY => {
            let count = fs::read_to_string(giver.join("cgroup.procs")).map_or(0, |text| text.lines().count());
            format!(
                "{} has {count} processes of its own, and v2 gives controllers to the cgroups below only where there \
                 are none (cgroups(7), \"no internal processes\"): move them into a cgroup below it, or choose another parent",
                giver.display()
            )
        }
        Errno::ENOENT => format!("the cgroups above {} do not give it {name}: delegate that too", giver.display()),
        Errno::EOPNOTSUPP => format!("{} is threaded (cgroups(7)): choose another parent", giver.display()),
        Errno::EACCES | Errno::EPERM => settings::DELEGATE.to_owned(),
        _ => return error,
    };
    error.hint(hint)
}

/// The cgroup's directory of a running container as an error names it.
pub(crate) fn failed(path: &Path, doing: &str, error: &io::Error) -> Error {
    advise(Error::new("cgroup", format!("{doing}({:?})", path.display()), errno(error)), path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(of: &[(&str, Version, &[&str])]) -> Hierarchies {
        let one = |(at, version, names): &(&str, Version, &[&str])| Hierarchy {
            version: *version,
            mount: PathBuf::from(at),
            controllers: names.iter().map(|name| (*name).to_owned()).collect(),
            own: PathBuf::from("/"),
        };
        Hierarchies(of.iter().map(one).collect())
    }

    fn directories(machine: &Hierarchies, limits: &Limits, accounting: &[Controller]) -> Vec<String> {
        let places = plan(machine, Path::new("/a/b"), limits, accounting).unwrap();
        places.iter().map(|place| place.directory.display().to_string()).collect()
    }

    #[test]
    fn only_what_is_needed_is_joined_and_what_stops_forks_comes_last() {
        let hybrid = machine(&[
            ("/v2", Version::V2, &[]),
            ("/pids", Version::V1, &["pids"]),
            ("/cpu,cpuacct", Version::V1, &["cpu", "cpuacct"]),
            ("/memory", Version::V1, &["memory"]),
        ]);
        let limits = Limits { pids: Some(1), nano_cpus: Some(1 << 30), ..Limits::default() };
        assert_eq!(directories(&hybrid, &limits, &[]), ["/cpu,cpuacct/a/b", "/pids/a/b", "/v2/a/b"]);
        let accounting = [Controller::CpuAccounting, Controller::Freezer];
        assert_eq!(directories(&hybrid, &Limits::default(), &accounting), ["/v2/a/b"], "v2 does both by itself");
        let old = machine(&[("/cpu,cpuacct", Version::V1, &["cpu", "cpuacct"]), ("/f", Version::V1, &["freezer"])]);
        assert_eq!(directories(&old, &Limits::default(), &accounting), ["/cpu,cpuacct/a/b", "/f/a/b"]);
    }

    #[test]
    fn a_controller_may_be_missing_for_accounting_and_not_for_a_limit() {
        let poor = machine(&[("/v2", Version::V2, &["cpu"])]);
        assert_eq!(directories(&poor, &Limits::default(), &[Controller::Pids]), ["/v2/a/b"]);
        let limits = Limits { pids: Some(1), ..Limits::default() };
        let error = plan(&poor, Path::new("/a"), &limits, &[]).unwrap_err();
        assert!(error.doing.contains("the controller pids") && error.hint.is_some(), "{error}");
    }

    #[test]
    fn a_path_leads_below_the_root_and_nowhere_else() {
        for path in ["/", "", "a", "/a/../b", "/..", "/a/\n", "//"] {
            assert!(checked(Path::new(path)).is_err(), "{path:?}");
        }
        for (path, same) in
            [("/a", "/a"), ("/a//b/", "/a/b"), ("/a/./b", "/a/b"), ("/system.slice/x", "/system.slice/x")]
        {
            assert_eq!(checked(Path::new(path)).unwrap(), Path::new(same));
        }
    }
}
