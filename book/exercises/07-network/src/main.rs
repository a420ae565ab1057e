//! Exercise 07: a container with a second address on its loopback interface, 192.0.2.7.
#![forbid(unsafe_code)]

use std::{net::IpAddr, process::ExitCode};

use chroot::Chroot;
use network::Network;
use process::{
    Container, Errno, Inside, Primitive,
    netlink::{Prefix, route},
    stage,
};
use user::User;

/// An address, in a message to the kernel that was made before the clone.
#[derive(Debug)]
struct Address {
    message: Vec<u8>,
}

/// The index of the loopback interface: it is the first in every network namespace.
const LOOPBACK: u32 = 1;

impl Address {
    fn new(address: IpAddr) -> Self {
        let message = route::add_address(LOOPBACK, Prefix { address, length: 32 });
        Self { message: message.as_bytes().to_vec() }
    }
}

impl Primitive for Address {
    fn name(&self) -> &'static str {
        "address"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // The message is made; nobody has sent it. A socket belongs to the network namespace that it was made in.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        format!("not sent yet: {} bytes", self.message.len())
    }
}

fn main() -> ExitCode {
    stage::main("exercise-07", "Runs COMMAND in ROOTFS, with the address 192.0.2.7", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let address = Address::new([192, 0, 2, 7].into());
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(Network), Box::new(address), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
