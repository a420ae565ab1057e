//! A program that sees its own cgroup, as if there were no others.
#![forbid(unsafe_code)]

use std::{path::Path, process::ExitCode};

use cgroup::{Cgroup, Limits, Version};
use cgroupns::CgroupNamespace;
use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, cgroup_table, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use tty::Terminal;
use user::{IdRange, User};
use uts::Uts;

fn main() -> ExitCode {
    stage::main_with(
        "stage-17-cgroupns",
        "Runs COMMAND in ROOTFS with its cgroup, and no other, at /sys/fs/cgroup. Needs root",
        tty::run,
        |invocation| {
            if !nix::unistd::geteuid().is_root() {
                return Err("needs root: cgroups belong to it unless one is delegated (cgroups(7))".to_owned());
            }
            let name = format!("stage-17-cgroupns-{}", std::process::id());
            let limits = Limits {
                pids: Some(64),
                memory: Some(32 << 20),
                memory_swap: Some(32 << 20),
                nano_cpus: Some(500_000_000),
                ..Limits::default()
            };
            let cgroup = Cgroup::new(&Path::new("/").join(&name), limits, &[]).map_err(|e| e.to_string())?;
            let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(name);
            let of_v1 = |version| version == Version::V1;
            let v1: Vec<_> = cgroup.hierarchies().filter(|h| of_v1(h.version)).map(|h| h.controllers.clone()).collect();
            let v2 = cgroup.hierarchies().any(|h| !of_v1(h.version));
            let mut table = default_table(64 << 20);
            table.extend(cgroup_table(&v1, v2));
            let mounts = Mounts::new(&base, table).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::ranges(all.clone(), all)),
                Box::new(cgroup),
                Box::new(CgroupNamespace),
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
