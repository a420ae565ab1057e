//! RUN: a container over the layers so far, whose upper directory becomes the next one.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Instant,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{FileStat, Mode, SFlag, fstat},
    unistd::{UnlinkatFlags, pipe2, unlinkat},
};
use process::{Host, Journal, sys};

use super::{
    Builder, Event, Failure, TICK,
    agent::Relay,
    cache, configure,
    dockerfile::{Command, Run},
    mounts::Mounts,
    scope,
    stage::{Stage, Step},
    step::Place,
    workspace,
};
use crate::{
    engine::{
        error::{Context, Error, Kind, Result},
        image::MOUNT_POINTS,
        network::Attendance,
    },
    runtime::{self, Spec},
};

/// Where a script is mounted.
const SCRIPTS: &str = "/dev/pipes";

impl Builder<'_> {
    // ANCHOR: run
    pub(super) fn run(&mut self, stage: &mut Stage, command: &Command, run: &Run) -> Result<(), Failure> {
        if run.security != "sandbox" {
            return Err(
                Error::invalid("RUN --security=insecure is not allowed: what it gives, nothing takes back").into()
            );
        }
        if run.network == "host" && !self.request.environs.allow_host_network {
            let message = "RUN --network=host: network.host is not allowed: build with --allow network.host, if you trust the Dockerfile and its images with the host's network";
            return Err(Error::invalid(message).into());
        }
        if let Some(device) = run.devices.first() {
            return Err(Error::invalid(format!("RUN --device={device}: devices are not there in a build")).into());
        }
        let (arguments, script) = arguments(stage, run)?;
        if arguments.is_empty() {
            return Err(Error::invalid("RUN has no command").into());
        }
        let words = history(stage, &arguments);
        let environs = &self.request.environs;
        let network = if run.network == "default" { &environs.network } else { &run.network };
        let script = script.as_deref();
        let step = |stage: &Stage, mounts: &str| Step {
            words: &words,
            source: &command.source,
            key: key(stage, &arguments, script, [network, mounts], &environs.extra_hosts),
            alone: false,
        };
        let known = self.mounts_key(stage, run)?;
        self.announce(stage, &command.source);
        let done = step(stage, &known);
        if self.reuse(stage, &done)? {
            return Ok(());
        }
        let mut mounts = self.mounts(stage, run)?;
        if let (Some(script), [name]) = (script, &arguments[..]) {
            mounts.script(&self.intake.directory()?, Path::new(name), script)?;
        }
        // Of the files that are there now.
        let step = step(stage, &mounts.key);
        let base = self.intake.directory()?;
        let code = self.execute(stage, &arguments, network, &mounts, &base)?;
        if code != 0 {
            let words = arguments.join(" ");
            let message = format!("process {words:?} did not complete successfully: exit code: {code}");
            return Err(Error::new(Kind::Invalid, message).into());
        }
        let upper = base.join("upper");
        let lower = workspace::lower(self.engine, &stage.image);
        clear_mount_points(&upper, &lower, &mounts.targets);
        let upper = Some(upper).filter(|upper| !workspace::is_empty(upper));
        self.take(stage, &step, upper.as_deref())
    }
    // ANCHOR_END: run

    /// Runs the container to its end, and returns the exit code.
    fn execute(
        &mut self,
        stage: &Stage,
        arguments: &[String],
        network: &str,
        mounts: &Mounts,
        base: &Path,
    ) -> Result<i32> {
        let mut environment = stage.env.clone();
        for name in scope::PREDEFINED {
            if let Some(value) = self.request.args.get(name) {
                scope::set(&mut environment, name, value);
            }
        }
        environment.extend(mounts.environment.iter().cloned());
        let place = Place::new(self.engine, &self.request.environs, stage, arguments, network)?;
        let undo = self.intake.undo();
        let mut host = Host::new(Journal::open(&undo).doing("open", &undo)?);
        let relays = mounts.doors.iter().map(Relay::start).collect::<Result<Vec<_>>>();
        let spec = relays.and_then(|relays| Ok((place.spec(stage, environment, mounts, base)?, relays)));
        let code = match spec {
            Ok((spec, _relays)) => self.watch(&spec, &place, &mut host),
            Err(e) => Err(e),
        };
        let undone = std::mem::take(&mut host.journal).undo_most();
        let left = place.leave();
        let code = code?;
        undone.doing("clean up after the step, by", &undo)?;
        left?;
        Ok(code)
    }

    /// Starts it, passes on what it writes, and answers its questions about names.
    fn watch(&mut self, spec: &Spec, place: &Place, host: &mut Host) -> Result<i32> {
        let doing = |e: io::Error| Error::system("run the step", &e);
        let (output, ours) = pipe2(OFlag::O_CLOEXEC).map_err(|e| doing(e.into()))?;
        let null = File::options().read(true).write(true).open("/dev/null").map_err(doing)?;
        let error = ours.try_clone().map_err(doing)?;
        let stdio = [Some(OwnedFd::from(null)), Some(ours), Some(error)];
        let started = runtime::start(spec, stdio, host).map_err(|e| Error::new(Kind::Invalid, e.to_string()))?;
        let runtime::Started { mut child, ports } = started;
        let mut network = self.engine.attend(&place.container.config, &mut child, ports)?;
        let mut output = File::from(output);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let ready = readable(&output, &mut network, self.request.ticks).map_err(doing)?;
            if self.request.ticks {
                (self.progress)(Event::Tick);
            }
            if !ready {
                continue;
            }
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => (self.progress)(Event::Output { number: self.steps, bytes: &buffer[..length] }),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(doing(e)),
            }
        }
        sys::wait_exit(child.pidfd.as_fd()).map_err(|e| doing(e.into()))
    }
}

