//! The solution of exercise 03: a program that is the user 1000 in its user namespace, and its caller outside.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::unistd::{getegid, geteuid};
use process::{Child, CloneArgs, Container, Errno, Host, Inside, Primitive, Result, stage, sys};

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

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let of_child = |file: &str| format!("/proc/{}/{file}", child.pid);
        host.write_proc(&of_child("setgroups"), "deny")?;
        host.write_proc(&of_child("uid_map"), &format!("1000 {} 1\n", geteuid()))?;
        host.write_proc(&of_child("gid_map"), &format!("1000 {} 1\n", getegid()))
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        sys::set_gid(1000)?;
        inside.at(1);
        sys::set_uid(1000)
    }

    fn step(&self, step: u16) -> String {
        ["setresgid(1000, 1000, 1000)", "setresuid(1000, 1000, 1000)"][usize::from(step).min(1)].to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-03", "Runs COMMAND in ROOTFS as the user 1000", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Ordinary), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
