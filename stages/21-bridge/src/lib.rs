//! Stage 21: a cable to a bridge.
//!
//! A veth is a cable: what goes in at one end comes out at the other, and the ends may be in different network
//! namespaces (veth(4)). One end is plugged into a bridge, a switch of the host's; the other is the container's `eth0`.
//! All is asked for by netlink: rtnetlink(7).
#![forbid(unsafe_code)]

mod bridge;
mod honest;
mod neighbour;
mod settings;

use std::net::IpAddr;

use nix::libc;
use process::{
    Child, Errno, Error, Host, Inside, Primitive, Result, Undo,
    netlink::{
        self, Message, Prefix, Socket,
        route::{self, link_header},
    },
};

pub use bridge::{Bridge, ports, remove};
pub use settings::{DefaultRoute, Settings};

// ANCHOR: veth
/// A network interface of the container, plugged into a bridge of the host.
#[derive(Debug)]
pub struct Veth {
    /// What it is plugged into; made where it is not there.
    pub bridge: Bridge,
    /// The container's id, which the host's end is named after.
    pub id: String,
    /// The interface's name in the container: 1 to 15 bytes.
    pub interface: String,
    /// Its addresses, with the length of their network's prefix.
    pub addresses: Vec<Prefix>,
    /// Its hardware address; `None` makes one from the first address: see [`mac_of`].
    pub mac: Option<[u8; 6]>,
    /// Whether all that goes nowhere else goes to the bridge's addresses. Not so in an internal network.
    pub default_route: bool,
    /// Whether it reaches no other isolated port of the bridge, but the host.
    pub isolated: bool,
    /// Whether the bridge sends frames back to where they came from.
    pub hairpin: bool,
    /// Whether the bridge takes from it only what is sent from these addresses, in IPv4.
    pub honest: bool,
    prepared: Option<Prepared>,
}
// ANCHOR_END: veth

#[derive(Debug)]
struct Prepared {
    socket: Socket,
    bridge: u32,
    settings: Settings,
}

impl Veth {
    /// An interface `eth0` with a default route, on `bridge`, for the container `id`.
    pub fn new(bridge: Bridge, id: impl Into<String>, addresses: Vec<Prefix>) -> Self {
        Self {
            bridge,
            id: id.into(),
            interface: "eth0".to_owned(),
            addresses,
            mac: None,
            default_route: true,
            isolated: false,
            hairpin: false,
            honest: false,
            prepared: None,
        }
    }

    // ANCHOR: cable
    /// One request: the cable, both its ends, the container's namespace, and the bridge's port.
    fn cable(&self, name: &str, bridge: u32, pid: u32) -> Message {
        let mac = self.mac();
        let mtu = |m: Message| match self.bridge.mtu {
            Some(mtu) => m.u32(libc::IFLA_MTU, mtu),
            None => m,
        };
        let peer = |m: Message| {
            let m = mtu(m.raw(&link_header(0, false)).string(libc::IFLA_IFNAME, &self.interface));
            let m = m.u32(libc::IFLA_NET_NS_PID, pid);
            mac.map_or(m.clone(), |mac| m.bytes(libc::IFLA_ADDRESS, &mac))
        };
        let message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, false))
            .string(libc::IFLA_IFNAME, name)
            .u32(libc::IFLA_MASTER, bridge)
            .nest(libc::IFLA_LINKINFO, |m| {
                m.string(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |m| m.nest(VETH_INFO_PEER, peer))
            });
        mtu(message)
    }
    // ANCHOR_END: cable

    /// The hardware address of the container's end.
    fn mac(&self) -> Option<[u8; 6]> {
        self.mac.or_else(|| self.addresses.first().map(|prefix| mac_of(prefix.address)))
    }

    /// The options of the bridge's port, and then the host's end up.
    fn port(&self, name: &str) -> Message {
        Message::new(libc::RTM_NEWLINK, 0, &link_header(0, true)).string(libc::IFLA_IFNAME, name).nest(
            libc::IFLA_LINKINFO,
            |m| {
                m.string(libc::IFLA_INFO_SLAVE_KIND, "bridge").nest(libc::IFLA_INFO_SLAVE_DATA, |m| {
                    m.u8(IFLA_BRPORT_MODE, self.hairpin.into()).u8(IFLA_BRPORT_ISOLATED, self.isolated.into())
                })
            },
        )
    }

    fn settings(&self) -> Result<Settings> {
        let gateways = self.bridge.gateways.iter().map(|gateway| gateway.address).collect();
        let default = if self.default_route { DefaultRoute::Via(gateways) } else { DefaultRoute::None };
        Settings::new(&self.interface, &self.addresses, &default, false)
    }
}

