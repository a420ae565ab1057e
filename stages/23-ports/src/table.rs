//! The maps of ports, and the rules that look into them.

use std::net::{IpAddr, Ipv6Addr};

use process::{
    Errno,
    netlink::{
        Refusal, Socket,
        expression::{
            ACCEPT, DESTINATION_CHANGED, DROP, Expression, Family, Field, LOCAL, REGISTER, any_bit, change_destination,
            different, equal, find, interface, is_in, jump, keep, load, masquerade, of_family, reset, unreachable,
            verdict,
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

/// The maps of each family: ports of all addresses, ports of one, and ranges that keep their numbers. A packet is looked up
/// in them in this order.
pub const MAPS: [&str; 6] = ["ports4", "addressed4", "ranges4", "ports6", "addressed6", "ranges6"];
/// Bridges with published ports.
const PUBLISHED: &str = "published";

/// What a map leads from and to. Only ranges need a tree to be found in: all else is found at once, however much there is.
#[derive(Clone, Copy)]
struct Map {
    name: &'static str,
    v4: bool,
    addressed: bool,
    ranges: bool,
}

impl Map {
    fn of(name: &'static str) -> Self {
        Self {
            name,
            v4: name.ends_with('4'),
            addressed: !name.starts_with("ports"),
            ranges: name.starts_with("ranges"),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        MAPS.into_iter().map(Self::of)
    }

    fn address(self) -> (Type, u8) {
        if self.v4 { IPV4 } else { IPV6 }
    }

    /// Registers that an address takes.
    fn registers(self) -> u32 {
        u32::from(self.address().1) / 4
    }

    fn family(self) -> Family {
        if self.v4 { Family::V4 } else { Family::V6 }
    }

    fn make(self, table: &mut Transaction) {
        let (with, without) = ([PROTOCOL, self.address(), PORT], [PROTOCOL, PORT]);
        let (both, alone) = ([self.address(), PORT], [self.address()]);
        let key: &[_] = if self.addressed { &with } else { &without };
        let data: &[_] = if self.ranges { &alone } else { &both };
        table.set(&Set { name: self.name, key, ranges: self.ranges, data });
    }

    /// Finds a packet in the map: the rule ends here where it is not in it.
    fn lookup(self) -> impl Iterator<Item = Expression> {
        let port = REGISTER + 1 + if self.addressed { self.registers() } else { 0 };
        let address = self.addressed.then(|| load(Field::Destination(self.family()), REGISTER + 1));
        let key = [load(Field::Protocol, REGISTER), load(Field::DestinationPort, port)];
        let key = key.into_iter().chain(address).chain([find(self.name, REGISTER, REGISTER)]);
        of_family(self.family()).into_iter().chain(key)
    }
}

// ANCHOR: table
/// The rules and empty maps. Fails with EEXIST where they are there.
fn rules(name: &str, relayed: bool) -> Transaction {
    const MANGLE: i32 = -150;
    const DESTINATION_NAT: i32 = -100;
    const SOURCE_NAT: i32 = 100;
    let mut table = Transaction::new(name);
    table.table();
    table.chain("publish");
    for map in Map::all() {
        map.make(&mut table);
        let port = (!map.ranges).then_some(REGISTER + map.registers());
        table.rule("publish", map.lookup().chain([change_destination(map.family(), REGISTER, port)]));
    }
    table.set(&Set { name: PUBLISHED, key: &[(Type::Interface, 16)], ranges: false, data: &[] });

    // What goes to an address of this machine, from outside, from containers, and from itself.
    for (chain, hook) in [("prerouting", Hook::Prerouting), ("output", Hook::Output)] {
        table.base_chain(chain, "nat", hook, DESTINATION_NAT);
        if relayed && hook == Hook::Output {
            // There is somebody who listens.
            table.rule(chain, to_loopback6().into_iter().chain([verdict(ACCEPT)]));
        }
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

    // ::1 cannot leave this machine. Where nobody listens, who tries it first is to try 127.0.0.1 next, not to wait.
    table.base_chain("loopback6", "filter", Hook::Output, MANGLE);
    for map in Map::all().filter(|map| !map.v4) {
        let lookup = || to_loopback6().into_iter().chain(map.lookup());
        let protocol = || load(Field::Protocol, REGISTER);
        let tcp = [Protocol::Tcp as u8];
        if !relayed {
            table.rule("loopback6", lookup().chain([protocol(), equal(REGISTER, &tcp), reset()]));
            table.rule("loopback6", lookup().chain([protocol(), different(REGISTER, &tcp), unreachable()]));
        }
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

/// Whether a packet goes to ::1.
fn to_loopback6() -> [Expression; 4] {
    let [load_family, is_family] = of_family(Family::V6);
    let to = load(Field::Destination(Family::V6), REGISTER);
    [load_family, is_family, to, equal(REGISTER, &Ipv6Addr::LOCALHOST.octets())]
}

/// The element of a binding, or the elements of one whose ports move.
pub(crate) fn elements(binding: &Binding, to: IpAddr, owner: &str) -> Vec<(&'static str, Element)> {
    let Binding { protocol, address, host, container, count } = *binding;
    let [ports, addressed, ranges]: [&str; 3] =
        if address.is_ipv4() { [MAPS[0], MAPS[1], MAPS[2]] } else { [MAPS[3], MAPS[4], MAPS[5]] };
    let protocol = [protocol as u8];
    let owner = owner.to_owned();
    if count > 1 && host == container {
        let (first, last) = match address {
            IpAddr::V4(address) if address.is_unspecified() => (vec![0; 4], vec![255; 4]),
            IpAddr::V6(address) if address.is_unspecified() => (vec![0; 16], vec![255; 16]),
            address => (octets(address), octets(address)),
        };
        let key = concatenate(&[&protocol, &first, &host.to_be_bytes()]);
        let end = Some(concatenate(&[&protocol, &last, &(host + (count - 1)).to_be_bytes()]));
        return vec![(ranges, Element { key, end, data: Some(octets(to)), owner })];
    }
    let one = |n: u16| {
        let port = (host + n).to_be_bytes();
        let data = Some(concatenate(&[&octets(to), &(container + n).to_be_bytes()]));
        let (map, key) = if address.is_unspecified() {
            (ports, concatenate(&[&protocol, &port]))
        } else {
            (addressed, concatenate(&[&protocol, &octets(address), &port]))
        };
        (map, Element { key, end: None, data, owner: owner.clone() })
    };
    (0..count).map(one).collect()
}

fn published_bridge(name: &str) -> Element {
    Element { key: interface(name).to_vec(), end: None, data: None, owner: String::new() }
}

/// Adds elements and the bridge that they lead to, and the rules where they are not there.
///
/// The host's ports are the caller's: he has bound them. So what leads from them already is of somebody who is gone, and
/// makes room: in the same map, where it is in the way, and in those that are looked into before.
pub(crate) fn add(
    socket: &Socket,
    table: &str,
    bridge: &str,
    all: &[(&'static str, Element)],
    relayed: bool,
) -> Result<(), Refusal> {
    let meant: Vec<Meaning> = all.iter().map(|(map, element)| Meaning::of(Map::of(map), element)).collect();
    let make_room = || {
        nftables::remove(table, |socket| {
            let mut found = Vec::new();
            for map in Map::all() {
                let theirs = nftables::elements(socket, table, map.name)?.into_iter();
                let is_meant = |element: &Element| meant.iter().any(|one| one.overlaps(&Meaning::of(map, element)));
                found.extend(theirs.filter(is_meant).map(|element| (map.name, element)));
            }
            Ok(found)
        })
    };
    if meant.iter().any(|one| one.ports.0 != one.ports.1) {
        make_room()?;
    } else {
        // Before a port of one address that of all addresses is looked at.
        let before = |one: &Meaning| {
            let map = if one.v4 { MAPS[0] } else { MAPS[3] };
            one.address.is_some().then(|| (map, concatenate(&[&[one.protocol], &one.ports.0.to_be_bytes()])))
        };
        let keys: Vec<_> = meant.iter().filter_map(before).collect();
        if !nftables::get_elements(socket, table, &keys)?.is_empty() {
            make_room()?;
        }
    }
    match add_new(socket, table, bridge, all, relayed) {
        Err(refusal) if refusal.errno == Errno::EEXIST => {
            make_room()?;
            add_new(socket, table, bridge, all, relayed)
        }
        done => done,
    }
}

fn add_new(
    socket: &Socket,
    table: &str,
    bridge: &str,
    all: &[(&'static str, Element)],
    relayed: bool,
) -> Result<(), Refusal> {
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
    let mut whole = rules(table, relayed);
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
struct Meaning {
    v4: bool,
    protocol: u8,
    /// The first and the last; `None`: all.
    address: Option<(Vec<u8>, Vec<u8>)>,
    ports: (u16, u16),
}

impl Meaning {
    fn of(map: Map, element: &Element) -> Self {
        let last = element.end.as_ref().unwrap_or(&element.key);
        let address = 4..4 + usize::from(map.address().1);
        let address_in = |bytes: &[u8]| bytes.get(address.clone()).unwrap_or_default().to_vec();
        let at = if map.addressed { address.end } else { 4 };
        let port =
            |bytes: &[u8]| bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map_or(0, u16::from_be_bytes);
        Self {
            v4: map.v4,
            protocol: element.key.first().copied().unwrap_or(0),
            address: map.addressed.then(|| (address_in(&element.key), address_in(last))),
            ports: (port(&element.key), port(last)),
        }
    }

    /// Whether some packet is meant by both.
    fn overlaps(&self, other: &Self) -> bool {
        let same_address = match (&self.address, &other.address) {
            // In network byte order.
            (Some(one), Some(other)) => one.0 <= other.1 && other.0 <= one.1,
            _ => true,
        };
        let same_port = self.ports.0 <= other.ports.1 && other.ports.0 <= self.ports.1;
        self.v4 == other.v4 && self.protocol == other.protocol && same_address && same_port
    }
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
