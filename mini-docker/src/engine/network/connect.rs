//! Containers come to networks, and leave them, while they run.

use std::{fs, os::fd::AsFd};

use process::{
    Child, Host as HostSide, Journal, Primitive, in_network_of,
    netlink::{Socket, route},
};

use super::{
    Config, Driver,
    files::edit_hosts,
    join::{Place, Presence},
    state::Host,
};
use crate::engine::{
    Engine,
    container::{Config as ContainerConfig, Container, State, network::Endpoint},
    error::{Error, Kind, Result},
    files::{read_json, write_json},
    lifecycle::first_process,
};

impl Engine {
    /// Plugs a container into one more network: now if it runs, and whenever it starts.
    pub fn connect(&self, network: &Config, container: &Container, mut endpoint: Endpoint) -> Result<()> {
        let id = &container.config.id;
        let _lock = self.lock_container(id)?;
        let mut container = self.load_locked(id)?;
        endpoint.network.clone_from(&network.name);
        may_connect(network, &container.config, &endpoint)?;
        if container.status.state == State::Running {
            let mut presence = self.presence(id)?.unwrap_or_default();
            if presence.networks.contains(&network.id) {
                // Somebody was killed while he did the same.
                self.unplug(network, &container)?;
                presence.networks.retain(|other| *other != network.id);
            }
            presence.networks.push(network.id.clone());
            presence.links.retain(|link| link.network != network.id);
            presence.links.extend(self.link_names(&network.id, &endpoint));
            // First, so that whatever becomes of us, the place is given back.
            self.write_presence(id, &presence)?;
            if let Err(e) = self.plug_in(network, &container, &endpoint) {
                // It may have a cable by now. What stays is found by who connects it next, as after a death.
                let _ = self.unplug(network, &container);
                if !is_ending(&container) {
                    return Err(e);
                }
            }
        }
        container.config.network.endpoints.push(endpoint);
        // From its next start on.
        container.config.rights.raw_sockets &= network.is_of_friends();
        self.replace_config(&container.config)
    }

    /// Takes a container off a network. With `force` also where it is not there any more.
    pub fn disconnect(&self, network: &Config, container: &Container, force: bool) -> Result<()> {
        let id = &container.config.id;
        let _lock = self.lock_container(id)?;
        let mut container = self.load_locked(id)?;
        let name = container.config.name.clone();
        if matches!(network.driver, Driver::Host | Driver::Null) {
            return Err(Error::conflict(format!(
                "container cannot be disconnected from {} network: make it anew with another --network",
                network.name
            )));
        }
        if !forget_endpoint(&mut container.config, &network.name) && !force {
            return Err(Error::conflict(format!("container {name} is not connected to network {}", network.name)));
        }
        // What is written down last is what another one does again, should we be killed.
        if container.status.state == State::Running {
            let unplugged = self.unplug(network, &container);
            // Its monitor is just about to give its place back.
            if !is_ending(&container) {
                unplugged?;
            }
        }
        self.replace_config(&container.config)
    }

    /// Has a container forget a network that is gone.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it knows of none of that name.
    pub fn forget_network(&self, network: &str, container: &Container) -> Result<()> {
        let id = &container.config.id;
        let _lock = self.lock_container(id)?;
        let mut config = self.load_locked(id)?.config;
        if !forget_endpoint(&mut config, network) {
            return Err(Error::conflict(format!("container {} is not connected to network {network}", config.name)));
        }
        self.replace_config(&config)
    }

    fn replace_config(&self, config: &ContainerConfig) -> Result<()> {
        write_json(&self.container_file(&config.id, "config.json"), config, config.durability())
    }

    /// The container as it is, for one who holds its lock.
    fn load_locked(&self, id: &str) -> Result<Container> {
        let config = self.read_config(id)?;
        let config = config.ok_or_else(|| Error::not_found(format!("No such container: {id}")))?;
        let status = self.read_status(id)?;
        let mut container = Container { config, status };
        if container.status.state == State::Running && is_ending(&container) {
            container.status.state = State::Exited;
        }
        Ok(container)
    }

    fn plug_in(&self, network: &Config, container: &Container, endpoint: &Endpoint) -> Result<()> {
        let config = &container.config;
        let child = child_of(container)?;
        let others = self.hosts_of(config)?;
        let free = |number: &usize| {
            !others.iter().any(|(_, host)| host.interface.ends_with(&format!("{}{number}", network.interface_prefix())))
        };
        let number = (0..=others.len()).find(free).unwrap_or(others.len());
        let interface = format!("{}{number}", network.interface_prefix());
        let place = self.take_place(network.clone(), endpoint, config, interface)?;
        self.bring_up(network)?;
        let outside = others.iter().any(|(network, _)| !network.internal);
        self.cable(&place, config, &child, !network.internal && !outside)?;
        let hosts = self.etc_file(config, "hosts");
        let lines: Vec<_> = place.host.addresses.iter().map(|&address| (address, config.hostname.clone())).collect();
        edit_hosts(&hosts, |_| false, &lines)?;
        if network.name == "bridge" {
            self.tell_linked(config, &place.host.addresses);
        }
        if !outside {
            self.lead_ports(config)?;
        }
        Ok(())
    }

