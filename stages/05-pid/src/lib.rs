//! Stage 05: a pid namespace.
//!
//! Inside, the program is process 1 and sees only its own descendants (pid_namespaces(7)); outside, it has an ordinary
//! pid. When process 1 ends, the kernel kills all others: a container cannot leave processes behind.
//!
//! Process 1 has duties: orphans become its children and stay zombies until it waits for them, and signals that it has
//! no handler for do not reach it. A program that does not know this gets an init in front
//! ([`process::Process::init`]).
#![forbid(unsafe_code)]

use process::{CloneArgs, Primitive};

// ANCHOR: pid
/// A pid namespace; the cloned child is its process 1.
#[derive(Debug, Default)]
pub struct PidNamespace;

impl Primitive for PidNamespace {
    fn name(&self) -> &'static str {
        "pid"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWPID);
    }
}
// ANCHOR_END: pid
