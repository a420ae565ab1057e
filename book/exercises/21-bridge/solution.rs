//! The solution of exercise 21: a cable from the host, 10.99.0.1, to the container, 10.99.0.2, with nothing in between.
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

const VETH_INFO_PEER: u16 = 1;

/// A cable with an address at each end.
#[derive(Debug)]
struct Cable {
    host: Prefix,
    container: Prefix,
    /// What is to be done inside, laid out before the clone.
    settings: Option<Settings>,
}

impl Cable {
    fn lay(&self, pid: u32) -> std::result::Result<(), Refusal> {
        let socket = Socket::route()?;
        let peer = |m: Message| {
            m.raw(&link_header(0, false)).string(libc::IFLA_IFNAME, "eth0").u32(libc::IFLA_NET_NS_PID, pid)
        };
        let cable = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, true))
            .string(libc::IFLA_IFNAME, "cable0")
            .nest(libc::IFLA_LINKINFO, |m| {
                m.string(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |m| m.nest(VETH_INFO_PEER, peer))
            });
        socket.request(&[cable])?;
        let index = route::link(&socket, "cable0")?.ok_or(Errno::ENODEV)?.index;
        socket.request(&[route::add_address(index, self.host)])
    }
}

impl Primitive for Cable {
    fn name(&self) -> &'static str {
        "cable"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        self.settings = Some(Settings::new("eth0", &[self.container], &DefaultRoute::None, false)?);
        Ok(())
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        let pid = child.pid.as_raw().cast_unsigned();
        netlink::act(host, || format!("RTM_NEWLINK(cable0, veth, eth0 in {pid})"), || self.lay(pid))
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        self.settings.as_ref().map_or(Ok(()), |settings| settings.apply(Some(inside)))
    }

    fn step(&self, step: u16) -> String {
        self.settings.as_ref().map(|settings| settings.words(step)).unwrap_or_default()
    }
}

fn main() -> ExitCode {
    stage::main("solution-21", "Runs COMMAND in ROOTFS, with a cable to the host. Needs root", |invocation| {
        let address = |text: &str| text.parse().map_err(|e: PrefixError| e.to_string());
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let cable = Cable { host: address("10.99.0.1/30")?, container: address("10.99.0.2/30")?, settings: None };
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Network), Box::new(cable), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
