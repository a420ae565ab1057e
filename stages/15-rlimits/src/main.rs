//! A program that cannot use up all there is.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use capabilities::{Capabilities, CapabilitySet};
use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use no_new_privs::NoNewPrivs;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage};
use rlimits::{Limit, Limits};
use seccomp::Seccomp;
use tty::Terminal;
use user::{IdRange, User};
use uts::Uts;

const LIMITS: [&str; 4] = ["nofile=64", "nproc=32", "fsize=1048576", "core=0"];

fn main() -> ExitCode {
    stage::main_with(
        "stage-15-rlimits",
        "Runs COMMAND in ROOTFS as user 1000 with few files, processes and bytes. Needs root for a map of two ids",
        tty::run,
        |invocation| {
            if !nix::unistd::geteuid().is_root() {
                return Err(
                    "needs root (CAP_SETUID): an ordinary user may map his own id only, and 1000 would be a second"
                        .to_owned(),
                );
            }
            let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-15-rlimits-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::ranges(all.clone(), all)),
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
            let limits: Result<Vec<Limit>, _> = LIMITS.iter().map(|limit| limit.parse()).collect();
            process.primitives.push(Box::new(Limits(limits.map_err(|e| e.to_string())?)));
            let ids = Ids { uid: 1000, gid: 1000, ..Ids::default() };
            process.primitives.push(Box::new(ids.keeping_capabilities()));
            process.primitives.push(Box::new(Capabilities { set: CapabilitySet::DEFAULT }));
            process.primitives.push(Box::new(NoNewPrivs));
            let names: Vec<&str> = CapabilitySet::DEFAULT.names().collect();
            process.primitives.push(Box::new(Seccomp::default_profile(&names).map_err(|e| e.to_string())?));
            Ok((Container(container), process))
        },
    )
}
