//! Stage 14: which system calls reach the kernel.
//!
//! seccomp(2): before each system call the kernel runs a small program of ours, which sees its number and arguments and
//! says whether it is made. The program is compiled from a profile.
//!
//! | module | what it is |
//! |---|---|
//! | [`Profile`] | Docker's JSON, and its conditions: capabilities, architecture, kernel |
//! | `names` | numbers of system calls by name |
//! | `rules` | ranges of numbers and what becomes of them |
//! | `compile` | ranges to classic BPF: a tree, and a list to compare it with |
//! | `compiled` | what comes of the default profile where nothing else is asked for, ready to load |
//! | [`Seccomp`] | the primitive that loads it |
#![forbid(unsafe_code)]

mod compile;
mod compiled;
mod error;
#[cfg(test)]
mod interpret;
mod load;
mod names;
mod profile;
mod rules;
#[cfg(test)]
mod tests;

pub use error::ProfileError;
pub use load::{DEFAULT_PROFILE, Seccomp};
pub use names::Arch;
pub use profile::{Context, Profile};
pub use rules::{Action, Resolved};
