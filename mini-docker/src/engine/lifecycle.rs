//! Starting, stopping, waiting for and removing containers.

use std::{
    io::{self, ErrorKind},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Instant,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::Pid,
};
use process::{Journal, start_time, sys};

use super::{
    Engine,
    container::{Config, Container, State, Status, UNSEEN, removed},
    error::{Error, Kind, Result},
    files::Lock,
    image::short,
    monitor::{self, Options, Started, frame},
    store::Garbage,
};

/// What waits for a container's end: its monitor's word, or, where that is gone, the process itself.
#[derive(Debug)]
pub(super) enum Ending {
    Monitor(UnixStream),
    Process(OwnedFd),
    Past,
}

impl Ending {
    /// What becomes readable by it.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Monitor(line) => Some(line.as_fd()),
            Self::Process(pidfd) => Some(pidfd.as_fd()),
            Self::Past => None,
        }
    }
}

impl Engine {
    /// Starts a container that does not run.
    pub fn start(&self, id: &str, options: Options) -> Result<Started> {
        let started = self.start_unless_active(id, options)?;
        started.ok_or_else(|| Error::conflict(format!("container {} is running already", short(id))))
    }

    /// As [`Engine::start`]; `None` where it runs already.
    ///
    /// # Errors
    /// Where it is paused, too.
    pub fn start_unless_active(&self, id: &str, options: Options) -> Result<Option<Started>> {
        let (lock, container) = self.hold(id)?;
        match container.status.state {
            State::Paused => {
                return Err(Error::conflict(format!(
                    "cannot start a paused container, try unpause instead: mini-docker unpause {}",
                    container.config.name
                )));
            }
            state if state.is_active() => return Ok(None),
            _ => {}
        }
        // Of a monitor that died on its way.
        self.undo(&container.config)?;
        monitor::launch(self, &container, lock, options).map(Some)
    }

