//! Exercise 13: a container in which no set-user-id bit counts, for two reasons.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Errno, Inside, Primitive, stage};
use user::{IdRange, User};

/// Set-user-id bits do not count.
#[derive(Debug)]
struct NoSetUserId;

impl Primitive for NoSetUserId {
    fn name(&self) -> &'static str {
        "no_set_user_id"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // The overlay has made the container's root, which stands nowhere yet: a mount can still get attributes.
        let _root = inside.root()?;
        // And the process?
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-13", "Runs COMMAND in ROOTFS as user 1000, who stays what he is", |invocation| {
        let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
        let base = std::env::temp_dir().join(format!("exercise-13-{}", std::process::id()));
        let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(User::ranges(all.clone(), all)),
            Box::new(PidNamespace),
            Box::new(Ipc),
            Box::new(Network),
            Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
            Box::new(NoSetUserId),
            Box::new(mounts),
        ];
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(Ids { uid: 1000, gid: 1000, ..Ids::default() }));
        Ok((Container(container), process))
    })
}
