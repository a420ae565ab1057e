//! Where output goes. Files are written whole or not at all; standard output and standard error to the end: whoever shares the file may have made it one that does not block
//! (`O_NONBLOCK` belongs to the open file, not to the process), and then a slow reader is no error.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::{AsFd, BorrowedFd},
    path::Path,
    sync::{
        Once,
        atomic::{AtomicI32, Ordering},
    },
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

use super::complain;
use crate::{
    engine::{
        Error,
        error::{Context, Result},
    },
    visible,
};

/// Standard output, without a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stdout;

/// Standard error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stderr;

/// Why standard output took no more, first of all; 0: it has taken all.
static FAILED: AtomicI32 = AtomicI32::new(0);

/// Why what was written to standard output is not all there. A reader who has gone does not miss it.
pub(crate) fn failure() -> Option<Error> {
    match FAILED.load(Ordering::Relaxed) {
        0 => None,
        errno => Some(unwritten(Errno::from_raw(errno))),
    }
}

fn unwritten(errno: Errno) -> Error {
    Error::system("write to standard output", &errno.into())
}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match write_through(io::stdout().as_fd(), bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(errno) => {
                if errno != Errno::EPIPE {
                    let _ = FAILED.compare_exchange(0, errno as i32, Ordering::Relaxed, Ordering::Relaxed);
                }
                Err(errno.into())
            }
        }
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

/// Writes what a container's program wrote. That it cannot be written is said once; the exit code is the program's.
pub(crate) fn pass_on(to: BorrowedFd, bytes: &[u8]) -> nix::Result<()> {
    static SAID: Once = Once::new();
    let written = write_through(to, bytes);
    if let Err(errno) = written
        && errno != Errno::EPIPE
    {
        SAID.call_once(|| complain(&unwritten(errno)));
    }
    written
}

/// What strangers wrote, on standard output: as it is, but on a terminal without commands to it.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if io::stdout().is_terminal() { visible::text(text) } else { text.into() }
}

/// The same where it is, or is in, one line.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    if io::stdout().is_terminal() { visible::line(text) } else { text.into() }
}

/// Writes all of it, and waits where there is no room.
fn write_through(to: BorrowedFd, mut bytes: &[u8]) -> nix::Result<()> {
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

/// Has an archive written to a file, or to standard output where there is none, which a terminal is not for.
///
/// Another file of that name stays until this one is complete; what is no file, such as a device, is written to as it is.
pub(crate) fn archive(path: Option<&Path>, act: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let Some(path) = path else {
        if io::stdout().is_terminal() {
            return Err(Error::invalid(
                "cowardly refusing to write an archive to a terminal: name a file with -o, or redirect",
            ));
        }
        return act(&mut Stdout);
    };
    if path.is_dir() {
        return Err(Error::invalid(format!("cannot write to a directory: {} is one", path.display())));
    }
    let finish = |file: File| -> Result<()> {
        let mut file = BufWriter::new(file);
        act(&mut file)?;
        file.flush().doing("write", path)
    };
    // Where links lead, so that they stay.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return finish(File::options().write(true).open(path).doing("open", path)?);
    }
    let name = target.file_name().ok_or_else(|| Error::invalid(format!("{} names no file", path.display())))?;
    let temporary = target.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = finish(File::create(&temporary).doing("create", path)?);
    let written = written.and_then(|()| fs::rename(&temporary, &target).doing("write", path));
    if written.is_err() {
        // The error says more than one of this.
        let _ = fs::remove_file(&temporary);
    }
    written
}
