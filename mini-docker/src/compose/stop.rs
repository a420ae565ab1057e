//! Stopping what runs, and taking a project away.

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    execute::{Running, label},
    resources::{is, text},
};
use crate::engine::{
    container::{Container, State},
    error::{Error, Kind, Result},
    network::Config as Network,
    stop::Stopping,
};

/// Waits until one of them has stopped, or is to be killed.
fn await_any<'a>(all: impl Iterator<Item = &'a Stopping> + Clone) -> Result<()> {
    if all.clone().any(Stopping::is_due) {
        return Ok(());
    }
    let left = all.clone().filter_map(Stopping::left).min();
    let mut fds: Vec<_> = all.filter_map(Stopping::fd).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Rounded up, or the last millisecond would be spent turning.
    let timeout =
        left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX));
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(Error::system("wait for containers to stop", &e.into())),
    }
}

impl Running<'_> {
    /// Stops containers: each as soon as all that depend on it have stopped.
    pub fn stop(&self, containers: &[Container], timeout: Option<i64>) -> Result<()> {
        let mut waiting: Vec<&Container> = containers.iter().filter(|c| c.status.state.is_active()).collect();
        let mut begun: Vec<(&Container, Stopping)> = Vec::new();
        let mut outcome = Ok(());
        while !(waiting.is_empty() && begun.is_empty()) {
            let is_needed = |container: &Container| {
                let service = label(container, "service");
                let others = waiting.iter().copied().chain(begun.iter().map(|(other, _)| *other));
                others.filter_map(|other| self.service(label(other, "service")).ok()).any(|other| {
                    other.name != service && other.dependencies().iter().any(|(name, ..)| *name == service)
                })
            };
            let (later, mut now): (Vec<_>, Vec<_>) = waiting.iter().copied().partition(|c| is_needed(c));
            waiting = later;
            if now.is_empty() && begun.is_empty() {
                // A circle: labels of containers whose file is gone may have one.
                now = std::mem::take(&mut waiting);
            }
            for container in now {
                // One that fails keeps nothing from stopping.
                outcome = outcome.and(self.before_stop(container));
                self.say_of(container, "Stopping");
                match self.engine.begin_stop(container, None, timeout) {
                    Ok(stopping) => begun.push((container, stopping)),
                    Err(e) => outcome = outcome.and(Err(e)),
                }
            }
            await_any(begun.iter().map(|(_, stopping)| stopping))?;
            let (ended, rest): (Vec<_>, Vec<_>) = begun.into_iter().partition(|(_, stopping)| stopping.is_due());
            begun = rest;
            for (container, stopping) in ended {
                let stopped = self.engine.finish_stop(stopping).inspect(|()| self.say_of(container, "Stopped"));
                outcome = outcome.and(stopped);
            }
        }
        outcome
    }

    fn before_stop(&self, container: &Container) -> Result<()> {
        match self.service(label(container, "service")) {
            Ok(service) if container.status.state == State::Running => {
                service.run_hooks("pre_stop", self.engine, container)
            }
            _ => Ok(()),
        }
    }

    /// Stops and starts the containers of these services, and those of services that want to be restarted with them.
    pub fn restart(&self, services: &[String], no_deps: bool, timeout: Option<i64>) -> Result<()> {
        let mut ordered = self.ordered(services, true)?;
        let names: Vec<_> = ordered.iter().map(|service| service.name).collect();
        for (name, _) in self.project.services().filter(|(name, _)| !no_deps && !names.contains(&name.as_str())) {
            let service = self.service(name)?;
            if service.restarts_with().any(|other| names.contains(&other)) {
                ordered.push(service);
            }
        }
        let names: Vec<_> = ordered.iter().map(|service| service.name).collect();
        let mut containers = self.containers()?;
        containers.retain(|container| names.contains(&label(container, "service")));
        self.stop(&containers, timeout)?;
        self.start_services(&ordered, false)
    }

    /// Sends a signal to a container that runs.
    pub fn kill(&self, container: &Container, signal: i32) -> Result<()> {
        if !container.status.state.is_active() {
            return Ok(());
        }
        self.say_of(container, "Killing");
        match self.engine.kill(container, signal) {
            // It has ended in between.
            Err(e) if e.kind == Kind::Conflict => {}
            killed => killed?,
        }
        self.say_of(container, "Killed");
        Ok(())
    }

    /// Removes a container, by force; with `volumes` those without a name too.
    pub fn remove(&self, container: &Container, volumes: bool) -> Result<()> {
        self.say_of(container, "Removing");
        self.engine.remove(container, true, volumes)?;
        self.say_of(container, "Removed");
        Ok(())
    }

    /// Removes a network of the project's.
    pub(super) fn remove_network(&self, network: &Network) -> Result<()> {
        self.say("Network", &network.name, "Removing");
        self.engine.remove_network(network)?;
        self.say("Network", &network.name, "Removed");
        Ok(())
    }

    /// Stops and removes containers.
    pub fn take_down(&self, containers: &[Container], timeout: Option<i64>, volumes: bool) -> Result<()> {
        self.stop(containers, timeout)?;
        containers.iter().try_for_each(|container| self.remove(container, volumes))
    }

    /// Stops and removes [`Running::orphans`].
    pub fn remove_orphans(&self, timeout: Option<i64>) -> Result<()> {
        self.take_down(&self.orphans()?, timeout, false)
    }

    /// Takes the project away; with `volumes` its data too.
    pub fn down(&self, timeout: Option<i64>, volumes: bool, orphans: bool) -> Result<()> {
        let _alone = self.engine.lock_project(&self.project.name)?;
        let mut all = self.engine.containers()?;
        all.retain(|c| label(c, "project") == self.project.name && (orphans || !self.is_orphan(c)));
        self.take_down(&all, timeout, volumes)?;
        for (_, network) in self.resources("networks").filter(|(_, network)| !is(network, "external")) {
            match self.engine.network(&text(network, "name")) {
                Ok(network) => self.remove_network(&network)?,
                Err(e) if e.kind == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        for (_, volume) in self.resources("volumes").filter(|(_, volume)| volumes && !is(volume, "external")) {
            let name = text(volume, "name");
            match self.engine.volume(&name) {
                Ok(_) => {}
                Err(e) if e.kind == Kind::NotFound => continue,
                Err(e) => return Err(e),
            }
            self.say("Volume", &name, "Removing");
            self.engine.remove_volume(&name, true)?;
            self.say("Volume", &name, "Removed");
        }
        Ok(())
    }
}
