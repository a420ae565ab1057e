//! Stage 22: the way out, and walls between networks.
//!
//! The host becomes a router for its bridges, and one table of nftables (nft(8)) says for whom: packets that leave the
//! host get its address (masquerading), replies come back, and what nobody asked for stays out. A network is a few
//! elements of sets; the number of rules stays the same.
#![forbid(unsafe_code)]

use std::{fs, io};

use process::{
    Errno, Error, Host, Primitive, Result,
    netlink::{
        self, Refusal, Socket,
        expression::{
            ACCEPT, DESTINATION_CHANGED, DROP, ESTABLISHED_OR_RELATED, Expression, Family, Field, REGISTER, any_bit,
            equal, interface, is_in, is_not_in, load, masquerade, of_family, verdict,
        },
        nftables::{Element, Hook, Set, Transaction, Type, base_chains, elements, get_element},
    },
};

/// The default name of the table.
pub const TABLE: &str = "mini-docker";

/// The table's comment, with the number of its layout: chains, rules and sets of this stage and of the ports'. Whoever changes
/// one of them raises it, so that a table of an older program is not taken for ours.
pub const LAYOUT: &str = "layout 3";

const ICMP6: u8 = 58;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
const NAME: (Type, u8) = (Type::Interface, 16);
const SETS: [(&str, &[(Type, u8)]); 5] = [
    // All bridges.
    ("bridges", &[NAME]),
    // Each bridge with itself: the kernel compares a packet with a set, not two of its fields.
    ("same", &[NAME, NAME]),
    // Bridges that nothing leaves and nothing enters, not even for the host.
    ("internal", &[NAME]),
    // Bridges whose addresses the world does not know.
    ("masquerade4", &[NAME]),
    ("masquerade6", &[NAME]),
];

// ANCHOR: nat
/// A network's part in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    /// The table, of the family inet: ours alone.
    pub table: String,
    /// The network's bridge.
    pub bridge: String,
    /// Whether the network is cut off from all others, and from the host's servers.
    pub internal: bool,
    /// Whether its IPv4 addresses are replaced by the host's on the way out.
    pub masquerade4: bool,
    /// The same for IPv6.
    pub masquerade6: bool,
    /// Whether it has IPv6 addresses: then the host forwards IPv6 too.
    pub ipv6: bool,
}
// ANCHOR_END: nat

impl Nat {
    /// A network with a way out for IPv4.
    pub fn new(table: impl Into<String>, bridge: impl Into<String>) -> Self {
        let (table, bridge) = (table.into(), bridge.into());
        Self { table, bridge, internal: false, masquerade4: true, masquerade6: true, ipv6: false }
    }

    /// The sets that the bridge is in.
    fn sets(&self) -> Vec<&'static str> {
        let all = [
            ("bridges", true),
            ("same", true),
            ("internal", self.internal),
            ("masquerade4", self.masquerade4 && !self.internal),
            ("masquerade6", self.masquerade6 && !self.internal),
        ];
        all.into_iter().filter(|(_, member)| *member).map(|(name, _)| name).collect()
    }

    /// What the element of the bridge in `bridges` says: all of the above, so that a changed network is noticed.
    fn owner(&self) -> String {
        format!("{}: {}", self.bridge, self.sets()[2..].join(" "))
    }

    fn add_to(&self, transaction: &mut Transaction) {
        for set in self.sets() {
            transaction.add_elements(set, &[member(&self.bridge, set, self.owner())]);
        }
    }

    /// Makes the network's part of the table, and the table where it is not there. All of it or nothing.
    fn ensure(&self, socket: &Socket) -> Result<(), Refusal> {
        // One question in the usual case: a transaction leaves nothing half done.
        if let Some(found) = get_element(socket, &self.table, "bridges", &interface(&self.bridge))? {
            if found.owner == self.owner() {
                return Ok(());
            }
            remove_elements(socket, &self.table, &self.bridge)?;
        }
        // Others may make or remove the table meanwhile.
        for _ in 0..16 {
            let mut whole = table(&self.table);
            self.add_to(&mut whole);
            let done = match whole.commit(socket) {
                Err(refusal) if refusal.errno == Errno::EEXIST => {
                    let mut part = Transaction::new(&self.table);
                    self.add_to(&mut part);
                    part.commit(socket)
                }
                done => done,
            };
            match done {
                Err(refusal) if refusal.errno == Errno::ENOENT => {}
                done => return done,
            }
        }
        Err(Errno::EAGAIN.into())
    }
}

