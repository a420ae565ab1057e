//! The user's terminal while a container's terminal has it: every key goes through, none is interpreted.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use process::Errno;

/// Puts a terminal into raw mode (termios(3)) for as long as this value lives.
#[derive(Debug)]
pub struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// `None` where `terminal` is none.
    pub fn enter(terminal: impl AsFd) -> Option<Self> {
        let terminal = terminal.as_fd().try_clone_to_owned().ok()?;
        let before = tcgetattr(&terminal).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&terminal, SetArg::TCSANOW, &raw).ok()?;
        Some(Self { terminal, before })
    }

    /// Ends raw mode early, to report an error.
    ///
    /// # Errors
    /// EIO where the terminal has gone.
    pub fn leave(&self) -> Result<(), Errno> {
        tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // The terminal may have been closed: then there is nothing to restore.
        let _ = self.leave();
    }
}
