//! Stage 06: an IPC namespace.
//!
//! System V shared memory, semaphores and message queues, and POSIX message queues, are named for the whole machine.
//! In an IPC namespace (ipc_namespaces(7)) the names of the host mean nothing.
#![forbid(unsafe_code)]

use process::{CloneArgs, Primitive};

// ANCHOR: ipc
/// System V and POSIX IPC of the container's own.
#[derive(Debug, Default)]
pub struct Ipc;

impl Primitive for Ipc {
    fn name(&self) -> &'static str {
        "ipc"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWIPC);
    }
}
// ANCHOR_END: ipc
