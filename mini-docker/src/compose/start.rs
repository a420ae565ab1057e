//! Starting services: each at the moment when what it depends on is as it wants it, all others side by side.

use std::{
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    execute::{Running, label},
    job::Job,
    service::Service,
};
use crate::engine::{
    container::{Container, health::Verdict},
    error::{Error, Kind, Result},
    log::Follower,
    monitor::Options,
};

/// Whether a container is as somebody wants it.
#[derive(Debug, PartialEq, Eq)]
enum Readiness {
    Ready,
    NotYet,
    Failed(String),
}

/// What a container is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    Running,
    Healthy,
    Completed,
}

/// A container that somebody waits for, and what wakes whoever asks for it: its status and its health are files of its
/// directory, and its monitor's end is a closed line.
struct Awaited {
    container: Container,
    condition: Condition,
    required: bool,
    /// What its failure means.
    context: &'static str,
    follower: Follower,
    /// Whether the user knows that it is waited for.
    is_told: bool,
}

/// A service that is to be started.
struct Waiting<'a> {
    service: Service<'a>,
    /// `None`: what it depends on is not all started yet.
    awaited: Option<Vec<Awaited>>,
}

/// What waits, and what is being done.
struct Start<'a> {
    running: Running<'a>,
    /// All of the project's containers, as they were at the beginning.
    containers: Vec<Container>,
    no_deps: bool,
    waiting: Vec<Waiting<'a>>,
    jobs: Vec<(&'a str, Job)>,
}

impl<'a> Running<'a> {
    /// Starts the containers of these services that do not run, after what they depend on. With `no_deps` nothing is
    /// waited for.
    ///
    /// # Errors
    /// The first; what was on its way by then has been started, the rest has not.
    pub fn start_services(&self, services: &[Service<'a>], no_deps: bool) -> Result<()> {
        let waiting = services.iter().map(|service| Waiting { service: *service, awaited: None }).collect();
        let containers = self.containers()?;
        let mut start = Start { running: *self, containers, no_deps, waiting, jobs: Vec::new() };
        let outcome = start.run(self.manner.parallel.unwrap_or(usize::MAX).max(1));
        // Those that have begun are nearly done.
        outcome.and(finish(start.jobs))
    }

    /// Waits until what the service depends on, which has been started, is as it wants it.
    pub fn await_dependencies(&self, service: &Service) -> Result<()> {
        let mut awaited = self.awaited(service, &self.containers()?)?;
        self.await_all(&mut awaited, None)
    }

    /// Waits until these containers run, are healthy where that is checked, or have done what others wait for; at most
    /// `limit`.
    pub fn await_ready(&self, containers: Vec<Container>, limit: Option<Duration>) -> Result<()> {
        let mut awaited = Vec::new();
        for container in containers {
            let condition = if self.project.is_job(label(&container, "service")) {
                Condition::Completed
            } else if container.config.supervision.health.is_some() {
                Condition::Healthy
            } else {
                Condition::Running
            };
            let follower = self.engine.follow(&container)?;
            awaited.push(Awaited { container, condition, required: true, context: "", follower, is_told: false });
        }
        self.await_all(&mut awaited, limit)
    }

    fn await_all(&self, awaited: &mut Vec<Awaited>, limit: Option<Duration>) -> Result<()> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        while !self.are_ready(awaited)? {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                let names: Vec<_> = awaited.iter().map(|one| one.container.config.name.as_str()).collect();
                let limit = limit.unwrap_or_default().as_secs();
                return Err(Error::conflict(format!(
                    "timeout: application not healthy after {limit}s: {}",
                    names.join(", ")
                )));
            }
            wait(awaited.iter().flat_map(|one| one.follower.fds()).collect(), left)?;
            for one in awaited.iter_mut() {
                one.follower.clear();
            }
        }
        Ok(())
    }

    /// The containers that a service waits for.
    fn awaited(&self, service: &Service, containers: &[Container]) -> Result<Vec<Awaited>> {
        let mut awaited = Vec::new();
        for (name, condition, required) in service.dependencies() {
            let condition = match condition {
                "service_healthy" => Condition::Healthy,
                "service_completed_successfully" => Condition::Completed,
                _ => continue,
            };
            for container in containers.iter().filter(|container| label(container, "service") == name) {
                let follower = self.engine.follow(container)?;
                let context = "dependency failed to start: ";
                let container = container.clone();
                awaited.push(Awaited { container, condition, required, context, follower, is_told: false });
            }
        }
        Ok(awaited)
    }

    /// Forgets those that are ready; true where none is left.
    fn are_ready(&self, awaited: &mut Vec<Awaited>) -> Result<bool> {
        for mut one in std::mem::take(awaited) {
            let readiness = self.readiness(&mut one)?;
            let word = match (&readiness, one.condition) {
                (Readiness::Failed(_), _) => "Error",
                (Readiness::NotYet, _) if !one.is_told => "Waiting",
                (Readiness::Ready, Condition::Healthy) if one.is_told => "Healthy",
                (Readiness::Ready, Condition::Completed) if one.is_told => "Exited",
                _ => "",
            };
            if !word.is_empty() {
                self.say_of(&one.container, word);
            }
            if let (Readiness::Failed(why), false) = (&readiness, one.required) {
                let service = label(&one.container, "service");
                tell!("mini-docker: warning: optional dependency {service:?} failed to start: {why}");
            }
            match readiness {
                Readiness::Failed(why) if one.required => return Err(Error::conflict(why)),
                Readiness::NotYet => awaited.push(Awaited { is_told: true, ..one }),
                Readiness::Ready | Readiness::Failed(_) => {}
            }
        }
        Ok(awaited.is_empty())
    }

    fn readiness(&self, awaited: &mut Awaited) -> Result<Readiness> {
        let (name, context) = (&awaited.container.config.name, awaited.context);
        let failed = |why: &str| Ok(Readiness::Failed(format!("{context}container {name} {why}")));
        // First the question whether it is over: from then on its end wakes the wait.
        let over = awaited.follower.is_over()?;
        let container = match self.engine.load(&awaited.container.config.id) {
            Err(e) if e.kind == Kind::NotFound => return failed("has been removed"),
            loaded => loaded?,
        };
        let over = over || !container.status.state.is_active();
        let code = container.status.exit_code;
        match awaited.condition {
            Condition::Completed if !over => Ok(Readiness::NotYet),
            Condition::Completed if code == 0 => Ok(Readiness::Ready),
            Condition::Completed => {
                let service = label(&container, "service");
                Ok(Readiness::Failed(format!("service {service:?} didn't complete successfully: exit {code}")))
            }
            _ if over => failed(&format!("exited ({code})")),
            Condition::Running => Ok(Readiness::Ready),
            Condition::Healthy => match self.engine.health(&container) {
                Some(Verdict::Healthy) => Ok(Readiness::Ready),
                Some(Verdict::Unhealthy) => failed("is unhealthy"),
                Some(Verdict::Starting) => Ok(Readiness::NotYet),
                None => failed("has no healthcheck configured"),
            },
        }
    }
}

