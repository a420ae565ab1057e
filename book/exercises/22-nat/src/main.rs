//! Exercise 22: a container with a way out, but not to port 25 of TCP.
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

const BRIDGE: &str = "exercise-22";

/// No mail from this bridge.
#[derive(Debug)]
struct NoMail;

impl Primitive for NoMail {
    fn name(&self) -> &'static str {
        "no-mail"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        // A table of our own, with a chain that sees what is forwarded, with a rule that drops what comes from the bridge
        // and goes to port 25 of TCP.
        Ok(())
    }
}

fn main() -> ExitCode {
    stage::main("exercise-22", "Runs COMMAND in ROOTFS, with a way out except for mail. Needs root", |invocation| {
        let address = |text: &str| text.parse::<Prefix>().map_err(|e: PrefixError| e.to_string());
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let bridge = Bridge { name: BRIDGE.to_owned(), gateways: vec![address("10.98.0.1/24")?], mtu: None };
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(Network),
            Box::new(Veth::new(bridge, "22", vec![address("10.98.0.2/24")?])),
            Box::new(Nat::new("exercise-22-nat", BRIDGE)),
            Box::new(NoMail),
            Box::new(root),
        ];
        Ok((Container(container), invocation.process()?))
    })
}