    /// A line to the monitor of a running container; `wants` are [`frame::STREAMS`] and [`frame::INPUT`].
    ///
    /// # Errors
    /// [`super::error::Kind::Conflict`] where it does not run.
    pub fn attach(&self, container: &Container, wants: u8) -> Result<UnixStream> {
        may_attach(container)?;
        let config = &container.config;
        let line = monitor::connect(self, &config.id, wants).or_else(|e| match e.kind() {
            // It has ended meanwhile, or its monitor has: whoever holds it sees to that.
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                let (lock, now) = self.hold(&config.id)?;
                drop(lock);
                may_attach(&now)?;
                monitor::connect(self, &config.id, wants)
                    .map_err(|e| Error::system(format_args!("attach to container {}", config.name), &e))
            }
            _ => Err(Error::system(format_args!("attach to container {}", config.name), &e)),
        })?;
        self.emit_container(config, "attach", &[]);
        Ok(line)
    }

    /// Waits for the end of a container that may run, and returns its exit code.
    pub fn wait(&self, container: &Container) -> Result<i32> {
        let mut ending = self.ending(container);
        let code = self.end(&container.config.id, &mut ending, None)?;
        Ok(code.unwrap_or_else(|| self.past_end(&container.config.id)))
    }

    /// Removes a container; with `force` a running one, which is killed; with `volumes` those that were made for it alone.
    pub fn remove(&self, container: &Container, force: bool, volumes: bool) -> Result<()> {
        let id = &container.config.id;
        loop {
            let present = || -> Result<_> {
                let container = self.load(id)?;
                if container.status.state.is_active() {
                    self.end_by_force(&container, force)?;
                }
                Ok((self.lock_container(id)?, container))
            };
            let (_lock, container) = match present() {
                // One with --rm goes by itself when it ends.
                Err(e) if e.kind == Kind::NotFound => return Ok(()),
                present => present?,
            };
            // It may have been started in the meantime; that it ended may not have been written down.
            if !self.read_status(id)?.state.is_active() || !self.runs(id) {
                return self.take_apart(&container.config, volumes)?.clear();
            }
        }
    }

    /// Removes a container, its name and what its journal still knows of; what it has on disk is for the caller to clear.
    /// With `volumes`, those that were made for it alone go too. The caller holds its lock.
    pub(super) fn take_apart(&self, config: &Config, volumes: bool) -> Result<Garbage> {
        self.undo(config)?;
        // First: without the container nobody would know of them.
        let own = if volumes { self.set_own_volumes_aside(config)? } else { Garbage::default() };
        let garbage = own.and(self.store.set_aside(&self.store.container(&config.id))?);
        // Last: a name of nobody is free, but a container without its name could not be found by it.
        self.release_name(&config.name, &config.id)?;
        self.emit_container(config, "destroy", &[]);
        Ok(garbage)
    }

    /// Removes a container that cannot be read: by its id, whatever it is. What is known to run of it is killed.
    pub fn remove_unreadable(&self, id: &str) -> Result<()> {
        let _lock = self.lock_container(id)?;
        // One without a cgroup is known by its status alone.
        if let Ok(status) = self.read_status(id)
            && self.is_own(&status)
            && let Some(first) = first_process(&status)
        {
            let _ = sys::pidfd_send_signal(first.as_fd(), libc::SIGKILL);
        }
        // Its monitor, if there is one, does the same, and finds nothing to write its end down in.
        if self.undo_journal(id)? {
            self.sweep_ports()?;
        }
        let garbage = self.store.set_aside(&self.store.container(id))?;
        self.release_names(id)?;
        garbage.clear()
    }

    /// Replays the journal of a monitor that died.
    pub(super) fn undo(&self, config: &Config) -> Result<()> {
        if !self.undo_journal(&config.id)? {
            return Ok(());
        }
        self.release_volumes(config)?;
        self.sweep_ports()
    }

    /// Whether there was one to replay.
    fn undo_journal(&self, id: &str) -> Result<bool> {
        let run = self.store.run(id);
        if !run.exists() {
            return Ok(false);
        }
        self.leave_networks(id)?;
        let undone = Journal::open(&run.join("undo")).and_then(Journal::undo_all);
        // It died before it could write down even this.
        let undone = undone.and_then(|()| match process::remove_tree(&run) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        });
        undone.map_err(|e| Error::system(format_args!("clean up after container {}", short(id)), &e))?;
        Ok(true)
    }

    /// Locks a container against other changes, and reads it: settled, so that what is active has a monitor.
    pub(super) fn hold(&self, id: &str) -> Result<(Lock, Container)> {
        let locked = || -> Result<_> { Ok((self.lock_container(id)?, self.read(id)?)) };
        let (lock, container) = locked()?;
        // One that rests has nothing to settle.
        if !container.status.state.is_active() && !self.store.run(id).exists() {
            return Ok((lock, container));
        }
        drop(lock);
        loop {
            // Who holds it wants to change it.
            if let Some(e) = self.load(id)?.status.unwritten {
                return Err(e);
            }
            let (lock, container) = locked()?;
            if !container.status.state.is_active() || self.is_monitored(id)? {
                return Ok((lock, container));
            }
        }
    }

    /// Settles what has become of a container whose monitor died, on its way to start it or later: one that still runs
    /// gets a new monitor.
    pub(super) fn settle(&self, container: &mut Container) -> Result<()> {
        let id = container.config.id.clone();
        let active = container.status.state.is_active();
        if !(active || self.store.run(&id).exists()) || self.is_monitored(&id)? {
            return Ok(());
        }
        // Whoever holds the lock is starting or ending it just now, or settles it.
        let Some(lock) = self.try_lock_container(&id)? else { return Ok(()) };
        self.settle_locked(container, lock)
    }

    /// As [`Engine::settle`], for one who has the lock.
    fn settle_locked(&self, container: &mut Container, lock: Lock) -> Result<()> {
        let id = container.config.id.clone();
        // Between the reading of the status and the look at its lock, the monitor may have ended in good order.
        container.status = self.read_status(&id)?;
        if self.is_monitored(&id)? {
            return Ok(());
        }
        // After a restart of the machine the pid, and even its start time, may be another's.
        let is_own = self.is_own(&container.status);
        if is_own && let Some(first) = first_process(&container.status) {
            return monitor::adopt(self, container, Some(first), lock);
        }
        let Container { config, status } = &mut *container;
        if status.state.is_active() {
            let restarts = !config.auto_remove && !status.stopped && is_own;
            if status.state.is_alive() {
                status.end_unseen();
                let applies = config.supervision.restart.applies(status.exit_code, status.restarts);
                status.state = if restarts && applies { State::Restarting } else { State::Exited };
            } else if !restarts {
                status.state = State::Exited;
            }
            // On a full disk, or one that cannot be written to, it is still to be listed and removed.
            status.unwritten = self.write_status(config, status).err();
            if status.state == State::Restarting {
                if status.unwritten.is_none() {
                    return monitor::adopt(self, container, None, lock);
                }
                status.state = State::Exited;
            }
            if container.config.auto_remove {
                self.take_apart(&container.config, true)?.clear()?;
                return Err(removed(&id));
            }
        }
        self.undo(&container.config)
    }

    /// The exit code of a container that has ended, by its status.
    fn past_end(&self, id: &str) -> i32 {
        loop {
            match self.load(id) {
                // Somebody else settles it just now, and holds the lock as long.
                Ok(container) if container.status.state.is_alive() => drop(self.lock_container(id)),
                Ok(container) => return container.status.exit_code,
                Err(_) => return UNSEEN,
            }
        }
    }

    /// Whether the container has a monitor or a process, whatever its status says.
    pub(super) fn runs(&self, id: &str) -> bool {
        if self.is_monitored(id).unwrap_or(true) {
            return true;
        }
        let Ok(status) = self.read_status(id) else { return false };
        self.is_own(&status) && first_process(&status).is_some()
    }

    /// Whether what it says of a process is of this boot, and of this store: a copy's containers do not run.
    fn is_own(&self, status: &Status) -> bool {
        status.boot == self.store.boot() && (status.store.is_empty() || status.store == self.store.identity())
    }

    pub(super) fn is_monitored(&self, id: &str) -> Result<bool> {
        Lock::is_held(&self.store.run(id).join("monitor"))
    }

    pub(super) fn ending(&self, container: &Container) -> Ending {
        if !container.status.state.is_active() {
            return Ending::Past;
        }
        match monitor::connect(self, &container.config.id, 0) {
            Ok(line) => Ending::Monitor(line),
            Err(_) => first_process(&container.status).map_or(Ending::Past, Ending::Process),
        }
    }

    /// Waits for the end, up to a deadline; the exit code, or `None` at the deadline or where it was over before.
    pub(super) fn end(&self, id: &str, ending: &mut Ending, deadline: Option<Instant>) -> Result<Option<i32>> {
        let failed = |e: io::Error| Error::system(format_args!("wait for container {}", short(id)), &e);
        loop {
            let Some(fd) = ending.fd() else { return Ok(None) };
            if !wait_readable(fd, deadline).map_err(|e| failed(e.into()))? {
                return Ok(None);
            }
            let Ending::Monitor(line) = &*ending else {
                return Ok(Some(self.past_end(id)));
            };
            match frame::read(line) {
                Ok(Some((frame::Kind::Exit, code))) => {
                    return Ok(Some(code.try_into().map_or(UNSEEN, i32::from_be_bytes)));
                }
                Ok(Some(_)) => {}
                // The monitor died. Its container may live on.
                Ok(None) => *ending = self.load(id).map_or(Ending::Past, |c| self.ending(&c)),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => {
                    *ending = self.load(id).map_or(Ending::Past, |c| self.ending(&c));
                }
                Err(e) => return Err(failed(e)),
            }
        }
    }
}

