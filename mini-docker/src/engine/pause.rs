//! Stopping a container's processes where they are, and letting them go on.

use std::path::PathBuf;

use cgroup::Handle;

use super::{
    Engine,
    container::{Config, Container, State, Status},
    error::{Error, Result},
    files::{Lock, Locking},
};

impl Engine {
    /// Freezes a running container.
    ///
    /// # Errors
    /// [`super::error::Kind::Conflict`] where it does not run.
    pub fn pause(&self, id: &str) -> Result<()> {
        self.pause_for(id, false)
    }

    /// As [`Engine::pause`], for a commit: until the value goes, or until the next command after this process was killed.
    /// It goes on by [`Engine::unpause`].
    pub(super) fn pause_to_commit(&self, id: &str) -> Result<Option<Lock>> {
        let lock = Lock::take(&self.commit_file(id), Locking::Exclusive)?;
        self.pause_for(id, true).map(|()| lock)
    }

    /// Whether a container that runs can be paused: an ordinary user's may have no cgroup.
    pub(super) fn may_pause(&self, config: &Config) -> bool {
        !self.is_rootless() || Handle::open(&self.cgroup_path(config)).is_ok()
    }

    fn commit_file(&self, id: &str) -> PathBuf {
        self.store.run(id).join("commit")
    }

    /// Lets a container go on that a commit has paused which was killed.
    pub(super) fn mend_pause(&self, container: &mut Container) -> Result<()> {
        let id = &container.config.id;
        let is_left = |status: &Status| status.state == State::Paused && status.committing;
        if !is_left(&container.status) || Lock::is_held(&self.commit_file(id))? {
            return Ok(());
        }
        let Some(_lock) = self.try_lock_container(id)? else { return Ok(()) };
        let mut status = self.read_status(id)?;
        // Another may have begun, or done this.
        if is_left(&status) && !Lock::is_held(&self.commit_file(id))? {
            self.frozen(&container.config, false)?;
            status.state = State::Running;
            status.committing = false;
            self.write_status(&container.config, &status)?;
        }
        container.status = status;
        Ok(())
    }

    fn pause_for(&self, id: &str, committing: bool) -> Result<()> {
        let (_lock, Container { config, mut status }) = self.hold(id)?;
        let name = &config.name;
        match status.state {
            State::Running => {}
            State::Paused => return Err(Error::conflict(format!("container {name} is already paused"))),
            State::Restarting => {
                let message = format!("container {name} is restarting, wait until the container is running");
                return Err(Error::conflict(message));
            }
            State::Created | State::Exited => {
                return Err(Error::conflict(format!("cannot pause container {name}: container {name} is not running")));
            }
        }
        // Written before it is done: whoever is killed in between leaves one that can be unpaused, not one that hangs.
        status.state = State::Paused;
        status.committing = committing;
        self.write_status(&config, &status)?;
        if let Err(e) = self.frozen(&config, true) {
            status.state = State::Running;
            self.write_status(&config, &status)?;
            return Err(e);
        }
        self.emit_container(&config, "pause", &[]);
        Ok(())
    }

    /// Lets a paused container go on.
    ///
    /// # Errors
    /// [`super::error::Kind::Conflict`] where it is not paused.
    pub fn unpause(&self, id: &str) -> Result<()> {
        let (_lock, Container { config, mut status }) = self.hold(id)?;
        if status.state != State::Paused {
            return Err(Error::conflict(format!("container {} is not paused", config.name)));
        }
        self.frozen(&config, false)?;
        status.state = State::Running;
        status.committing = false;
        self.write_status(&config, &status)?;
        self.emit_container(&config, "unpause", &[]);
        Ok(())
    }

    /// Lets a container that was paused deal with the signal that is to end it.
    pub(super) fn let_go_on(&self, container: &Container) -> Result<()> {
        if container.status.state != State::Paused {
            return Ok(());
        }
        let (_lock, Container { config, mut status }) = match self.hold(&container.config.id) {
            // It has ended, and was to be removed.
            Err(e) if e.kind == super::error::Kind::NotFound => return Ok(()),
            held => held?,
        };
        if status.state != State::Paused {
            return Ok(());
        }
        self.frozen(&config, false)?;
        status.state = State::Running;
        status.committing = false;
        self.write_status(&config, &status)
    }

    fn frozen(&self, config: &Config, frozen: bool) -> Result<()> {
        let mut host = self.late_host(config)?;
        let handle = Handle::open(&self.cgroup_path(config)).map_err(|e| {
            let advised = "it takes a cgroup, and none was delegated to you when the container was started: with v2 and systemd, start it by `systemd-run --user --scope -p Delegate=yes`";
            if self.is_rootless() { process::Error { hint: Some(advised.to_owned()), ..e } } else { e }
        });
        let done = handle.and_then(|mut handle| if frozen { handle.freeze(&mut host) } else { handle.thaw() });
        let verb = if frozen { "pause" } else { "unpause" };
        done.map_err(|e| Error::new(super::error::Kind::System, format!("{verb} container {}: {e}", config.name)))
    }
}
