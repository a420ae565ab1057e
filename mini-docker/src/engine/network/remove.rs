//! Removing networks, and mending what others have removed.

use std::time::{Duration, Instant};

use process::{Host, Journal, netlink::Socket};

use super::{
    Config, Driver, beside_docker,
    create::{link_exists, machine_lock},
};
use crate::engine::{
    Engine,
    error::{Error, Kind, Result},
    events::Type,
    files::{Lock, Locking, read_json},
    image::short,
};

/// The bridge's ports go with their containers' namespaces, which the kernel takes apart a little later.
const GRACE: Duration = Duration::from_secs(5);

impl Engine {
    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where somebody is.
    pub fn remove_network(&self, network: &Config) -> Result<()> {
        if network.is_predefined() {
            return Err(Error::conflict(format!("{} is a pre-defined network and cannot be removed", network.name)));
        }
        let _machine = machine_lock()?;
        self.refuse_if_described(network)?;
        let lock = self.lock_network(network)?;
        let hosts = self.hosts_on(network, |id| self.is_present(id))?;
        if !hosts.is_empty() {
            let names: Vec<String> = hosts
                .iter()
                .map(|host| {
                    format!("name:{:?} id:{:?}", host.names.first().map_or("", String::as_str), short(&host.container))
                })
                .collect();
            return Err(Error::conflict(format!(
                "error while removing network: network {} has active endpoints ({}): stop these containers, or disconnect them",
                network.name,
                names.join(", ")
            )));
        }
        self.take_down(network, false)?;
        self.forget(network)?;
        drop(lock);
        self.emit_network(network, "destroy", None);
        Ok(())
    }

    /// Whether somebody is on a network.
    pub fn network_is_used(&self, network: &Config) -> Result<bool> {
        self.is_occupied(network)
    }

