//! Stage 25: an interface on the wire of one of the host's.
//!
//! A macvlan or ipvlan interface shares the card of its parent (ip-link(8)): the container is a machine of its own on
//! the host's network, without a bridge, a cable or a forwarded packet. Parent and child do not hear each other, so that
//! the host is out of the container's reach, and it is out of the host's. All is asked for by netlink: rtnetlink(7).
#![forbid(unsafe_code)]

mod parent;

use bridge::{DefaultRoute, Settings};
use nix::libc;
use process::{
    Child, Errno, Error, Host, Inside, Primitive, Result,
    netlink::{
        self, Message, Prefix, Socket,
        route::{self, link_header},
    },
};

pub use parent::{make_parent, make_vlan, remove_parent};

/// How an interface shares its parent's wire (macvlan and ipvlan in ip-link(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With a hardware address of its own, in one of the modes `MACVLAN_MODE_*`: 1 private, 2 vepa, 4 bridge, 8 passthru.
    Macvlan(u32),
    /// With its parent's hardware address, in one of the modes `IPVLAN_MODE_*`: 0 l2, 1 l3, 2 l3s; and the flags
    /// `IPVLAN_F_*`: 1 private, 2 vepa.
    Ipvlan(u16, u16),
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }
}

// ANCHOR: beside
/// A network interface of the container on the wire of one of the host's. It goes with the container's namespace, and
/// leaves nothing behind on the host.
#[derive(Debug)]
pub struct Beside {
    /// The host's interface.
    pub parent: String,
    /// How its wire is shared.
    pub kind: Kind,
    /// The interface's name in the container: 1 to 15 bytes.
    pub interface: String,
    /// Its addresses, with the length of their network's prefix.
    pub addresses: Vec<Prefix>,
    /// Its hardware address, where it is not the kernel's to choose.
    pub mac: Option<[u8; 6]>,
    /// The largest packet in bytes; `None`: the parent's.
    pub mtu: Option<u32>,
    /// Where what goes nowhere else goes.
    pub default_route: DefaultRoute,
    settings: Option<Settings>,
}
// ANCHOR_END: beside

impl Beside {
    /// An interface `eth0` on the wire of `parent`, without a default route.
    pub fn new(parent: impl Into<String>, kind: Kind, addresses: Vec<Prefix>) -> Self {
        Self {
            parent: parent.into(),
            kind,
            interface: "eth0".to_owned(),
            addresses,
            mac: None,
            mtu: None,
            default_route: DefaultRoute::None,
            settings: None,
        }
    }

    // ANCHOR: request
    fn request(&self, parent: u32, pid: u32) -> Message {
        const MACVLAN_MODE: u16 = 1;
        const IPVLAN_MODE: u16 = 1;
        const IPVLAN_FLAGS: u16 = 2;
        let mut message =
            Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, false))
                .string(libc::IFLA_IFNAME, &self.interface)
                .u32(libc::IFLA_LINK, parent)
                .u32(libc::IFLA_NET_NS_PID, pid);
        if let Some(mtu) = self.mtu {
            message = message.u32(libc::IFLA_MTU, mtu);
        }
        if let (Kind::Macvlan(_), Some(mac)) = (self.kind, self.mac) {
            message = message.bytes(libc::IFLA_ADDRESS, &mac);
        }
        message.nest(libc::IFLA_LINKINFO, |m| {
            m.string(libc::IFLA_INFO_KIND, self.kind.name()).nest(libc::IFLA_INFO_DATA, |m| match self.kind {
                Kind::Macvlan(mode) => m.u32(MACVLAN_MODE, mode),
                Kind::Ipvlan(mode, flags) => {
                    m.bytes(IPVLAN_MODE, &mode.to_ne_bytes()).bytes(IPVLAN_FLAGS, &flags.to_ne_bytes())
                }
            })
        })
    }
    // ANCHOR_END: request
}

impl Primitive for Beside {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        self.settings = Some(Settings::new(&self.interface, &self.addresses, &self.default_route, true)?);
        Ok(())
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let name = self.kind.name();
        let failed = |what: String| move |errno| Error::new(name, what, errno);
        let socket = Socket::route().map_err(failed("socket(NETLINK_ROUTE)".to_owned()))?;
        let parent = &self.parent;
        let found = netlink::act(host, || format!("RTM_GETLINK({parent})"), || route::link(&socket, parent))?;
        let found = found.ok_or(Errno::ENODEV).map_err(failed(format!("find the parent {parent}")))?;
        let pid = child.pid.as_raw();
        let request = [self.request(found.index, pid.cast_unsigned())];
        let what = || format!("RTM_NEWLINK({}, {name} of {parent}, in {pid})", self.interface);
        netlink::act(host, what, || socket.request(&request)).map_err(|e| match advice(e.errno, name) {
            Some(hint) => e.hint(hint),
            None => e,
        })
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.settings.as_ref().map_or(Ok(()), |settings| settings.apply(Some(inside)))
    }

    fn step(&self, step: u16) -> String {
        self.settings.as_ref().map(|settings| settings.words(step)).unwrap_or_default()
    }
}

impl Beside {
    /// Does what is to be done inside in the network namespace of the calling thread: for a container that runs already.
    pub fn enter_here(&self) -> Result<(), Errno> {
        self.settings.as_ref().map_or(Ok(()), |settings| settings.apply(None))
    }
}

fn advice(errno: Errno, kind: &str) -> Option<String> {
    match errno {
        Errno::EOPNOTSUPP => Some(format!("this kernel has no {kind}: modprobe {kind}, or use another driver")),
        Errno::EBUSY => Some("the parent is used otherwise: by a bridge, or by macvlan and ipvlan at once".to_owned()),
        _ => None,
    }
}
