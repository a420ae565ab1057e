//! Exercise 11: a program that is user and group 1000, and cannot be anybody else again.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::unistd::{Uid, seteuid};
use process::{Container, Errno, Inside, Primitive, stage};

/// User and group of the program.
#[derive(Debug)]
struct Identity;

impl Primitive for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // Which ids does a process have, and of what else?
        seteuid(Uid::from_raw(1000))
    }

    fn step(&self, _: u16) -> String {
        "seteuid(1000)".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-11", "Runs COMMAND in ROOTFS as user 1000. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(Identity));
        Ok((Container(vec![Box::new(root)]), process))
    })
}
