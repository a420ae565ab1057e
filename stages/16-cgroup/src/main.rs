//! A program that cannot use up the machine.
#![forbid(unsafe_code)]

use std::{path::Path, process::ExitCode};

use cgroup::{Cgroup, Limits};
use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use tty::Terminal;
use user::{IdRange, User};
use uts::Uts;

fn main() -> ExitCode {
    stage::main_with(
        "stage-16-cgroup",
        "Runs COMMAND in ROOTFS with at most 64 processes, 32 MB of memory and half a processor. Needs root",
        tty::run,
        |invocation| {
            if !nix::unistd::geteuid().is_root() {
                return Err("needs root: cgroups belong to it unless one is delegated (cgroups(7))".to_owned());
            }
            let name = format!("stage-16-cgroup-{}", std::process::id());
            let limits = Limits {
                pids: Some(64),
                memory: Some(32 << 20),
                memory_swap: Some(32 << 20),
                nano_cpus: Some(500_000_000),
                // Before all others up to there, so that on a busy machine too it is the quota that holds it up.
                cpu_shares: Some(262_144),
                ..Limits::default()
            };
            let cgroup = Cgroup::new(&Path::new("/").join(&name), limits, &[]).map_err(|e| e.to_string())?;
            let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(name);
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::ranges(all.clone(), all)),
                Box::new(cgroup),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
                Box::new(mounts),
            ];
            let mut process = invocation.process()?;
            process.init = true;
            process.primitives.push(Box::new(Terminal::default()));
            process.primitives.push(Box::new(Ids { uid: 1000, gid: 1000, groups: vec![], ..Ids::default() }));
            Ok((Container(container), process))
        },
    )
}