    /// Removes what a network has in the kernel. `gently`: unless something is still plugged into it; whether it was removed.
    pub(super) fn take_down(&self, network: &Config, gently: bool) -> Result<bool> {
        match network.driver {
            Driver::Bridge => {}
            Driver::Macvlan | Driver::Ipvlan => return self.remove_parent(network).map(|()| true),
            Driver::External(_) => return self.call_driver(network, "delete", None).map(|()| true),
            Driver::Host | Driver::Null => return Ok(true),
        }
        let link = network.link();
        let failed = |what: &str, errno: process::Errno| Error::system(format_args!("{what} {link}"), &errno.into());
        let deadline = Instant::now() + GRACE;
        while gently && !bridge::ports(&link).map_err(|refusal| failed("look at the bridge", refusal.errno))?.is_empty()
        {
            if Instant::now() > deadline {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // Closed when all is done: by then there is nothing left to wait for.
        let socket = Socket::netfilter().map_err(|errno| failed("remove from nftables", errno))?;
        self.leave_table(&socket, network, &link)?;
        ports::remove_bridge(&socket, &self.nftables_table(), &link)
            .map_err(|refusal| failed("remove from nftables the ports of", refusal.errno))?;
        beside_docker::forget(&link).map_err(|refusal| failed("remove from the chain DOCKER-USER", refusal.errno))?;
        bridge::remove(&link).map_err(|refusal| failed("remove the bridge", refusal.errno))?;
        Ok(true)
    }

    /// Takes a network out of the table of nftables; the table too, unless somebody on another network counts on it, or will
    /// in a moment: he has taken his place there, under the same lock.
    fn leave_table(&self, socket: &Socket, network: &Config, link: &str) -> Result<()> {
        let _lock = self.lock_table(Locking::Exclusive)?;
        let others = self.occupied_networks().iter().any(|other| *other != network.id && !self.is_deserted(other));
        let table = self.nftables_table();
        let left = if others { nat::take_out(socket, &table, link) } else { nat::remove_network(socket, &table, link) };
        let what = || format!("remove from nftables the network of {link}");
        left.map_err(|refusal| Error::system(what(), &refusal.errno.into()))
    }

    /// Locks the table against going, or against those who come.
    pub(super) fn lock_table(&self, how: Locking) -> Result<Lock> {
        // Beside the networks' files, so that the directory is there.
        let lock = Lock::take(&self.store.root().join("networks/table.lock"), how)?;
        lock.ok_or_else(|| Error::conflict("the networks are being changed: try again"))
    }

    /// Removes the networks that nobody is on and that `meant` says are meant; returns their names. Also takes down the
    /// default network, which comes back with the next container on it.
    pub fn prune_networks(&self, meant: impl Fn(&Config) -> bool) -> Result<Vec<String>> {
        self.mend_names()?;
        let mut removed = Vec::new();
        // Containers that do not run but are to have a place there keep a network, as with Docker they do not.
        for network in self.networks()? {
            if network.is_predefined() || network.config_only || !meant(&network) {
                continue;
            }
            match self.remove_network(&network) {
                Ok(()) => removed.push(network.name),
                Err(e) if matches!(e.kind, Kind::Conflict | Kind::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        self.sweep_ports()?;
        self.rest_default_bridge()?;
        self.emit_prune(Type::Network, 0);
        Ok(removed)
    }

    /// Removes what killed commands left of networks without a name.
    pub(super) fn mend_names(&self) -> Result<()> {
        if self.is_rootless() || !self.store.root().join("networks").exists() {
            return Ok(());
        }
        let _machine = machine_lock()?;
        self.clear_nameless()
    }

    /// Takes the default network's bridge down, if nobody is on it.
    fn rest_default_bridge(&self) -> Result<()> {
        if !self.network_name("bridge").exists() {
            return Ok(());
        }
        let network = self.default_bridge()?;
        if !link_exists(&network.link()) {
            return Ok(());
        }
        let _machine = machine_lock()?;
        let _lock = self.lock_network(&network)?;
        self.keep_hosts(&network, |id| self.is_present(id))?;
        if self.places(&network.id)?.is_empty() {
            self.take_down(&network, true)?;
        }
        Ok(())
    }

    /// Makes again what somebody has removed from the kernel: after `nft flush ruleset` for example.
    pub fn reload_networks(&self) -> Result<()> {
        self.sweep_ports()?;
        for network in self.networks()? {
            let hosts = self.hosts_on(&network, |_| true)?;
            if network.driver != Driver::Bridge || (network.is_predefined() && hosts.is_empty()) {
                continue;
            }
            match self.restore_network(&network) {
                // Somebody removes it just now.
                Err(e) if e.kind == Kind::NotFound => continue,
                restored => restored?,
            }
            for host in &hosts {
                // One that ends just now has no ports any more.
                let config = self.read_config(&host.container)?;
                config.map_or(Ok(()), |config| self.lead_ports(&config))?;
            }
        }
        Ok(())
    }

    /// Makes a network's bridge and walls again.
    fn restore_network(&self, network: &Config) -> Result<()> {
        self.bring_up(network)?;
        let _lock = self.lock_network(network)?;
        pass_docker(&[network.link()])?;
        let mut host = Host::new(Journal::in_memory());
        let walls = host.prepare(&mut self.nat_of(network));
        walls.map_err(|e| Error::new(Kind::System, e.to_string()))
    }

    /// Removes what nobody needs any more, and makes again what somebody has removed: what every listing looks at.
    pub(in crate::engine) fn mend_networks(&self) -> Result<()> {
        self.sweep_ports()?;
        self.mend_walls()
    }

    /// The same for a start on a network: it waits for no removal.
    pub(super) fn mend_walls(&self) -> Result<()> {
        if self.mend_table()? {
            return Ok(());
        }
        // Docker may have been started after our containers.
        let networks = self.occupied_networks().into_iter();
        let networks = networks.filter_map(|id| read_json::<Config>(&self.network_file(&id)).ok().flatten());
        let bridges: Vec<String> =
            networks.filter(|network| network.driver == Driver::Bridge).map(|network| network.link()).collect();
        if bridges.is_empty() { Ok(()) } else { pass_docker(&bridges) }
    }

    /// Makes everything again if somebody has removed our table, or an older program has left its own, while there are
    /// containers that need it; whether that was so. Every start looks, on a network or not: it may be the next command.
    pub(super) fn mend_table(&self) -> Result<bool> {
        if self.occupied_networks().is_empty() {
            return Ok(false);
        }
        let table = self.nftables_table();
        match Socket::netfilter().map_err(Into::into).and_then(|socket| nat::layout(&socket, &table)) {
            Ok(Some(layout)) if layout != nat::LAYOUT => {
                let _table = self.lock_table(Locking::Exclusive)?;
                nat::remove_table(&table).map_err(|refusal| {
                    Error::system(format_args!("remove the table {table}"), &refusal.errno.into())
                })?;
            }
            Ok(None) => {}
            _ => return Ok(false),
        }
        self.reload_networks().map(|()| true)
    }
}

/// Makes sure that a running Docker lets the packets of these bridges pass.
pub(super) fn pass_docker(bridges: &[String]) -> Result<()> {
    beside_docker::allow(bridges)
        .map_err(|refusal| Error::system("add to Docker's chain DOCKER-USER", &refusal.errno.into()))
}
