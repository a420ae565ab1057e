//! The solution of exercise 17: a container whose cgroup is the root of what it sees.
#![forbid(unsafe_code)]

use std::{path::Path, process::ExitCode};

use cgroup::{Cgroup, Limits};
use chroot::Chroot;
use nix::sched::{CloneFlags, unshare};
use pid::PidNamespace;
use process::{Container, Errno, Inside, Primitive, stage};

/// A cgroup namespace.
#[derive(Debug)]
struct Rooted;

impl Primitive for Rooted {
    fn name(&self) -> &'static str {
        "rooted"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        unshare(CloneFlags::CLONE_NEWCGROUP)
    }

    fn step(&self, _: u16) -> String {
        "unshare(CLONE_NEWCGROUP)".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-17", "Runs COMMAND in ROOTFS, its cgroup the root. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let path = format!("/exercise-17-{}", std::process::id());
        let limits = Limits { pids: Some(16), ..Limits::default() };
        let cgroup = Cgroup::new(Path::new(&path), limits, &[]).map_err(|e| e.to_string())?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(cgroup), Box::new(Rooted), Box::new(PidNamespace), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