/// A handle on the first process of a container with this status, if it lives.
pub(super) fn first_process(status: &Status) -> Option<OwnedFd> {
    if status.pid <= 0 || !status.state.is_alive() {
        return None;
    }
    // The handle first, then the question whose it is.
    let pid = Pid::from_raw(status.pid);
    let pidfd = sys::pidfd_open(pid).ok()?;
    // Readable: it has ended, and waits to be reaped by whoever inherited it.
    let mut poll_fd = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    let ended = poll(&mut poll_fd, PollTimeout::ZERO) != Ok(0);
    (!ended && start_time(pid) == Some(status.start_time)).then_some(pidfd)
}

fn may_attach(container: &Container) -> Result<()> {
    let advice = match container.status.state {
        State::Running => return Ok(()),
        State::Paused => "a paused container, unpause it first",
        State::Restarting => "a restarting container, wait until it is running",
        State::Created | State::Exited => "a stopped container, start it first",
    };
    let name = &container.config.name;
    Err(Error::conflict(format!("cannot attach to container {name}: you cannot attach to {advice}")))
}

/// The process by which a running container's namespaces are reached ([`process::way_in`]), and a handle on it.
pub(super) fn way_in(container: &Container) -> Option<(Pid, OwnedFd)> {
    let first = first_process(&container.status)?;
    let pid = Pid::from_raw(container.status.pid);
    match process::way_in(pid) {
        way if way == pid => Some((pid, first)),
        way => Some((way, sys::pidfd_open(way).ok()?)),
    }
}

fn wait_readable(fd: BorrowedFd, deadline: Option<Instant>) -> nix::Result<bool> {
    loop {
        let timeout = match deadline {
            None => PollTimeout::NONE,
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                // Rounded up, or the last millisecond would be spent turning; longer than poll takes: in pieces.
                PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
            Ok(0) if deadline.is_some_and(|at| at <= Instant::now()) => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            polled => return polled.map(|_| true),
        }
    }
}
