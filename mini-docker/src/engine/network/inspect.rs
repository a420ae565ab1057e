//! Networks and containers' places in them, in the words of Docker's API.

use std::collections::BTreeMap;

use process::netlink::Prefix;
use serde_json::{Map, Value, json};

use super::{Config, Driver, state::Host};
use crate::engine::{
    Engine,
    container::{Config as ContainerConfig, Container, State, network::Endpoint},
    error::Result,
    image::short,
};

impl Engine {
    /// The network as `docker network inspect` prints it.
    pub fn inspect_network(&self, network: &Config) -> Result<Value> {
        let hosts = self.hosts_on(network, |id| self.is_present(id))?;
        let pools: Vec<Value> = network
            .pools
            .iter()
            .map(|pool| {
                let mut object = Map::new();
                object.insert("Subnet".to_owned(), json!(pool.subnet));
                if let Some(range) = pool.range {
                    object.insert("IPRange".to_owned(), json!(range));
                }
                if let Some(gateway) = pool.gateway {
                    object.insert("Gateway".to_owned(), json!(gateway));
                }
                if !pool.reserved.is_empty() {
                    object.insert("AuxiliaryAddresses".to_owned(), json!(pool.reserved));
                }
                Value::Object(object)
            })
            .collect();
        let containers: BTreeMap<&str, Value> =
            hosts.iter().map(|host| (host.container.as_str(), on_network(network, host))).collect();
        Ok(json!({
            "Name": network.name,
            "Id": network.id,
            "Created": network.created.to_string(),
            "Scope": "local",
            "Driver": network.driver.name(),
            "EnableIPv4": network.ipv4,
            "EnableIPv6": network.ipv6,
            "IPAM": {
                "Driver": "default",
                "Options": if network.is_predefined() { Value::Null } else { json!({}) },
                "Config": if network.is_predefined() && matches!(network.driver, Driver::Host | Driver::Null) { Value::Null } else { json!(pools) },
            },
            "Internal": network.internal,
            "Attachable": network.attachable,
            "Ingress": false,
            "ConfigFrom": { "Network": network.config_from },
            "ConfigOnly": network.config_only,
            "Containers": containers,
            "Options": network.options,
            "Labels": network.labels,
        }))
    }

    /// Adds what concerns its network to the document of a container. What cannot be read just now is left out.
    pub(in crate::engine) fn describe_network(&self, container: &Container, document: &mut Value) {
        let config = &container.config;
        let network = &config.network;
        for (field, name) in [("ResolvConfPath", "resolv.conf"), ("HostnamePath", "hostname"), ("HostsPath", "hosts")] {
            document[field] = json!(self.etc_file(config, name));
        }
        let host = &mut document["HostConfig"];
        host["NetworkMode"] = json!(network.mode);
        host["PortBindings"] = network.port_bindings();
        host["PublishAllPorts"] = json!(network.publish_all);
        host["Dns"] = json!(network.dns);
        host["DnsOptions"] = json!(network.dns_options);
        host["DnsSearch"] = json!(network.dns_search);
        host["ExtraHosts"] = if network.extra_hosts.is_empty() { Value::Null } else { json!(network.extra_hosts) };
        let links = self.described_links(config);
        host["Links"] = if links.is_empty() { Value::Null } else { json!(links) };
        document["Config"]["Domainname"] = json!(network.domainname);
        let exposed = network.exposed_object();
        if exposed.as_object().is_some_and(|ports| !ports.is_empty()) {
            document["Config"]["ExposedPorts"] = exposed;
        }
        document["NetworkSettings"] = self.network_settings(container).unwrap_or_default();
    }

    /// `NetworkSettings` of a container.
    pub(in crate::engine) fn network_settings(&self, container: &Container) -> Result<Value> {
        let Container { config, status } = container;
        let running = status.state == State::Running;
        let mut networks = Map::new();
        let mut first = None;
        for endpoint in &config.network.endpoints {
            let network = self.network(&endpoint.network).ok();
            let host = match &network {
                Some(network) if running => self.host_on(network, &config.id)?,
                _ => None,
            };
            let settings = endpoint_settings(config, endpoint, network.as_ref(), host.as_ref());
            if endpoint.network == "bridge" {
                first = Some(settings.clone());
            }
            networks.insert(endpoint.network.clone(), settings);
        }
        if ["host", "none"].contains(&config.network.mode.as_str()) {
            let network = self.network(&config.network.mode)?;
            let settings = endpoint_settings(config, &Endpoint::default(), Some(&network), None);
            networks.insert(config.network.mode.clone(), settings);
        }
        let mut settings = json!({
            "Bridge": "",
            "SandboxID": if running { json!(config.id) } else { json!("") },
            "SandboxKey": if running { json!(format!("/proc/{}/ns/net", status.pid)) } else { json!("") },
            "Ports": self.ports_object(container)?,
        });
        // As Docker, those of the default network are here too.
        let names = [
            "EndpointID",
            "Gateway",
            "GlobalIPv6Address",
            "GlobalIPv6PrefixLen",
            "IPAddress",
            "IPPrefixLen",
            "IPv6Gateway",
            "MacAddress",
        ];
        for name in names {
            let none = if name.ends_with("Len") { json!(0) } else { json!("") };
            settings[name] = first.as_ref().map_or(none, |first| first[name].clone());
        }
        settings["Networks"] = Value::Object(networks);
        Ok(settings)
    }

