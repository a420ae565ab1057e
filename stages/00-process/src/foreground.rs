//! A container in the foreground: started, signalled and waited for by one process. What every stage's binary does.

use std::os::fd::{AsFd, BorrowedFd};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
    },
};

use crate::{
    error::{Error, Result},
    primitive::{Child, Host},
    spawn::{Container, Process, spawn},
    sys,
};

/// Spawns, forwards signals to the program, waits, undoes everything, and returns the exit code (128 + n after signal
/// n).
pub fn run(container: &mut Container, process: &mut Process, host: &mut Host) -> Result<i32> {
    run_with(container, process, host, look_after)
}

/// As [`run`], with another way to look after the child until it has ended.
pub fn run_with(
    container: &mut Container,
    process: &mut Process,
    host: &mut Host,
    look_after: impl FnOnce(&mut Child, &Signals) -> Result<i32, Errno>,
) -> Result<i32> {
    let failed = |what: &'static str| move |errno| Error::new("process", what, errno);
    // Blocked before the child exists, so that none is lost; the child unblocks its own.
    let signals = Signals::block().map_err(failed("signalfd()"))?;
    let mut child = spawn(container, process, host)?;
    let code = look_after(&mut child, &signals).map_err(failed("wait for the program"));
    // The program has ended; what is left to undo stood outside it.
    let undone = host.journal.undo_to(0).map_err(|e| Error::from_io("process", format!("clean up: {e}"), &e));
    code.and_then(|code| undone.map(|()| code))
}

/// The signals that a user or a supervisor sends, blocked and readable (signalfd(2)).
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    fn block() -> Result<Self, Errno> {
        use Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
        let mut set = SigSet::empty();
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH] {
            set.add(signal);
        }
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map(Self)
    }

    /// Passes a signal that has come on to the child. True for SIGWINCH, which is for the owner of a terminal.
    pub fn forward(&self, child: &Child) -> Result<bool, Errno> {
        let Some(signal) = self.0.read_signal()? else { return Ok(false) };
        if signal.ssi_signo == libc::SIGWINCH.cast_unsigned() {
            return Ok(true);
        }
        // A key on the terminal signals the whole foreground group: the program has it already.
        if signal.ssi_code <= 0 {
            // ESRCH: it has just ended.
            let _ = sys::pidfd_send_signal(child.pidfd.as_fd(), signal.ssi_signo.cast_signed());
        }
        Ok(false)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn look_after(child: &mut Child, signals: &Signals) -> Result<i32, Errno> {
    loop {
        let mut ready =
            [PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        if ready[0].any().unwrap_or(false) {
            return sys::wait_exit(child.pidfd.as_fd());
        }
        signals.forward(child)?;
    }
}
