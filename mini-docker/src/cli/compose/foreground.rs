//! `compose up` in the foreground: what the containers write, until they have ended or the user ends them.

use std::{
    collections::BTreeMap,
    io::{PipeReader, Read, Write, pipe},
    os::fd::AsFd,
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use super::output::{Show, Style, short_name};
use crate::{
    compose::{
        execute::{Running, label},
        job::Job,
    },
    engine::{
        container::{Container, State},
        error::{Error, Kind, Result},
    },
};

/// When one container's end is everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abort {
    Never,
    OnExit,
    OnFailure,
}

/// How to stay.
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) style: Style,
    pub(super) abort: Abort,
    /// The service whose exit code this command's is.
    pub(super) code_from: Option<String>,
    /// Seconds before a container that is to stop is killed.
    pub(super) timeout: Option<i64>,
}

/// After an interrupt from the keyboard.
const INTERRUPTED: u8 = 130;

/// What is being done beside the watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Started,
    Stopping,
    Killing,
}

pub(super) struct Foreground<'a> {
    running: Running<'a>,
    manner: Manner,
    /// All that was brought up.
    services: Vec<String>,
    /// What an interrupt stops: what the user has named, or all.
    named: Vec<String>,
    /// Those whose end is waited for.
    waited: Vec<Container>,
    show: Show,
    is_shown: &'a dyn Fn(&Container) -> bool,
    /// What ended before is no news.
    begun: Timestamp,
    phase: Phase,
    job: Option<Job>,
    /// What makes containers anew while they run, and where it says that it has.
    beside: Option<(Job, PipeReader)>,
    /// Exit codes of those that have ended, by id.
    ended: BTreeMap<String, i32>,
    code: u8,
}

impl<'a> Foreground<'a> {
    /// `services` are all that was brought up, `named` those of them that the user has named, `waited` the containers whose
    /// end is waited for, `all` those of all.
    pub(super) fn new(
        running: Running<'a>,
        manner: Manner,
        (services, named): (Vec<String>, Vec<String>),
        waited: Vec<Container>,
        all: &[Container],
        is_shown: &'a dyn Fn(&Container) -> bool,
    ) -> Result<Self> {
        let begun = Timestamp::now();
        let show = Show::new(running, all, is_shown, Style { since: Some(begun), ..manner.style }, true)?;
        Ok(Self {
            running,
            manner,
            services,
            named,
            waited,
            show,
            is_shown,
            begun,
            phase: Phase::Starting,
            job: None,
            beside: None,
            ended: BTreeMap::new(),
            code: 0,
        })
    }

    /// Starts the containers by `start`, and stays until all have ended. What goes on `beside` may make them anew, and
    /// calls what it is given when it has: with it, the end of all is no end.
    pub(super) fn run(
        mut self,
        start: impl FnOnce() -> Result<()>,
        mut beside: Option<impl FnOnce(&dyn Fn()) -> Result<()>>,
    ) -> Result<u8> {
        // Before there is anything to be interrupted.
        let signals = block_signals().map_err(|e| Error::system("wait for signals", &e.into()))?;
        self.job = Some(Job::begin(start)?);
        self.show.attach();
        loop {
            self.look()?;
            if self.job.is_none()
                && self.phase == Phase::Started
                && let Some(beside) = beside.take()
            {
                self.beside = Some(begin_beside(beside)?);
            }
            let all_ended = self.beside.is_none() && self.ended.len() == self.waited.len();
            if self.job.is_none() && (self.phase != Phase::Started || all_ended) {
                return Ok(self.code);
            }
            self.wait(&signals)?;
        }
    }

