//! A container's network: whose it is, and what is plugged into it.

use std::{cell::RefCell, net::IpAddr, os::fd::OwnedFd, rc::Rc, sync::Arc};

use ports::{Ports, Publish};
use process::{Child, Errno, Error, Host, Inside, Primitive, Result, netlink::Prefix};

use super::{
    plug::Link,
    user_mode::{Connection, UserMode},
};

/// Whose network it is.
#[derive(Clone)]
pub enum Network {
    /// The container's own.
    Own {
        /// What connects it; none: loopback alone.
        interfaces: Vec<Interface>,
        /// What leads to it.
        ports: Option<PublishedPorts>,
        /// Whether sockets for a resolver are made inside: see [`dns::Resolver`].
        resolver: bool,
        /// What connects it where there are no interfaces.
        by: Option<Box<UserMode>>,
    },
    /// The host's.
    Host,
    /// Another process's.
    Of {
        /// Its number.
        pid: i32,
        /// A handle on it.
        pidfd: Arc<OwnedFd>,
    },
}

impl Network {
    /// Loopback alone.
    pub fn none() -> Self {
        Self::Own { interfaces: Vec::new(), ports: None, resolver: false, by: None }
    }
}

/// An interface in the container.
#[derive(Debug, Clone)]
pub struct Interface {
    /// Its name there: 1 to 15 bytes.
    pub name: String,
    /// What the host's end is named after.
    pub id: String,
    /// Its addresses.
    pub addresses: Vec<Prefix>,
    /// Its hardware address; `None` makes one from the first address.
    pub mac: Option<[u8; 6]>,
    /// Whether what goes nowhere else goes through it.
    pub default_route: bool,
    /// Whether what it sends may come back to it.
    pub hairpin: bool,
    /// Whether a bridge takes from it only what is sent from its addresses.
    pub honest: bool,
    /// What it is plugged into.
    pub link: Link,
}

/// Ports of the host that lead to the container.
#[derive(Debug, Clone)]
pub struct PublishedPorts {
    /// The table of nftables.
    pub table: String,
    /// The bridge that they lead through.
    pub bridge: String,
    /// What each element is marked with. The caller removes them by it: nothing of them is journaled.
    pub owner: String,
    /// What leads where.
    pub publish: Vec<Publish>,
    /// The container's addresses.
    pub to: Vec<IpAddr>,
}

/// A primitive that is looked at after it has done its work.
#[derive(Debug)]
pub(super) struct Shared<P>(Rc<RefCell<P>>);

impl<P> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<P> Shared<P> {
    fn new(primitive: P) -> Self {
        Self(Rc::new(RefCell::new(primitive)))
    }

    /// The primitive, once its list is gone.
    pub(super) fn into_inner(self) -> Option<P> {
        Rc::into_inner(self.0).map(RefCell::into_inner)
    }
}

impl<P: Primitive> Primitive for Shared<P> {
    fn name(&self) -> &'static str {
        self.0.borrow().name()
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        self.0.borrow_mut().prepare(host)
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        self.0.borrow_mut().attach(host, child)
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        self.0.borrow().enter(inside)
    }

    fn step(&self, step: u16) -> String {
        self.0.borrow().step(step)
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        self.0.borrow().hint(step, errno)
    }
}

/// Tells the host of a container that has come to its bridges.
pub(super) fn arrived(network: &Network, host: &mut Host, child: &Child) {
    let Network::Own { interfaces, .. } = network else { return };
    for interface in interfaces {
        interface.plug().1.arrived(host, child);
    }
}

type List = Vec<Box<dyn Primitive>>;

/// The primitives of a network, in their order, and what holds its ports. With `die_with_parent` nothing of it outlives
/// this process.
pub(super) fn primitives(network: &Network, die_with_parent: bool) -> Result<(List, Option<Shared<Ports>>)> {
    let mut list: List = Vec::new();
    let Network::Own { interfaces, ports, resolver, by } = network else {
        if let Network::Of { pid, pidfd } = network {
            let pidfd = pidfd.try_clone().map_err(|e| Error::from_io("network", "dup(pidfd)", &e))?;
            let flags = nix::sched::CloneFlags::CLONE_NEWNET;
            list.push(Box::new(process::Join::new(nix::unistd::Pid::from_raw(*pid), pidfd, flags)));
        }
        return Ok((list, None));
    };
    list.push(Box::new(::network::Network));
    // Its own network, its own rules: before programs that count on them.
    list.push(Box::new(::network::Unprivileged::default()));
    for interface in interfaces {
        let (walls, plug) = interface.plug();
        list.extend(walls.map(|nat| Box::new(nat) as Box<dyn Primitive>));
        list.push(Box::new(plug));
    }
    let ports = ports.clone().map(|ports| {
        let mut primitive = Ports::new(&ports.table, &ports.bridge, &ports.owner, ports.publish, ports.to);
        primitive.relayed = true;
        primitive.journaled = false;
        Shared::new(primitive)
    });
    if let Some(ports) = &ports {
        // After the cable, so that they lead to somebody.
        list.push(Box::new(ports.clone()));
    }
    list.extend(by.clone().map(|by| Box::new(Connection { by: *by, die_with_parent }) as Box<dyn Primitive>));
    if *resolver {
        // At an address of loopback, which is up.
        list.push(Box::new(dns::Resolver::default()));
    }
    Ok((list, ports))
}