    /// What a start does by the primitives of stages 21 and 22, done to a container that runs.
    fn cable(&self, place: &Place, config: &ContainerConfig, child: &Child, default_route: bool) -> Result<()> {
        let mut interface = self.interface(place, config, default_route)?;
        // It may have sockets from a time when all its neighbours were friends.
        interface.honest = !place.network.is_of_friends() && !config.rights.may_claim()?;
        let (mut walls, mut plug) = interface.plug();
        let failed = |e: process::Error| Error::new(Kind::System, e.to_string());
        let mut host = HostSide::new(Journal::in_memory());
        walls
            .iter_mut()
            .try_for_each(|nat| host.prepare(nat))
            .and_then(|()| host.prepare(&mut plug))
            .map_err(failed)?;
        let plugged =
            plug.attach(&mut host, child).and_then(|()| in_network_of(child.pidfd.as_fd(), || plug.enter_here()));
        plugged.map(|()| plug.arrived(&mut host, child)).map_err(|e| {
            // It may have a cable by now. What cannot be undone goes with the container.
            let _ = std::mem::take(&mut host.journal).undo_all();
            failed(e)
        })
    }

    fn unplug(&self, network: &Config, container: &Container) -> Result<()> {
        let config = &container.config;
        let id = &config.id;
        let found = self.host_on(network, id)?;
        if let Some(host) = &found {
            let child = child_of(container)?;
            let interface = host.interface.clone();
            let remove = || -> std::result::Result<(), process::Errno> {
                let gone = Socket::route()?.request(&[route::delete_link(&interface)]);
                match gone {
                    Err(refusal) if refusal.errno != process::Errno::ENODEV => Err(refusal.errno),
                    _ => Ok(()),
                }
            };
            in_network_of(child.pidfd.as_fd(), remove).map_err(|e| Error::new(Kind::System, e.to_string()))?;
            self.forget_lines(config, host)?;
        }
        if network.name == "bridge" {
            self.tell_linked(config, &[]);
        }
        let mut presence = self.presence(id)?.unwrap_or_default();
        presence.networks.retain(|other| *other != network.id);
        presence.links.retain(|link| link.network != network.id);
        self.leave_network(&network.id, id)?;
        self.write_presence(id, &presence)?;
        self.tell_resolvers()?;
        self.route_again(container)?;
        self.move_ports(config, &presence)
    }

    /// Takes an address out of /etc/hosts, in place.
    fn forget_lines(&self, config: &ContainerConfig, host: &Host) -> Result<()> {
        let theirs = |line: &str| {
            let first = line.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
            first.is_some_and(|address| host.addresses.contains(&address))
        };
        edit_hosts(&self.etc_file(config, "hosts"), theirs, &[])
    }

    /// The default route went with its interface: another network takes over.
    fn route_again(&self, container: &Container) -> Result<()> {
        let Some((network, _)) = self.leading(&container.config)? else { return Ok(()) };
        let child = child_of(container)?;
        let gateways: Vec<_> = network.pools.iter().filter_map(|pool| pool.gateway).collect();
        let add = || {
            let socket = Socket::route()?;
            for gateway in &gateways {
                match socket.request(&[route::add_default_route(*gateway)]) {
                    // There is one still.
                    Err(refusal) if refusal.errno != process::Errno::EEXIST => return Err(refusal.errno),
                    _ => {}
                }
            }
            Ok(())
        };
        in_network_of(child.pidfd.as_fd(), add).map_err(|e| Error::new(Kind::System, e.to_string()))
    }

    /// Leads the published ports to where the container is now.
    fn move_ports(&self, config: &ContainerConfig, presence: &Presence) -> Result<()> {
        let bindings = self.bindings(&config.id);
        if bindings.is_empty() {
            return Ok(());
        }
        let table = self.nftables_table();
        ports::remove(&table, &[(presence.owner.clone(), bindings)]).map_err(|refusal| {
            Error::system(format_args!("remove ports from the table {table}"), &refusal.errno.into())
        })?;
        self.lead_ports(config)
    }

