//! A container comes to its networks when it starts, and leaves them when it ends.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
};

use bridge::DefaultRoute;
use nat::Nat;
use process::netlink::Prefix;
use serde::{Deserialize, Serialize};

use super::{
    Config, Driver,
    choose::{check_addresses, choose, names},
    files::Facts,
    state::Host,
};
use crate::{
    engine::{
        Engine,
        container::{
            Config as ContainerConfig, Container,
            network::{Endpoint, parse_mac},
        },
        error::{Error, Kind, Result},
        files::{Durability, Locking, read_json, write_json},
        image::short,
        lifecycle::way_in,
        store::random_id,
    },
    runtime::{self, Interface, PublishedPorts},
};

/// Which networks a running container is on: written before it takes anything there, gone when it has left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::engine) struct Presence {
    /// The ids of its networks, in the order in which names are looked up.
    pub(super) networks: Vec<String>,
    /// Whose the elements of nftables are that lead to it.
    pub(super) owner: String,
    /// Other containers by other names.
    pub(super) links: Vec<LinkName>,
}

/// One more name for the resolver: another container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LinkName {
    /// The id of the network with which it comes and goes.
    pub(super) network: String,
    /// The name, in small letters.
    pub(super) alias: String,
    /// A name that the other goes by.
    pub(super) name: String,
}

/// A container's place in a network.
pub(super) struct Place {
    pub(super) network: Config,
    pub(super) host: Host,
    pub(super) addresses: Vec<Prefix>,
}

impl Engine {
    pub(super) fn presence_file(&self, id: &str) -> PathBuf {
        self.store.run(id).join("networks.json")
    }

    pub(super) fn presence(&self, id: &str) -> Result<Option<Presence>> {
        read_json(&self.presence_file(id))
    }

    pub(super) fn write_presence(&self, id: &str, presence: &Presence) -> Result<()> {
        write_json(&self.presence_file(id), presence, Durability::Process)
    }

    /// Takes a container's places in its networks, and says what the runtime has to make of it. Whatever comes of it,
    /// [`Engine::leave_networks`] gives them back.
    pub(in crate::engine) fn join_networks(&self, container: &Container) -> Result<runtime::Network> {
        let config = &container.config;
        if let Some(other) = config.network.of_container() {
            return self.network_of(other);
        }
        if config.network.mode == "host" {
            self.write_etc(config, &Facts { gateway: Some(Ipv4Addr::LOCALHOST.into()), ..Facts::default() })?;
            return Ok(runtime::Network::Host);
        }
        if let Some(kind) = config.network.by() {
            return self.join_by(config, kind);
        }
        let networks: Vec<Config> =
            config.network.endpoints.iter().map(|endpoint| self.network(&endpoint.network)).collect::<Result<_>>()?;
        let presence = Presence {
            networks: networks.iter().map(|network| network.id.clone()).collect(),
            owner: format!("{}-{}", short(&config.id), short(&random_id()?)),
            links: networks
                .iter()
                .zip(&config.network.endpoints)
                .flat_map(|(network, endpoint)| self.link_names(&network.id, endpoint))
                .collect(),
        };
        let links = self.links(config)?;
        if networks.is_empty() {
            self.mend_table()?;
        } else {
            self.write_presence(&config.id, &presence)?;
            self.mend_walls()?;
        }
        let mut places = Vec::new();
        for (number, (network, endpoint)) in networks.into_iter().zip(&config.network.endpoints).enumerate() {
            let interface = format!("{}{number}", network.interface_prefix());
            let place = self.take_place(network, endpoint, config, interface)?;
            // Now nobody takes down what we find or make.
            self.bring_up(&place.network)?;
            if place.network.name == "bridge" {
                self.tell_linked(config, &place.host.addresses);
            }
            places.push(place);
        }
        let gateway = gateway_place(&places, &config.network.endpoints);
        let resolver = has_resolver(config);
        let facts = Facts {
            addresses: places.iter().flat_map(|place| place.host.addresses.clone()).collect(),
            gateway: self.host_address(&places)?,
            resolver,
            links,
        };
        self.write_etc(config, &facts)?;
        let interfaces = places.iter().enumerate();
        let interfaces: Vec<Interface> = interfaces
            .map(|(number, place)| self.interface(place, config, gateway == Some(number)))
            .collect::<Result<_>>()?;
        let ports = match gateway.map(|number| &places[number]) {
            Some(place) if place.network.driver == Driver::Bridge => self.ports_of(config, place, presence.owner)?,
            _ => None,
        };
        Ok(runtime::Network::Own { interfaces, ports, resolver, by: None })
    }

