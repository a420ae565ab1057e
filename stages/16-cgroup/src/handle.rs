//! The cgroup of a container that runs: looked at, limited anew, stopped, continued, killed.

use std::{
    fs::{self, File},
    io::{self, Read, Seek},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};
use process::{Errno, Error, Host, Result, cgroupfs};

use crate::{
    Controller, Limits, Stats, Version,
    place::{self, Place, failed},
    processors, settings,
    settings::Now,
    stats,
};

/// How long processes may take to stop: one in a system call that cannot be interrupted does not.
const LIMIT: Duration = Duration::from_secs(10);

/// A running container's cgroup, found by its path from any process.
#[derive(Debug)]
pub struct Handle {
    path: PathBuf,
    places: Vec<Place>,
}

impl Handle {
    /// The cgroup at `path`, as [`Cgroup::new`](crate::Cgroup::new) made it.
    ///
    /// # Errors
    /// ENOENT where there is none (any more).
    pub fn open(path: &Path) -> Result<Self> {
        let path = place::checked(path)?;
        Ok(Self { places: place::existing(&path)?, path })
    }

    /// The directory of the hierarchy that does what `controller` stands for.
    fn directory(&self, controller: Controller) -> Option<&Path> {
        self.places
            .iter()
            .find(|place| place.hierarchy.has(controller) && place.does(controller))
            .map(|p| p.directory.as_path())
    }

    /// Where the processes are listed and killed: v2 where there is one.
    fn any(&self) -> &Path {
        let v2 = self.places.iter().find(|place| place.hierarchy.version == Version::V2);
        // `open` has found one at least.
        v2.or(self.places.first()).map_or(Path::new("/"), |place| &place.directory)
    }

    /// Sets new limits; what they do not name stays. In v1 a controller that the container does not have yet is given
    /// to it: its processes move there.
    ///
    /// # Errors
    /// As [`Cgroup::new`](crate::Cgroup::new); EBUSY for less memory than is in use (v1).
    pub fn update(&mut self, limits: &Limits, host: &mut Host) -> Result<()> {
        limits.check(processors(), true)?;
        let now = Now { memory: self.stats().memory.and_then(|memory| memory.limit), update: true };
        for place in place::plan(&place::usable()?, &self.path, limits, &[])? {
            if !self.has(&place) {
                self.join(place, limits, host)?;
                continue;
            }
            if !limits.controllers().iter().all(|c| !place.hierarchy.has(*c) || place.does(*c)) {
                // v2: the cgroup is there, the controller is not yet.
                place.enable(host)?;
            }
            place.limit(host, limits, now)?;
        }
        Ok(())
    }

    fn has(&self, place: &Place) -> bool {
        self.places.iter().any(|known| known.directory == place.directory)
    }

    /// Makes the cgroup in one more hierarchy of v1, and moves its processes there.
    fn join(&mut self, place: Place, limits: &Limits, host: &mut Host) -> Result<()> {
        place.make(host)?;
        place.limit(host, limits, Now::default())?;
        self.move_to(&place)?;
        self.places.insert(0, place);
        Ok(())
    }

    /// Moves all processes to `place`, until none is left that was forked meanwhile.
    fn move_to(&self, place: &Place) -> Result<()> {
        let procs = place.directory.join("cgroup.procs");
        loop {
            let there = pids(&place.directory)?;
            let missing: Vec<i32> = self.processes()?.into_iter().filter(|pid| !there.contains(pid)).collect();
            if missing.is_empty() {
                return Ok(());
            }
            for pid in missing {
                match settings::write(&procs, &pid.to_string()) {
                    // It has ended.
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(errno) => return Err(failed(&procs, "write", &errno.into())),
                }
            }
        }
    }

    /// Stops all processes, new ones too, and returns when they stand still. A second call does nothing. Where there is
    /// no v2, they move to the hierarchy of the freezer first: a container is not in it from its start on, since each
    /// hierarchy costs a move, and few are ever stopped.
    ///
    /// In v1 a stopped process does not die of SIGKILL before it goes on: [`Handle::kill`] and the undo of the cgroup
    /// see to that, `Undo::Kill` of one process does not.
    ///
    /// # Errors
    /// ENOENT where there is neither v2 nor the freezer of v1; ETIMEDOUT after ten seconds.
    pub fn freeze(&mut self, host: &mut Host) -> Result<()> {
        if self.directory(Controller::Freezer).is_none() {
            let limits = Limits::default();
            for place in place::plan(&place::usable()?, &self.path, &limits, &[Controller::Freezer])? {
                if place.hierarchy.has(Controller::Freezer) && !self.has(&place) {
                    self.join(place, &limits, host)?;
                }
            }
        }
        self.set_frozen(true)
    }

    /// Lets stopped processes go on. A second call does nothing.
    ///
    /// # Errors
    /// As [`Handle::freeze`].
    pub fn thaw(&self) -> Result<()> {
        self.set_frozen(false)
    }

