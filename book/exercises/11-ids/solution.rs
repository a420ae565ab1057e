//! The solution of exercise 11: a program that is user and group 1000, and cannot be anybody else again.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use process::{Container, Errno, Inside, Primitive, stage};

/// User and group of the program.
#[derive(Debug)]
struct Identity;

impl Primitive for Identity {
    fn name(&self) -> &'static str {
        "identity"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        let (user, group) = (Uid::from_raw(1000), Gid::from_raw(1000));
        inside.at(0);
        setgroups(&[])?;
        inside.at(1);
        setresgid(group, group, group)?;
        inside.at(2);
        setresuid(user, user, user)
    }

    fn step(&self, step: u16) -> String {
        let steps = ["setgroups([])", "setresgid(1000, 1000, 1000)", "setresuid(1000, 1000, 1000)"];
        steps[usize::from(step).min(2)].to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-11", "Runs COMMAND in ROOTFS as user 1000. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(Identity));
        Ok((Container(vec![Box::new(root)]), process))
    })
}
