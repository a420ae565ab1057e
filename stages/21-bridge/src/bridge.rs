//! The host's side: a switch that containers are plugged into.

use std::fs;

use nix::libc;
use process::{
    Errno, Error, Host, Result,
    netlink::{
        self, Message, Prefix, Refusal, Socket,
        route::{self, Link, link_header},
    },
};

const IFLA_BR_MCAST_SNOOPING: u16 = 23;

/// A bridge: a switch of the kernel's own, which the host is plugged into too (`bridge` in ip-link(8)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name: 1 to 15 bytes.
    pub name: String,
    /// The host's addresses on it, of both families: the containers' gateways.
    pub gateways: Vec<Prefix>,
    /// The largest packet in bytes, for the bridge and what is plugged into it; `None` leaves the kernel's 1500.
    pub mtu: Option<u32>,
}

impl Bridge {
    /// Makes it, if it is not there, and returns its index. Many may do so at once.
    ///
    /// It is set up last, so that one that is up is whole.
    ///
    /// # Errors
    /// EEXIST where a link of that name is no bridge.
    pub fn ensure(&self, host: &mut Host, socket: &Socket) -> Result<u32> {
        let name = &self.name;
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            let error = Error::new("bridge", format!("name a bridge {name:?}"), Errno::EINVAL);
            return Err(error.hint("a link's name has 1 to 15 bytes"));
        }
        if let Some(link) = self.find(host, socket)?
            && link.up
        {
            self.give_addresses(host, socket, link.index)?;
            return Ok(link.index);
        }
        self.create(host, socket)?;
        let gone = || Error::new("bridge", format!("find {name}"), Errno::ENODEV);
        let index = self.find(host, socket)?.ok_or_else(gone)?.index;
        self.distrust(host)?;
        self.give_addresses(host, socket, index)?;
        // A bridge takes the smallest packet of its ports, unless it was told so once it was there.
        let up = route::set_up(index);
        let up = [match self.mtu {
            Some(mtu) => up.u32(libc::IFLA_MTU, mtu),
            None => up,
        }];
        netlink::act(host, || format!("RTM_NEWLINK({name}, IFF_UP)"), || socket.request(&up))?;
        Ok(index)
    }

    // ANCHOR: create
    fn create(&self, host: &mut Host, socket: &Socket) -> Result<()> {
        let create = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, false))
            .string(libc::IFLA_IFNAME, &self.name)
            .nest(libc::IFLA_LINKINFO, |m| {
                // Who is in which group nobody asks here, so that all hear all anyway. A container could play the one who asks; and
                // with each port that comes all others are looked at.
                m.string(libc::IFLA_INFO_KIND, "bridge").nest(libc::IFLA_INFO_DATA, |m| m.u8(IFLA_BR_MCAST_SNOOPING, 0))
            });
        // One of its own: else the bridge takes that of a port, and another one when that port goes.
        let create = match self.gateways.first() {
            Some(gateway) => create.bytes(libc::IFLA_ADDRESS, &crate::mac_of(gateway.address)),
            None => create,
        };
        let what = || format!("RTM_NEWLINK({}, bridge)", self.name);
        netlink::act(host, what, || unless(Errno::EEXIST, socket.request(&[create])))
    }
    // ANCHOR_END: create

    /// Containers may say who the router is. The host does not listen to them.
    fn distrust(&self, host: &mut Host) -> Result<()> {
        set_sysctl(host, &format!("net/ipv6/conf/{}/accept_ra", self.name), "0")?;
        // Nobody else has the gateway's addresses: usable at once.
        set_sysctl(host, &format!("net/ipv6/conf/{}/accept_dad", self.name), "0")
    }

    fn give_addresses(&self, host: &mut Host, socket: &Socket, index: u32) -> Result<()> {
        for gateway in &self.gateways {
            let address = [route::add_address(index, *gateway)];
            let what = || format!("RTM_NEWADDR({}, {gateway})", self.name);
            netlink::act(host, what, || unless(Errno::EEXIST, socket.request(&address)))?;
        }
        Ok(())
    }

    fn find(&self, host: &mut Host, socket: &Socket) -> Result<Option<Link>> {
        let name = &self.name;
        let link = netlink::act(host, || format!("RTM_GETLINK({name})"), || route::link(socket, name))?;
        match link.as_ref().and_then(|link| link.kind.as_deref()) {
            Some("bridge") => Ok(link),
            _ if link.is_none() => Ok(None),
            kind => {
                let error = Error::new("bridge", format!("make the bridge {name}"), Errno::EEXIST);
                let what = kind.unwrap_or("network card");
                Err(error.hint(format!("a link of that name is there, a {what}: choose another name")))
            }
        }
    }
}

/// Removes the bridge of that name, with the host's addresses on it. Nothing there is success.
///
/// What is plugged in is unplugged: ask [`ports`] first. Nobody may be starting a container on it.
pub fn remove(name: &str) -> Result<(), Refusal> {
    let socket = Socket::route()?;
    match route::link(&socket, name)? {
        Some(link) if link.kind.as_deref() == Some("bridge") => {
            unless(Errno::ENODEV, socket.request(&[route::delete_link(name)]))
        }
        Some(_) => Err(Errno::EINVAL.into()),
        None => Ok(()),
    }
}

/// The names of the links that are plugged into the bridge of that name.
pub fn ports(name: &str) -> Result<Vec<String>, Refusal> {
    let socket = Socket::route()?;
    let Some(bridge) = route::link(&socket, name)? else { return Ok(Vec::new()) };
    let links = route::links(&socket)?.into_iter();
    Ok(links.filter(|link| link.master == Some(bridge.index)).map(|link| link.name).collect())
}

fn unless(errno: Errno, done: Result<(), Refusal>) -> Result<(), Refusal> {
    match done {
        Err(refusal) if refusal.errno == errno => Ok(()),
        done => done,
    }
}

/// Sets a setting of this network namespace (the kernel's Documentation/networking/ip-sysctl.rst), where the kernel has
/// it: one without IPv6 has none of its settings.
pub(crate) fn set_sysctl(host: &mut Host, name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/{name}");
    let write = || match fs::write(&path, value) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(|e| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)),
    };
    host.act(|| format!("write({path:?}, {value:?})"), write)
}
