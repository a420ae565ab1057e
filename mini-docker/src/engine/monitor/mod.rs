//! A monitor per running container: the process that stays with it from its start to its end.
//!
//! It is forked, never re-executed, leads a session of its own, and has one loop ([`serve`]): standard streams or
//! terminal, log, those who attach, exit code, restarts, clean-up. There is no daemon: when the last container ends, the last
//! monitor does.

mod adopt;
mod client;
pub mod frame;
mod health;
mod life;
mod oom;
mod restart;
mod serve;

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::setsid,
};
use process::{
    Journal, Undo,
    sys::{self, Cloned, CommandLine},
};

use super::{
    Engine,
    container::{Container, Status},
    error::{Context, Error, Result},
    files::Lock,
    image::short,
    log,
    members::{Member, Members},
};
pub use adopt::adopt;
use client::Client;
use life::Life;

/// A container that has just been started.
#[derive(Debug)]
pub struct Started {
    /// The line to its monitor, which says at last how it ended. Attached, if that was asked for.
    pub line: UnixStream,
    /// What `--explain` prints; empty unless asked for.
    pub explanation: String,
    /// What has come out otherwise than the user may expect, each in a sentence.
    pub warnings: Vec<String>,
}

/// How to start a container.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// What the caller wants of it: [`frame::STREAMS`], [`frame::INPUT`].
    pub attach: u8,
    /// Whether to explain.
    pub explain: bool,
    /// Rows and columns of the caller's terminal, where the container is to have one of that size.
    pub size: Option<(u16, u16)>,
}

// ANCHOR: launch
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
            let said = await_start(&ours).map_err(failed)??;
            Ok(Started { line: ours, explanation: said.explanation, warnings: said.warnings })
        }
    }
}
// ANCHOR_END: launch

/// What a process that was forked to start a program says before it runs.
#[derive(Debug, Default)]
pub(super) struct Said {
    explanation: String,
    warnings: Vec<String>,
}

/// What a process that was forked to start a program says of it, or why the program does not run.
pub(super) fn await_start(line: &UnixStream) -> io::Result<Result<Said>> {
    let mut said = Said::default();
    loop {
        match frame::read(line)? {
            Some((frame::Kind::Explain, text)) => said.explanation = String::from_utf8_lossy(&text).into_owned(),
            Some((frame::Kind::Warning, text)) => said.warnings.push(String::from_utf8_lossy(&text).into_owned()),
            Some((frame::Kind::Ready, _)) => return Ok(Ok(said)),
            Some((frame::Kind::Failed, json)) => return Ok(Err(serde_json::from_slice(&json)?)),
            Some(_) => {}
            None => return Err(io::Error::other("it ended before the program ran")),
        }
    }
}

/// The other side of [`await_start`], where the program does not run. Whoever asked may have gone.
pub(super) fn tell_failure(line: &UnixStream, error: &Error) {
    let json = serde_json::to_vec(error).unwrap_or_default();
    let _ = frame::write(line, frame::Kind::Failed, &json);
}

/// The monitor's life. Nobody sees what it prints; what it has to say goes over the line or into the status.
fn main(engine: &Engine, container: &Container, lock: Lock, line: UnixStream, options: Options) -> i32 {
    let begun = detach(&title(&container.config.id), &[line.as_raw_fd(), lock.file().as_raw_fd()])
        .map_err(|e| Error::system("detach the monitor", &e.into()))
        .and_then(|()| begin(engine, container, &line, options));
    drop(lock);
    match begun {
        Ok((mut monitor, first)) => {
            monitor.clients.extend(Client::new(line, options.attach));
            i32::from(monitor.run(Some(first)).is_err())
        }
        Err(e) => {
            tell_failure(&line, &e);
            1
        }
    }
}

/// A monitor: of a container that runs, or that is about to be started again.
struct Monitor<'a> {
    engine: &'a Engine,
    /// As it was when it started last.
    container: Container,
    /// Of its configuration's file.
    version: Option<(u64, i64)>,
    status: Status,
    journal: Journal,
    log: log::Writer,
    listener: UnixListener,
    clients: Vec<Client>,
    /// Bytes of the journal's file when the container had started.
    undo_size: u64,
    /// Rows and columns of its terminal at first, where whoever started it has said so.
    size: Option<(u16, u16)>,
    /// Whether somebody says that the status has changed.
    look: bool,
    buffer: Buffer,
    /// When it has long done what it needed much memory for; `None`: it has given that back.
    settles: Option<Instant>,
    /// Held as long as this process lives: what others see of it.
    alive: Lock,
    _member: Option<Member>,
}

/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// After so long it has started what it was made for. A container that ends before does not wait for its memory.
const SETTLED: Duration = Duration::from_secs(1);
/// Bytes of a path in a socket's address, without its null.
const LONGEST_SOCKET: usize = 107;
/// How much of a monitor's journal is its own: the rest is of one start of the container.
const OWN_STEPS: usize = 1;

/// Room for what is read at once, made when it is needed.
#[derive(Default)]
struct Buffer(Vec<u8>);

impl Buffer {
    fn bytes(&mut self) -> &mut [u8] {
        if self.0.is_empty() {
            self.0 = vec![0; CHUNK];
        }
        &mut self.0
    }
}

