//! What a port of the bridge takes from a container that may make any packet: what is sent from its own addresses.

use std::net::IpAddr;

use nix::libc;
use process::{
    Errno, Host, Result,
    netlink::{self, Message, Socket, route},
};

use crate::Veth;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
/// What comes in by a link, and what is attached there.
const TC_H_INGRESS: u32 = 0xffff_fff1;
const INGRESS: u32 = 0xffff_0000;
const ETH_P_ALL: u16 = libc::ETH_P_ALL as u16;

impl Veth {
    /// Has the kernel look at each frame from the container before the bridge does. It goes with the cable.
    pub(crate) fn fence(&self, host: &mut Host, socket: &Socket, name: &str) -> Result<()> {
        let link = netlink::act(host, || format!("RTM_GETLINK({name})"), || route::link(socket, name))?;
        let index = link.map_or(0, |link| link.index);
        let filter = program(self.mac().unwrap_or_default(), self.addresses.iter().map(|prefix| prefix.address));
        let queue = traffic(libc::RTM_NEWQDISC, index, INGRESS, TC_H_INGRESS, 0).string(TCA_KIND, "ingress");
        let first = 1 << 16 | u32::from(ETH_P_ALL.to_be());
        let filter =
            traffic(libc::RTM_NEWTFILTER, index, 0, INGRESS, first).string(TCA_KIND, "bpf").nest(TCA_OPTIONS, |m| {
                let m = m.bytes(TCA_BPF_OPS_LEN, &(filter.len() as u16).to_ne_bytes());
                m.bytes(TCA_BPF_OPS, &filter.concat()).u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
            });
        let what = || format!("RTM_NEWTFILTER({name}, its own addresses alone)");
        netlink::act(host, what, || socket.request(&[queue, filter])).map_err(|error| match error.errno {
            Errno::EOPNOTSUPP | Errno::ENOENT | Errno::EINVAL => {
                error.hint("it takes the kernel's sch_ingress and cls_bpf: or stop the container first")
            }
            _ => error,
        })
    }
}

/// tcmsg.
fn traffic(kind: u16, index: u32, handle: u32, parent: u32, info: u32) -> Message {
    let header = [0, index, handle, parent, info].map(u32::to_ne_bytes).concat();
    Message::new(kind, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &header)
}

/// A program of the classic BPF (the kernel's Documentation/networking/filter.rst) about a frame: IPv4 and ARP pass where they
/// have the container's addresses, and nothing else does.
fn program(mac: [u8; 6], addresses: impl Iterator<Item = IpAddr>) -> Vec<[u8; 8]> {
    const TC_ACT_OK: u32 = 0;
    const TC_ACT_SHOT: u32 = 2;
    const WORD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const HALF: u32 = libc::BPF_LD | libc::BPF_H | libc::BPF_ABS;
    const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    let op = |code: u32, then: u8, other: u8, k: u32| -> [u8; 8] {
        let [code, k] = [(code as u16).to_ne_bytes().to_vec(), k.to_ne_bytes().to_vec()];
        [code, vec![then, other], k].concat().try_into().unwrap_or_default()
    };
    let (first, last) =
        (u32::from_be_bytes([mac[0], mac[1], mac[2], mac[3]]), u32::from(mac[4]) << 8 | u32::from(mac[5]));
    // Each of these ends the frame where it does not find what it looks for.
    let only =
        |load: u32, at: u32, value: u32| [op(load, 0, 0, at), op(EQUAL, 1, 0, value), op(RETURN, 0, 0, TC_ACT_SHOT)];
    let own_mac = |at: u32| [only(WORD, at, first), only(HALF, at + 4, last)].concat();
    let of_v4 = |address| if let IpAddr::V4(address) = address { Some(address.to_bits()) } else { None };
    let addresses: Vec<u32> = addresses.filter_map(of_v4).collect();
    let own_address = |at: u32| {
        let each = addresses.iter().flat_map(|address| [op(EQUAL, 0, 1, *address), op(RETURN, 0, 0, TC_ACT_OK)]);
        [op(WORD, 0, 0, at)].into_iter().chain(each).chain([op(RETURN, 0, 0, TC_ACT_SHOT)]).collect::<Vec<_>>()
    };
    // The frame's source and kind; the sender of ARP, by both kinds of address; that of IPv4.
    let arp = [own_mac(22), own_address(28)].concat();
    let kind = [op(HALF, 0, 0, 12), op(EQUAL, 0, arp.len() as u8, libc::ETH_P_ARP as u32)];
    let ip = [only(HALF, 12, libc::ETH_P_IP as u32).to_vec(), own_address(26)].concat();
    [own_mac(6), kind.to_vec(), arp, ip].concat()
}
