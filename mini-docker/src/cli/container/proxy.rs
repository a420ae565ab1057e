//! Between the user's streams and those of a process that is this command's child.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, SigmaskHow, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
    unistd::{read, write},
};
use process::sys;
use tty::RawMode;

use crate::{
    cli::{Outcome, detach_keys::DetachKeys, out},
    engine::{
        Engine, Error, Result,
        container::{Config, Container},
        exec::{Exec, Executed},
    },
};

/// With more than this on its way to the process, the user's input waits too.
const MOST_WAITING: usize = 64 << 10;
/// The most that a pipe holds (/proc/sys/fs/pipe-max-size).
const FULLEST: usize = 1 << 20;

/// Starts a process in a container, stays with it until it has ended, and returns its exit code.
pub(super) fn run(engine: &Engine, container: &Container, request: &Exec, keys: DetachKeys) -> Outcome {
    let (tty, interactive) = (request.tty, request.stdin);
    let failed = |e: Errno| Error::system("proxy the streams of the process", &io::Error::from(e));
    // Blocked before there is a process, so that none is lost; that unblocks its own.
    let signals = Signals::block(tty).map_err(failed)?;
    let process = engine.exec(container, request)?;
    let raw = (tty && interactive).then(|| RawMode::enter(io::stdin())).flatten();
    let keys = (tty && interactive).then_some(keys);
    let config = &container.config;
    let proxy = Proxy { engine, config, process, tty, listening: interactive, waiting: Vec::new(), keys, left: false };
    let served = proxy.serve(&signals.fd);
    drop(raw);
    served.map(|code| code as u8)
}

/// Those that go on to the process. They are the caller's again when this value goes.
struct Signals {
    fd: SignalFd,
    before: SigSet,
}

impl Signals {
    fn block(tty: bool) -> nix::Result<Self> {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
        let mut set = SigSet::empty();
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2] {
            set.add(signal);
        }
        if tty {
            set.add(SIGWINCH);
        }
        let before = set.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd, before })
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // What came too late for the process is not for this one.
        while matches!(self.fd.read_signal(), Ok(Some(_))) {}
        let _ = self.before.thread_set_mask();
    }
}

struct Proxy<'a> {
    engine: &'a Engine,
    config: &'a Config,
    process: Executed,
    /// Its input has no end that could be sent then.
    tty: bool,
    /// Whether there is more to read from the user.
    listening: bool,
    /// What waits to go to the process.
    waiting: Vec<u8>,
    /// What leaves the process, where it has a terminal.
    keys: Option<DetachKeys>,
    /// Whether the user has typed them.
    left: bool,
}

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ready {
    Ended,
    Signal,
    Output,
    Errors,
    Input,
    Room,
}

impl Proxy<'_> {
    fn serve(mut self, signals: &SignalFd) -> Result<i32> {
        let failed = |e: Errno| Error::system("proxy the streams of the process", &io::Error::from(e));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let ready = self.wait(signals).map_err(failed)?;
            for event in &ready {
                match event {
                    Ready::Signal => self.pass_on(signals),
                    Ready::Output => drop(pump(&mut self.process.stdout, io::stdout().as_fd(), &mut buffer)),
                    Ready::Errors => drop(pump(&mut self.process.stderr, io::stderr().as_fd(), &mut buffer)),
                    Ready::Input => self.take_input(&mut buffer),
                    Ready::Room if self.waiting.is_empty() => self.end_input(),
                    Ready::Room => self.give_input(),
                    Ready::Ended => {}
                }
            }
            if self.left {
                self.engine.leave_executed(self.config, &self.process)?;
                // Docker's words.
                return Err(Error::conflict("read escape sequence"));
            }
            if ready.contains(&Ready::Ended) {
                // What it wrote is in the pipes; what it left behind may go on writing for ever.
                let drain = |from: &mut _, to: BorrowedFd, buffer: &mut [u8]| {
                    let _ = (0..FULLEST / buffer.len()).all(|_| pump(from, to, buffer));
                };
                drain(&mut self.process.stdout, io::stdout().as_fd(), &mut buffer);
                drain(&mut self.process.stderr, io::stderr().as_fd(), &mut buffer);
                return self.engine.await_executed(self.config, &self.process);
            }
        }
    }

    fn wait(&self, signals: &SignalFd) -> nix::Result<Vec<Ready>> {
        let stdin = io::stdin();
        let process = &self.process;
        let mut all = vec![
            (Ready::Ended, process.pidfd(), PollFlags::POLLIN),
            (Ready::Signal, signals.as_fd(), PollFlags::POLLIN),
        ];
        all.extend(process.stdout.as_ref().map(|fd| (Ready::Output, fd.as_fd(), PollFlags::POLLIN)));
        all.extend(process.stderr.as_ref().map(|fd| (Ready::Errors, fd.as_fd(), PollFlags::POLLIN)));
        if self.listening && self.waiting.len() < MOST_WAITING {
            all.push((Ready::Input, stdin.as_fd(), PollFlags::POLLIN));
        }
        // With nothing waiting, only that the process has closed its input is news.
        let room = if self.waiting.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        all.extend(process.stdin.as_ref().map(|fd| (Ready::Room, fd.as_fd(), room)));
        let mut polled: Vec<PollFd> = all.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Err(Errno::EINTR) => return Ok(Vec::new()),
            ready => ready?,
        };
        let ready = all.iter().zip(&polled).filter(|(_, fd)| fd.any().unwrap_or(false));
        Ok(ready.map(|((what, ..), _)| *what).collect())
    }

    fn pass_on(&self, signals: &SignalFd) {
        let Ok(Some(signal)) = signals.read_signal() else { return };
        match signal.ssi_signo.cast_signed() {
            libc::SIGWINCH => self.resize(),
            number => self.process.signal(number),
        }
    }

    fn resize(&self) {
        if let (Ok(size), Some(terminal)) = (sys::window_size(io::stdout().as_fd()), &self.process.stdin) {
            // It may have closed by now.
            let _ = sys::set_window_size(terminal.as_fd(), size);
        }
    }

    fn take_input(&mut self, buffer: &mut [u8]) {
        match read(io::stdin(), buffer) {
            Ok(length) if length > 0 => {
                let (passed, left) = match &mut self.keys {
                    Some(keys) => keys.filter(&buffer[..length]),
                    None => (buffer[..length].to_vec(), false),
                };
                self.waiting.extend_from_slice(&passed);
                self.left = left;
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            _ => self.listening = false,
        }
        self.give_input();
    }

    fn give_input(&mut self) {
        let Some(stdin) = &self.process.stdin else { return };
        while !self.waiting.is_empty() {
            match write(stdin, &self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    // It reads no more.
                    return self.end_input();
                }
            }
        }
        if !self.listening && !self.tty {
            self.process.stdin = None;
        }
    }

    fn end_input(&mut self) {
        self.process.stdin = None;
        self.listening = false;
    }
}

/// Moves one chunk of output; false when there is nothing (more).
fn pump(from: &mut Option<OwnedFd>, to: BorrowedFd, buffer: &mut [u8]) -> bool {
    let Some(fd) = from else { return false };
    match read(&*fd, buffer) {
        Err(Errno::EINTR) => true,
        Err(Errno::EAGAIN) => false,
        Ok(length) if length > 0 => {
            if out::pass_on(to, &buffer[..length]).is_err() {
                // Nobody wants to see more, which the process learns when it writes.
                *from = None;
            }
            from.is_some()
        }
        // EIO: nobody has the terminal open any more.
        _ => {
            *from = None;
            false
        }
    }
}
