//! Copies between the user's terminal and the container's.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
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
    // What is typed waits here for a program that reads, and holds nothing up.
    fcntl(controller, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let mut typed = Vec::new();
    let mut listen = true;
    loop {
        let wanted = |want: bool, flag| if want { flag } else { PollFlags::empty() };
        let mut ready = [
            PollFd::new(controller, PollFlags::POLLIN | wanted(!typed.is_empty(), PollFlags::POLLOUT)),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), wanted(listen && typed.is_empty(), PollFlags::POLLIN)),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        let [terminal, signalled, input] = ready.map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        // EIO, or nothing: the last process with the terminal open has gone.
        if terminal.intersects(!PollFlags::POLLOUT) {
            match copy(controller, stdout.as_fd()) {
                Err(Errno::EAGAIN) | Ok(1..) => {}
                Ok(0) | Err(_) => return sys::wait_exit(child.pidfd.as_fd()),
            }
        }
        if terminal.contains(PollFlags::POLLOUT) {
            match write(controller, &typed) {
                Ok(written) => drop(typed.drain(..written)),
                Err(Errno::EAGAIN) => {}
                Err(_) => typed.clear(),
            }
        }
        if !signalled.is_empty() && signals.forward(child)? {
            resize(stdin.as_fd(), controller);
        }
        if !input.is_empty() {
            let mut buffer = [0; 8192];
            let length = read(stdin.as_fd(), &mut buffer).unwrap_or(0);
            typed.extend_from_slice(&buffer[..length]);
            listen = length > 0;
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
