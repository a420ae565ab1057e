//! Root that is root over little.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use capabilities::{Capabilities, CapabilitySet};
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
        "stage-12-capabilities",
        "Runs COMMAND in ROOTFS as root with a few capabilities. Works without root",
        tty::run,
        |invocation| {
            let is_root = nix::unistd::geteuid().is_root();
            let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
            let user = if is_root { User::ranges(all.clone(), all) } else { User::single() };
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-12-capabilities-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(user),
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
            if is_root {
                // The map of one user allows no change of groups.
                process.primitives.push(Box::new(Ids::default().keeping_capabilities()));
            }
            process.primitives.push(Box::new(Capabilities { set: CapabilitySet::DEFAULT }));
            Ok((Container(container), process))
        },
    )
}