    /// The host's address for who is in these places. Nowhere it is that of the default network, as with Docker.
    fn host_address(&self, places: &[Place]) -> Result<Option<IpAddr>> {
        match places.iter().find_map(|place| place.network.pools.first()?.gateway) {
            // An ordinary user has none.
            None if self.is_rootless() => Ok(None),
            None => Ok(self.network("bridge")?.pools.first().and_then(|pool| pool.gateway)),
            gateway => Ok(gateway),
        }
    }

    /// The network of another container, which runs.
    fn network_of(&self, other: &str) -> Result<runtime::Network> {
        let other = self.container(other)?;
        let (pid, pidfd) = way_in(&other).ok_or_else(|| {
            let (name, id) = (&other.config.name, short(&other.config.id));
            Error::conflict(format!(
                "cannot join network of a non running container: {id}: start it (mini-docker start {name})"
            ))
        })?;
        let guests = self.guests_file(&other.config.id);
        write_json(&guests, &true, Durability::Process)?;
        Ok(runtime::Network::Of { pid: pid.as_raw(), pidfd: Arc::new(pidfd) })
    }

    /// Says, where it is there, that others have come to a running container's network: they may outlive it.
    fn guests_file(&self, id: &str) -> PathBuf {
        self.store.run(id).join("guests")
    }

    /// Whether others may be in a container's network when it ends.
    pub(in crate::engine) fn shares_network(&self, id: &str) -> bool {
        self.guests_file(id).exists()
    }

    // ANCHOR: place
    /// Takes an address in a network, and its names there.
    pub(super) fn take_place(
        &self,
        network: Config,
        endpoint: &Endpoint,
        container: &ContainerConfig,
        interface: String,
    ) -> Result<Place> {
        check_addresses(&network, endpoint)?;
        let _lock = self.lock_network(&network)?;
        let mut places = self.places(&network.id)?;
        places.keep(|id| id != container.id)?;
        let addresses = match choose(&network, endpoint, &places) {
            // Somebody may have it who was killed.
            Err(e) if e.kind == Kind::Conflict => {
                places.keep(|id| self.is_present(id))?;
                choose(&network, endpoint, &places)?
            }
            chosen => chosen?,
        };
        let mac = match (&endpoint.mac, addresses.first()) {
            (Some(_), _) if network.driver == Driver::Ipvlan => {
                return Err(Error::invalid("ipvlan interfaces do not support custom mac address assignment"));
            }
            (_, _) if network.driver == Driver::Ipvlan => [0; 6],
            (Some(mac), _) => parse_mac(mac)?,
            (None, Some(first)) => bridge::mac_of(first.address),
            (None, None) => [0; 6],
        };
        let host = Host {
            network: network.name.clone(),
            internal: network.internal,
            container: container.id.clone(),
            endpoint: random_id()?,
            addresses: addresses.iter().map(|prefix| prefix.address).collect(),
            mac: if mac == [0; 6] { String::new() } else { mac.map(|octet| format!("{octet:02x}")).join(":") },
            interface,
            names: names(container, endpoint),
            renamed: 0,
        };
        let _table = self.lock_table(Locking::Shared)?;
        places.add(&host)?;
        self.tell_resolvers()?;
        self.emit_network(&network, "connect", Some(&container.id));
        Ok(Place { network, host, addresses })
    }
    // ANCHOR_END: place

    /// What the runtime makes of a place.
    pub(super) fn interface(
        &self,
        place: &Place,
        container: &ContainerConfig,
        default_route: bool,
    ) -> Result<Interface> {
        let mac = if place.host.mac.is_empty() { None } else { Some(parse_mac(&place.host.mac)?) };
        Ok(Interface {
            name: place.host.interface.clone(),
            id: container.id.clone(),
            addresses: place.addresses.clone(),
            mac,
            default_route,
            hairpin: !container.network.publish.is_empty() || container.network.publish_all,
            honest: false,
            link: self.link_of(place, container)?,
        })
    }

