//! Stage 23: published ports.
//!
//! A port of the host leads to one of the container. The host's port is bound, so that the kernel says no where
//! somebody has it; and an element of a map in nftables changes the destination of what comes to it. The number of
//! rules stays the same, and the address of a client outside is kept.
//!
//! So that a container reaches its own published port where frames of bridges are filtered (br_netfilter), its port of the
//! bridge must send frames back: `hairpin` of stage 21.
#![forbid(unsafe_code)]

mod datagrams;
mod holder;
mod publish;
mod relay;
mod table;

use std::{
    fs, io,
    net::{IpAddr, Ipv6Addr},
};

use process::{
    Child, Errno, Error, Host, Primitive, Result, Undo,
    netlink::{self, Refusal, Socket, nftables},
};

pub use holder::{Binding, Held, hold_again};
pub use publish::{Protocol, Publish, PublishError};
pub use relay::{Relay, Target};
pub use table::MAPS;

// ANCHOR: ports
/// Ports of the host that lead to a container.
#[derive(Debug)]
pub struct Ports {
    /// The table of nftables, of the family inet.
    pub table: String,
    /// The bridge that the container is plugged into.
    pub bridge: String,
    /// Whose they are: up to 128 bytes. No other container may have the same.
    pub owner: String,
    /// What leads where.
    pub publish: Vec<Publish>,
    /// The container's addresses.
    pub to: Vec<IpAddr>,
    /// Whether the journal says how to remove what leads to the container. Else the caller has written it down.
    pub journaled: bool,
    /// Whether the caller passes on what comes to ports of IPv6 past all rules: see [`Relay`].
    pub relayed: bool,
    bindings: Vec<Binding>,
    sockets: Vec<Held>,
}
// ANCHOR_END: ports

impl Ports {
    /// Ports that lead to the addresses `to` behind `bridge`.
    pub fn new(table: &str, bridge: &str, owner: &str, publish: Vec<Publish>, to: Vec<IpAddr>) -> Self {
        let [table, bridge, owner] = [table, bridge, owner].map(str::to_owned);
        let (bindings, sockets) = (Vec::new(), Vec::new());
        Self { table, bridge, owner, publish, to, journaled: true, relayed: false, bindings, sockets }
    }

    /// Which ports of the host it has been, after `prepare`.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// The sockets that hold the host's ports: they are free for others when these are closed. With the primitive they
    /// close too.
    pub fn take_sockets(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.sockets)
    }

    /// The container's address in the family of `address`.
    fn target(&self, address: IpAddr) -> Option<IpAddr> {
        target(&self.to, address)
    }

    fn hold(&mut self, host: &mut Host) -> Result<()> {
        let (v4, v6) = (self.to.iter().any(IpAddr::is_ipv4), self.to.iter().any(IpAddr::is_ipv6));
        for publish in self.publish.clone() {
            let what = || format!("bind({})", words(&publish));
            let relayed = self.relayed;
            let by_relay = |address: IpAddr| relayed && address.is_ipv6();
            if publish.address.is_some_and(|address| self.target(address).is_none() && !by_relay(address)) {
                let error = Error::new("ports", what(), Errno::EAFNOSUPPORT);
                return Err(error.hint("the container has no address of that family"));
            }
            if publish.address == Some(Ipv6Addr::LOCALHOST.into()) && !relayed {
                let error = Error::new("ports", what(), Errno::EADDRNOTAVAIL);
                return Err(error.hint("packets from ::1 cannot leave the host: publish to 127.0.0.1"));
            }
            let mut at = 0;
            let held = host.act(what, || {
                holder::hold(&publish, v4, v6 || relayed && holder::has_ipv6()).map_err(|(port, errno)| {
                    at = port;
                    errno
                })
            });
            let (bindings, sockets) = held.map_err(|error| match holder::advice(error.errno, at) {
                Some(hint) => error.hint(hint),
                None => error,
            })?;
            self.bindings.extend(bindings);
            self.sockets.extend(sockets);
        }
        Ok(())
    }

    /// Lets packets from 127.0.0.1 leave through the bridge. The table lets none come to it from there.
    fn open_loopback(&self, host: &mut Host) -> Result<()> {
        let path = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.bridge);
        let errno = |e: io::Error| e.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        host.act(|| format!("write({path:?}, \"1\")"), || fs::write(&path, "1").map_err(errno))
    }
}

fn words(publish: &Publish) -> String {
    let address = publish.address.map_or_else(|| "*".to_owned(), |address| address.to_string());
    let ports =
        publish.host.as_ref().map_or_else(|| "any".to_owned(), |host| format!("{}-{}", host.start(), host.end()));
    format!("{address}, {ports}/{}", publish.protocol)
}

