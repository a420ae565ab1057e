//! Exercise 18: a container that was moved here when its clocks showed 1,000,000 seconds.
#![forbid(unsafe_code)]

use std::{ffi::CString, process::ExitCode};

use chroot::Chroot;
use nix::sched::{CloneFlags, unshare};
use process::{Container, Errno, Host, Inside, Primitive, Result, stage};
use user::User;

/// What both clocks showed in seconds, where the container comes from.
const STOPPED_AT: i64 = 1_000_000;

/// Clocks that go on.
#[derive(Debug, Default)]
struct Moved {
    /// What the kernel is to be told; in `enter` there is no allocating any more.
    lines: CString,
}

impl Primitive for Moved {
    fn name(&self) -> &'static str {
        "moved"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        // How far are the host's CLOCK_MONOTONIC and CLOCK_BOOTTIME from what ours should show?
        self.lines = CString::new(format!("monotonic {STOPPED_AT} 0\n")).unwrap_or_default();
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        unshare(CloneFlags::from_bits_retain(nix::libc::CLONE_NEWTIME))
        // A namespace for children to come. Which offsets has it, and how does this process get in?
    }

    fn step(&self, _: u16) -> String {
        format!("unshare(CLONE_NEWTIME), and not yet {:?}", self.lines)
    }
}

fn main() -> ExitCode {
    stage::main("exercise-18", "Runs COMMAND in ROOTFS, with clocks that go on from 1,000,000 seconds", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let moved = Box::new(Moved::default());
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(User::single()), moved, Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