impl<'a> Start<'a> {
    fn run(&mut self, limit: usize) -> Result<()> {
        loop {
            while self.jobs.len() < limit {
                let Some(service) = self.next()? else { break };
                let own = self.containers.iter().filter(|container| label(container, "service") == service.name);
                let idle: Vec<_> = own.filter(|container| !container.status.state.is_active()).collect();
                if idle.is_empty() {
                    continue;
                }
                let engine = self.running.engine;
                let running = self.running;
                let start = |c: &&Container| {
                    running.say_of(c, "Starting");
                    let started = engine.start_unless_active(&c.config.id, Options::default());
                    if started.map_err(|e| service.in_it(&e))?.is_some() {
                        service.run_hooks("post_start", engine, c)?;
                    }
                    running.say_of(c, "Started");
                    Ok(())
                };
                self.jobs.push((service.name, Job::begin(|| idle.iter().try_for_each(start))?));
            }
            if self.waiting.is_empty() && self.jobs.is_empty() {
                return Ok(());
            }
            self.wait()?;
        }
    }

    /// Takes out a service that waits for nothing any more.
    fn next(&mut self) -> Result<Option<Service<'a>>> {
        let waiting = self.waiting.iter().map(|other| other.service.name);
        let pending: Vec<_> = waiting.chain(self.jobs.iter().map(|(name, _)| *name)).collect();
        for at in 0..self.waiting.len() {
            let one = &mut self.waiting[at];
            if !self.no_deps {
                if one.service.dependencies().iter().any(|(name, ..)| pending.contains(name)) {
                    continue;
                }
                if one.awaited.is_none() {
                    one.awaited = Some(self.running.awaited(&one.service, &self.containers)?);
                }
            }
            let is_ready = match &mut one.awaited {
                None => true,
                Some(awaited) => self.running.are_ready(awaited)?,
            };
            if is_ready {
                return Ok(Some(self.waiting.remove(at).service));
            }
        }
        Ok(None)
    }

    /// Waits until a job is done, or a container has changed.
    fn wait(&mut self) -> Result<()> {
        let awaited = self.waiting.iter().flat_map(|one| one.awaited.iter().flatten());
        let mut fds: Vec<_> = awaited.flat_map(|one| one.follower.fds()).collect();
        fds.extend(self.jobs.iter().map(|(_, job)| job.pidfd()));
        if fds.is_empty() {
            let names: Vec<_> = self.waiting.iter().map(|one| one.service.name).collect();
            return Err(Error::conflict(format!("services that wait for each other: {}", names.join(", "))));
        }
        wait(fds, None)?;
        let awaited = self.waiting.iter_mut().flat_map(|one| one.awaited.iter_mut().flatten());
        awaited.for_each(|one| one.follower.clear());
        let (ended, jobs) = std::mem::take(&mut self.jobs).into_iter().partition(|(_, job)| job.has_ended());
        self.jobs = jobs;
        finish(ended)
    }
}

/// Waits for all of them; the first error.
fn finish(jobs: Vec<(&str, Job)>) -> Result<()> {
    let mut outcome = Ok(());
    for (_, job) in jobs {
        outcome = outcome.and(job.finish());
    }
    outcome
}

/// Waits until one of them is readable, at most `limit`.
fn wait(fds: Vec<BorrowedFd>, limit: Option<Duration>) -> Result<()> {
    let mut fds: Vec<_> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Rounded up, or the last millisecond would be spent turning.
    let timeout = limit
        .map_or(PollTimeout::NONE, |limit| PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX));
    match poll(&mut fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(Error::system("wait for the containers", &e.into())),
    }
}
