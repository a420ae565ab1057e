//! Stage 07: a network namespace.
//!
//! Interfaces, addresses, routes, ports, firewall rules and abstract Unix sockets become the container's own
//! (network_namespaces(7)). A new one holds nothing but a loopback interface, which is down: this stage sets it up, and
//! that is all the network that `--network none` has.
#![forbid(unsafe_code)]

use process::{CloneArgs, Errno, Inside, Primitive, sys};

// ANCHOR: network
/// A network of the container's own, with a loopback interface.
#[derive(Debug, Default)]
pub struct Network;

impl Primitive for Network {
    fn name(&self) -> &'static str {
        "network"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWNET);
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        sys::loopback_up()
    }

    fn step(&self, _: u16) -> String {
        "ioctl(SIOCSIFFLAGS, \"lo\", IFF_UP)".to_owned()
    }
}
// ANCHOR_END: network
