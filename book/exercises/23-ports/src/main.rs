//! Exercise 23: port 8080 of the host leads to port 80 of a container.
//!
//! Run it in `unshare -n`: bridge and tables are gone with that namespace.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bridge::{Bridge, Veth};
use chroot::Chroot;
use nat::Nat;
use network::Network;
use process::{
    Container, Host, Primitive, Result,
    netlink::{Prefix, PrefixError},
    stage,
};

const BRIDGE: &str = "exercise-23";

/// A port of the host that leads to one of the container.
#[derive(Debug)]
struct Door {
    from: u16,
    to: (Prefix, u16),
}

impl Primitive for Door {
    fn name(&self) -> &'static str {
        "door"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        // Have the port, or say who has it. Then a table of our own, with a map and a rule that looks into it.
        let Self { from, to: (address, to) } = self;
        eprintln!("exercise-23: nothing leads from port {from} to {}:{to} yet", address.address);
        Ok(())
    }
}

fn main() -> ExitCode {
    stage::main("exercise-23", "Runs COMMAND in ROOTFS, with its port 80 published. Needs root", |invocation| {
        let address = |text: &str| text.parse::<Prefix>().map_err(|e: PrefixError| e.to_string());
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let bridge = Bridge { name: BRIDGE.to_owned(), gateways: vec![address("10.98.0.1/24")?], mtu: None };
        let own = address("10.98.0.2/24")?;
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(Network),
            Box::new(Veth::new(bridge, "23", vec![own])),
            Box::new(Nat::new("exercise-23-nat", BRIDGE)),
            Box::new(Door { from: 8080, to: (own, 80) }),
            Box::new(root),
        ];
        Ok((Container(container), invocation.process()?))
    })
}
