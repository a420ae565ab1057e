//! A monitor per running container: the process that stays with it from its start to its end.
//!
//! It is forked, never re-executed, leads a session of its own, and has one loop ([`serve`]): standard streams or
//! terminal, log, those who attach, exit code, clean-up. There is no daemon: when the last container ends, the last
//! monitor does.

mod adopt;
pub mod frame;
mod serve;

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
};

use jiff::Timestamp;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::stat::fstat,
    unistd::{pipe2, setsid},
};
use process::{
    Child, Host, Journal, Undo,
    sys::{self, Cloned},
};

use super::{
    Engine,
    container::{Container, State, Status},
    error::{Context, Error, Kind, Result},
    files::{Lock, Locking},
    log,
    network::Attendance,
};
pub use adopt::adopt;

use crate::runtime;

/// A container that has just been started.
#[derive(Debug)]
pub struct Started {
    /// The line to its monitor, which says at last how it ended. Attached, if that was asked for.
    pub line: UnixStream,
    /// What `--explain` prints; empty unless asked for.
    pub explanation: String,
}

/// How to start a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What the caller wants of it: [`frame::STREAMS`], [`frame::INPUT`].
    pub attach: u8,
    /// Whether to explain.
    pub explain: bool,
}

/// Forks the monitor of a container, and returns when the program runs. `lock` is the container's, and until then the
/// monitor holds it too: nobody takes apart what it is making, even if the caller is killed.
///
/// # Errors
/// What kept the program from running; then there is no monitor, and the status says why.
pub fn launch(engine: &Engine, container: &Container, lock: Lock, options: Options) -> Result<Started> {
    let failed = |e: io::Error| Error::system("start the container's monitor", &e);
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    match sys::fork().map_err(|e| failed(e.into()))? {
        Cloned::Child => {
            drop(ours);
            let code = main(engine, container, lock, theirs, options);
            sys::exit_now(code)
        }
        Cloned::Parent(..) => {
            drop(theirs);
            let mut explanation = String::new();
            loop {
                match frame::read(&ours).map_err(failed)? {
                    Some((frame::Kind::Explain, text)) => explanation = String::from_utf8_lossy(&text).into_owned(),
                    Some((frame::Kind::Ready, _)) => {
                        return Ok(Started { line: ours, explanation });
                    }
                    Some((frame::Kind::Failed, json)) => {
                        let unreadable = |e: serde_json::Error| failed(e.into());
                        return Err(serde_json::from_slice(&json).map_err(unreadable)?);
                    }
                    Some(_) => {}
                    None => {
                        return Err(failed(io::Error::other("it ended before the program ran")));
                    }
                }
            }
        }
    }
}

/// The monitor's life. Nobody sees what it prints; what it has to say goes over the line or into the status.
fn main(engine: &Engine, container: &Container, lock: Lock, line: UnixStream, options: Options) -> i32 {
    let begun = detach(&[line.as_raw_fd(), lock.file().as_raw_fd()])
        .map_err(|e| Error::system("detach the monitor", &e.into()))
        .and_then(|()| begin(engine, container, &line, options));
    drop(lock);
    match begun {
        Ok((monitor, streams)) => {
            let served = monitor.serve(Some((line, options.attach)), streams);
            i32::from(served.is_err())
        }
        Err(e) => {
            let json = serde_json::to_vec(&e).unwrap_or_default();
            // The one who started it may have gone; then nobody wants to know.
            let _ = frame::write(&line, frame::Kind::Failed, &json);
            1
        }
    }
}

/// A monitor whose container runs.
pub(super) struct Monitor<'a> {
    pub(super) engine: &'a Engine,
    pub(super) container: &'a Container,
    pub(super) child: Child,
    pub(super) journal: Journal,
    pub(super) log: log::Writer,
    pub(super) listener: UnixListener,
    /// What answers its questions about names, and holds its ports.
    pub(super) network: Attendance,
    pub(super) status: Status,
    /// The container's mount namespace, where its mounts may live until all who wait for its end have been told:
    /// taking them apart waits for grace periods of the kernel's.
    pub(super) mounts: Option<File>,
    /// Held as long as this process lives: what others see of it.
    pub(super) _alive: Lock,
}

/// The monitor's ends of the container's standard streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
    pub(super) stderr: Option<OwnedFd>,
}

fn begin<'a>(
    engine: &'a Engine,
    container: &'a Container,
    line: &UnixStream,
    options: Options,
) -> Result<(Monitor<'a>, Streams)> {
    let id = &container.config.id;
    let run = engine.store.make_run(id)?;
    let alive = Lock::take(&run.join("monitor"), Locking::Try)?;
    let alive = alive.ok_or_else(|| Error::conflict(format!("container {id} has a monitor already")))?;
    let mut journal = Journal::open(&run.join("undo")).doing("open", &run.join("undo"))?;
    let started = start(engine, container, &mut journal, &run, line, options);
    match started {
        Ok((child, streams, log, listener, network, mounts)) => {
            let status = running(engine, &child, &streams);
            engine.write_status(&container.config, &status)?;
            if options.attach != 0 {
                engine.emit_container(&container.config, "attach", &[]);
            }
            engine.emit_container(&container.config, "start", &[]);
            // The one who started it may have been killed; the container runs all the same.
            let _ = frame::write(line, frame::Kind::Ready, &[]);
            Ok((
                Monitor { engine, container, child, journal, log, listener, network, status, mounts, _alive: alive },
                streams,
            ))
        }
        Err(e) => {
            // What cannot be undone now stays in the journal, for whoever removes the container.
            let _ = engine.leave_networks(id).and_then(|()| {
                journal.undo_all().map_err(|e| Error::system("clean up", &e))?;
                engine.sweep_ports()
            });
            let _ = engine.release_volumes(&container.config);
            let mut status = container.status.clone();
            status.exit_code = i32::from(e.run_exit_code());
            status.error = e.to_string();
            engine.write_status(&container.config, &status)?;
            Err(e)
        }
    }
}

