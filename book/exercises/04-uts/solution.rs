//! The solution of exercise 04: a container whose NIS domain name is `inside`, whatever the host's is.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::write,
};
use process::{CloneArgs, Container, Errno, Inside, Primitive, stage};
use user::User;

/// A domain name of the container's own.
#[derive(Debug)]
struct Domain;

impl Primitive for Domain {
    fn name(&self) -> &'static str {
        "domain"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUTS);
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // There is no setdomainname(2) in nix; this setting of the kernel is the same, for the caller's namespace.
        let file = open("/proc/sys/kernel/domainname", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        write(&file, b"inside").map(drop)
    }

    fn step(&self, _: u16) -> String {
        "write(\"/proc/sys/kernel/domainname\", \"inside\")".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-04", "Runs COMMAND in ROOTFS, in the domain `inside`", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(User::single()), Box::new(Domain), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