    /// Adds what leads from the ports of the host that its monitor holds.
    pub(super) fn lead_ports(&self, config: &ContainerConfig) -> Result<()> {
        let bindings = self.bindings(&config.id);
        let (Some((network, host)), Some(presence)) = (self.leading(config)?, self.presence(&config.id)?) else {
            return Ok(());
        };
        if bindings.is_empty() {
            return Ok(());
        }
        ports::restore(&self.nftables_table(), &network.link(), &presence.owner, &bindings, &host.addresses)
            .map_err(|refusal| Error::system("lead ports to the container", &refusal.errno.into()))
    }

    /// Whether one who comes from that address has no way out of his network: what is passed on goes past the walls. By an
    /// address of a link alone nobody can tell where he comes from.
    pub(super) fn is_cut_off(&self, from: std::net::IpAddr) -> bool {
        let of_link = matches!(from, std::net::IpAddr::V6(address) if address.is_unicast_link_local());
        let is_his = |network: &Config| network.pools.iter().any(|pool| pool.subnet.contains(from));
        let inside = || match self.other_networks() {
            Ok(networks) => networks.iter().any(|network| network.internal && is_his(network)),
            Err(_) => true,
        };
        of_link || !from.is_loopback() && inside()
    }

    /// Where connections that are passed on lead to: none where that cannot be told.
    pub(super) fn leading_addresses(&self, id: &str) -> Vec<std::net::IpAddr> {
        let config = self.read_config(id).ok().flatten();
        let leading = config.and_then(|config| self.leading(&config).ok().flatten());
        leading.map(|(_, host)| host.addresses).unwrap_or_default()
    }

    /// The network that a running container's default route leads through, and its ports come by.
    fn leading(&self, config: &ContainerConfig) -> Result<Option<(Config, Host)>> {
        let priority = |name: &str| {
            let endpoint = config.network.endpoints.iter().find(|endpoint| endpoint.network == name);
            endpoint.map_or(0, |endpoint| endpoint.gateway_priority)
        };
        let hosts = self
            .hosts_of(config)?
            .into_iter()
            .filter(|(network, _)| !network.internal && network.driver == Driver::Bridge);
        Ok(hosts.min_by_key(|(network, _)| (std::cmp::Reverse(priority(&network.name)), network.name.clone())))
    }

    /// Where a running container is.
    fn hosts_of(&self, config: &ContainerConfig) -> Result<Vec<(Config, Host)>> {
        let mut found = Vec::new();
        for id in self.presence(&config.id)?.unwrap_or_default().networks {
            let Some(network) = read_json::<Config>(&self.network_file(&id))? else { continue };
            found.extend(self.host_on(&network, &config.id)?.map(|host| (network, host)));
        }
        Ok(found)
    }
}

/// Whether a container that runs has ended, or is about to: a first process that is killed has no network any more, but ends
/// only when all others in its pid namespace have been reaped.
fn is_ending(container: &Container) -> bool {
    let network = format!("/proc/{}/ns/net", container.status.pid);
    first_process(&container.status).is_none() || fs::metadata(network).is_err()
}

/// Takes a network out of a container's configuration; whether it was there.
fn forget_endpoint(config: &mut ContainerConfig, network: &str) -> bool {
    let endpoints = &mut config.network.endpoints;
    let before = endpoints.len();
    endpoints.retain(|endpoint| endpoint.network != network);
    endpoints.len() != before
}

fn child_of(container: &Container) -> Result<Child> {
    let pidfd = first_process(&container.status);
    let pidfd = pidfd.ok_or_else(|| Error::conflict(format!("container {} is not running", container.config.name)))?;
    Ok(Child { pid: nix::unistd::Pid::from_raw(container.status.pid), pidfd, descriptors: Vec::new() })
}

fn may_connect(network: &Config, config: &ContainerConfig, endpoint: &Endpoint) -> Result<()> {
    let refused = |why: &str| Err(Error::conflict(why.to_owned()));
    match (&network.driver, config.network.mode.as_str()) {
        (Driver::Host, _) => {
            return refused("container cannot be connected to host network: make it anew with --network host");
        }
        (Driver::Null, _) if network.config_only => {
            return refused(
                "cannot create endpoint on configuration-only network: make another of it with --config-from",
            );
        }
        (Driver::Null, _) | (_, "none") => {
            return refused(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode: make it anew with another --network",
            );
        }
        (_, mode) if mode == "host" || mode.starts_with("container:") => {
            return refused(
                "container sharing network namespace with another container or host cannot be connected to any other network",
            );
        }
        _ => {}
    }
    if config.network.endpoints.iter().any(|other| other.network == network.name) {
        return Err(Error::conflict(format!(
            "endpoint with name {} already exists in network {}: it is connected already",
            config.name, network.name
        )));
    }
    super::choose::check_addresses(network, endpoint)
}
