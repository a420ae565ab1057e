//! One error type: which primitive, doing what, why not, and what to do next.

use std::{fmt, io};

use nix::errno::Errno;

/// The `primitive` of an error of exec itself: the program could not be started.
pub const EXEC: &str = "exec";

/// A result whose error names operation, object, cause and the next thing to do.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The primitive that failed; [`EXEC`] for the program itself.
    pub primitive: &'static str,
    /// What was asked of the kernel, with its object.
    pub doing: String,
    /// The kernel's answer.
    pub errno: Errno,
    /// What the user can do about it.
    pub hint: Option<String>,
}

impl Error {
    /// `primitive` failed with `errno` while `doing` something.
    pub fn new(primitive: &'static str, doing: impl Into<String>, errno: Errno) -> Self {
        Self { primitive, doing: doing.into(), errno, hint: None }
    }

    /// The same from an error of the standard library; EIO where it carries no errno.
    pub fn from_io(primitive: &'static str, doing: impl Into<String>, error: &io::Error) -> Self {
        Self::new(primitive, doing, error.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// Adds advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {} ({:?})", self.primitive, self.doing, self.errno.desc(), self.errno)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
