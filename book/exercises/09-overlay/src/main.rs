//! Exercise 09: a container that does not see /etc/group of its image, which stays as it is.
#![forbid(unsafe_code)]

use std::{path::PathBuf, process::ExitCode};

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
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
        // What has to stand in there, before the overlay is mounted? `host.act` does it, and names it where it fails.
        host.act(|| format!("nothing in {}", etc.display()), || Ok(()))
    }
}

fn main() -> ExitCode {
    stage::main("exercise-09", "Runs COMMAND in ROOTFS, without its /etc/group", |invocation| {
        let base = std::env::temp_dir().join(format!("exercise-09-{}", std::process::id()));
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