fn member(bridge: &str, set: &str, owner: String) -> Element {
    let name = interface(bridge);
    let key = if set == "same" { [name, name].concat() } else { name.to_vec() };
    Element { key, end: None, data: None, owner }
}

// ANCHOR: table
/// The table without networks. Fails with EEXIST where it is there.
fn table(name: &str) -> Transaction {
    const RAW: i32 = -300;
    const FILTER: i32 = 0;
    const SOURCE_NAT: i32 = 100;
    let mut table = Transaction::new(name);
    table.table_with_comment(LAYOUT);
    for (name, key) in SETS {
        table.set(&Set { name, key, ranges: false, data: &[] });
    }
    let input = || load(Field::InputName, REGISTER);
    let output = || load(Field::OutputName, REGISTER);
    let both = || [input(), load(Field::OutputName, REGISTER + 4)];
    let accept = || [verdict(ACCEPT)];
    let drop = || [verdict(DROP)];
    // Before anything believes it: who says to be somebody whom his bridge does not lead to.
    table.base_chain("source", "filter", Hook::Prerouting, RAW);
    let elsewhere = [load(Field::SourceInterface, REGISTER), equal(REGISTER, &[0; 4])];
    table.rule("source", [input(), is_in("bridges", REGISTER)].into_iter().chain(elsewhere).chain(drop()));
    table.base_chain("forward", "filter", Hook::Forward, FILTER);
    let mut forward = |parts: &[&[Expression]]| table.rule("forward", parts.concat());
    // From neighbour to neighbour.
    forward(&[&both(), &[is_in("same", REGISTER)], &accept()]);
    forward(&[&[input(), is_in("internal", REGISTER)], &drop()]);
    forward(&[&[output(), is_in("internal", REGISTER)], &drop()]);
    // To the world, or nothing of ours.
    forward(&[&[output(), is_not_in("bridges", REGISTER)], &accept()]);
    // To a container: what it asked for, and what somebody published. Nothing else, from wherever.
    forward(&[&any_bit(Field::State, ESTABLISHED_OR_RELATED), &accept()]);
    forward(&[&any_bit(Field::Status, DESTINATION_CHANGED), &accept()]);
    forward(&[&drop()]);
    // To the host from who is cut off: answers, and where in IPv6 an address is to be found.
    table.base_chain("input", "filter", Hook::Input, FILTER);
    let mut to_us = |parts: &[&[Expression]]| table.rule("input", parts.concat());
    to_us(&[&[input(), is_not_in("internal", REGISTER)], &accept()]);
    to_us(&[&any_bit(Field::State, ESTABLISHED_OR_RELATED), &accept()]);
    for kind in [NEIGHBOR_SOLICITATION, NEIGHBOR_ADVERTISEMENT] {
        let is_icmp6 = [load(Field::Protocol, REGISTER), equal(REGISTER, &[ICMP6])];
        to_us(&[&is_icmp6, &[load(Field::Icmp6Type, REGISTER), equal(REGISTER, &[kind])], &accept()]);
    }
    to_us(&[&drop()]);
    table.base_chain("postrouting", "nat", Hook::Postrouting, SOURCE_NAT);
    for (family, set) in [(Family::V4, "masquerade4"), (Family::V6, "masquerade6")] {
        let leaves = [input(), is_in(set, REGISTER), output(), is_not_in("bridges", REGISTER)];
        table.rule("postrouting", of_family(family).into_iter().chain(leaves).chain([masquerade()]));
    }
    table
}
// ANCHOR_END: table