    /// What an interface in a network is plugged into.
    fn link_of(&self, place: &Place, container: &ContainerConfig) -> Result<runtime::Link> {
        let network = &place.network;
        let gateways = network.pools.iter().filter_map(|pool| pool.gateway).collect();
        match network.driver {
            Driver::Bridge => Ok(runtime::Link::Bridge {
                bridge: network.bridge(),
                nat: self.nat_of(network),
                isolated: !network.icc(),
            }),
            Driver::Macvlan | Driver::Ipvlan => {
                let kind = network.kind();
                // There are no neighbours to ask for a gateway where packets are routed.
                let routed = matches!(kind, macvlan::Kind::Ipvlan(1 | 2, _));
                let route = if routed { DefaultRoute::OnLink } else { DefaultRoute::Via(gateways) };
                Ok(runtime::Link::Beside { parent: network.link(), kind, mtu: network.mtu(), route })
            }
            Driver::External(ref name) => Ok(runtime::Link::External {
                plugin: super::external::find(name)?,
                request: self.driver_request(network, "setup", Some((&place.host, container))),
                route: DefaultRoute::Via(gateways),
            }),
            Driver::Null if network.config_only => Err(Error::conflict(format!(
                "cannot create endpoint on configuration-only network {}: make another of it with --config-from",
                network.name
            ))),
            Driver::Host | Driver::Null => Err(Error::invalid(format!(
                "network {} cannot be joined: its driver makes no interfaces",
                network.name
            ))),
        }
    }

    pub(super) fn nat_of(&self, network: &Config) -> Nat {
        Nat {
            table: self.nftables_table(),
            bridge: network.link(),
            internal: network.internal,
            masquerade4: network.masquerade() && network.ipv4,
            masquerade6: network.masquerade() && network.ipv6,
            ipv6: network.ipv6,
        }
    }

    fn ports_of(&self, config: &ContainerConfig, place: &Place, owner: String) -> Result<Option<PublishedPorts>> {
        let mut publish = config.network.published()?;
        if publish.is_empty() {
            return Ok(None);
        }
        if let Some(address) = place.network.host_binding().filter(|address| !address.is_unspecified()) {
            for publish in &mut publish {
                publish.address = publish.address.or(Some(address));
            }
        }
        Ok(Some(PublishedPorts {
            table: self.nftables_table(),
            bridge: place.network.link(),
            owner,
            publish,
            to: place.host.addresses.clone(),
        }))
    }
}

impl Config {
    /// Its bridge, as the kernel is asked for it.
    pub(super) fn bridge(&self) -> bridge::Bridge {
        let gateway = |pool: &super::Pool| pool.gateway.map(|address| Prefix { address, length: pool.subnet.length });
        bridge::Bridge {
            name: self.link(),
            gateways: self.pools.iter().filter_map(gateway).collect(),
            mtu: self.mtu().filter(|&mtu| mtu != 1500),
        }
    }
}

/// Whether a container has a resolver: everybody on a network, also on the default one, which with Docker has none. Whoever
/// says there whom to ask asks them himself, as with Docker.
pub(super) fn has_resolver(config: &ContainerConfig) -> bool {
    let network = &config.network;
    let default_only = network.endpoints.iter().all(|endpoint| endpoint.network == "bridge");
    let connected = !network.endpoints.is_empty() || network.by().is_some();
    connected && (!default_only || network.dns.is_empty())
}

/// The place that the default route leads through, and published ports lead to: of the highest priority, and then the
/// first by the network's name, as with Docker. An internal network leads nowhere.
pub(super) fn gateway_place(places: &[Place], endpoints: &[Endpoint]) -> Option<usize> {
    let outside = (0..places.len()).filter(|&number| !places[number].network.internal);
    outside.min_by_key(|&number| {
        let priority = endpoints.get(number).map_or(0, |endpoint| endpoint.gateway_priority);
        (std::cmp::Reverse(priority), places[number].network.name.clone())
    })
}
