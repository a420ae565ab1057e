//! Ending containers: by a signal, in good order, or by force.

use std::{
    io::Read,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use process::sys;

use super::{
    Engine,
    container::{Container, State, supervision::RestartPolicy},
    error::{Error, Kind, Result},
    lifecycle::{Ending, first_process},
    monitor::{self, Options},
};

/// A container that has been asked to stop.
#[derive(Debug)]
pub struct Stopping {
    container: Container,
    ending: Ending,
    deadline: Option<Instant>,
}

impl Stopping {
    /// Readable when it has stopped, or when whoever would say so has gone; `None`: there is nothing to wait for.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.ending.fd()
    }

    /// How long until it is to be killed; `None`: never.
    pub fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether [`Engine::finish_stop`] has not to wait.
    pub fn is_due(&self) -> bool {
        let is_readable = |fd| poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO) != Ok(0);
        self.left().is_some_and(|left| left.is_zero()) || self.fd().is_none_or(is_readable)
    }
}

/// Docker's wait between TERM and KILL, in seconds.
const STOP_TIMEOUT: i64 = 10;

impl Engine {
    /// Sends a signal to a running container's first process, and nothing more.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it does not run.
    pub fn signal(&self, container: &Container, signal: i32) -> Result<()> {
        let name = &container.config.name;
        let pidfd = first_process(&container.status)
            .ok_or_else(|| Error::conflict(format!("cannot kill container {name}: container {name} is not running")))?;
        let send = |signal| match sys::pidfd_send_signal(pidfd.as_fd(), signal) {
            // It has just ended, which is what most signals are sent for.
            Err(Errno::ESRCH) => Ok(false),
            sent => sent.map(|()| true).map_err(|e| Error::system(format_args!("signal container {name}"), &e.into())),
        };
        if send(0)? {
            // First the event: what the container's monitor says of its death is to come after it.
            self.emit_container(&container.config, "kill", &[("signal", &signal.to_string())]);
            send(signal)?;
        }
        Ok(())
    }

    /// The user's signal: one that is meant to end the container ends its restarts too. After SIGKILL it has ended.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it does not run.
    pub fn kill(&self, container: &Container, signal: i32) -> Result<()> {
        let config = &container.config;
        // Docker's rule: where neither image nor user names a signal to stop with, any may be meant so.
        let ends = signal == libc::SIGKILL || signal == config.stop_signal || config.stop_signal == libc::SIGTERM;
        if ends && container.status.state.is_active() {
            self.call_off(container)?;
        }
        if container.status.state == State::Restarting {
            return Ok(());
        }
        let mut ending = self.ending(container);
        self.signal(container, signal)?;
        if ends {
            self.let_go_on(container)?;
        }
        if signal == libc::SIGKILL {
            // Nothing outlives it: a kill that has returned has happened.
            self.end(&config.id, &mut ending, None)?;
        }
        Ok(())
    }

    /// Asks a container to stop, and returns at once; [`Engine::finish_stop`] sees to it. `timeout` in seconds, negative
    /// for ever, is the container's own where it is `None`.
    pub fn begin_stop(&self, container: &Container, signal: Option<i32>, timeout: Option<i64>) -> Result<Stopping> {
        let config = &container.config;
        // First the line, then the signal: the other way round its end could be missed.
        let ending = self.ending(container);
        if !matches!(ending, Ending::Past) {
            self.call_off(container)?;
            // A policy may have started it again since it was looked at.
            let now = self.load(&config.id);
            match now.and_then(|now| self.signal(&now, signal.unwrap_or(config.stop_signal))) {
                // It has ended in between, or waited for its restart: its monitor says so, or goes.
                Err(e) if matches!(e.kind, Kind::Conflict | Kind::NotFound) => {}
                sent => sent?,
            }
            self.let_go_on(container)?;
        }
        let timeout = u64::try_from(timeout.or(config.stop_timeout).unwrap_or(STOP_TIMEOUT)).ok();
        let deadline = timeout.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds)));
        Ok(Stopping { container: container.clone(), ending, deadline })
    }

    /// Waits until the container has stopped; kills it at the deadline.
    pub fn finish_stop(&self, mut stopping: Stopping) -> Result<()> {
        let Stopping { container, ending, deadline } = &mut stopping;
        if !container.status.state.is_active() {
            return Ok(());
        }
        let id = &container.config.id;
        if self.end(id, ending, *deadline)?.is_none() {
            match self.load(id) {
                Ok(container) if container.status.state.is_alive() => {
                    match self.signal(&container, libc::SIGKILL) {
                        // It has ended, and its monitor has not said so yet.
                        Err(e) if e.kind != Kind::Conflict => return Err(e),
                        _ => {}
                    }
                    self.end(id, ending, None)?;
                }
                _ => {}
            }
        }
        self.emit_container(&container.config, "stop", &[]);
        Ok(())
    }

    /// Stops a container that runs, and starts it in any case.
    pub fn restart(&self, container: &Container, signal: Option<i32>, timeout: Option<i64>) -> Result<()> {
        let id = &container.config.id;
        let stays = container.config.auto_remove && container.status.state.is_active();
        if stays {
            self.set_auto_remove(id, false)?;
        }
        let stopped = self.begin_stop(container, signal, timeout).and_then(|stopping| self.finish_stop(stopping));
        if stays {
            self.set_auto_remove(id, true)?;
            // Its layer was mounted without syncing; overlayfs trusts that again only when it is told to. The machine has
            // not died since.
            let _ = process::remove_tree(&self.container_file(id, "work/work/incompat"));
        }
        stopped?;
        self.start_unless_active(id, Options::default())?;
        self.emit_container(&container.config, "restart", &[]);
        Ok(())
    }

    /// Between the two ends of its restart, a container with --rm has to stay.
    fn set_auto_remove(&self, id: &str, auto_remove: bool) -> Result<()> {
        let (_lock, mut container) = self.hold(id)?;
        container.config.auto_remove = auto_remove;
        self.write_config(&container.config)
    }

    /// Sees to it that no policy starts the container again; one that waits for that has ended.
    fn call_off(&self, container: &Container) -> Result<()> {
        if container.config.supervision.restart == RestartPolicy::No {
            return Ok(());
        }
        let id = &container.config.id;
        let (lock, Container { config, mut status }) = self.hold(id)?;
        let waits = status.state == State::Restarting;
        if !status.state.is_active() || (status.stopped && !waits) {
            return Ok(());
        }
        status.stopped = true;
        if waits {
            status.state = State::Exited;
        }
        self.write_status(&config, &status)?;
        drop(lock);
        if waits && let Some(mut line) = monitor::look(self, id) {
            // Its monitor has nothing to do any more; its answer, or its end, is all that is waited for.
            let _ = line.read(&mut [0]);
        }
        Ok(())
    }

    /// Ends a container that is to be removed.
    pub(super) fn end_by_force(&self, container: &Container, force: bool) -> Result<()> {
        let name = &container.config.name;
        if !force {
            let advice = match container.status.state {
                State::Paused => format!("paused and must be unpaused first: mini-docker unpause {name}, or"),
                state => format!("{}: stop it first (mini-docker stop {name}), or", state.name()),
            };
            return Err(Error::conflict(format!(
                "cannot remove container {name}: container is {advice} force removal with -f"
            )));
        }
        match self.kill(container, libc::SIGKILL) {
            Err(e) if e.kind != Kind::Conflict && e.kind != Kind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}
