//! Exercise 02: a program that leaves its root directory again, before it runs.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Container, Errno, Inside, Primitive, stage};

/// The way out of a chroot.
#[derive(Debug)]
struct WayOut;

impl Primitive for WayOut {
    fn name(&self) -> &'static str {
        "way out"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // This runs in the chroot, with the working directory at its root. Leave.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-02", "Runs COMMAND in ROOTFS, and out of it again", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        Ok((Container(vec![Box::new(root), Box::new(WayOut)]), invocation.process()?))
    })
}
