//! Independent stages side by side.
//!
//! Whoever clones a container has one thread, so each stage that is built beside others has a process of its own, forked
//! from this one: it knows the plan and what has been built so far, tells of its steps, and at last of its stage. It dies
//! with its parent. Where only one stage can be built, it is built here.
//!
//! A worker that is killed may leave a step that is just being made: it dies too, but nobody knows when, and until then it
//! has the worker's locks, by which a sweep takes all that they had for alive. So this process adopts such orphans
//! (`PR_SET_CHILD_SUBREAPER` of prctl(2)), and sees to their end.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    os::fd::AsFd,
    thread::available_parallelism,
};

use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, waitpid},
    },
    unistd::{Pid, getppid, pipe2},
};
use process::sys::{self, Cloned};
use serde::{Deserialize, Serialize};

use super::{Builder, Event, Failure, TICK, dockerfile::Lines, inline::Kept, stage::Stage};
use crate::engine::{
    error::{Error, Kind, Result},
    image::ImageConfig,
};

/// What a worker tells, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    Step(String),
    Pull(String),
    Cached,
    Output(Vec<u8>),
    Done,
    Built(Box<Stage>, Vec<Kept>),
    Failed(Error, Option<(usize, usize)>, Option<Box<ImageConfig>>),
}

/// A process that builds a stage.
struct Worker {
    stage: usize,
    pid: Pid,
    words: BufReader<File>,
    /// The number of its last step.
    number: usize,
}

/// What else must not go on when one has failed.
impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = kill(self.pid, Signal::SIGKILL);
        while waitpid(self.pid, None) == Err(Errno::EINTR) {}
    }
}

/// What workers leave behind becomes a child of this process as long as this value is there.
struct Orphanage {
    /// Children of its own, which have nothing to do with it.
    others: Vec<Pid>,
}

impl Orphanage {
    fn open() -> Result<Self> {
        prctl::set_child_subreaper(true)
            .map_err(|errno| Error::system("adopt what workers leave behind", &errno.into()))?;
        Ok(Self { others: children() })
    }

    /// Kills all of them, and waits for their end. The workers are gone.
    fn clear(&self) {
        loop {
            let orphans: Vec<_> = children().into_iter().filter(|child| !self.others.contains(child)).collect();
            if orphans.is_empty() {
                return;
            }
            for orphan in orphans {
                // One that has ended is only waited for; what it leaves in turn comes here too.
                let _ = kill(orphan, Signal::SIGKILL);
                while waitpid(orphan, Some(WaitPidFlag::__WALL)) == Err(Errno::EINTR) {}
            }
        }
    }
}

impl Drop for Orphanage {
    fn drop(&mut self) {
        let _ = prctl::set_child_subreaper(false);
    }
}

/// This process's children. The kernel lists them by thread, and does not say whose an orphan becomes.
fn children() -> Vec<Pid> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lists: Vec<_> = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
    let pids = lists.iter().flat_map(|list| list.split_whitespace());
    pids.filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

