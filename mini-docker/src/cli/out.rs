//! Standard output and standard error, written to the end: whoever shares the file may have made it one that does not block
//! (`O_NONBLOCK` belongs to the open file, not to the process), and then a slow reader is no error.

use std::{
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

/// Standard output, without a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stdout;

/// Standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stderr;

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_through(io::stdout().as_fd(), bytes)?;
        Ok(bytes.len())
    }

    fn write_fmt(&mut self, text: std::fmt::Arguments) -> io::Result<()> {
        // At once, not a piece at a time.
        self.write_all(text.to_string().as_bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write_through(io::stderr().as_fd(), bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes all of it, and waits where there is no room.
pub(crate) fn write_through(to: BorrowedFd, mut bytes: &[u8]) -> nix::Result<()> {
    while !bytes.is_empty() {
        match write(to, bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => drop(poll(&mut [PollFd::new(to, PollFlags::POLLOUT)], PollTimeout::NONE)?),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
