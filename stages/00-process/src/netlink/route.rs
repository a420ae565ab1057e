//! Links, addresses and routes: rtnetlink(7).

use std::{
    ffi::CString,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use nix::{errno::Errno, libc};

use super::{
    message::{Message, string, u32_at},
    prefix::Prefix,
    socket::{Refusal, Reply, Socket},
};
use crate::sys;

/// The bytes of ifinfomsg.
pub const LINK_HEADER: usize = 16;
/// The bytes of ifaddrmsg.
pub const ADDRESS_HEADER: usize = 8;
/// The bytes of rtmsg.
pub const ROUTE_HEADER: usize = 12;

/// Where the index of the interface stands in a request about a link or an address.
pub const INDEX_AT: usize = Message::HEADER + 4;

/// ifinfomsg: the link `index` (0: the one that an attribute names), with the flags `up` has set.
pub fn link_header(index: u32, up: bool) -> [u8; LINK_HEADER] {
    let mut header = [0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        let up = libc::IFF_UP as u32;
        header[8..12].copy_from_slice(&up.to_ne_bytes());
        header[12..16].copy_from_slice(&up.to_ne_bytes());
    }
    header
}

/// Asks for the link `name`.
pub fn get_link(name: &str) -> Message {
    Message::new(libc::RTM_GETLINK, 0, &link_header(0, false)).string(libc::IFLA_IFNAME, name)
}

/// Sets the link `index` up.
pub fn set_up(index: u32) -> Message {
    Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true))
}

/// Removes the link `name`, and what goes with it: a veth's other end, the bridge of ports.
pub fn delete_link(name: &str) -> Message {
    Message::new(libc::RTM_DELLINK, 0, &link_header(0, false)).string(libc::IFLA_IFNAME, name)
}

// ANCHOR: address
/// Gives the link `index` an address, usable at once: without the second in which IPv6 asks whether somebody has it.
pub fn add_address(index: u32, prefix: Prefix) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut header = [family(prefix.address), prefix.length, libc::IFA_F_NODAD as u8, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let address = octets(prefix.address);
    let message = Message::new(libc::RTM_NEWADDR, flags, &header)
        .bytes(libc::IFA_LOCAL, &address)
        .bytes(libc::IFA_ADDRESS, &address);
    // In a network of two addresses or one nobody is left to broadcast to.
    if prefix.address.is_ipv4() && prefix.length < 31 {
        return message.bytes(libc::IFA_BROADCAST, &octets(prefix.broadcast()));
    }
    message
}
// ANCHOR_END: address

/// Sends what goes nowhere else to `gateway`, which must be in a network of some link.
pub fn add_default_route(gateway: IpAddr) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Message::new(libc::RTM_NEWROUTE, flags, &route_header(gateway, 0)).bytes(libc::RTA_GATEWAY, &octets(gateway))
}

/// Where the index of the interface stands in [`add_link_route`].
pub const OUTPUT_AT: usize = Message::HEADER + ROUTE_HEADER + 4;

/// Sends what goes nowhere else, in the family of `address`, to whoever answers on the link `index`.
pub fn add_link_route(address: IpAddr, index: u32) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut header = route_header(address, 0);
    header[6] = libc::RT_SCOPE_LINK;
    Message::new(libc::RTM_NEWROUTE, flags, &header).u32(libc::RTA_OIF, index)
}

/// Sends what goes to `network` to `gateway`.
pub fn add_route(network: Prefix, gateway: IpAddr) -> Message {
    let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    Message::new(libc::RTM_NEWROUTE, flags, &route_header(gateway, network.length))
        .bytes(libc::RTA_DST, &octets(network.network().address))
        .bytes(libc::RTA_GATEWAY, &octets(gateway))
}

fn route_header(gateway: IpAddr, length: u8) -> [u8; ROUTE_HEADER] {
    let mut header = [0; ROUTE_HEADER];
    header[0] = family(gateway);
    header[1] = length;
    header[4] = libc::RT_TABLE_MAIN;
    header[5] = libc::RTPROT_BOOT;
    header[6] = libc::RT_SCOPE_UNIVERSE;
    header[7] = libc::RTN_UNICAST;
    header
}

/// `AF_INET` or `AF_INET6`.
pub fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

/// The address as it stands in a packet.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address that these bytes of a packet are.
pub fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into())
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number in the namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// What kind of virtual interface it is: `bridge`, `veth`; none for a network card and loopback.
    pub kind: Option<String>,
    /// The index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// Whether it was set up.
    pub up: bool,
    /// The largest packet in bytes.
    pub mtu: u32,
    /// Its hardware address.
    pub mac: Vec<u8>,
}

impl Link {
    fn new(reply: &Reply) -> Self {
        let attributes = reply.attributes(LINK_HEADER);
        let number = |kind| attributes.get(kind).map(|value| u32_at(value, 0));
        Self {
            index: u32_at(reply.body(), 4),
            up: u32_at(reply.body(), 8) & libc::IFF_UP as u32 != 0,
            name: attributes.get(libc::IFLA_IFNAME).map(string).unwrap_or_default(),
            kind: attributes.nested(libc::IFLA_LINKINFO).get(libc::IFLA_INFO_KIND).map(string),
            master: number(libc::IFLA_MASTER),
            mtu: number(libc::IFLA_MTU).unwrap_or(0),
            mac: attributes.get(libc::IFLA_ADDRESS).unwrap_or_default().to_owned(),
        }
    }
}

/// The link of that name, if there is one.
pub fn link(socket: &Socket, name: &str) -> Result<Option<Link>, Refusal> {
    // A longer name cannot be anybody's, and the kernel would call it invalid.
    if name.len() >= libc::IFNAMSIZ {
        return Err(Errno::ENAMETOOLONG.into());
    }
    Ok(socket.get(get_link(name))?.as_ref().map(Link::new))
}

