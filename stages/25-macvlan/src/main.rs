//! A program with an interface on a wire that the host does not share: it can talk to other containers alone.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ids::Ids;
use ipc::Ipc;
use macvlan::{Beside, Kind};
use mount::{Mounts, default_table};
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, SharedNetwork, stage};
use tty::Terminal;
use user::{IdRange, User};
use uts::Uts;

/// The parent of all containers' interfaces.
const PARENT: &str = "stage-25";
/// `MACVLAN_MODE_BRIDGE` of linux/if_link.h: the children of one parent hear each other.
const BRIDGE_MODE: u32 = 4;

fn main() -> ExitCode {
    let mut shared = None;
    let code = stage::main_with(
        "stage-25-macvlan",
        "Runs COMMAND in ROOTFS with an interface on the wire of the other containers of this program. Needs root",
        tty::run,
        |invocation| {
            if !nix::unistd::geteuid().is_root() {
                return Err("needs root (CAP_NET_ADMIN): the wire is the host's".to_owned());
            }
            let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
            let base = std::env::temp_dir().join(format!("stage-25-macvlan-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let network = SharedNetwork::join(PARENT, remove)?;
            macvlan::make_parent(PARENT).map_err(|refusal| format!("make {PARENT}: {}", refusal.errno))?;
            let beside = Beside::new(PARENT, Kind::Macvlan(BRIDGE_MODE), vec![network.address]);
            shared = Some(network);
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::ranges(all.clone(), all)),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(beside),
                Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
                Box::new(mounts),
            ];
            let mut process = invocation.process()?;
            process.init = true;
            process.primitives.push(Box::new(Terminal::default()));
            process.primitives.push(Box::new(Ids { uid: 0, gid: 0, groups: vec![], ..Ids::default() }));
            Ok((Container(container), process))
        },
    );
    if let Some(network) = shared {
        network.leave(remove);
    }
    code
}

/// Takes back what is the host's. An error would come too late for anybody to act on: the next one tries again.
fn remove() {
    let _ = macvlan::remove_parent(PARENT);
}
