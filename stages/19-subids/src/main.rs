//! A program whose users, root among them, are nobody's outside.
#![forbid(unsafe_code)]

use std::{fs, process::ExitCode};

use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, may_map_any_id, stage};
use subids::{Owner, SUBGID, SUBUID, SubIds, allocate, pool};
use tty::Terminal;
use uts::Uts;

/// Root's container gets a range of its own, a user's his subordinate ids.
fn user_namespace() -> Result<SubIds, String> {
    if !may_map_any_id() {
        return SubIds::of(Owner::caller()).map_err(|e| e.to_string());
    }
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let (pool, taken) = pool(&read(SUBUID), &read(SUBGID));
    allocate(&pool, &taken).map(SubIds::own).ok_or_else(|| format!("{SUBUID} and {SUBGID} leave no 65536 ids free"))
}

fn main() -> ExitCode {
    stage::main_with(
        "stage-19-subids",
        "Runs COMMAND in ROOTFS as root of ids that are nobody's outside. Without root, by newuidmap",
        tty::run,
        |invocation| {
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-19-subids-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(user_namespace()?),
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
            process.primitives.push(Box::new(Ids { uid: 0, gid: 0, groups: vec![], ..Ids::default() }));
            Ok((Container(container), process))
        },
    )
}
