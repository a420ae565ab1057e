//! What a monitor does for its container's network: answers questions about names, and holds ports of the host.

use std::{
    net::IpAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Instant,
};

use dns::{Listeners, Mark, Networks, Server, Zone};
use ports::{Held, Ports, Relay};
use process::{Child, Errno, in_initial_user_namespace, in_network_of, sockets_from_network_of, sys};

use super::{
    files,
    join::{LinkName, Presence, has_resolver},
};
use crate::engine::{
    Engine,
    container::Config,
    error::{Error, Result},
    files::read_json,
};

/// A container's network, seen from its monitor.
#[derive(Default)]
pub struct Attendance {
    server: Option<Server>,
    /// Holds the ports, so that nobody else gets them.
    relay: Option<Relay>,
}

impl Attendance {
    /// One of them is readable when there is something to [`Attendance::handle`].
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.server.iter().map(AsFd::as_fd).chain(self.relay.iter().map(AsFd::as_fd))
    }

    /// When to call [`Attendance::handle`] at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        self.server.as_ref().and_then(Server::deadline)
    }

    /// Does what can be done now.
    pub fn handle(&mut self) {
        // Without a resolver a container runs on, and can ask others.
        if self.server.as_mut().is_some_and(|server| server.handle().is_err()) {
            self.server = None;
        }
        if self.relay.as_mut().is_some_and(|relay| relay.handle().is_err()) {
            self.relay = None;
        }
    }
}

impl Engine {
    /// Looks after the network of a container that has just started.
    pub(in crate::engine) fn attend(
        &self,
        config: &Config,
        child: &mut Child,
        ports: Option<Ports>,
    ) -> Result<Attendance> {
        let mut held = Vec::new();
        if let Some(mut ports) = ports {
            self.write_ports(&config.id, ports.bindings())?;
            held = ports.take_sockets();
        }
        let server = Listeners::take(child).map(|listeners| self.server(config, listeners)).transpose()?;
        Ok(Attendance { server, relay: self.relay(config, held)? })
    }

    /// The same for a container whose monitor was killed: its sockets went with it, and are made anew.
    pub(in crate::engine) fn attend_again(&self, config: &Config, child: &Child) -> Attendance {
        let bindings = self.bindings(&config.id);
        // What cannot be had again the container does without.
        let relay = self.relay(config, ports::hold_again(&bindings)).ok().flatten();
        let server = has_resolver(config).then(|| listen_inside(child).ok().and_then(|l| self.server(config, l).ok()));
        Attendance { server: server.flatten(), relay }
    }

    fn relay(&self, config: &Config, held: Vec<Held>) -> Result<Option<Relay>> {
        let (engine, id) = (self.clone(), config.id.clone());
        // It may be on another network by then.
        let target = move |from| if engine.is_cut_off(from) { Vec::new() } else { engine.leading_addresses(&id) };
        Relay::new(held, Box::new(target)).map_err(|errno| Error::system("pass connections on", &errno.into()))
    }

    fn server(&self, config: &Config, listeners: Listeners) -> Result<Server> {
        let zone = Names {
            presence: self.presence_file(&config.id),
            directories: self.network_run(),
            mark: Mark::new(self.mark()),
            known: Vec::new(),
            links: Vec::new(),
            networks: Networks::new([]),
        };
        let upstreams = files::upstreams(config)?;
        let server = Server::new(listeners, Box::new(zone), upstreams);
        server.map_err(|errno| Error::system("serve names", &errno.into()))
    }
}

/// A resolver's sockets in the network of a process that runs. The caller has one thread.
fn listen_inside(child: &Child) -> process::Result<Listeners> {
    if in_initial_user_namespace() {
        return in_network_of(child.pidfd.as_fd(), Listeners::bind);
    }
    let failed = |errno| process::Error::new("dns", "open the container's network", errno);
    let way_in = sys::pidfd_open(process::way_in(child.pid)).map_err(failed)?;
    let make = || Listeners::bind().map(|Listeners { udp, tcp }| vec![udp, tcp]);
    let sockets = sockets_from_network_of(way_in.as_fd(), make)?;
    let [udp, tcp] = <[OwnedFd; 2]>::try_from(sockets).map_err(|_| failed(Errno::EIO))?;
    Ok(Listeners { udp, tcp })
}

/// The names that a container knows: those of its networks, which may change while it runs, and its links.
struct Names {
    presence: PathBuf,
    directories: PathBuf,
    mark: Mark,
    known: Vec<String>,
    links: Vec<LinkName>,
    networks: Networks,
}

impl Zone for Names {
    fn refresh(&mut self) {
        if !self.mark.has_moved() {
            return;
        }
        let presence = read_json::<Presence>(&self.presence).ok().flatten().unwrap_or_default();
        if presence.networks != self.known {
            self.networks = Networks::new(presence.networks.iter().map(|id| self.directories.join(id)));
            self.known = presence.networks;
        }
        self.links = presence.links;
        self.networks.refresh();
    }

    fn lookup(&self, name: &str) -> Option<&[IpAddr]> {
        let mut links = self.links.iter().filter(|link| link.alias == name).peekable();
        match links.peek() {
            None => self.networks.lookup(name),
            Some(_) => links.find_map(|link| self.networks.lookup(&link.name)),
        }
    }

    fn reverse(&self, address: IpAddr) -> Option<&str> {
        self.networks.reverse(address)
    }

    fn internal(&self) -> bool {
        self.networks.internal()
    }
}
