//! One error type of the engine: what failed, why, and what to do next.

use std::{fmt, io, path::Path};

/// What sort of failure it is: decides the exit code here, and the HTTP status of another front.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// No such image, container, file.
    NotFound,
    /// Taken, in use, or in the wrong state.
    Conflict,
    /// The request makes no sense.
    Invalid,
    /// The same of what Docker's command line refuses by itself.
    Usage,
    /// A registry does not let us.
    Denied,
    /// The machine said no.
    System,
    /// The container's command is there and cannot be executed.
    CannotExecute,
    /// The container's command is not there.
    CommandNotFound,
}

/// Why a request failed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Error {
    /// The sort of failure.
    pub kind: Kind,
    message: String,
    /// The keys of a description that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    about: Vec<String>,
}

/// A result of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of this kind; `message` names operation, object, cause and the next thing to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), about: Vec::new() }
    }

    /// The same error, about this key of a description, by the keys that lead there; what it was about before stays.
    #[must_use]
    pub fn about(mut self, keys: &[String]) -> Self {
        if self.about.is_empty() {
            keys.clone_into(&mut self.about);
        }
        self
    }

    /// The same error, at the place that `find` knows for the keys that it is about; none: as it is.
    #[must_use]
    pub fn placed(mut self, find: impl FnOnce(&[String]) -> Option<String>) -> Self {
        if !self.about.is_empty()
            && let Some(place) = find(&self.about)
        {
            self.message.insert_str(0, &place);
            self.about.clear();
        }
        self
    }

    /// As [`Error::new`] with [`Kind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    /// As [`Error::new`] with [`Kind::Conflict`].
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    /// As [`Error::new`] with [`Kind::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    /// A system call or file operation that failed.
    pub fn system(doing: impl fmt::Display, cause: &io::Error) -> Self {
        let hint = match cause.kind() {
            io::ErrorKind::StorageFull => "; free some space, for example with `mini-docker rm` and `mini-docker rmi`",
            io::ErrorKind::PermissionDenied => "; run as root, or choose another --root",
            io::ErrorKind::ReadOnlyFilesystem => "; choose another --root",
            _ => "",
        };
        Self::new(Kind::System, format!("{doing}: {cause}{hint}"))
    }

    /// The same error, as a mistake on the command line.
    #[must_use]
    pub fn usage(self) -> Self {
        let kind = if matches!(self.kind, Kind::Invalid | Kind::System) { Kind::Usage } else { self.kind };
        Self { kind, ..self }
    }

    /// The exit code of other commands than `run` for this error.
    pub fn exit_code(&self) -> u8 {
        if self.kind == Kind::Usage { 125 } else { 1 }
    }

    /// The exit code of `run` for this error, as Docker's.
    pub fn run_exit_code(&self) -> u8 {
        match self.kind {
            Kind::CommandNotFound => 127,
            Kind::CannotExecute => 126,
            _ => 125,
        }
    }

    /// The exit code that a container has which did not start for this error, as Docker's.
    pub fn container_exit_code(&self) -> i32 {
        match self.kind {
            Kind::CommandNotFound | Kind::CannotExecute => i32::from(self.run_exit_code()),
            _ => 128,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Adds what was being done, and to which path, to an error of the standard library.
pub trait Context<T> {
    /// `doing` is a verb; the path follows it.
    fn doing(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn doing(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|e| Error::system(format_args!("{doing} {}", path.display()), &e))
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn doing(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(io::Error::from).doing(doing, path)
    }
}
