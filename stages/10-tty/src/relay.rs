//! Copies between the user's terminal and the container's.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{read, write},
};
use process::{
    Child, Container, Errno, Host, Process, Result,
    foreground::{self, Signals},
    sys,
};

use crate::RawMode;

/// Runs a container whose process has a [`crate::Terminal`] on the user's terminal: as [`foreground::run`].
pub fn run(container: &mut Container, process: &mut Process, host: &mut Host) -> Result<i32> {
    foreground::run_with(container, process, host, |child, signals| {
        // Restored when this returns.
        let _raw = RawMode::enter(io::stdin());
        relay(child, signals)
    })
}

/// Copies until the program has ended and its last output is out; returns its exit code.
pub fn relay(child: &Child, signals: &Signals) -> Result<i32, Errno> {
    let controller = child.terminal().ok_or(Errno::ENOTTY)?;
    let (stdin, stdout) = (io::stdin(), io::stdout());
    resize(stdin.as_fd(), controller);
    let mut listen = true;
    loop {
        let input = if listen { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut ready = [
            PollFd::new(controller, PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), input),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        // EIO, or nothing: the last process with the terminal open has gone.
        if ready[0].any().unwrap_or(false) && copy(controller, stdout.as_fd()).unwrap_or(0) == 0 {
            return sys::wait_exit(child.pidfd.as_fd());
        }
        if ready[1].any().unwrap_or(false) && signals.forward(child)? {
            resize(stdin.as_fd(), controller);
        }
        if listen && ready[2].any().unwrap_or(false) {
            listen = copy(stdin.as_fd(), controller).unwrap_or(0) > 0;
        }
    }
}

/// Gives the container's terminal the size of the user's, if that is one.
fn resize(from: BorrowedFd, to: BorrowedFd) {
    if let Ok(size) = sys::window_size(from) {
        // A terminal that has just closed needs no size.
        let _ = sys::set_window_size(to, size);
    }
}

fn copy(from: BorrowedFd, to: BorrowedFd) -> Result<usize, Errno> {
    let mut buffer = [0; 8192];
    let length = read(from, &mut buffer)?;
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        let written = write(to, rest)?;
        rest = &rest[written..];
    }
    Ok(length)
}
