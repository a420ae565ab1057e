//! Health checks: a command in the container, again and again, whose exit code says whether it does its work.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::{Buffer, Monitor};
use crate::engine::{
    Engine,
    container::{
        Config, Container, State,
        health::{Health, Probe, Verdict},
        supervision::HealthCheck,
    },
    exec::{Exec, Executed},
    files::{Durability, read_json, write_json},
};

/// Bytes of a check's output that are kept, as Docker keeps them.
const MOST_OUTPUT: usize = 4096;

/// What checks one life of a container.
pub(super) struct Checker {
    check: HealthCheck,
    command: Vec<String>,
    path: PathBuf,
    began: Instant,
    next: Instant,
    running: Option<Check>,
    health: Health,
}

/// What became of the wish to begin a check.
enum Begun {
    Check(Executed),
    /// What is paused cannot answer.
    Paused,
    /// Somebody changes the container just now.
    Busy,
}

/// How long a check waits for whoever changes the container.
const SOON: Duration = Duration::from_millis(50);

/// A check on its way.
struct Check {
    executed: Executed,
    outputs: [Option<File>; 2],
    output: Vec<u8>,
    start: Timestamp,
    deadline: Instant,
}

impl Checker {
    /// `None` where nothing is to be checked. `anew`: the container has just started.
    pub(super) fn new(monitor: &Monitor, anew: bool) -> Option<Self> {
        let config = &monitor.container.config;
        let check = config.supervision.health.clone()?;
        let command = check.command()?;
        let path = monitor.engine.container_file(&config.id, "health.json");
        let known = if anew { None } else { read_json(&path).ok().flatten() };
        let now = Instant::now();
        let mut checker =
            Self { check, command, path, began: now, next: now, running: None, health: known.unwrap_or_default() };
        checker.next = now + if anew { checker.check.first_pause() } else { checker.pause() };
        if anew {
            checker.write();
        }
        Some(checker)
    }

    fn pause(&self) -> Duration {
        self.check.pause(self.is_starting())
    }

    /// Whether failures do not count yet.
    fn is_starting(&self) -> bool {
        let period = Duration::from_nanos(self.check.start_period);
        self.health.status == Verdict::Starting && self.began.elapsed() < period
    }

    /// How long there is nothing to do, unless a descriptor is ready.
    pub(super) fn left(&self) -> Duration {
        let time = self.running.as_ref().map_or(self.next, |check| check.deadline);
        time.saturating_duration_since(Instant::now())
    }

    /// What to wait for.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.running
            .iter()
            .flat_map(|check| check.outputs.iter().flatten().map(AsFd::as_fd).chain([check.executed.pidfd()]))
    }

    fn write(&self) {
        // Without room on the disk nobody learns of it; the container goes on.
        let _ = write_json(&self.path, &self.health, Durability::Process);
    }

    /// Takes note of a check's end; true where the container's state changed by it.
    fn note(&mut self, probe: Probe) -> bool {
        let starting = self.is_starting();
        let changed = self.health.note(probe, starting, self.check.most_failures());
        self.next = Instant::now() + self.pause();
        self.write();
        changed
    }
}

impl Check {
    fn start(executed: Executed, limit: Duration) -> Self {
        let mut executed = executed;
        let outputs = [executed.stdout.take(), executed.stderr.take()].map(|fd: Option<OwnedFd>| fd.map(File::from));
        Self { executed, outputs, output: Vec::new(), start: Timestamp::now(), deadline: Instant::now() + limit }
    }

    /// Reads what there is.
    fn pump(&mut self, buffer: &mut [u8]) {
        for file in &mut self.outputs {
            while let Some(open) = file {
                match open.read(buffer) {
                    Ok(length) if length > 0 => {
                        // One byte more tells that there was more.
                        let room = (MOST_OUTPUT + 1).saturating_sub(self.output.len());
                        self.output.extend_from_slice(&buffer[..length.min(room)]);
                    }
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    _ => *file = None,
                }
            }
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(self.output.get(..MOST_OUTPUT).unwrap_or(&self.output)).into_owned();
        if self.output.len() > MOST_OUTPUT { text + "..." } else { text }
    }

    /// How it ended; `None`: it has not.
    fn end(&self, engine: &Engine, config: &Config, limit: Duration) -> Option<Probe> {
        let probe = |exit_code, output| Probe { start: self.start, end: Timestamp::now(), exit_code, output };
        if self.executed.has_ended() {
            return Some(probe(engine.await_executed(config, &self.executed).unwrap_or(-1), self.text()));
        }
        if Instant::now() < self.deadline {
            return None;
        }
        self.executed.signal(libc::SIGKILL);
        let _ = engine.await_executed(config, &self.executed);
        Some(probe(-1, format!("Health check exceeded timeout ({limit:?})")))
    }
}

impl Monitor<'_> {
    /// Begins a check whose time has come, and ends one that has ended or taken too long.
    pub(super) fn check_health(&mut self, checker: &mut Option<Checker>, buffer: &mut Buffer) {
        let Some(checker) = checker else { return };
        let limit = checker.check.limit();
        let probe = if let Some(check) = &mut checker.running {
            check.pump(buffer.bytes());
            let Some(probe) = check.end(self.engine, &self.container.config, limit) else { return };
            checker.running = None;
            probe
        } else {
            if !checker.left().is_zero() {
                return;
            }
            match self.begin_check(&checker.command) {
                Ok(Begun::Check(executed)) => {
                    checker.running = Some(Check::start(executed, limit));
                    return;
                }
                Ok(Begun::Paused) => {
                    checker.next = Instant::now() + checker.pause();
                    return;
                }
                Ok(Begun::Busy) => {
                    checker.next = Instant::now() + SOON;
                    return;
                }
                Err(e) => Probe {
                    start: Timestamp::now(),
                    end: Timestamp::now(),
                    exit_code: i32::from(e.run_exit_code()),
                    output: e.to_string(),
                },
            }
        };
        if checker.note(probe) {
            let action = format!("health_status: {}", checker.health.status.name());
            self.engine.emit_container(&self.container.config, &action, &[]);
        }
    }

    fn begin_check(&self, command: &[String]) -> crate::engine::Result<Begun> {
        let id = &self.container.config.id;
        // A process that enters a frozen cgroup stands still too, and would keep this one waiting: nobody pauses it meanwhile.
        let Some(_no_pause) = self.engine.try_lock_container(id)? else { return Ok(Begun::Busy) };
        if self.engine.read_status(id)?.state != State::Running {
            return Ok(Begun::Paused);
        }
        let container = Container { config: self.container.config.clone(), status: self.status.clone() };
        let request = Exec { command: command.to_vec(), ..Exec::default() };
        self.engine.exec_as_parent(&container, &request).map(Begun::Check)
    }
}

/// The check of a life that is over; its process ended with the container.
pub(super) fn abandon(checker: &mut Option<Checker>) {
    if let Some(check) = checker.take().and_then(|checker| checker.running) {
        check.executed.signal(libc::SIGKILL);
        let _ = check.executed.wait();
    }
}