const VETH_INFO_PEER: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;

/// The hardware address that goes with `address`, as Docker makes it: locally administered, and as unique as the
/// address is in its network.
pub fn mac_of(address: IpAddr) -> [u8; 6] {
    let octets = route::octets(address);
    let last = &octets[octets.len() - 4..];
    [0x02, 0x42, last[0], last[1], last[2], last[3]]
}

/// The name of the host's end: what the id begins with, and a digest of what makes this start of it unique. The end of
/// an earlier start may still be on its way out.
fn host_name(id: &str, interface: &str, pid: i32) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let all = [id, interface, &pid.to_string()].join("/");
    // FNV-1a, 64 bits.
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let digest = all.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    let short = id.chars().filter(char::is_ascii_alphanumeric).take(6);
    let digits = (0..7).map(|digit| char::from(DIGITS[(digest >> (5 * digit)) as usize % 32]));
    "ve".chars().chain(short).chain(digits).collect()
}

impl Primitive for Veth {
    fn name(&self) -> &'static str {
        "bridge"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let failed = |what: String| move |errno| Error::new("bridge", what, errno);
        let settings = self.settings()?;
        let socket = Socket::route().map_err(failed("socket(NETLINK_ROUTE)".to_owned()))?;
        let bridge = self.bridge.ensure(host, &socket)?;
        self.prepared = Some(Prepared { socket, bridge, settings });
        Ok(())
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let Some(Prepared { socket, bridge, .. }) = &self.prepared else { return Ok(()) };
        let pid = child.pid.as_raw();
        let name = host_name(&self.id, &self.interface, pid);
        let namespace =
            netlink::act(host, || format!("RTM_NEWNSID({pid})"), || route::namespace_id(socket, pid.cast_unsigned()))?;
        host.undo(Undo::RemoveVeth { name: name.clone(), namespace })?;
        self.forget_others(host, socket, *bridge)?;
        let cable = [self.cable(&name, *bridge, pid.cast_unsigned())];
        let what = || format!("RTM_NEWLINK({name}, veth, {} in {pid})", self.interface);
        netlink::act(host, what, || socket.request(&cable))?;
        // What comes in at a port of a bridge is the bridge's: an address here would be nobody's. It would have routes, which the
        // kernel goes through whenever a link comes or goes.
        bridge::set_sysctl(host, &format!("net/ipv6/conf/{name}/disable_ipv6"), "1")?;
        if self.honest {
            self.fence(host, socket, &name)?;
        }
        let port = [self.port(&name)];
        netlink::act(host, || format!("RTM_NEWLINK({name}, bridge port, IFF_UP)"), || socket.request(&port))
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.prepared.as_ref().map_or(Ok(()), |prepared| prepared.settings.apply(Some(inside)))
    }

    fn step(&self, step: u16) -> String {
        self.prepared.as_ref().map(|prepared| prepared.settings.words(step)).unwrap_or_default()
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        match errno {
            Errno::EPERM => Some("the container's network namespace must be its own".to_owned()),
            Errno::EEXIST => Some("two interfaces have the same address, or two a default route".to_owned()),
            _ => None,
        }
    }
}

impl Veth {
    /// Does what is to be done inside in the network namespace of the calling thread: for a container that runs already.
    pub fn enter_here(&self) -> Result<(), Errno> {
        self.prepared.as_ref().map_or(Ok(()), |prepared| prepared.settings.apply(None))
    }
}

#[cfg(test)]
mod tests {
    use super::{host_name, mac_of};

    #[test]
    fn host_names_are_short_and_differ() {
        let id = "0123456789abcdef";
        let names = [host_name(id, "eth0", 7), host_name(id, "eth1", 7), host_name(id, "eth0", 8)];
        for name in &names {
            assert!(name.len() == 15 && name.starts_with("ve012345"), "{name}");
        }
        assert!(names[0] != names[1] && names[0] != names[2]);
        assert_eq!(host_name("", "eth0", 1).len(), 9);
        assert!(!host_name("a/b c\u{e9}.d", "eth0", 1).contains(['/', ' ', '.', '\u{e9}']));
    }

    #[test]
    fn hardware_addresses_are_docker_s() {
        assert_eq!(mac_of("172.17.0.2".parse().unwrap()), [0x02, 0x42, 172, 17, 0, 2]);
        assert_eq!(mac_of("fd00::102:304".parse().unwrap()), [0x02, 0x42, 1, 2, 3, 4]);
    }
}
