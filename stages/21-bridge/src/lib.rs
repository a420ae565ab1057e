//! Stage 21: a cable to a bridge.
//!
//! A veth is a cable: what goes in at one end comes out at the other, and the ends may be in different network
//! namespaces (veth(4)). One end is plugged into a bridge, a switch of the host's; the other is the container's `eth0`.
//! All is asked for by netlink: rtnetlink(7).
#![forbid(unsafe_code)]

mod bridge;

use std::{
    ffi::CString,
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd},
};

use nix::{
    fcntl::{OFlag, open},
    libc,
    sys::stat::Mode,
    unistd::write,
};
use process::{
    Child, Errno, Error, Host, Inside, Primitive, Result, Undo,
    netlink::{
        self, Message, Prefix, Socket,
        route::{self, INDEX_AT, link_header},
        send_prepared,
    },
    sys,
};

pub use bridge::{Bridge, ports, remove};

/// Room for a message with the interface's index in it.
const LONGEST: usize = 256;

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
    prepared: Option<Prepared>,
}
// ANCHOR_END: veth

#[derive(Debug)]
struct Prepared {
    socket: Socket,
    bridge: u32,
    interface: CString,
    steps: Vec<(String, Act)>,
}

/// What the child does, laid out before the clone.
#[derive(Debug)]
enum Act {
    /// Write into a file of /proc/sys/net, which shows the settings of whoever opens it.
    Set(CString, &'static [u8]),
    /// Send a message in which the interface's index is still missing.
    AboutInterface(Vec<u8>),
    /// Send a message.
    Send(Vec<u8>),
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
            prepared: None,
        }
    }

    // ANCHOR: cable
    /// One request: the cable, both its ends, the container's namespace, the bridge's port, and the host's end up.
    fn cable(&self, name: &str, bridge: u32, pid: u32) -> Message {
        let mac = self.mac.or_else(|| self.addresses.first().map(|a| mac_of(a.address)));
        let mtu = |m: Message| match self.bridge.mtu {
            Some(mtu) => m.u32(libc::IFLA_MTU, mtu),
            None => m,
        };
        let peer = |m: Message| {
            let m = mtu(m.raw(&link_header(0, false)).string(libc::IFLA_IFNAME, &self.interface));
            let m = m.u32(libc::IFLA_NET_NS_PID, pid);
            mac.map_or(m.clone(), |mac| m.bytes(libc::IFLA_ADDRESS, &mac))
        };
        let message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, true))
            .string(libc::IFLA_IFNAME, name)
            .u32(libc::IFLA_MASTER, bridge)
            .nest(libc::IFLA_LINKINFO, |m| {
                m.string(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |m| m.nest(VETH_INFO_PEER, peer))
            });
        mtu(message)
    }
    // ANCHOR_END: cable

    /// The options of the bridge's port.
    fn port(&self, name: &str) -> Message {
        Message::new(libc::RTM_NEWLINK, 0, &link_header(0, false)).string(libc::IFLA_IFNAME, name).nest(
            libc::IFLA_LINKINFO,
            |m| {
                m.string(libc::IFLA_INFO_SLAVE_KIND, "bridge").nest(libc::IFLA_INFO_SLAVE_DATA, |m| {
                    m.u8(IFLA_BRPORT_MODE, self.hairpin.into()).u8(IFLA_BRPORT_ISOLATED, self.isolated.into())
                })
            },
        )
    }

    /// What is left to do inside.
    fn steps(&self) -> Vec<(String, Act)> {
        let mut steps = Vec::new();
        let interface = &self.interface;
        let mut set = |name: &str, value: &'static str| {
            let path = format!("/proc/sys/net/ipv6/conf/{interface}/{name}");
            let words = format!("write({path:?}, {value:?})");
            // An interface's name was checked: it has no null byte.
            steps.push((words, Act::Set(CString::new(path).unwrap_or_default(), value.as_bytes())));
        };
        if self.addresses.iter().any(|a| a.address.is_ipv6()) {
            // A neighbour could call itself a router.
            set("accept_ra", "0");
            set("accept_dad", "0");
        } else {
            // Else the container had an address that nobody gave it, and nobody filters.
            set("disable_ipv6", "1");
        }
        let bytes = |message: Message| message.as_bytes().to_owned();
        for address in &self.addresses {
            let message = bytes(route::add_address(0, *address));
            steps.push((format!("RTM_NEWADDR({interface}, {address})"), Act::AboutInterface(message)));
        }
        steps.push((format!("RTM_NEWLINK({interface}, IFF_UP)"), Act::AboutInterface(bytes(route::set_up(0)))));
        let has = |gateway: &&Prefix| self.addresses.iter().any(|a| a.contains(gateway.address));
        for gateway in self.bridge.gateways.iter().filter(|_| self.default_route).filter(has) {
            let words = format!("RTM_NEWROUTE(default via {})", gateway.address);
            steps.push((words, Act::Send(bytes(route::add_default_route(gateway.address)))));
        }
        steps
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
        let name = self.interface.as_str();
        let valid = !name.is_empty() && name.len() < libc::IFNAMSIZ && !name.contains(['/', '\0', ' ']);
        let interface = CString::new(name).ok().filter(|_| valid && name != "." && name != "..");
        let interface = interface.ok_or(Errno::EINVAL).map_err(failed(format!("name an interface {name:?}")))?;
        let socket = Socket::route().map_err(failed("socket(NETLINK_ROUTE)".to_owned()))?;
        let bridge = self.bridge.ensure(host, &socket)?;
        self.prepared = Some(Prepared { socket, bridge, interface, steps: self.steps() });
        Ok(())
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let Some(Prepared { socket, bridge, .. }) = &self.prepared else { return Ok(()) };
        let pid = child.pid.as_raw();
        let name = host_name(&self.id, &self.interface, pid);
        let namespace =
            netlink::act(host, || format!("RTM_NEWNSID({pid})"), || route::namespace_id(socket, pid.cast_unsigned()))?;
        host.undo(Undo::RemoveVeth { name: name.clone(), namespace })?;
        let cable = [self.cable(&name, *bridge, pid.cast_unsigned())];
        let what = || format!("RTM_NEWLINK({name}, veth, {} in {pid})", self.interface);
        netlink::act(host, what, || socket.request(&cable))?;
        if self.isolated || self.hairpin {
            let port = [self.port(&name)];
            netlink::act(host, || format!("RTM_NEWLINK({name}, bridge port)"), || socket.request(&port))?;
        }
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.configure(&|step| inside.at(step))
    }

    fn step(&self, step: u16) -> String {
        let steps = self.prepared.iter().flat_map(|prepared| &prepared.steps);
        match usize::from(step).checked_sub(1) {
            None => format!("ioctl(SIOCGIFINDEX, {:?})", self.interface),
            Some(number) => steps.map(|(words, _)| words.clone()).nth(number).unwrap_or_default(),
        }
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
        self.configure(&|_| ())
    }

    // ANCHOR: enter
    fn configure(&self, at: &dyn Fn(usize)) -> Result<(), Errno> {
        let Some(prepared) = &self.prepared else { return Ok(()) };
        at(0);
        let index = sys::interface_index(&prepared.interface)?;
        let socket = sys::netlink_socket(libc::NETLINK_ROUTE)?;
        for (number, (_, act)) in prepared.steps.iter().enumerate() {
            at(number + 1);
            match act {
                Act::Set(path, value) => set(path, value)?,
                Act::AboutInterface(message) => send_about(socket.as_fd(), message, index)?,
                Act::Send(message) => send_prepared(socket.as_fd(), message)?,
            }
        }
        Ok(())
    }
    // ANCHOR_END: enter
}

/// Writes a setting; a kernel without IPv6 has none of its.
fn set(path: &CString, value: &[u8]) -> Result<(), Errno> {
    match open(path.as_c_str(), OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty()) {
        Err(Errno::ENOENT) => Ok(()),
        file => write(file?, value).map(drop),
    }
}

/// Fills the index in, on the stack.
fn send_about(socket: BorrowedFd, message: &[u8], index: u32) -> Result<(), Errno> {
    let mut buffer = [0; LONGEST];
    let filled = buffer.get_mut(..message.len()).ok_or(Errno::EMSGSIZE)?;
    filled.copy_from_slice(message);
    filled[INDEX_AT..INDEX_AT + 4].copy_from_slice(&index.to_ne_bytes());
    send_prepared(socket, filled)
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
