//! The host's memory of whose hardware address goes with which address: its neighbours (arp(7), `ip neigh`).

use std::net::IpAddr;

use nix::libc;
use process::{
    Child, Errno, Host, Result,
    netlink::{self, Message, Refusal, Socket, route},
};

use crate::{Veth, host_name};

const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NUD_REACHABLE: u16 = 2;

impl Veth {
    /// Has the host forget who had the addresses before: it would send to him at once what is meant for the container, which is
    /// not there yet. What it has to ask about first waits for the answer.
    pub(crate) fn forget_others(&self, host: &mut Host, socket: &Socket, bridge: u32) -> Result<()> {
        for address in self.addresses.iter().map(|prefix| prefix.address) {
            let forget = [about(libc::RTM_DELNEIGH, 0, bridge, address)];
            netlink::act(host, || format!("RTM_DELNEIGH({address})"), || unless_unknown(socket.request(&forget)))?;
        }
        Ok(())
    }

    /// For when the container's end is up: answers whoever of the host's has asked for it too early, and would ask again in a second.
    pub fn arrived(&self, host: &mut Host, child: &Child) -> Result<()> {
        host.afterwards("bridge");
        let failed = |errno| process::Error::new("bridge", "socket(NETLINK_ROUTE)", errno);
        let socket = Socket::route().map_err(failed)?;
        // The bridge lets nothing through before the kernel has seen to it that the cable has two ends now. When this question is
        // answered it has.
        let cable = host_name(&self.id, &self.interface, child.pid.as_raw());
        netlink::act(host, || format!("RTM_GETLINK({cable})"), || route::link(&socket, &cable))?;
        let bridge = &self.bridge.name;
        let Some(index) = route::link(&socket, bridge).ok().flatten().map(|link| link.index) else { return Ok(()) };
        for address in self.addresses.iter().map(|prefix| prefix.address) {
            let Some(mac) = self.mac() else { continue };
            // Not one that nobody asked for: there is room for a thousand.
            let known = about(libc::RTM_NEWNEIGH, libc::NLM_F_REPLACE, index, address).bytes(NDA_LLADDR, &mac);
            let what = || format!("RTM_NEWNEIGH({address})");
            netlink::act(host, what, || unless_unknown(socket.request(std::slice::from_ref(&known))))?;
        }
        Ok(())
    }
}

/// ndmsg, of an address behind the link `index`.
fn about(kind: u16, flags: i32, index: u32, address: IpAddr) -> Message {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut header = [0; 12];
    header[0] = family as u8;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&NUD_REACHABLE.to_ne_bytes());
    Message::new(kind, flags, &header).bytes(NDA_DST, &route::octets(address))
}

fn unless_unknown(done: std::result::Result<(), Refusal>) -> std::result::Result<(), Refusal> {
    match done {
        Err(refusal) if refusal.errno == Errno::ENOENT => Ok(()),
        done => done,
    }
}
