//! Parents that are made for their children alone.

use nix::libc;
use process::{
    Errno,
    netlink::{
        Message, Refusal, Socket,
        route::{self, link_header},
    },
};

/// `VETH_INFO_PEER` of linux/veth.h.
const VETH_INFO_PEER: u16 = 1;

/// Makes a parent with no wire behind it, for interfaces that talk to each other alone; one that is there already stays.
pub fn make_parent(name: &str) -> Result<(), Refusal> {
    let socket = Socket::route()?;
    let create = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, false))
        .string(libc::IFLA_IFNAME, name);
    let dummy = create.clone().nest(libc::IFLA_LINKINFO, |m| m.string(libc::IFLA_INFO_KIND, "dummy"));
    let mut names = vec![name.to_owned()];
    match socket.request(&[dummy]) {
        // A kernel without that module: a cable whose other end nobody uses.
        Err(refusal) if refusal.errno == Errno::EOPNOTSUPP => {
            names.push(format!("dp-{}", name.trim_start_matches("dm-")));
            let peer = |m: Message| m.raw(&link_header(0, false)).string(libc::IFLA_IFNAME, &names[1]);
            let veth = create.nest(libc::IFLA_LINKINFO, |m| {
                m.string(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |m| m.nest(VETH_INFO_PEER, peer))
            });
            there(socket.request(&[veth]))?;
        }
        made => there(made)?,
    }
    // The ends of a cable can be up only once there are both.
    let up = |name: &String| Message::new(libc::RTM_NEWLINK, 0, &link_header(0, true)).string(libc::IFLA_IFNAME, name);
    names.iter().try_for_each(|name| socket.request(&[up(name)]))
}

/// Makes the interface `name` for the frames of `parent` with the number `vlan` (IEEE 802.1Q).
pub fn make_vlan(name: &str, parent: &str, vlan: u16) -> Result<(), Refusal> {
    const VLAN_ID: u16 = 1;
    let socket = Socket::route()?;
    let parent = route::link(&socket, parent)?.ok_or(Errno::ENODEV)?.index;
    let create = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, true))
        .string(libc::IFLA_IFNAME, name)
        .u32(libc::IFLA_LINK, parent)
        .nest(libc::IFLA_LINKINFO, |m| {
            m.string(libc::IFLA_INFO_KIND, "vlan").nest(libc::IFLA_INFO_DATA, |m| m.bytes(VLAN_ID, &vlan.to_ne_bytes()))
        });
    there(socket.request(&[create]))
}

/// Removes what [`make_parent`] or [`make_vlan`] made. Nothing there is success.
pub fn remove_parent(name: &str) -> Result<(), Refusal> {
    match Socket::route()?.request(&[route::delete_link(name)]) {
        Err(refusal) if refusal.errno == Errno::ENODEV => Ok(()),
        removed => removed,
    }
}

fn there(made: Result<(), Refusal>) -> Result<(), Refusal> {
    match made {
        Err(refusal) if refusal.errno == Errno::EEXIST => Ok(()),
        made => made,
    }
}
