//! Staying with a log until its container has ended.

use std::{
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

use super::Reader;
use crate::engine::{
    Engine,
    container::Container,
    error::{Context, Error, Kind, Result},
    monitor,
};

impl Engine {
    /// What the container has written, from the oldest line that is kept or from the last `tail` lines on.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where nothing is kept.
    pub fn logs(&self, container: &Container, tail: Option<usize>) -> Result<Reader> {
        if container.config.supervision.log.driver == "none" {
            return Err(Error::conflict(format!(
                "cannot read the logs of container {}: configured logging driver does not support reading",
                container.config.name
            )));
        }
        let path = self.log_path(&container.config.id);
        Reader::open(&path, tail).doing("read", &path)
    }

    /// Where a container's log is.
    pub fn log_path(&self, id: &str) -> std::path::PathBuf {
        self.container_file(id, "log.json")
    }

    /// A way to wait for what a container writes: to be had before its log is read to the end.
    pub fn follow(&self, container: &Container) -> Result<Follower> {
        let id = container.config.id.clone();
        let directory = self.store.container(&id);
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).doing("watch", &directory)?;
        // The log grows or is begun anew, the status is replaced.
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(&directory, flags).doing("watch", &directory)?;
        Ok(Follower { engine: self.clone(), id, inotify, line: None })
    }
}

/// Waits for what a container writes, across its restarts.
#[derive(Debug)]
pub struct Follower {
    engine: Engine,
    id: String,
    inotify: Inotify,
    /// Ends with the container, or with its monitor.
    line: Option<UnixStream>,
}

impl Follower {
    /// Waits until there may be more, at most `limit`.
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<()> {
        let mut fds: Vec<_> = self.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Err(nix::Error::EINTR) | Ok(_) => {}
            Err(e) => return Err(Error::system("wait for the container's output", &e.into())),
        }
        drop(fds);
        self.clear();
        Ok(())
    }

    /// What becomes readable when there may be more, for one who waits for several.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        [self.inotify.as_fd()].into_iter().chain(self.line.as_ref().map(AsFd::as_fd))
    }

    /// Forgets what woke the caller up: to be called before [`Follower::is_over`] is asked again.
    pub fn clear(&mut self) {
        let line = self.line.as_ref().map(|line| [PollFd::new(line.as_fd(), PollFlags::POLLIN)]);
        if line.is_some_and(|mut line| poll(&mut line, PollTimeout::ZERO) != Ok(0)) {
            self.line = None;
        }
        while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
    }

    /// Whether nothing will come any more: to be asked before the log is read once more to its end.
    pub fn is_over(&mut self) -> Result<bool> {
        while self.line.is_none() {
            match self.engine.load(&self.id) {
                Err(e) if e.kind == Kind::NotFound => return Ok(true),
                Ok(container) if !container.status.state.is_active() => return Ok(true),
                loaded => drop(loaded?),
            }
            // Where there is none, it has just gone: the status tells.
            self.line = monitor::connect(&self.engine, &self.id, 0).ok();
        }
        Ok(false)
    }
}
