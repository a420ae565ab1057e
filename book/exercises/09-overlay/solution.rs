//! The solution of exercise 09: a container that does not see /etc/group of its image, which stays as it is.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use nix::{
    sys::stat::{Mode, SFlag, makedev, mknod},
    unistd::mkdir,
};
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Host, Primitive, Result, stage};
use user::User;

/// Hides /etc/group.
#[derive(Debug)]
struct Hide {
    /// The container's upper directory: `Overlay`, which comes first, has made it.
    upper: PathBuf,
}

impl Primitive for Hide {
    fn name(&self) -> &'static str {
        "hide"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let etc = self.upper.join("etc");
        host.act(|| format!("mkdir({:?})", etc.display()), || mkdir(&etc, Mode::from_bits_truncate(0o755)))?;
        let group = etc.join("group");
        host.act(
            || format!("mknod({:?}, 0, 0)", group.display()),
            || mknod(&group, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0)),
        )
    }
}

fn main() -> ExitCode {
    stage::main("solution-09", "Runs COMMAND in ROOTFS, without its /etc/group", |invocation| {
        let base = std::env::temp_dir().join(format!("solution-09-{}", std::process::id()));
        let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
        let upper = base.join("upper");
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(User::single()),
            Box::new(PidNamespace),
            Box::new(Ipc),
            Box::new(Network),
            Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
            Box::new(Hide { upper }),
            Box::new(mounts),
        ];
        Ok((Container(container), invocation.process()?))
    })
}