    fn set_frozen(&self, frozen: bool) -> Result<()> {
        let Some(directory) = self.directory(Controller::Freezer) else {
            // Nothing can have stopped them.
            return if frozen { Err(self.no_freezer()) } else { Ok(()) };
        };
        let (v2, v1) = (directory.join("cgroup.freeze"), directory.join("freezer.state"));
        if v2.exists() {
            settings::write(&v2, if frozen { "1" } else { "0" }).map_err(|e| failed(&v2, "write", &e.into()))?;
            return await_event(directory, if frozen { "frozen 1" } else { "frozen 0" });
        }
        let (text, state) = if frozen { ("FROZEN", "FROZEN\n") } else { ("THAWED", "THAWED\n") };
        let (end, mut nap) = (Instant::now() + LIMIT, Duration::from_micros(20));
        loop {
            // To be written again as long as it says FREEZING, says the kernel's document.
            settings::write(&v1, text).map_err(|e| failed(&v1, "write", &e.into()))?;
            if read(&v1)? == state {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(failed(&v1, "write", &Errno::ETIMEDOUT.into()));
            }
            sleep(nap);
            nap = (nap * 2).min(Duration::from_millis(2));
        }
    }

    fn no_freezer(&self) -> Error {
        Error::new("cgroup", format!("freeze {}", self.path.display()), Errno::ENOENT)
            .hint("mount cgroup v2, or v1 with the controller freezer")
    }

    /// Kills all processes, also those that are stopped or just being forked.
    pub fn kill(&self) -> Result<()> {
        // Elsewhere first: what is stopped by v1's freezer goes on, and what v2 forgets is hit.
        for place in &self.places {
            if place.directory != self.any() && place.hierarchy.has(Controller::Freezer) && place.directory.exists() {
                cgroupfs::kill(&place.directory).map_err(|e| failed(&place.directory, "kill", &e))?;
            }
        }
        match cgroupfs::kill(self.any()) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            killed => killed.map_err(|e| failed(self.any(), "kill", &e)),
        }
    }

    /// The pids of its processes, in no order, without those of cgroups below it.
    pub fn processes(&self) -> Result<Vec<i32>> {
        pids(self.any())
    }

    /// What it uses now, as far as its controllers count it.
    pub fn stats(&self) -> Stats {
        stats::read(|controller| self.directory(controller))
    }

    /// How many of its processes the kernel killed for want of memory; `None` without the memory controller.
    pub fn oom_kills(&self) -> Option<u64> {
        let directory = self.directory(Controller::Memory)?;
        let files = ["memory.events", "memory.oom_control"].map(|file| fs::read_to_string(directory.join(file)));
        files.into_iter().flatten().find_map(|text| stats::field(&text, "oom_kill"))
    }

    /// A descriptor that tells when the cgroup runs out of memory; `None` without the memory controller.
    pub fn oom_events(&self) -> Result<Option<OomEvents>> {
        let Some(directory) = self.directory(Controller::Memory) else { return Ok(None) };
        if let Ok(file) = File::open(directory.join("memory.events")) {
            return Ok(Some(OomEvents { fd: file.into(), events: PollFlags::POLLPRI }));
        }
        let path = directory.join("memory.oom_control");
        let control = File::open(&path).map_err(|e| failed(&path, "open", &e))?;
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let event = event.map_err(|e| failed(&path, "eventfd", &e.into()))?;
        let register = directory.join("cgroup.event_control");
        let text = format!("{} {}", event.as_fd().as_raw_fd(), control.as_raw_fd());
        settings::write(&register, &text).map_err(|e| failed(&register, "write", &e.into()))?;
        Ok(Some(OomEvents { fd: event.into(), events: PollFlags::POLLIN }))
    }
}

/// Ready, for poll(2) with `events`, when a cgroup has run out of memory; in v2 after other events of its memory too.
/// How often it killed is what [`Handle::oom_kills`] says.
#[derive(Debug)]
pub struct OomEvents {
    fd: OwnedFd,
    /// What to poll for.
    pub events: PollFlags,
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl OomEvents {
    /// Makes it wait for the next event.
    pub fn clear(&mut self) {
        // Nothing to read is as good.
        let mut file = File::from(match self.fd.try_clone() {
            Ok(fd) => fd,
            Err(_) => return,
        });
        let _ = file.seek(io::SeekFrom::Start(0));
        let _ = file.read(&mut [0; 256]);
    }
}

fn pids(directory: &Path) -> Result<Vec<i32>> {
    let text = read(&directory.join("cgroup.procs"))?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| failed(path, "read", &e))
}

/// Waits until cgroup.events says `state`.
fn await_event(directory: &Path, state: &str) -> Result<()> {
    let path = directory.join("cgroup.events");
    let mut events = File::open(&path).map_err(|e| failed(&path, "open", &e))?;
    let end = Instant::now() + LIMIT;
    loop {
        let mut text = String::new();
        let seen = events.rewind().and_then(|()| events.read_to_string(&mut text));
        seen.map_err(|e| failed(&path, "read", &e))?;
        if text.lines().any(|line| line == state) {
            return Ok(());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(failed(&path, "wait for", &Errno::ETIMEDOUT.into()));
        }
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], left);
    }
}
