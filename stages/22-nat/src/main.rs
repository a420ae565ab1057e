//! A program that reaches the world.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bridge::{Bridge, Veth};
use ids::Ids;
use ipc::Ipc;
use mount::{Mounts, default_table};
use nat::Nat;
use network::Network;
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Primitive, SharedNetwork, netlink::Socket, stage};
use tty::Terminal;
use user::{IdRange, User};
use uts::Uts;

/// What all containers of this binary are plugged into.
const BRIDGE: &str = "stage-22-nat";

fn main() -> ExitCode {
    let mut shared = None;
    let code = stage::main_with(
        "stage-22-nat",
        "Runs COMMAND in ROOTFS with an interface and a way out of the host. Needs root",
        tty::run,
        |invocation| {
            if !nix::unistd::geteuid().is_root() {
                return Err("needs root (CAP_NET_ADMIN): a bridge is the host's".to_owned());
            }
            let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
            let base = std::env::temp_dir().join(format!("stage-22-nat-{}", std::process::id()));
            let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
            let network = SharedNetwork::join(BRIDGE, remove)?;
            let bridge = Bridge { name: BRIDGE.to_owned(), gateways: vec![network.gateway], mtu: None };
            let nat = Nat::new(BRIDGE, BRIDGE);
            let id = format!("{:06x}", std::process::id());
            let veth = Veth::new(bridge, id, vec![network.address]);
            shared = Some(network);
            let container: Vec<Box<dyn Primitive>> = vec![
                Box::new(User::ranges(all.clone(), all)),
                Box::new(Uts::new("container")),
                Box::new(PidNamespace),
                Box::new(Ipc),
                Box::new(Network),
                Box::new(veth),
                Box::new(nat),
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
    let _ = Socket::netfilter().map(|socket| nat::remove_network(&socket, BRIDGE, BRIDGE));
    let _ = bridge::remove(BRIDGE);
}