    /// `NetworkSettings.Ports`: the exposed ones, and what of the host's leads to them. There are none unless it runs.
    pub fn ports_object(&self, container: &Container) -> Result<Value> {
        if container.status.state != State::Running {
            return Ok(json!({}));
        }
        let mut ports: BTreeMap<(u16, String), Vec<Value>> = BTreeMap::new();
        for (port, protocol) in container.config.network.exposed_ports()? {
            ports.entry((port, protocol.to_string())).or_default();
        }
        for published in self.published_ports(container)? {
            let binding = json!({ "HostIp": published.address.to_string(), "HostPort": published.host.to_string() });
            ports.entry((published.container, published.protocol.clone())).or_default().push(binding);
        }
        let object: Map<String, Value> = ports
            .into_iter()
            .map(|((port, protocol), bindings)| {
                (format!("{port}/{protocol}"), if bindings.is_empty() { Value::Null } else { json!(bindings) })
            })
            .collect();
        Ok(Value::Object(object))
    }
}

impl crate::engine::container::network::Network {
    /// `HostConfig.PortBindings`.
    fn port_bindings(&self) -> Value {
        let mut object: BTreeMap<(u16, String), Vec<Value>> = BTreeMap::new();
        for text in &self.publish {
            let Ok(publish) = text.parse::<ports::Publish>() else { continue };
            for (number, port) in publish.container.clone().enumerate() {
                let host = match &publish.host {
                    None => String::new(),
                    Some(host) if publish.container.len() == 1 && host.len() > 1 => {
                        format!("{}-{}", host.start(), host.end())
                    }
                    Some(host) => (usize::from(*host.start()) + number).to_string(),
                };
                let address = publish.address.map_or_else(String::new, |address| address.to_string());
                let binding = json!({ "HostIp": address, "HostPort": host });
                object.entry((port, publish.protocol.to_string())).or_default().push(binding);
            }
        }
        let object: Map<String, Value> = object
            .into_iter()
            .map(|((port, protocol), bindings)| (format!("{port}/{protocol}"), json!(bindings)))
            .collect();
        Value::Object(object)
    }

    /// `Config.ExposedPorts`: what is published is exposed too.
    pub(in crate::engine) fn exposed_object(&self) -> Value {
        let mut all = self.exposed_ports().unwrap_or_default();
        for text in &self.publish {
            if let Ok(publish) = text.parse::<ports::Publish>() {
                all.extend(publish.container.clone().map(|port| (port, publish.protocol)));
            }
        }
        all.sort_unstable();
        all.dedup();
        let object: Map<String, Value> =
            all.into_iter().map(|(port, protocol)| (format!("{port}/{protocol}"), json!({}))).collect();
        Value::Object(object)
    }
}

fn on_network(network: &Config, host: &Host) -> Value {
    let address = |v4: bool| {
        let found = host.addresses.iter().find(|address| address.is_ipv4() == v4);
        found.map_or_else(String::new, |&address| Prefix { address, length: length(network, address) }.to_string())
    };
    json!({
        "Name": host.names.first(),
        "EndpointID": host.endpoint,
        "MacAddress": host.mac,
        "IPv4Address": address(true),
        "IPv6Address": address(false),
    })
}

fn length(network: &Config, address: std::net::IpAddr) -> u8 {
    network.pools.iter().find(|pool| pool.subnet.contains(address)).map_or(0, |pool| pool.subnet.length)
}

fn endpoint_settings(
    config: &ContainerConfig,
    endpoint: &Endpoint,
    network: Option<&Config>,
    host: Option<&Host>,
) -> Value {
    let address =
        |v4: bool| host.and_then(|host| host.addresses.iter().find(|address| address.is_ipv4() == v4)).copied();
    let text = |value: Option<std::net::IpAddr>| value.map_or_else(String::new, |value| value.to_string());
    let gateway = |v4: bool| {
        let pool =
            network.filter(|_| host.is_some()).and_then(|n| n.pools.iter().find(|p| p.subnet.address.is_ipv4() == v4));
        text(pool.and_then(|pool| pool.gateway))
    };
    let prefix = |v4: bool| address(v4).zip(network).map_or(0, |(address, network)| length(network, address));
    let user_defined = network.is_some_and(|network| !network.is_predefined());
    // As Docker: names that it goes by, on user-defined networks.
    let names = host.filter(|_| user_defined).map(|host| host.names.clone());
    // As Docker: of those that were asked for.
    let asked = [("IPv4Address", endpoint.ip), ("IPv6Address", endpoint.ip6)];
    let wanted: Map<_, _> =
        asked.into_iter().filter(|(_, ip)| ip.is_some()).map(|(name, ip)| (name.to_owned(), text(ip).into())).collect();
    json!({
        "IPAMConfig": if wanted.is_empty() { Value::Null } else { wanted.into() },
        "Links": if endpoint.links.is_empty() { Value::Null } else { json!(endpoint.links) },
        "Aliases": if endpoint.aliases.is_empty() { Value::Null } else { json!(endpoint.aliases) },
        "DriverOpts": Value::Null,
        "GwPriority": endpoint.gateway_priority,
        "NetworkID": network.map_or("", |network| network.id.as_str()),
        "EndpointID": host.map_or("", |host| host.endpoint.as_str()),
        "Gateway": gateway(true),
        "IPAddress": text(address(true)),
        "MacAddress": host.map_or_else(|| endpoint.mac.clone().unwrap_or_default(), |host| host.mac.clone()),
        "IPPrefixLen": prefix(true),
        "IPv6Gateway": gateway(false),
        "GlobalIPv6Address": text(address(false)),
        "GlobalIPv6PrefixLen": prefix(false),
        "DNSNames": names.or_else(|| user_defined.then(|| vec![config.name.clone(), short(&config.id).to_owned()])),
    })
}