/// Waits until there is output, or the network wants something, which it gets, or a moment if it `ticks`; whether there
/// is output.
fn readable(output: &File, network: &mut Attendance, ticks: bool) -> io::Result<bool> {
    let left = network.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let left = [left, ticks.then_some(TICK)].into_iter().flatten().min();
    // Rounded up: a moment too early is once more around.
    let timeout = left.map_or(PollTimeout::NONE, |left| {
        PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
    });
    let mut fds = vec![PollFd::new(output.as_fd(), PollFlags::POLLIN)];
    fds.extend(network.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    match poll(&mut fds, timeout) {
        Err(Errno::EINTR) => return Ok(false),
        polled => polled?,
    };
    let ready = fds[0].any() == Some(true);
    network.handle();
    Ok(ready)
}

/// The cache's key of a step.
fn key(
    stage: &Stage,
    arguments: &[String],
    script: Option<&str>,
    [network, mounts]: [&str; 2],
    hosts: &[String],
) -> String {
    let config = &stage.image.config;
    let mut parts = vec!["run", &stage.key, &config.user, &config.working_dir, network, mounts];
    parts.extend(arguments.iter().map(String::as_str));
    parts.extend(script.iter().flat_map(|script| ["script", script]));
    parts.push("hosts");
    parts.extend(hosts.iter().map(String::as_str));
    parts.push("env");
    parts.extend(stage.env.iter().map(String::as_str));
    cache::key(&parts)
}

/// As Docker writes it: `RUN |1 version=2 /bin/sh -c make`.
fn history(stage: &Stage, arguments: &[String]) -> String {
    let values = stage.args.iter().filter_map(|name| Some(format!("{name}={}", stage.variable(name)?)));
    let values: Vec<_> = values.collect();
    let values = if values.is_empty() { String::new() } else { format!("|{} {} ", values.len(), values.join(" ")) };
    format!("RUN {values}{}", arguments.join(" "))
}

/// What the container executes, and the script that it is, where it is one with an interpreter of its own.
fn arguments(stage: &Stage, run: &Run) -> Result<(Vec<String>, Option<String>)> {
    let config = &stage.image.config;
    let [first, ..] = &run.heredocs[..] else {
        return Ok((configure::command(config, &run.command), None));
    };
    let [text] = &run.command.words[..] else {
        return Err(Error::invalid("a here-document needs a command in shell form"));
    };
    let mut command = run.command.clone();
    if text.starts_with("<<") && run.heredocs.len() == 1 && is_one_word(text) {
        let script = first.text();
        if script.starts_with("#!") {
            return Ok((vec![format!("{SCRIPTS}/{}", first.name)], Some(script)));
        }
        command.words = vec![script];
    } else {
        let docs = run.heredocs.iter().map(|doc| format!("\n{}{}", doc.content, doc.name));
        command.words = vec![text.clone() + &docs.collect::<String>()];
    }
    Ok((configure::command(config, &command), None))
}

fn is_one_word(text: &str) -> bool {
    !text.trim_start_matches("<<").trim_start_matches('-').trim().contains(char::is_whitespace)
}

/// Removes what was made in the upper directory only for something to be mounted on it: never behind a link, which the step
/// may have put in the place of a directory (CVE-2024-23652).
fn clear_mount_points(upper: &Path, lower: &[PathBuf], targets: &[PathBuf]) {
    let own = MOUNT_POINTS.iter().filter_map(|path| std::str::from_utf8(path).ok()).map(PathBuf::from);
    for path in own.chain(targets.iter().cloned()) {
        // And the directories that it needed.
        for path in path.ancestors().take_while(|path| !path.as_os_str().is_empty()) {
            let Some((there, found)) = find(upper, path) else { continue };
            let below = lower.iter().find_map(|layer| find(layer, path));
            if below.is_some_and(|(_, below)| !is_copied_up(&there, &found, &below)) {
                break;
            }
            // What is not empty is the step's own.
            let flag = match kind(&found) {
                SFlag::S_IFDIR => UnlinkatFlags::RemoveDir,
                SFlag::S_IFREG if found.st_size == 0 => UnlinkatFlags::NoRemoveDir,
                _ => break,
            };
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let removed =
                path.file_name().zip(find(upper, parent)).map(|(name, (parent, _))| unlinkat(parent, name, flag));
            if removed != Some(Ok(())) {
                break;
            }
        }
    }
}

/// What is at this place of a tree, where no link is on the way.
fn find(root: &Path, path: &Path) -> Option<(OwnedFd, FileStat)> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = open(root, flags | OFlag::O_DIRECTORY, Mode::empty()).ok()?;
    let within = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let found = openat2(&root, path, OpenHow::new().flags(flags).resolve(within)).ok()?;
    let stat = fstat(&found).ok()?;
    Some((found, stat))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

/// Whether a directory is in the upper layer only because something was made in it.
fn is_copied_up(there: &OwnedFd, found: &FileStat, below: &FileStat) -> bool {
    let owner = |of: &FileStat| (of.st_mode, of.st_uid, of.st_gid);
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    // One that replaces what was below is opaque.
    let Some(name) = rootfs::Whiteouts::native().opaque() else { return false };
    let opaque = |directory: OwnedFd| sys::get_xattr(directory.as_fd(), name, &mut [0; 1]);
    let plain =
        || openat(there, ".", flags, Mode::empty()).is_ok_and(|directory| opaque(directory) == Err(Errno::ENODATA));
    kind(found) == SFlag::S_IFDIR && owner(found) == owner(below) && plain()
}
