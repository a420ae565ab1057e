//! Stage 13: no program brings new rights.
//!
//! Documentation/userspace-api/no_new_privs.rst: one bit of the process, which nothing clears and every child inherits.
//! With it execve(2) gives nothing that the process does not have: set-user-id and set-group-id bits and capabilities
//! of files do not count.
#![forbid(unsafe_code)]

use nix::sys::prctl;
use process::{Errno, Inside, Primitive};

// ANCHOR: no_new_privs
/// Forbids the process and all that it starts to gain rights by executing a program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoNewPrivs;

impl Primitive for NoNewPrivs {
    fn name(&self) -> &'static str {
        "no_new_privs"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        prctl::set_no_new_privs()
    }

    fn step(&self, _: u16) -> String {
        "prctl(PR_SET_NO_NEW_PRIVS, 1)".to_owned()
    }
}
// ANCHOR_END: no_new_privs
