//! A container in the foreground: started, signalled and waited for by one process. What every stage's binary does.

use std::os::fd::AsFd;

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
    let failed = |what: &'static str| move |errno| Error::new("process", what, errno);
    // Blocked before the child exists, so that none is lost; the child unblocks its own.
    let mut forwarded = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2] {
        forwarded.add(signal);
    }
    forwarded.thread_block().map_err(failed("block signals"))?;
    let signals = SignalFd::with_flags(&forwarded, SfdFlags::SFD_CLOEXEC).map_err(failed("signalfd()"))?;
    let child = spawn(container, process, host)?;
    let code = look_after(&child, &signals).map_err(failed("wait for the program"));
    // The program has ended; what is left to undo stood outside it.
    let undone = host.journal.undo_to(0).map_err(|e| Error::from_io("process", format!("clean up: {e}"), &e));
    code.and_then(|code| undone.map(|()| code))
}

fn look_after(child: &Child, signals: &SignalFd) -> Result<i32, Errno> {
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
        if let Some(signal) = signals.read_signal()?
            // A key on the terminal signals the whole foreground group: the program has it already.
            && signal.ssi_code <= 0
        {
            let _ = sys::pidfd_send_signal(child.pidfd.as_fd(), signal.ssi_signo as i32);
        }
    }
}
