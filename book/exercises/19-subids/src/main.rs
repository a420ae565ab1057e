//! Exercise 19: a container of two users, 0 and 1000, who are 300000 and 400000 outside.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Child, CloneArgs, Container, Errno, Host, Inside, Primitive, Result, stage};

/// A user namespace in which there are two users and two groups.
#[derive(Debug)]
struct Two;

impl Primitive for Two {
    fn name(&self) -> &'static str {
        "two"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUSER);
    }

    fn attach(&mut self, _host: &mut Host, _child: &Child) -> Result<()> {
        // The child waits at the gate, and is nobody yet. Who is who in its namespace?
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        // Now there is a 0 to become. Which right is lost with which step?
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-19", "Runs COMMAND in ROOTFS, as root who is 300000 outside. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        // The namespace is there from the clone on; only its ids come behind the chroot.
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(root), Box::new(Two)];
        Ok((Container(container), invocation.process()?))
    })
}
