//! What is left to do inside the container once it has an interface: addresses, routes, and trusting nobody.

use std::{
    ffi::{CStr, CString},
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
    Errno, Error, Inside, Result,
    netlink::{
        Message, Prefix,
        route::{self, INDEX_AT, OUTPUT_AT},
        send_prepared,
    },
    sys,
};

/// Room for a message with the interface's index in it.
const LONGEST: usize = 256;

/// Where what goes nowhere else goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultRoute {
    /// To nobody.
    None,
    /// To these, each in its family, where the interface has an address in its network.
    Via(Vec<IpAddr>),
    /// To whoever answers on the interface's wire.
    OnLink,
}

/// The settings of an interface, laid out before the clone.
#[derive(Debug)]
pub struct Settings {
    interface: CString,
    steps: Vec<(String, Act)>,
}

/// What the child does.
#[derive(Debug)]
enum Act {
    /// Write into a file of /proc/sys/net, which shows the settings of whoever opens it.
    Set(CString, &'static [u8]),
    /// Send a message in which the interface's index is still missing, at this offset.
    AboutInterface(Vec<u8>, usize),
    /// Send a message.
    Send(Vec<u8>),
}

impl Settings {
    /// Lays them out for the interface of that name: 1 to 15 bytes. `announce`: neighbours hear of it, who may remember
    /// another hardware address under the same addresses.
    ///
    /// # Errors
    /// EINVAL for what is no interface's name.
    pub fn new(name: &str, addresses: &[Prefix], default: &DefaultRoute, announce: bool) -> Result<Self> {
        let valid = !name.is_empty() && name.len() < libc::IFNAMSIZ && !name.contains(['/', '\0', ' ']);
        let interface = CString::new(name).ok().filter(|_| valid && name != "." && name != "..");
        let invalid = || Error::new("bridge", format!("name an interface {name:?}"), Errno::EINVAL);
        Ok(Self { interface: interface.ok_or_else(invalid)?, steps: steps(name, addresses, default, announce) })
    }

    // ANCHOR: enter
    /// Does all of it in the network namespace of the calling thread. System calls only. Without `inside` it is that of a
    /// container that runs already.
    pub fn apply(&self, inside: Option<&Inside>) -> Result<(), Errno> {
        let at = |step| inside.map_or((), |inside| inside.at(step));
        at(0);
        let index = sys::interface_index(&self.interface)?;
        let socket = sys::netlink_socket(libc::NETLINK_ROUTE)?;
        for (number, (_, act)) in self.steps.iter().enumerate() {
            at(number + 1);
            match act {
                Act::Set(path, value) => set(inside, path, value)?,
                Act::AboutInterface(message, at) => send_about(socket.as_fd(), message, *at, index)?,
                Act::Send(message) => send_prepared(socket.as_fd(), message)?,
            }
        }
        Ok(())
    }
    // ANCHOR_END: enter

    /// The words for a step.
    pub fn words(&self, step: u16) -> String {
        match usize::from(step).checked_sub(1) {
            None => format!("ioctl(SIOCGIFINDEX, {:?})", self.interface),
            Some(number) => self.steps.get(number).map(|(words, _)| words.clone()).unwrap_or_default(),
        }
    }
}

fn steps(interface: &str, addresses: &[Prefix], default: &DefaultRoute, announce: bool) -> Vec<(String, Act)> {
    let mut steps = Vec::new();
    let mut set = |name: &str, value: &'static str| {
        let (family, setting) = name.split_once('/').unwrap_or_default();
        let path = format!("/proc/sys/net/{family}/conf/{interface}/{setting}");
        let words = format!("write({path:?}, {value:?})");
        // An interface's name was checked: it has no null byte.
        steps.push((words, Act::Set(CString::new(path).unwrap_or_default(), value.as_bytes())));
    };
    if addresses.iter().any(|a| a.address.is_ipv6()) {
        // A neighbour could call itself a router.
        set("ipv6/accept_ra", "0");
        set("ipv6/accept_dad", "0");
    } else {
        // Else the container had an address that nobody gave it, and nobody filters.
        set("ipv6/disable_ipv6", "1");
    }
    if announce {
        set("ipv4/arp_notify", "1");
        set("ipv6/ndisc_notify", "1");
    }
    let bytes = |message: Message| message.as_bytes().to_owned();
    for address in addresses {
        let message = bytes(route::add_address(0, *address));
        steps.push((format!("RTM_NEWADDR({interface}, {address})"), Act::AboutInterface(message, INDEX_AT)));
    }
    let up = bytes(route::set_up(0));
    steps.push((format!("RTM_NEWLINK({interface}, IFF_UP)"), Act::AboutInterface(up, INDEX_AT)));
    match default {
        DefaultRoute::None => {}
        DefaultRoute::Via(gateways) => {
            for gateway in gateways.iter().filter(|gateway| addresses.iter().any(|a| a.contains(**gateway))) {
                let words = format!("RTM_NEWROUTE(default via {gateway})");
                steps.push((words, Act::Send(bytes(route::add_default_route(*gateway)))));
            }
        }
        DefaultRoute::OnLink => {
            for address in addresses {
                let words = format!("RTM_NEWROUTE(default dev {interface})");
                let message = bytes(route::add_link_route(address.address, 0));
                steps.push((words, Act::AboutInterface(message, OUTPUT_AT)));
            }
        }
    }
    steps
}

/// Writes a setting; a kernel without IPv6 has none of its.
fn set(inside: Option<&Inside>, path: &CStr, value: &[u8]) -> Result<(), Errno> {
    let here = || open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty());
    match inside.map_or_else(here, |inside| inside.open_setting(path)) {
        Err(Errno::ENOENT) => Ok(()),
        file => write(file?, value).map(drop),
    }
}

/// Fills the index in, on the stack.
fn send_about(socket: BorrowedFd, message: &[u8], at: usize, index: u32) -> Result<(), Errno> {
    let mut buffer = [0; LONGEST];
    let filled = buffer.get_mut(..message.len()).ok_or(Errno::EMSGSIZE)?;
    filled.copy_from_slice(message);
    filled.get_mut(at..at + 4).ok_or(Errno::EMSGSIZE)?.copy_from_slice(&index.to_ne_bytes());
    send_prepared(socket, filled)
}
