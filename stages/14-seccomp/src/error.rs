//! What is wrong with a profile, and where.

/// A profile that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("seccomp profile: {path}{}{problem}", if path.is_empty() { "" } else { ": " })]
pub struct ProfileError {
    /// The element, such as `syscalls[3].args[0].op`; empty for the whole.
    pub path: String,
    /// What is wrong with it, and what could be there.
    pub problem: String,
}

impl ProfileError {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The same in an element of another.
    pub(crate) fn inside(self, outer: &str) -> Self {
        Self { path: format!("{outer}.{}", self.path), ..self }
    }
}
