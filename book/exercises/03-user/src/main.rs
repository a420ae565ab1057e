//! Exercise 03: a program that is the user 1000 in its user namespace, and its caller outside.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Child, CloneArgs, Container, Errno, Host, Inside, Primitive, Result, stage};

/// A user namespace whose one user is 1000.
#[derive(Debug)]
struct Ordinary;

impl Primitive for Ordinary {
    fn name(&self) -> &'static str {
        "ordinary"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUSER);
    }

    fn attach(&mut self, _host: &mut Host, _child: &Child) -> Result<()> {
        // Who is 1000 inside? The kernel wants to be told of groups and users, and first of something else.
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        // By now 1000 is an id that one can take.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-03", "Runs COMMAND in ROOTFS as the user 1000", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Ordinary), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