impl<'a> Monitor<'a> {
    /// Takes its place in the container's volatile directory. The caller holds the container's lock.
    fn new(engine: &'a Engine, container: &Container) -> Result<Self> {
        let config = &container.config;
        let run = engine.store.make_run(&config.id)?;
        let alive = Lock::take_free(&run.join("monitor"))?;
        let alive = alive.ok_or_else(|| Error::conflict(format!("container {} has a monitor already", config.id)))?;
        engine.note_delegation(config)?;
        let undo = run.join("undo");
        let mut journal = Journal::open(&undo).doing("open", &undo)?;
        if journal.mark() == 0 {
            journal.record(Undo::RemoveTree(run.clone())).doing("write", &undo)?;
        }
        Ok(Self {
            engine,
            container: container.clone(),
            version: version(&engine.container_file(&config.id, "config.json")),
            status: container.status.clone(),
            journal,
            log: log::Writer::new(engine.log_path(&config.id), config.supervision.log.policy()?),
            listener: listen(&run)?,
            clients: Vec::new(),
            undo_size: 0,
            size: None,
            look: false,
            buffer: Buffer::default(),
            settles: Some(Instant::now() + SETTLED),
            alive,
            _member: engine.store.members().map(Members::add_self).transpose()?,
        })
    }

    /// Whether the container has no other monitor by now. The caller holds the container's lock.
    fn is_the_one(&self) -> bool {
        let place = fs::metadata(self.engine.store.run(&self.container.config.id).join("monitor"));
        let own = self.alive.file().metadata();
        matches!((place, own), (Ok(place), Ok(own)) if place.ino() == own.ino())
    }
}

/// What tells a file from the one that replaces it.
fn version(path: &Path) -> Option<(u64, i64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.ino(), metadata.mtime_nsec()))
}

/// Bytes of a file; 0 where there is none.
fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn begin<'a>(
    engine: &'a Engine,
    container: &Container,
    line: &UnixStream,
    options: Options,
) -> Result<(Monitor<'a>, Life)> {
    let mut monitor = Monitor::new(engine, container)?;
    monitor.status = Status { exit_code: container.status.exit_code, ..Status::created() };
    monitor.size = options.size;
    let attached = options.attach & frame::STREAMS != 0;
    match monitor.live(Some(line), options.explain, attached) {
        Ok(first) => {
            // The one who started it may have been killed; the container runs all the same.
            let _ = frame::write(line, frame::Kind::Ready, &[]);
            Ok((monitor, first))
        }
        Err(e) => {
            // What cannot be undone now stays in the journal, for whoever removes the container.
            let _ = engine.leave_networks(&container.config.id).and_then(|()| {
                monitor.journal.undo_all().map_err(|e| Error::system("clean up", &e))?;
                engine.sweep_ports()
            });
            let _ = engine.release_volumes(&container.config);
            let mut status = container.status.clone();
            status.exit_code = e.container_exit_code();
            status.error = e.to_string();
            engine.write_status(&container.config, &status)?;
            Err(e)
        }
    }
}

// ANCHOR: detach
/// Leaves the caller's session, terminal, directory, words and open files but those to `keep`; is called `title` from now on.
pub(super) fn detach(title: &str, keep: &[RawFd]) -> nix::Result<()> {
    setsid()?;
    // All users of the machine read it, for as long as this process stays: `-e PASSWORD=…` must not be in it.
    CommandLine::find()?.without_environment().replace(title.as_bytes());
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
    sys::ignore_failed_writes();
    Ok(())
}
// ANCHOR_END: detach

fn title(id: &str) -> String {
    format!("mini-docker monitor {}", short(id))
}

/// The socket for those who attach.
fn listen(run: &Path) -> Result<UnixListener> {
    let socket = run.join("attach");
    match fs::remove_file(&socket) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).doing("remove", &socket),
        _ => {}
    }
    let listener = at_short_path(run, UnixListener::bind).doing("bind", &socket)?;
    // Whatever the umask.
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).doing("chmod", &socket)?;
    listener.set_nonblocking(true).doing("open", &socket)?;
    Ok(listener)
}

/// Does something with the socket for those who attach, by a path that fits into its address (unix(7): 107 bytes).
fn at_short_path<T>(run: &Path, act: impl FnOnce(PathBuf) -> io::Result<T>) -> io::Result<T> {
    let path = run.join("attach");
    if path.as_os_str().len() <= LONGEST_SOCKET {
        return act(path);
    }
    let directory = open(run, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    act(PathBuf::from(format!("/proc/self/fd/{}/attach", directory.as_raw_fd())))
}

/// Connects to the monitor of a running container.
///
/// # Errors
/// `ConnectionRefused` or `NotFound` where there is none.
pub fn connect(engine: &Engine, id: &str, hello: u8) -> io::Result<UnixStream> {
    let mut stream = at_short_path(&engine.store.run(id), UnixStream::connect)?;
    let mut bytes = Vec::new();
    frame::push(&mut bytes, frame::Kind::Hello, &[hello]);
    stream.write_all(&bytes)?;
    Ok(stream)
}

/// Tells the monitor of a container, if there is one, that the status has changed; returns a line that ends with it.
pub fn look(engine: &Engine, id: &str) -> Option<UnixStream> {
    let line = connect(engine, id, 0).ok()?;
    frame::write(&line, frame::Kind::Look, &[]).ok()?;
    Some(line)
}
