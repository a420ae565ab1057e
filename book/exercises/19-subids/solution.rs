//! The solution of exercise 19: a container of two users, 0 and 1000, who are 300000 and 400000 outside.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Child, CloneArgs, Container, Errno, Host, IdMaps, IdRange, Inside, Primitive, Result, stage, sys};

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

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let line = |inside, outside| IdRange { inside, outside, count: 1 };
        let both = vec![line(0, 300_000), line(1000, 400_000)];
        IdMaps { uids: both.clone(), gids: both }.write(host, child.pid)
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        sys::set_groups(&[])?;
        inside.at(1);
        sys::set_gid(0)?;
        inside.at(2);
        sys::set_uid(0)
    }

    fn step(&self, step: u16) -> String {
        ["setgroups([])", "setresgid(0, 0, 0)", "setresuid(0, 0, 0)"][usize::from(step).min(2)].to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-19", "Runs COMMAND in ROOTFS, as root who is 300000 outside. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        // The namespace is there from the clone on; only its ids come behind the chroot.
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(root), Box::new(Two)];
        Ok((Container(container), invocation.process()?))
    })
}
