//! The solution of exercise 02: a program that leaves its root directory again, before it runs.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::unistd::{chdir, chroot};
use process::{Container, Errno, Inside, Primitive, stage};

/// The way out of a chroot.
#[derive(Debug)]
struct WayOut;

/// More than any path has parts.
const UP: usize = 1000;

impl Primitive for WayOut {
    fn name(&self) -> &'static str {
        "way out"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // The root moves below us, and we stay.
        chroot(c"tmp")?;
        inside.at(1);
        for _ in 0..UP {
            chdir(c"..")?;
        }
        inside.at(2);
        chroot(c".")
    }

    fn step(&self, step: u16) -> String {
        ["chroot(\"tmp\")", "chdir(\"..\")", "chroot(\".\")"][usize::from(step).min(2)].to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-02", "Runs COMMAND in ROOTFS, and out of it again", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        Ok((Container(vec![Box::new(root), Box::new(WayOut)]), invocation.process()?))
    })
}
