//! The maps of ports, and the rules that look into them.

use std::net::{IpAddr, Ipv6Addr};

use process::{
    Errno,
    netlink::{
        Refusal, Socket,
        expression::{
            DESTINATION_CHANGED, DROP, Family, Field, LOCAL, REGISTER, any_bit, change_destination, different, equal,
            find, interface, is_in, jump, keep, load, masquerade, of_family, reset, unreachable, verdict,
        },
        nftables::{self, Element, Hook, Set, Transaction, Type, concatenate},
        route::octets,
    },
};

use crate::{holder::Binding, publish::Protocol};

const PROTOCOL: (Type, u8) = (Type::Protocol, 1);
const PORT: (Type, u8) = (Type::Port, 2);
const IPV4: (Type, u8) = (Type::Ipv4, 4);
const IPV6: (Type, u8) = (Type::Ipv6, 16);

/// Maps from protocol, address and port: to address and port, or to the address alone, where a range keeps its ports.
pub const MAPS: [&str; 4] = ["ports4", "ranges4", "ports6", "ranges6"];
/// Bridges with published ports.
const PUBLISHED: &str = "published";

// ANCHOR: table
/// The rules and empty maps. Fails with EEXIST where they are there.
fn rules(name: &str) -> Transaction {
    const MANGLE: i32 = -150;
    const DESTINATION_NAT: i32 = -100;
    const SOURCE_NAT: i32 = 100;
    let mut table = Transaction::new(name);
    table.table();
    table.chain("publish");
    for (v4, map) in [(true, MAPS[0]), (true, MAPS[1]), (false, MAPS[2]), (false, MAPS[3])] {
        let (family, address, length) = if v4 { (Family::V4, IPV4, 1) } else { (Family::V6, IPV6, 4) };
        let data: &[_] = if map.starts_with("ports") { &[address, PORT] } else { &[address] };
        table.set(&Set { name: map, key: &[PROTOCOL, address, PORT], ranges: true, data });
        let lookup = [
            load(Field::Protocol, REGISTER),
            load(Field::Destination(family), REGISTER + 1),
            load(Field::DestinationPort, REGISTER + 1 + length),
            find(map, REGISTER, REGISTER),
            change_destination(family, REGISTER, (data.len() == 2).then_some(REGISTER + length)),
        ];
        table.rule("publish", of_family(family).into_iter().chain(lookup));
    }
    table.set(&Set { name: PUBLISHED, key: &[(Type::Interface, 16)], ranges: false, data: &[] });

    // What goes to an address of this machine, from outside, from containers, and from itself.
    for (chain, hook) in [("prerouting", Hook::Prerouting), ("output", Hook::Output)] {
        table.base_chain(chain, "nat", hook, DESTINATION_NAT);
        let to_us = [load(Field::DestinationType, REGISTER), equal(REGISTER, &LOCAL.to_ne_bytes())];
        table.rule(chain, to_us.into_iter().chain([jump("publish")]));
    }

    let to_loopback = [
        load(Field::Destination(Family::V4), REGISTER),
        keep(REGISTER, &[255, 0, 0, 0]),
        equal(REGISTER, &[127, 0, 0, 0]),
    ];
    table.base_chain("loopback", "filter", Hook::Prerouting, MANGLE);
    let from_elsewhere = [load(Field::InputName, REGISTER), different(REGISTER, &interface("lo"))];
    let rule = from_elsewhere.into_iter().chain(of_family(Family::V4)).chain(to_loopback).chain([verdict(DROP)]);
    table.rule("loopback", rule);

    // ::1 cannot leave this machine. Who tries it first is to try 127.0.0.1 next, not to wait.
    table.base_chain("loopback6", "filter", Hook::Output, MANGLE);
    for map in [MAPS[2], MAPS[3]] {
        let lookup = || {
            let key = [
                load(Field::Destination(Family::V6), REGISTER + 1),
                equal(REGISTER + 1, &Ipv6Addr::LOCALHOST.octets()),
                load(Field::DestinationPort, REGISTER + 5),
                load(Field::Protocol, REGISTER),
                find(map, REGISTER, REGISTER),
            ];
            of_family(Family::V6).into_iter().chain(key)
        };
        let tcp = [load(Field::Protocol, REGISTER), equal(REGISTER, &[Protocol::Tcp as u8]), reset()];
        table.rule("loopback6", lookup().chain(tcp));
        table.rule("loopback6", lookup().chain([unreachable()]));
    }

    // To a container from this machine or a neighbour: the answer would stay in the container, or go to the neighbour
    // from an address that he has not asked.
    table.base_chain("hairpin", "nat", Hook::Postrouting, SOURCE_NAT);
    let published = |field| [load(field, REGISTER), is_in(PUBLISHED, REGISTER)];
    let both = published(Field::InputName).into_iter().chain(published(Field::OutputName));
    table.rule("hairpin", both.chain(any_bit(Field::Status, DESTINATION_CHANGED)).chain([masquerade()]));
    // What this machine sends has come in nowhere; nor have, where a bridge's frames are filtered (br_netfilter), they.
    table.add_elements(PUBLISHED, &[published_bridge("")]);
    table
}
// ANCHOR_END: table