impl Primitive for Nat {
    fn name(&self) -> &'static str {
        "nat"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let socket = Socket::netfilter().map_err(|errno| Error::new("nat", "socket(NETLINK_NETFILTER)", errno))?;
        let what = || format!("nftables(table {}, {})", self.table, self.bridge);
        // The walls first: then the host may forward.
        netlink::act(host, what, || self.ensure(&socket))?;
        if self.internal {
            return Ok(());
        }
        forward(host, "/proc/sys/net/ipv4/ip_forward")?;
        if self.ipv6 && !is_set("/proc/sys/net/ipv6/conf/all/forwarding") {
            keep_listening_to_routers(host)?;
            forward(host, "/proc/sys/net/ipv6/conf/all/forwarding")?;
        }
        Ok(())
    }
}

fn is_set(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|value| value.trim() != "0")
}

/// Makes the host a router, if it is none. It stays one: somebody else may count on it by the time we leave.
fn forward(host: &mut Host, path: &str) -> Result<()> {
    if is_set(path) { Ok(()) } else { write(host, path, "1") }
}

/// A router takes no advice from other routers, and would forget its own way out: the value 2 is to take it all the same.
fn keep_listening_to_routers(host: &mut Host) -> Result<()> {
    let all = fs::read_dir("/proc/sys/net/ipv6/conf").into_iter().flatten().flatten();
    for path in all.map(|entry| entry.path().join("accept_ra")) {
        if fs::read_to_string(&path).is_ok_and(|value| value.trim() == "1") {
            write(host, &path.to_string_lossy(), "2")?;
        }
    }
    Ok(())
}

fn write(host: &mut Host, path: &str, value: &str) -> Result<()> {
    let errno = |e: io::Error| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
    let written = host.act(|| format!("write({path:?}, {value:?})"), || fs::write(path, value).map_err(errno));
    written.map_err(|error| error.hint("the host must forward packets: set it yourself (sysctl(8))"))
}

/// What the table says of itself: [`LAYOUT`], or something else where an older program has made it. `None`: there is none.
pub fn layout(socket: &Socket, table: &str) -> Result<Option<String>, Refusal> {
    netlink::nftables::table_comment(socket, table)
}

/// Removes the table with all that is in it. Nothing there is success.
pub fn remove_table(table: &str) -> Result<(), Refusal> {
    let mut transaction = Transaction::new(table);
    transaction.delete_table();
    match transaction.commit(&Socket::netfilter()?) {
        Err(refusal) if refusal.errno == Errno::ENOENT => Ok(()),
        removed => removed,
    }
}

/// Removes the network of `bridge` from the table, which stays. Nothing there is success.
pub fn take_out(socket: &Socket, table: &str, bridge: &str) -> Result<(), Refusal> {
    remove_elements(socket, table, bridge)
}

/// Removes the network of `bridge` from the table; with the last one goes the table. Nothing there is success. To close the
/// socket soon afterwards waits until the kernel has given back what was removed, some 15 ms.
pub fn remove_network(socket: &Socket, table: &str, bridge: &str) -> Result<(), Refusal> {
    remove_elements(socket, table, bridge)?;
    // Nobody else's network may come in between: the caller sees to it.
    if netlink::nftables::has_table(socket, table)? && elements(socket, table, "bridges")?.is_empty() {
        let mut transaction = Transaction::new(table);
        transaction.delete_table();
        return transaction.commit(socket);
    }
    Ok(())
}

fn remove_elements(socket: &Socket, table: &str, bridge: &str) -> Result<(), Refusal> {
    let mut transaction = Transaction::new(table);
    let mut any = false;
    for (set, _) in SETS {
        let member = member(bridge, set, String::new());
        if get_element(socket, table, set, &member.key)?.is_some() {
            transaction.delete_elements(set, &[member]);
            any = true;
        }
    }
    if any { transaction.commit(socket) } else { Ok(()) }
}

/// The chains of others that drop what they do not accept themselves, as `table chain`: a running Docker's, or an
/// administrator's. What this table accepts, they may still drop.
pub fn obstacles(table: &str) -> Result<Vec<String>, Refusal> {
    let chains = base_chains(&Socket::netfilter()?)?.into_iter();
    let theirs = chains.filter(|chain| chain.forward && chain.drops && chain.table != table);
    Ok(theirs.map(|chain| format!("{} {}", chain.table, chain.name)).collect())
}
