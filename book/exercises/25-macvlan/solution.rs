//! The solution of exercise 25: a container on the wire `wire` that hears the machines there, and no other container.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bridge::{DefaultRoute, Settings};
use chroot::Chroot;
use network::Network;
use nix::libc;
use process::{
    Child, Container, Errno, Host, Inside, Primitive, Result,
    netlink::{
        self, Message, Prefix, PrefixError, Refusal, Socket,
        route::{self, link_header},
    },
    stage,
};

/// An interface on a wire, which hears no other one of the same kind there.
#[derive(Debug)]
struct Private {
    parent: &'static str,
    address: Prefix,
    /// What is to be done inside, laid out before the clone.
    settings: Option<Settings>,
}

impl Private {
    fn make(&self, pid: u32) -> std::result::Result<(), Refusal> {
        const MACVLAN_MODE: u16 = 1;
        const PRIVATE: u32 = 1;
        let socket = Socket::route()?;
        let parent = route::link(&socket, self.parent)?.ok_or(Errno::ENODEV)?;
        let message = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, false))
            .string(libc::IFLA_IFNAME, "eth0")
            .u32(libc::IFLA_LINK, parent.index)
            .u32(libc::IFLA_NET_NS_PID, pid)
            .nest(libc::IFLA_LINKINFO, |m| {
                m.string(libc::IFLA_INFO_KIND, "macvlan").nest(libc::IFLA_INFO_DATA, |m| m.u32(MACVLAN_MODE, PRIVATE))
            });
        socket.request(&[message])
    }
}

impl Primitive for Private {
    fn name(&self) -> &'static str {
        "private"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        self.settings = Some(Settings::new("eth0", &[self.address], &DefaultRoute::None, true)?);
        Ok(())
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let pid = child.pid.as_raw().cast_unsigned();
        netlink::act(host, || format!("RTM_NEWLINK(eth0, macvlan of {}, in {pid})", self.parent), || self.make(pid))
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        self.settings.as_ref().map_or(Ok(()), |settings| settings.apply(Some(inside)))
    }

    fn step(&self, step: u16) -> String {
        self.settings.as_ref().map(|settings| settings.words(step)).unwrap_or_default()
    }
}

fn main() -> ExitCode {
    stage::main("solution-25", "Runs COMMAND in ROOTFS, as $ADDRESS on the wire `wire`. Needs root", |invocation| {
        let address = std::env::var("ADDRESS").map_err(|e| format!("ADDRESS: {e}"))?;
        let address = address.parse().map_err(|e: PrefixError| format!("ADDRESS: {e}"))?;
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let private = Private { parent: "wire", address, settings: None };
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Network), Box::new(private), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
