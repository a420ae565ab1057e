//! Stage 16: a cgroup.
//!
//! Namespaces hide; a cgroup (cgroups(7)) counts and limits: memory, processor time, processes, I/O. It is a directory
//! in a filesystem of the kernel's, limits are files in it, and a process is in it by being born there or by being
//! written into another file.
#![forbid(unsafe_code)]

mod access;
mod handle;
mod hierarchy;
mod limits;
mod place;
mod program;
mod settings;
mod stats;

use std::{
    cell::RefCell,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::write,
};
use process::{CloneArgs, Errno, Host, Inside, Primitive, Result};

pub use access::{Access, DEFAULT_DEVICES, DeviceKind, DeviceRule};
pub use handle::{Handle, OomEvents};
pub use hierarchy::{Controller, Hierarchies, Hierarchy, Version};
pub use limits::{DeviceLimit, DeviceWeight, LEAST_MEMORY, Limits, PERIOD, Rate};
pub use program::asks_programs;
pub use settings::weight;
pub use stats::{CpuStats, IoStats, MemoryStats, PidsStats, Stats};

use place::Place;
use settings::Now;

// ANCHOR: cgroup
/// A cgroup of the container's own, in every hierarchy that it takes.
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    limits: Limits,
    places: Vec<Place>,
    /// Whether root of the container's user namespace, where it has one, may make cgroups below it and move processes
    /// between them. Limits stay the host's to set.
    pub delegated: bool,
    /// Whether it is to be made, or is another container's that this process joins.
    new: bool,
    /// v2: the directory to be born in.
    birthplace: RefCell<Option<OwnedFd>>,
    /// v1: where the child writes itself down, opened by the parent, whose rights count.
    tasks: Vec<File>,
}
// ANCHOR_END: cgroup

impl Cgroup {
    /// A new cgroup at `path`, such as `/mini-docker/ID`: absolute, from the root of what is mounted, without `..`.
    /// It is in the hierarchies of the controllers that the limits need, and in those of `accounting` where the
    /// machine has them: none at all for an ordinary user to whom none was delegated. What is missing above it is made,
    /// and stays.
    ///
    /// Nothing is made yet.
    ///
    /// # Errors
    /// A path or a limit that the rules of [`Limits`] refuse; a limit whose controller is not there.
    pub fn new(path: &Path, limits: Limits, accounting: &[Controller]) -> Result<Self> {
        let path = place::checked(path)?;
        limits.check(processors(), false)?;
        let places = place::plan(&place::usable()?, &path, &limits, accounting)?;
        Ok(Self {
            path,
            limits,
            places,
            delegated: false,
            new: true,
            birthplace: RefCell::new(None),
            tasks: Vec::new(),
        })
    }

    /// The cgroup of a running container, for another process to join, as far as it may. Nothing is made or undone.
    ///
    /// # Errors
    /// ENOENT where there is none.
    pub fn existing(path: &Path) -> Result<Self> {
        let path = place::checked(path)?;
        let places = place::joinable(&path)?;
        Ok(Self {
            path,
            limits: Limits::default(),
            places,
            delegated: false,
            new: false,
            birthplace: RefCell::new(None),
            tasks: Vec::new(),
        })
    }

    /// Its path, as [`Handle::open`] takes it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The hierarchies that it is in, v2 last.
    pub fn hierarchies(&self) -> impl Iterator<Item = &Hierarchy> {
        self.places.iter().map(|place| &place.hierarchy)
    }
}

/// The cgroup, as a path from the root, below which this process may make others although root has not: see
/// [`Hierarchy::delegated`].
pub fn delegated() -> Option<PathBuf> {
    Hierarchies::find().ok()?.v2()?.delegated()
}

/// The machine's processors, whatever this process may use of them.
pub fn processors() -> u64 {
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    online.and_then(|text| limits::parse_list(&text)).map_or(1, |all| all.len() as u64)
}

// ANCHOR: primitive
impl Primitive for Cgroup {
    fn name(&self) -> &'static str {
        "cgroup"
    }

    /// Makes the cgroup with its limits: the child is limited from its first instruction on. A second call does
    /// nothing.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        if !self.tasks.is_empty() || self.birthplace.get_mut().is_some() {
            return Ok(());
        }
        for place in &self.places {
            if self.new {
                place.make(host)?;
                place.limit(host, &self.limits, Now::default())?;
                let owner = host.maps.as_ref().and_then(|maps| maps.outside_user(0).zip(maps.outside_group(0)));
                if let Some((uid, gid)) = owner.filter(|_| self.delegated) {
                    place.give(host, uid, gid)?;
                }
            }
            let (path, flags) = match place.hierarchy.version {
                Version::V1 => (place.directory.join("tasks"), OFlag::O_WRONLY),
                Version::V2 => (place.directory.clone(), OFlag::O_PATH | OFlag::O_DIRECTORY),
            };
            let opened = open(&path, flags | OFlag::O_CLOEXEC, Mode::empty());
            let opened = opened.map_err(|errno| place::failed(&path, "open", &errno.into()))?;
            match place.hierarchy.version {
                Version::V1 => self.tasks.push(opened.into()),
                Version::V2 => self.birthplace = RefCell::new(Some(opened)),
            }
        }
        Ok(())
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.cgroup = self.birthplace.take();
    }

    /// v1 has no clone into a cgroup. A thread that moves itself (0) by `tasks` spares the kernel the lock over all
    /// forks and exits of the machine that a move of a whole process by `cgroup.procs` takes.
    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        for (number, tasks) in self.tasks.iter().enumerate() {
            inside.at(number);
            write(tasks, b"0")?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        let place = self.places.iter().filter(|place| place.hierarchy.version == Version::V1).nth(usize::from(step));
        place.map_or_else(String::new, |place| format!("write({:?}, \"0\")", place.directory.join("tasks").display()))
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        match errno {
            Errno::ENOSPC => Some("the cpuset has no processors or no memory nodes: fill those above it".to_owned()),
            Errno::EACCES => Some(settings::DELEGATE.to_owned()),
            Errno::EINVAL => Some("a process with a real-time policy needs cpu.rt_runtime_us".to_owned()),
            _ => None,
        }
    }
}
// ANCHOR_END: primitive