/// Leaves the caller's session, terminal, directory and open files but those to `keep`.
fn detach(keep: &[RawFd]) -> nix::Result<()> {
    setsid()?;
    nix::unistd::chdir("/")?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(|_| Errno::ENODEV)?;
    for target in 0..3 {
        sys::duplicate_to(null.as_fd(), target)?;
    }
    // Descriptors that the caller was started with, a lock of his shell's for example, must not live on in here.
    std::mem::forget(null);
    let mut keep: Vec<u32> = keep.iter().map(|&fd| fd as u32).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep {
        if fd > first {
            sys::close_range(first, fd - 1)?;
        }
        first = first.max(fd + 1);
    }
    sys::close_range(first, u32::MAX)?;
    sys::default_signals()?;
    sys::ignore_broken_pipes()
}

type Begun = (Child, Streams, log::Writer, UnixListener, Attendance, Option<File>);

fn start(
    engine: &Engine,
    container: &Container,
    journal: &mut Journal,
    run: &Path,
    line: &UnixStream,
    options: Options,
) -> Result<Begun> {
    let config = &container.config;
    journal.record(Undo::RemoveTree(run.to_owned())).doing("write", run)?;
    let listener = listen(run)?;
    let log = log::Writer::new(engine.log_path(&config.id));
    let (stdio, mut streams) =
        pipes(config.tty, config.open_stdin).map_err(|e| Error::system("make pipes", &e.into()))?;
    let spec = engine.spec(container)?;
    let mut host = Host::new(std::mem::take(journal));
    if options.explain {
        host.explain();
    }
    let started = runtime::start(&spec, stdio, &mut host);
    if options.explain {
        let text = host.trace().to_string();
        frame::write(line, frame::Kind::Explain, text.as_bytes()).doing("report to", run)?;
    }
    *journal = std::mem::take(&mut host.journal);
    let runtime::Started { mut child, ports } = started.map_err(|e| explain(&e))?;
    let network = engine.attend(config, &mut child, ports)?;
    // What the user mounted is free when he is told, and a container that stays may be started again at once.
    let mounts = config.auto_remove && config.storage.points.is_empty() && config.storage.tmpfs.is_empty();
    // It may have ended already.
    let mounts = mounts.then(|| File::open(format!("/proc/{}/ns/mnt", child.pid)).ok()).flatten();
    if let Some(terminal) = child.take_descriptor(process::TERMINAL) {
        let copy = terminal.try_clone().doing("copy the terminal of", run)?;
        streams = Streams { stdin: Some(terminal), stdout: Some(copy), stderr: None };
    }
    for stream in [&streams.stdin, &streams.stdout, &streams.stderr].into_iter().flatten() {
        fcntl(stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).doing("set up the streams of", run)?;
    }
    Ok((child, streams, log, listener, network, mounts))
}

/// The socket for those who attach.
fn listen(run: &Path) -> Result<UnixListener> {
    let socket = run.join("attach");
    let listener = UnixListener::bind(&socket).doing("bind", &socket)?;
    listener.set_nonblocking(true).doing("open", &socket)?;
    Ok(listener)
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

fn running(engine: &Engine, child: &Child, streams: &Streams) -> Status {
    let inode = |pipe: &Option<OwnedFd>| pipe.as_ref().and_then(|pipe| fstat(pipe).ok()).map_or(0, |s| s.st_ino);
    Status {
        state: State::Running,
        pid: child.pid.as_raw(),
        start_time: process::start_time(child.pid).unwrap_or(0),
        boot: engine.store.boot().to_owned(),
        // A terminal is nothing that another monitor could open again.
        pipes: if streams.stderr.is_some() { [inode(&streams.stdout), inode(&streams.stderr)] } else { [0; 2] },
        started: Some(Timestamp::now()),
        ..Status::created()
    }
}

fn explain(error: &process::Error) -> Error {
    let kind = match process::stage::exit_code(error) {
        127 => Kind::CommandNotFound,
        126 => Kind::CannotExecute,
        _ => Kind::System,
    };
    Error::new(kind, error.to_string())
}

/// Connects to the monitor of a running container.
///
/// # Errors
/// `ConnectionRefused` or `NotFound` where there is none.
pub fn connect(engine: &Engine, id: &str, hello: u8) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(engine.store.run(id).join("attach"))?;
    let mut bytes = Vec::new();
    frame::push(&mut bytes, frame::Kind::Hello, &[hello]);
    stream.write_all(&bytes)?;
    Ok(stream)
}