/// All links of the namespace.
pub fn links(socket: &Socket) -> Result<Vec<Link>, Refusal> {
    let all = Message::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &link_header(0, false));
    Ok(socket.dump(all)?.iter().map(Link::new).collect())
}

/// All addresses of the namespace, each with the index of its link.
pub fn addresses(socket: &Socket) -> Result<Vec<(u32, Prefix)>, Refusal> {
    let all = Message::new(libc::RTM_GETADDR, libc::NLM_F_DUMP, &[0; ADDRESS_HEADER]);
    let found = |reply: &Reply| {
        let attributes = reply.attributes(ADDRESS_HEADER);
        let octets = attributes.get(libc::IFA_LOCAL).or_else(|| attributes.get(libc::IFA_ADDRESS))?;
        Some((u32_at(reply.body(), 4), Prefix { address: address(octets)?, length: *reply.body().get(1)? }))
    };
    Ok(socket.dump(all)?.iter().filter_map(found).collect())
}

/// The destinations of all routes but default ones, each with its gateway, if it has one.
pub fn routes(socket: &Socket) -> Result<Vec<(Prefix, Option<IpAddr>)>, Refusal> {
    let all = Message::new(libc::RTM_GETROUTE, libc::NLM_F_DUMP, &[0; ROUTE_HEADER]);
    let found = |reply: &Reply| {
        let attributes = reply.attributes(ROUTE_HEADER);
        let unspecified: IpAddr = match i32::from(*reply.body().first()?) {
            libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
            libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let to = attributes.get(libc::RTA_DST).and_then(address).unwrap_or(unspecified);
        let gateway = attributes.get(libc::RTA_GATEWAY).and_then(address);
        Some((Prefix { address: to, length: *reply.body().get(1)? }, gateway))
    };
    Ok(socket.dump(all)?.iter().filter_map(found).collect())
}

/// The number by which this network namespace knows that of the process `pid`; given to it now, if it has none.
pub fn namespace_id(socket: &Socket, pid: u32) -> Result<i32, Refusal> {
    let about = |kind| Message::new(kind, 0, &[0; 4]).u32(NETNSA_PID, pid);
    match socket.request(&[about(libc::RTM_NEWNSID).u32(NETNSA_NSID, u32::MAX)]) {
        Err(refusal) if refusal.errno == Errno::EEXIST => {}
        made => made?,
    }
    let reply = socket.get(about(libc::RTM_GETNSID))?.ok_or(Errno::ENOENT)?;
    let number = reply.attributes(4).get(NETNSA_NSID).map(|value| u32_at(value, 0).cast_signed());
    number.ok_or_else(|| Errno::EBADMSG.into())
}

const NETNSA_NSID: u16 = 1;
const NETNSA_PID: u16 = 2;

/// Removes the veth `name`, unless the network namespace of its other end has died and takes it anyway.
///
/// Removing one takes the kernel tens of milliseconds, in which all other changes to links wait.
pub fn remove_veth(name: &str, namespace: i32) -> Result<(), Refusal> {
    let c_name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    // Neither question waits for a change to links, such as the end of another container.
    if sys::interface_index(&c_name) == Err(Errno::ENODEV) {
        return Ok(());
    }
    let socket = Socket::route()?;
    let is_alive = Message::new(libc::RTM_GETNSID, 0, &[0; 4]).u32(NETNSA_NSID, namespace.cast_unsigned());
    if socket.get(is_alive)?.is_none() {
        return Ok(());
    }
    match socket.request(&[delete_link(name)]) {
        Err(refusal) if refusal.errno == Errno::ENODEV => Ok(()),
        removed => removed,
    }
}

/// Lets nothing more through the cable `name`, whose host's end is a bridge's port, and has the bridge forget who was
/// behind it: whoever takes his address is found at once. Unlike [`remove_veth`] this waits for no grace period. Nothing
/// there is success.
pub fn cut_off(name: &str) -> Result<(), Refusal> {
    const STATE: u16 = 1;
    const DISABLED: u8 = 0;
    // When the kernel hears late that the cable has a carrier it enables the port again: learning, and the ways of frames
    // that are for nobody known or for all. These stay off.
    const OPEN: [u16; 4] = [8, 9, 27, 30];
    const FLUSH: u16 = 24;
    let port = Message::new(libc::RTM_NEWLINK, 0, &link_header(0, false)).string(libc::IFLA_IFNAME, name);
    let port = port.nest(libc::IFLA_LINKINFO, |m| {
        m.string(libc::IFLA_INFO_SLAVE_KIND, "bridge").nest(libc::IFLA_INFO_SLAVE_DATA, |m| {
            OPEN.iter().fold(m.u8(STATE, DISABLED), |m, way| m.u8(*way, 0)).bytes(FLUSH, &[])
        })
    });
    match Socket::route()?.request(&[port]) {
        Err(refusal) if refusal.errno == Errno::ENODEV => Ok(()),
        done => done,
    }
}

/// The first of `candidates` that no address and no route of this namespace has a part of. Default routes do not count.
pub fn free_network(socket: &Socket, candidates: impl IntoIterator<Item = Prefix>) -> Result<Option<Prefix>, Refusal> {
    let routes = routes(socket)?.into_iter().map(|(to, _)| to).filter(|to| to.length > 0);
    let taken: Vec<Prefix> = routes.chain(addresses(socket)?.into_iter().map(|(_, prefix)| prefix)).collect();
    Ok(candidates.into_iter().find(|candidate| !taken.iter().any(|other| other.overlaps(candidate))))
}