    fn wait(&mut self, signals: &SignalFd) -> Result<()> {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.job.iter().map(|job| PollFd::new(job.pidfd(), PollFlags::POLLIN)));
        let beside = self.beside.as_ref().map(|(_, done)| {
            fds.push(PollFd::new(done.as_fd(), PollFlags::POLLIN));
            fds.len() - 1
        });
        fds.extend(self.show.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::system("wait for the containers", &e.into())),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        drop(fds);
        self.show.clear();
        if ready[0] && matches!(signals.read_signal(), Ok(Some(_))) {
            self.code = INTERRUPTED;
            return self.interrupt();
        }
        if beside.is_some_and(|at| ready[at]) {
            self.renew()?;
        }
        if self.job.is_some()
            && ready[1]
            && let Some(job) = self.job.take()
        {
            let done = job.finish();
            // What was written before it failed.
            self.look()?;
            done?;
            if self.phase == Phase::Starting {
                self.phase = Phase::Started;
            }
        }
        Ok(())
    }

    /// Finds the containers that are new.
    fn renew(&mut self) -> Result<()> {
        let Some((_, done)) = &mut self.beside else { return Ok(()) };
        let read = done.read(&mut [0; 16]);
        if read.map_err(|e| Error::system("hear of new containers", &e))? == 0
            && let Some((job, _)) = self.beside.take()
        {
            return job.finish();
        }
        self.look()?;
        for container in self.running.of(&self.services)? {
            if self.show.add(self.running, &container, self.is_shown)? {
                self.waited.push(container);
            }
        }
        Ok(())
    }

    /// Prints what there is, and tells who has ended.
    fn look(&mut self) -> Result<()> {
        // Asked first, printed then: what one wrote before its end is in there.
        let over = self.show.over()?;
        let ended = self.newly_ended(&over)?;
        self.show.print()?;
        for (container, code) in ended {
            self.show.say(&format!("{} exited with code {code}", short_name(self.running, &container)));
            self.ended.insert(container.config.id.clone(), code);
            self.judge(&container, code)?;
        }
        Ok(())
    }

    fn newly_ended(&self, over: &[String]) -> Result<Vec<(Container, i32)>> {
        let mut ended = Vec::new();
        let is_news = |id: &String| over.contains(id) && !self.ended.contains_key(id);
        for container in self.waited.iter().filter(|c| is_news(&c.config.id)) {
            match self.running.engine.load(&container.config.id) {
                Ok(now) => {
                    let status = &now.status;
                    let fresh = status.finished.is_some_and(|finished| finished >= self.begun);
                    let over = status.state == State::Exited && fresh;
                    if over || (self.job.is_none() && !status.state.is_active()) {
                        ended.push((container.clone(), status.exit_code));
                    }
                }
                Err(e) if e.kind == Kind::NotFound => ended.push((container.clone(), 0)),
                Err(e) => return Err(e),
            }
        }
        Ok(ended)
    }

    /// What one container's end means for the others, and for the exit code.
    fn judge(&mut self, container: &Container, code: i32) -> Result<()> {
        let aborts = match self.manner.abort {
            Abort::Never => false,
            // Whose end is the command's may need others that are done before.
            Abort::OnExit => {
                let is_job = || self.running.project.is_job(label(container, "service"));
                code != 0 || self.manner.code_from.is_none() || !is_job()
            }
            Abort::OnFailure => code != 0,
        };
        if !aborts {
            return Ok(());
        }
        let service = label(container, "service").to_owned();
        // The first to end, where none is named.
        if *self.manner.code_from.get_or_insert_with(|| service.clone()) == service && self.code != INTERRUPTED {
            self.code = u8::try_from(code & 0xFF).unwrap_or(1);
        }
        if matches!(self.phase, Phase::Starting | Phase::Started) {
            self.show.say("Aborting on container exit...");
            self.stop()?;
        }
        Ok(())
    }

    fn interrupt(&mut self) -> Result<()> {
        match self.phase {
            Phase::Starting | Phase::Started => {
                tell!("Gracefully Stopping... press Ctrl+C again to force");
                self.stop()
            }
            Phase::Stopping => {
                self.phase = Phase::Killing;
                let (running, services) = (self.running, self.stopped().to_vec());
                self.job = None;
                self.job = Some(Job::begin(|| {
                    running.of(&services)?.iter().try_for_each(|container| running.kill(container, libc::SIGKILL))
                })?);
                Ok(())
            }
            Phase::Killing => Ok(()),
        }
    }

    fn stopped(&self) -> &[String] {
        if self.named.is_empty() { &self.services } else { &self.named }
    }

    /// Stops them in the reverse of the order in which they started; whoever starts them stops with that.
    fn stop(&mut self) -> Result<()> {
        self.phase = Phase::Stopping;
        self.beside = None;
        let (running, services, timeout) = (self.running, self.stopped().to_vec(), self.manner.timeout);
        self.job = None;
        self.job = Some(Job::begin(|| running.stop(&running.of(&services)?, timeout))?);
        Ok(())
    }
}

fn begin_beside(work: impl FnOnce(&dyn Fn()) -> Result<()>) -> Result<(Job, PipeReader)> {
    let (reader, writer) = pipe().map_err(|e| Error::system("make a pipe", &e))?;
    // Nobody to hear it is nobody to do it for.
    let job = Job::begin(|| work(&|| drop((&writer).write_all(b"."))))?;
    Ok((job, reader))
}

fn block_signals() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.extend([Signal::SIGINT, Signal::SIGTERM]);
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}
