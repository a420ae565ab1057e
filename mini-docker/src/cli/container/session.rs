//! The user's end of a container in the foreground: keys and pipes in, output out, signals on.

use std::{
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};
use process::sys;
use tty::RawMode;

use crate::{
    cli::{complain, detach_keys::DetachKeys, out},
    engine::{
        Engine, Error, Result,
        container::{Config, Container},
        monitor::frame::{self, Kind},
    },
};

/// How the user's end behaves.
#[derive(Debug, Clone)]
pub(crate) struct Manner {
    /// Whether standard input goes to the container.
    pub(crate) interactive: bool,
    /// Whether signals do.
    pub(crate) sig_proxy: bool,
    /// What leaves it, where it has a terminal.
    pub(crate) keys: DetachKeys,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With the container, whose exit code this is.
    Exited(u8),
    /// By the user's keys; the container goes on.
    Detached,
    /// As nobody reads what it writes any more; it goes on.
    Unread,
}

impl Ended {
    /// The exit code; `detached` is that of who left by his keys.
    pub(crate) fn code(self, detached: u8) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Detached => detached,
            Self::Unread => {
                complain(&Error::conflict("write /dev/stdout: broken pipe; the container goes on"));
                1
            }
        }
    }
}

/// The user's terminal's rows and columns, for a container that is to have one.
pub(crate) fn terminal_size(config: &Config) -> Option<(u16, u16)> {
    config.tty.then(|| sys::window_size(io::stdout().as_fd()).ok()).flatten()
}

/// Stays with the container until it ends, or until the user leaves it.
pub(crate) fn stay(engine: &Engine, container: &Container, line: UnixStream, manner: Manner) -> Result<Ended> {
    let failed = |e: io::Error| Error::system(format_args!("attach to container {}", container.config.name), &e);
    let tty = container.config.tty;
    let Manner { interactive, sig_proxy, keys } = manner;
    let signals = block_signals(tty, sig_proxy).map_err(|e| failed(e.into()))?;
    let raw = (tty && interactive).then(|| RawMode::enter(io::stdin())).flatten();
    let keys = (tty && interactive).then_some(keys);
    let mut attached =
        Attached { engine, container, line, input: interactive, keys, left: false, received: Vec::new() };
    if tty {
        attached.resize();
    }
    let code = attached.serve(&signals);
    drop(raw);
    match code {
        _ if attached.left => {
            engine.emit_container(&container.config, "detach", &[]);
            Ok(Ended::Detached)
        }
        Ok(Some(code)) => Ok(Ended::Exited(code as u8)),
        // The monitor was killed; what became of the container is in its status.
        Ok(None) => engine.wait(&engine.container(&container.config.id)?).map(|code| Ended::Exited(code as u8)),
        // As yes(1) would end by SIGPIPE: `run … yes | head` has an end.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Ended::Unread),
        Err(e) => Err(failed(e)),
    }
}

/// Writes output; where nobody else can read it, that is the end, and any other failure is none of the container's.
fn show(to: BorrowedFd, bytes: &[u8]) -> io::Result<()> {
    match out::pass_on(to, bytes) {
        Err(Errno::EPIPE) => Err(Errno::EPIPE.into()),
        _ => Ok(()),
    }
}

/// What goes on to the container: all that a user, a supervisor or a terminal sends.
const PROXIED: [Signal; 13] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGTSTP,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGSYS,
];

/// The signals to pass on; of a terminal's own, the change of its size too.
fn block_signals(tty: bool, sig_proxy: bool) -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    if sig_proxy {
        set.extend(PROXIED);
    }
    if tty {
        set.add(Signal::SIGWINCH);
    }
    set.thread_block()?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)
}

struct Attached<'a> {
    engine: &'a Engine,
    container: &'a Container,
    line: UnixStream,
    /// Whether there is more to read from standard input.
    input: bool,
    keys: Option<DetachKeys>,
    /// Whether the user has typed them.
    left: bool,
    received: Vec<u8>,
}

impl Attached<'_> {
    fn serve(&mut self, signals: &SignalFd) -> io::Result<Option<i32>> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let stdin = io::stdin();
            let mut fds = vec![
                PollFd::new(self.line.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            if self.input {
                fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
            }
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
            drop(fds);
            if ready[0] {
                match self.line.read(&mut buffer) {
                    Ok(0) => return Ok(None),
                    Ok(length) => self.received.extend_from_slice(&buffer[..length]),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                    Err(e) => return Err(e),
                }
                if let Some(code) = self.obey()? {
                    return Ok(Some(code));
                }
            }
            if ready[1] {
                self.pass_on(signals);
            }
            if ready.get(2) == Some(&true) {
                self.send_input(stdin.as_fd(), &mut buffer);
                if self.left {
                    return Ok(None);
                }
            }
        }
    }

    /// Writes what has come out; the exit code if that was all.
    fn obey(&mut self) -> io::Result<Option<i32>> {
        while let Some((kind, payload)) = frame::take(&mut self.received)? {
            match kind {
                Kind::Stdout => show(io::stdout().as_fd(), &payload)?,
                Kind::Stderr => show(io::stderr().as_fd(), &payload)?,
                Kind::Exit => return Ok(payload.try_into().ok().map(i32::from_be_bytes)),
                _ => {}
            }
        }
        Ok(None)
    }

    fn pass_on(&self, signals: &SignalFd) {
        let Ok(Some(signal)) = signals.read_signal() else {
            return;
        };
        if signal.ssi_signo == libc::SIGWINCH as u32 {
            self.resize();
        } else {
            // It may have ended in between: then its exit code is on the way.
            let container = self.engine.container(&self.container.config.id);
            let _ = container.and_then(|c| self.engine.signal(&c, signal.ssi_signo as i32));
        }
    }

    fn resize(&self) {
        if let Ok((rows, columns)) = sys::window_size(io::stdout().as_fd()) {
            let [a, b] = rows.to_be_bytes();
            let [c, d] = columns.to_be_bytes();
            // The container may have ended: then its exit code is on the way.
            let _ = frame::write(&self.line, Kind::Resize, &[a, b, c, d]);
        }
    }

    fn send_input(&mut self, stdin: BorrowedFd, buffer: &mut [u8]) {
        let length = match nix::unistd::read(stdin, buffer) {
            Err(Errno::EINTR) => return,
            read => read.unwrap_or(0),
        };
        self.input = length > 0;
        let (passed, left) = match &mut self.keys {
            Some(keys) if length > 0 => keys.filter(&buffer[..length]),
            _ => (buffer[..length].to_vec(), false),
        };
        self.left = left;
        // Nothing would mean the end; these keys may only be the beginning of a sequence.
        if length == 0 || !passed.is_empty() {
            // The container may have ended: then its exit code is on the way.
            let _ = frame::write(&self.line, Kind::Stdin, &passed);
        }
    }
}