impl Builder<'_> {
    /// Builds all that the target stands on, and takes files from.
    pub(super) fn prepare(&mut self, target: usize) -> Result<(), Failure> {
        let needs = self.needed(target);
        let most = available_parallelism().map_or(2, usize::from);
        let mut workers: Vec<Worker> = Vec::new();
        let orphanage = Orphanage::open()?;
        let outcome = loop {
            let free =
                |index: &usize| !self.built.contains_key(index) && !workers.iter().any(|worker| worker.stage == *index);
            let is_ready = |needs: &BTreeSet<usize>| needs.iter().all(|other| self.built.contains_key(other));
            let ready: Vec<usize> =
                needs.iter().filter(|(index, needs)| free(index) && is_ready(needs)).map(|(&index, _)| index).collect();
            if workers.is_empty() && ready.len() <= 1 {
                match ready.first() {
                    Some(&index) => self.stage(index)?,
                    None => return Ok(()),
                };
                continue;
            }
            let started: Result<Vec<_>> =
                ready.into_iter().take(most.saturating_sub(workers.len())).map(|index| self.work(index)).collect();
            match started {
                Ok(started) => workers.extend(started),
                Err(e) => break Err(e.into()),
            }
            if let Err(failure) = self.listen(&mut workers) {
                break Err(failure);
            }
        };
        drop(workers);
        if outcome.is_err() {
            orphanage.clear();
        }
        // What they had in the kernel and in networks.
        self.engine.store.sweep()?;
        self.engine.clear_abandoned_steps()?;
        outcome
    }

    /// The stages that the target needs, itself too, each with those that it needs first.
    fn needed(&self, target: usize) -> BTreeMap<usize, BTreeSet<usize>> {
        let mut needed = BTreeMap::new();
        let mut left = vec![target];
        while let Some(index) = left.pop() {
            if let Entry::Vacant(place) = needed.entry(index) {
                let needs = self.plan.needs(index, |name| self.request.contexts.contains_key(name));
                left.extend(place.insert(needs).iter());
            }
        }
        needed
    }

    /// Starts a worker.
    fn work(&self, index: usize) -> Result<Worker> {
        let failed = |errno: Errno| Error::system("start a build of a stage", &errno.into());
        let (words, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        let parent = Pid::this();
        match sys::fork().map_err(failed)? {
            Cloned::Parent(pid, _) => {
                Ok(Worker { stage: index, pid, words: BufReader::new(File::from(words)), number: 0 })
            }
            Cloned::Child => {
                drop(words);
                let code = self.worker(index, parent, &mut File::from(theirs));
                sys::exit_now(i32::from(code.is_err()))
            }
        }
    }

    /// What a worker does. Nothing of the parent's is dropped here: it is still in use.
    fn worker(&self, index: usize, parent: Pid, line: &mut File) -> io::Result<()> {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        if getppid() != parent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut copy = line.try_clone()?;
        let mut tell = move |event: Event| {
            let word = match event {
                Event::Step { name, .. } => Word::Step(name.to_owned()),
                Event::Cached { .. } => Word::Cached,
                Event::Output { bytes, .. } => Word::Output(bytes.to_vec()),
                Event::Done { .. } => Word::Done,
                Event::Pull(name) => Word::Pull(name.to_owned()),
                // The parent's.
                Event::Warnings(_) | Event::Tick => return,
            };
            // Who does not listen any more kills this process.
            let _ = say(&mut copy, &word);
        };
        let failed = |failure: Failure| {
            Word::Failed(failure.error, failure.lines.map(|lines| (lines.start, lines.end)), failure.before)
        };
        let word = match self.engine.intake() {
            Err(e) => failed(e.into()),
            Ok(intake) => {
                let mut builder = Builder {
                    engine: self.engine,
                    request: self.request,
                    plan: self.plan.clone(),
                    expander: self.expander.clone(),
                    intake,
                    progress: &mut tell,
                    built: self.built.clone(),
                    building: Vec::new(),
                    pulled: self.pulled.clone(),
                    epoch: self.epoch,
                    kept: Vec::new(),
                    leased: Vec::new(),
                    steps: 0,
                };
                match builder.stage(index) {
                    Ok(stage) => Word::Built(Box::new(stage), std::mem::take(&mut builder.kept)),
                    Err(failure) => failed(failure),
                }
            }
        };
        say(line, &word)
    }

    /// Waits for words, and does what they say.
    fn listen(&mut self, workers: &mut Vec<Worker>) -> Result<(), Failure> {
        let doing = |e: io::Error| Error::system("listen to a build of a stage", &e);
        let mut fds: Vec<_> =
            workers.iter().map(|worker| PollFd::new(worker.words.get_ref().as_fd(), PollFlags::POLLIN)).collect();
        let most = if self.request.ticks { TICK.as_millis().try_into().ok() } else { None };
        match poll(&mut fds, most.unwrap_or(PollTimeout::NONE)) {
            Err(Errno::EINTR) => return Ok(()),
            polled => polled.map_err(|e| doing(e.into()))?,
        };
        if self.request.ticks {
            (self.progress)(Event::Tick);
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
        let mut at = 0;
        for ready in ready {
            let worker = &mut workers[at];
            at += 1;
            // All that has come in, for nothing else tells of it.
            if !ready {
                continue;
            }
            loop {
                let mut text = Vec::new();
                worker.words.read_until(b'\n', &mut text).map_err(doing)?;
                let word = serde_json::from_slice(&text).map_err(|_| {
                    let name = self.plan.name(worker.stage);
                    Error::new(Kind::System, format!("the process that built the stage {name} was killed: try again"))
                })?;
                if let Word::Built(stage, kept) = word {
                    self.lease(&stage.image.rootfs.diff_ids)?;
                    self.kept.extend(kept);
                    self.built.insert(worker.stage, *stage);
                    at -= 1;
                    workers.remove(at);
                    break;
                }
                self.pass_on(worker, word)?;
                if worker.words.buffer().is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, worker: &mut Worker, word: Word) -> Result<(), Failure> {
        let number = worker.number;
        match word {
            Word::Step(name) => {
                self.steps += 1;
                worker.number = self.steps;
                (self.progress)(Event::Step { number: worker.number, name: &name });
            }
            Word::Pull(name) => (self.progress)(Event::Pull(&name)),
            Word::Cached => (self.progress)(Event::Cached { number }),
            Word::Output(bytes) => (self.progress)(Event::Output { number, bytes: &bytes }),
            Word::Done => (self.progress)(Event::Done { number }),
            Word::Failed(error, lines, before) => {
                let lines = lines.map(|(start, end)| Lines { start, end });
                let step = Some(number).filter(|number| *number > 0);
                return Err(Failure { lines, step, before, ..error.into() });
            }
            Word::Built(..) => {}
        }
        Ok(())
    }
}

fn say(line: &mut impl Write, word: &Word) -> io::Result<()> {
    let mut text = serde_json::to_vec(word)?;
    text.push(b'\n');
    line.write_all(&text)
}