/// Which ports of the host these can be, where somebody else is to bind them: on IPv6 too, or not.
///
/// # Errors
/// EADDRINUSE where somebody has a port, with its number.
pub fn allocate(publish: &[Publish], v6: bool) -> Result<Vec<Binding>> {
    let (mut bindings, mut held) = (Vec::new(), Vec::new());
    for publish in publish {
        let allocated = holder::hold(publish, true, v6 && holder::has_ipv6());
        let (more, sockets) = allocated.map_err(|(port, errno)| {
            let error = Error::new("ports", format!("bind({})", words(publish)), errno);
            match holder::advice(errno, port) {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        bindings.extend(more);
        // Until all are found: no two get the same.
        held.extend(sockets);
    }
    Ok(bindings)
}

impl Primitive for Ports {
    fn name(&self) -> &'static str {
        "ports"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let count: usize = self.publish.iter().map(|publish| publish.container.len()).sum();
        // One has few ports, or the limit is raised.
        if count > 100 { holder::with_many_files(|| self.hold(host)) } else { self.hold(host) }
    }

    fn attach(&mut self, host: &mut Host, _: &Child) -> Result<()> {
        if self.bindings.is_empty() {
            return Ok(());
        }
        let all = elements(&self.bindings, &self.to, &self.owner);
        let socket = Socket::netfilter().map_err(|errno| Error::new("ports", "socket(NETLINK_NETFILTER)", errno))?;
        if self.journaled {
            let sets = MAPS.map(str::to_owned).to_vec();
            host.undo(Undo::RemoveElements { table: self.table.clone(), sets, owner: self.owner.clone() })?;
        }
        let what = || format!("nftables(table {}, {} elements)", self.table, all.len());
        netlink::act(host, what, || table::add(&socket, &self.table, &self.bridge, &all, self.relayed))?;
        self.open_loopback(host)?;
        let relayed = self.relayed;
        self.sockets = self.sockets.drain(..).map(|held| holder::turn_away(held, relayed)).collect();
        Ok(())
    }
}

/// Removes what leads to containers that are gone, and says how much that was. `lives` knows an owner by name.
pub fn repair(table: &str, lives: impl Fn(&str) -> bool) -> Result<usize, Refusal> {
    nftables::remove_owned(table, &MAPS.map(str::to_owned), |owner| !lives(owner))
}

/// Removes what leads from these bindings, each with its owner. Where somebody else has a port by now, what leads from it is
/// his, and stays.
pub fn remove(table: &str, gone: &[(String, Vec<Binding>)]) -> Result<usize, Refusal> {
    /// More are found faster by listing all.
    const MANY: usize = 256;
    let keys = |(owner, bindings): &(String, Vec<Binding>)| {
        // Where they led to is not asked for.
        let keys = bindings.iter().flat_map(|binding| table::elements(binding, binding.address, owner));
        keys.collect::<Vec<_>>()
    };
    let all: Vec<_> = gone.iter().flat_map(keys).collect();
    if all.len() > MANY {
        return repair(table, |owner| !gone.iter().any(|(other, _)| other == owner));
    }
    if all.is_empty() { Ok(0) } else { nftables::remove_each(table, &all) }
}

/// Leads from the host's ports once more, to these addresses: after somebody has removed the table, or the container has got
/// another address. For one who has a [`Relay`].
pub fn restore(
    table: &str,
    bridge: &str,
    owner: &str,
    bindings: &[Binding],
    to: &[IpAddr],
) -> std::result::Result<(), Refusal> {
    let socket = Socket::netfilter()?;
    table::add(&socket, table, bridge, &elements(bindings, to, owner), true)?;
    // What cannot be set now was set when the first port was published.
    let _ = fs::write(format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet"), "1");
    Ok(())
}

/// Forgets that ports lead to containers behind `bridge`. Nothing there is success.
pub fn remove_bridge(socket: &Socket, table: &str, bridge: &str) -> std::result::Result<(), Refusal> {
    table::remove_bridge(socket, table, bridge)
}

fn target(to: &[IpAddr], address: IpAddr) -> Option<IpAddr> {
    to.iter().copied().find(|to| to.is_ipv4() == address.is_ipv4())
}

fn elements(bindings: &[Binding], to: &[IpAddr], owner: &str) -> Vec<(&'static str, nftables::Element)> {
    // Who goes to ::1 goes to the relay.
    let bindings = bindings.iter().filter(|binding| binding.address != IpAddr::from(Ipv6Addr::LOCALHOST));
    let lead = |binding: &Binding| {
        target(to, binding.address).map(|to| table::elements(binding, to, owner)).unwrap_or_default()
    };
    bindings.flat_map(lead).collect()
}
