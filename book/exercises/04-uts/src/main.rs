//! Exercise 04: a container whose NIS domain name is `inside`, whatever the host's is.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{CloneArgs, Container, Errno, Inside, Primitive, stage};
use user::User;

/// A domain name of the container's own.
#[derive(Debug)]
struct Domain;

impl Primitive for Domain {
    fn name(&self) -> &'static str {
        "domain"
    }

    fn clone_args(&self, _args: &mut CloneArgs) {
        // Which namespace holds the domain name? Ask for a new one.
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // The name that domainname(1) prints can be written in a file of /proc.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-04", "Runs COMMAND in ROOTFS, in the domain `inside`", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(User::single()), Box::new(Domain), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
