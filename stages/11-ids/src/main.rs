//! A program that is not root, not even inside.
#![forbid(unsafe_code)]

use std::process::ExitCode;

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
        "stage-11-ids",
        "Runs COMMAND in ROOTFS as user and group 1000. Needs root: the map of one user has no second id",
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
            let base = std::env::temp_dir().join(format!("stage-11-ids-{}", std::process::id()));
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
            process.primitives.push(Box::new(Ids { uid: 1000, gid: 1000, ..Ids::default() }));
            Ok((Container(container), process))
        },
    )
}
