//! Staying with a log until its container has ended.

use std::{
    os::{fd::AsFd, unix::net::UnixStream},
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
        let line = self.line.as_ref().map(|line| PollFd::new(line.as_fd(), PollFlags::POLLIN));
        let mut fds = vec![PollFd::new(self.inotify.as_fd(), PollFlags::POLLIN)];
        fds.extend(line);
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Err(nix::Error::EINTR) | Ok(_) => {}
            Err(e) => return Err(Error::system("wait for the container's output", &e.into())),
        }
        let has_ended = fds.get(1).is_some_and(|line| line.any().unwrap_or(false));
        drop(fds);
        if has_ended {
            self.line = None;
        }
        while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
        Ok(())
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