/// The element of a binding, or the elements of one whose ports move.
pub(crate) fn elements(binding: &Binding, to: IpAddr, owner: &str) -> Vec<(&'static str, Element)> {
    let v4 = binding.address.is_ipv4();
    let protocol = [binding.protocol as u8];
    let (first, last) = match binding.address {
        IpAddr::V4(address) if address.is_unspecified() => (vec![0; 4], vec![255; 4]),
        IpAddr::V6(address) if address.is_unspecified() => (vec![0; 16], vec![255; 16]),
        address => (octets(address), octets(address)),
    };
    let element = |from: u16, to_port: u16, data| Element {
        key: concatenate(&[&protocol, &first, &from.to_be_bytes()]),
        end: Some(concatenate(&[&protocol, &last, &to_port.to_be_bytes()])),
        data: Some(data),
        owner: owner.to_owned(),
    };
    let Binding { host, container, count, .. } = *binding;
    if count > 1 && host == container {
        let map = if v4 { "ranges4" } else { "ranges6" };
        return vec![(map, element(host, host + (count - 1), octets(to)))];
    }
    let map = if v4 { "ports4" } else { "ports6" };
    let one = |n: u16| {
        let data = concatenate(&[&octets(to), &(container + n).to_be_bytes()]);
        (map, element(host + n, host + n, data))
    };
    (0..count).map(one).collect()
}

fn published_bridge(name: &str) -> Element {
    Element { key: interface(name).to_vec(), end: None, data: None, owner: String::new() }
}

/// Adds elements and the bridge that they lead to, and the rules where they are not there.
///
/// The host's ports are the caller's: he has bound them. So what leads from them already is of somebody who is gone, and
/// makes room.
pub(crate) fn add(socket: &Socket, table: &str, bridge: &str, all: &[(&'static str, Element)]) -> Result<(), Refusal> {
    match add_new(socket, table, bridge, all) {
        Err(refusal) if refusal.errno == Errno::EEXIST => {
            let ports: Vec<PortRange> = all.iter().map(|(map, element)| PortRange::new(map, element)).collect();
            remove(socket, table, |found| ports.iter().any(|port| port.overlaps(found)))?;
            add_new(socket, table, bridge, all)
        }
        done => done,
    }
}

fn add_new(socket: &Socket, table: &str, bridge: &str, all: &[(&'static str, Element)]) -> Result<(), Refusal> {
    let fill = |transaction: &mut Transaction| {
        transaction.add_elements(PUBLISHED, &[published_bridge(bridge)]);
        for map in MAPS {
            let theirs: Vec<Element> = all.iter().filter(|(to, _)| *to == map).map(|(_, e)| e.clone()).collect();
            transaction.add_new_elements(map, &theirs);
        }
    };
    let mut part = Transaction::new(table);
    fill(&mut part);
    let done = part.commit(socket);
    if !matches!(&done, Err(refusal) if refusal.errno == Errno::ENOENT) {
        return done;
    }
    // Others may make them at the same time.
    let mut whole = rules(table);
    fill(&mut whole);
    match whole.commit(socket) {
        Err(refusal) if refusal.errno == Errno::EEXIST => {
            let mut part = Transaction::new(table);
            fill(&mut part);
            part.commit(socket)
        }
        done => done,
    }
}

/// What an element of a map leads from.
struct PortRange {
    v4: bool,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl PortRange {
    fn new(map: &str, element: &Element) -> Self {
        let last = element.end.clone().unwrap_or_else(|| element.key.clone());
        Self { v4: map.ends_with('4'), first: element.key.clone(), last }
    }

    /// Whether some packet is meant by both: in protocol, address and port, which all stand in network byte order.
    fn overlaps(&self, other: &Self) -> bool {
        let address = if self.v4 { 4..8 } else { 4..20 };
        let parts = [0..4, address.clone(), address.end..address.end + 4];
        self.v4 == other.v4
            && parts.into_iter().all(|part| {
                let of = |bytes: &[u8]| bytes.get(part.clone()).unwrap_or_default().to_vec();
                of(&self.first) <= of(&other.last) && of(&other.first) <= of(&self.last)
            })
    }
}

/// Removes the elements of the maps that are meant.
fn remove(socket: &Socket, table: &str, meant: impl Fn(&PortRange) -> bool) -> Result<(), Refusal> {
    let mut transaction = Transaction::new(table);
    for map in MAPS {
        let mut found = nftables::elements(socket, table, map)?;
        found.retain(|element| meant(&PortRange::new(map, element)));
        transaction.delete_elements(map, &found);
    }
    transaction.commit(socket)
}

/// Removes a bridge from those with published ports.
pub(crate) fn remove_bridge(socket: &Socket, table: &str, bridge: &str) -> Result<(), Refusal> {
    let element = published_bridge(bridge);
    if nftables::get_element(socket, table, PUBLISHED, &element.key)?.is_none() {
        return Ok(());
    }
    let mut transaction = Transaction::new(table);
    transaction.delete_elements(PUBLISHED, &[element]);
    transaction.commit(socket)
}
