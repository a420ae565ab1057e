//! One life of a container: from a start of its program to its end. With a restart policy a monitor sees several.

use std::{
    fs::File,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use jiff::Timestamp;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::fstat,
    unistd::pipe2,
};
use process::{Child, Host, Journal, Undo};

use super::{Monitor, client::Input, frame, health::Checker, oom::Oom, size};
use crate::{
    engine::{
        Engine,
        container::{State, Status},
        error::{Context, Error, Kind, Result},
        log::Stream,
        network::Attendance,
    },
    runtime,
};

/// A container's first process, and the monitor's ends of what is connected to it.
pub(super) struct Life {
    pub(super) child: Child,
    pub(super) input: Input,
    pub(super) outputs: [(Option<File>, Stream); 2],
    pub(super) oom: Option<Oom>,
    pub(super) health: Option<Checker>,
    /// What answers its questions about names, and holds its ports.
    pub(super) network: Attendance,
    /// The container's mount namespace, where its mounts may live until all who wait for its end have been told:
    /// taking them apart waits for grace periods of the kernel's.
    pub(super) mounts: Option<File>,
}

/// The monitor's ends of the container's standard streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

/// What a start has made.
struct Start {
    child: Child,
    streams: Streams,
    network: Attendance,
    mounts: Option<File>,
}

impl Life {
    pub(super) fn new(child: Child, streams: Streams) -> Self {
        let input = Input { fd: streams.stdin.map(File::from), ..Input::default() };
        let outputs =
            [(streams.stdout.map(File::from), Stream::Stdout), (streams.stderr.map(File::from), Stream::Stderr)];
        Self { child, input, outputs, oom: None, health: None, network: Attendance::default(), mounts: None }
    }
}

/// The way into an ordinary user's namespaces for who comes after this monitor was killed.
fn add_member(engine: &Engine, journal: &mut Journal, child: &Child) -> Result<()> {
    let Some(members) = engine.store.members() else { return Ok(()) };
    let Some(file) = members.of_container(process::way_in(child.pid)) else { return Ok(()) };
    journal.record(Undo::RemoveFile(file.clone())).doing("write the journal for", &file)?;
    members.add(&file)
}

impl Monitor<'_> {
    /// Starts the program; then the container is running, and that is written down. `caller` is where warnings go, and the
    /// explanation where one is wanted. The caller holds the container's lock, and undoes what stays in the journal after a failure.
    pub(super) fn live(&mut self, caller: Option<&UnixStream>, explain: bool, attached: bool) -> Result<Life> {
        let Start { child, streams, network, mounts } = self.start(caller, explain)?;
        self.status = running(self.engine, &self.status, &child, &streams);
        let config = &self.container.config;
        self.engine.write_status(config, &self.status)?;
        self.engine.reserve_status(config);
        self.engine.emit_start(config, attached);
        self.undo_size = size(&self.engine.store.run(&config.id).join("undo"));
        let mut begun = Life::new(child, streams);
        begun.oom = Oom::watch(self.engine, config);
        begun.health = Checker::new(self, true);
        begun.network = network;
        begun.mounts = mounts;
        Ok(begun)
    }

    fn start(&mut self, caller: Option<&UnixStream>, explain: bool) -> Result<Start> {
        let config = &self.container.config;
        let run = self.engine.store.run(&config.id);
        let (stdio, mut streams) =
            pipes(config.tty, config.open_stdin).map_err(|e| Error::system("make pipes", &e.into()))?;
        let mut spec = self.engine.spec(&self.container)?;
        spec.process.size = self.size;
        let mut host = Host::new(std::mem::take(&mut self.journal));
        if explain {
            host.explain();
        }
        let started = runtime::start(&spec, stdio, &mut host);
        if let Some(caller) = caller {
            // Whoever wanted them may have gone.
            if explain {
                let _ = frame::write(caller, frame::Kind::Explain, host.trace().to_string().as_bytes());
            }
            for warning in &host.warnings {
                let _ = frame::write(caller, frame::Kind::Warning, warning.as_bytes());
            }
        }
        self.journal = std::mem::take(&mut host.journal);
        let runtime::Started { mut child, ports } = started.map_err(|e| explained(&e))?;
        add_member(self.engine, &mut self.journal, &child)?;
        let network = self.engine.attend(config, &mut child, ports)?;
        // What the user mounted is free when he is told, and a container that stays may be started again at once.
        let mounts = config.auto_remove && config.storage.points.is_empty() && config.storage.tmpfs.is_empty();
        // It may have ended already.
        let mounts = mounts.then(|| File::open(format!("/proc/{}/ns/mnt", child.pid)).ok()).flatten();
        if let Some(terminal) = child.take_descriptor(process::TERMINAL) {
            let copy = terminal.try_clone().doing("copy the terminal of", &run)?;
            streams = Streams { stdin: Some(terminal), stdout: Some(copy), stderr: None };
        }
        for stream in [&streams.stdin, &streams.stdout, &streams.stderr].into_iter().flatten() {
            fcntl(stream.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).doing("set up the streams of", &run)?;
        }
        Ok(Start { child, streams, network, mounts })
    }
}

/// What the container's program gets, and what the monitor keeps.
fn pipes(tty: bool, open_stdin: bool) -> nix::Result<([Option<OwnedFd>; 3], Streams)> {
    if tty {
        return Ok(([None, None, None], Streams::default()));
    }
    let (out, stdout) = pipe2(OFlag::O_CLOEXEC)?;
    let (err, stderr) = pipe2(OFlag::O_CLOEXEC)?;
    // Without a pipe it keeps the monitor's, which is /dev/null.
    let (input, stdin) = if open_stdin {
        let (input, stdin) = pipe2(OFlag::O_CLOEXEC)?;
        (Some(input), Some(stdin))
    } else {
        (None, None)
    };
    Ok(([input, Some(stdout), Some(stderr)], Streams { stdin, stdout: Some(out), stderr: Some(err) }))
}

fn running(engine: &Engine, before: &Status, child: &Child, streams: &Streams) -> Status {
    let inode = |pipe: &Option<OwnedFd>| pipe.as_ref().and_then(|pipe| fstat(pipe).ok()).map_or(0, |s| s.st_ino);
    Status {
        state: State::Running,
        pid: child.pid.as_raw(),
        start_time: process::start_time(child.pid).unwrap_or(0),
        boot: engine.store.boot().to_owned(),
        store: engine.store.identity().to_owned(),
        // A terminal is nothing that another monitor could open again.
        pipes: if streams.stderr.is_some() { [inode(&streams.stdout), inode(&streams.stderr)] } else { [0; 2] },
        started: Some(Timestamp::now()),
        restarts: before.restarts,
        delay: before.delay,
        ..Status::created()
    }
}

fn explained(error: &process::Error) -> Error {
    let kind = match process::stage::exit_code(error) {
        127 => Kind::CommandNotFound,
        126 => Kind::CannotExecute,
        _ => Kind::System,
    };
    Error::new(kind, error.to_string())
}
