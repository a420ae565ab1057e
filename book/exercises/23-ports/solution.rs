//! The solution of exercise 23: port 8080 of the host leads to port 80 of a container.
//!
//! Run it in `unshare -n`: bridge and tables are gone with that namespace.
#![forbid(unsafe_code)]

use std::{
    net::{Ipv4Addr, TcpListener},
    process::ExitCode,
};

use bridge::{Bridge, Veth};
use chroot::Chroot;
use nat::Nat;
use network::Network;
use process::{
    Container, Error, Host, Primitive, Result,
    netlink::{
        self, Prefix, PrefixError, Socket,
        expression::{Family, Field, LOCAL, REGISTER, change_destination, equal, find, load, of_family},
        nftables::{Element, Hook, Set, Transaction, Type, concatenate},
        route::octets,
    },
    stage,
};

const BRIDGE: &str = "exercise-23";

/// A port of the host that leads to one of the container.
#[derive(Debug)]
struct Door {
    from: u16,
    to: (Prefix, u16),
    /// Nobody reads from it: the kernel gives the port to nobody else as long as it is open.
    held: Option<TcpListener>,
}

impl Primitive for Door {
    fn name(&self) -> &'static str {
        "door"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let Self { from, to: (address, to), held } = self;
        let what = format!("bind(*, {from}/tcp)");
        *held = Some(TcpListener::bind((Ipv4Addr::UNSPECIFIED, *from)).map_err(|e| Error::from_io("door", what, &e))?);
        let table = table(*from, *address, *to);
        netlink::act(host, || "nftables(table exercise-23)".to_owned(), || table.commit(&Socket::netfilter()?))
    }
}

/// A map of ports, and the rule that changes the destination to what it says.
fn table(from: u16, address: Prefix, to: u16) -> Transaction {
    const TCP: u8 = 6;
    const DESTINATION_NAT: i32 = -100;
    let port = (Type::Port, 2);
    let mut table = Transaction::new("exercise-23");
    table.table();
    table.set(&Set { name: "doors", key: &[port], ranges: false, data: &[(Type::Ipv4, 4), port] });
    let leads = Some(concatenate(&[&octets(address.address), &to.to_be_bytes()]));
    let key = concatenate(&[&from.to_be_bytes()]);
    table.add_elements("doors", &[Element { key, end: None, data: leads, owner: String::new() }]);
    table.base_chain("prerouting", "nat", Hook::Prerouting, DESTINATION_NAT);
    let rest = [
        load(Field::DestinationType, REGISTER),
        equal(REGISTER, &LOCAL.to_ne_bytes()),
        load(Field::Protocol, REGISTER),
        equal(REGISTER, &[TCP]),
        load(Field::DestinationPort, REGISTER),
        find("doors", REGISTER, REGISTER),
        change_destination(Family::V4, REGISTER, Some(REGISTER + 1)),
    ];
    table.rule("prerouting", of_family(Family::V4).into_iter().chain(rest));
    table
}

fn main() -> ExitCode {
    stage::main("solution-23", "Runs COMMAND in ROOTFS, with its port 80 published. Needs root", |invocation| {
        let address = |text: &str| text.parse::<Prefix>().map_err(|e: PrefixError| e.to_string());
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let bridge = Bridge { name: BRIDGE.to_owned(), gateways: vec![address("10.98.0.1/24")?], mtu: None };
        let own = address("10.98.0.2/24")?;
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(Network),
            Box::new(Veth::new(bridge, "23", vec![own])),
            Box::new(Nat::new("exercise-23-nat", BRIDGE)),
            Box::new(Door { from: 8080, to: (own, 80), held: None }),
            Box::new(root),
        ];
        Ok((Container(container), invocation.process()?))
    })
}
