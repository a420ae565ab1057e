//! A program whose users are nobody outside, and own their files inside.
#![forbid(unsafe_code)]

use std::{fs, path::Path, process::ExitCode};

use idmap::Idmap;
use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, stage, sys::MountAttr};
use subids::{SUBGID, SUBUID, SubIds, allocate, pool};
use tty::Terminal;
use uts::Uts;

/// A range of ids that is nobody's.
fn user_namespace() -> Result<SubIds, String> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let (pool, taken) = pool(&read(SUBUID), &read(SUBGID));
    allocate(&pool, &taken).map(SubIds::own).ok_or_else(|| format!("{SUBUID} and {SUBGID} leave no 65536 ids free"))
}

fn main() -> ExitCode {
    stage::main_with(
        "stage-20-idmap",
        "Runs COMMAND in ROOTFS as root of ids that are nobody's outside, and owner of its files. Needs root",
        tty::run,
        |invocation| {
            if !nix::unistd::geteuid().is_root() {
                return Err(
                    "needs root: only it may idmap a filesystem of the host's; see stage 19 for a user".to_owned()
                );
            }
            // Gone when the container ends: `Overlay` makes it, and its undo removes it.
            let base = std::env::temp_dir().join(format!("stage-20-idmap-{}", std::process::id()));
            // Not at the base, which only root of the host may enter.
            let mounts = Mounts::new(Path::new("/"), default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let mut overlay = Overlay::new(vec![invocation.rootfs.clone()], base);
            // Its superblock is the host's, so that device files of an image would work: /dev is a mount of its own.
            overlay.attr = MountAttr::NO_DEV;
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(user_namespace()?),
                Box::new(Idmap::default()),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(overlay),
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
