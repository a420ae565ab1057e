//! How a container is connected.

use std::{collections::BTreeMap, net::IpAddr};

use ports::{Protocol, Publish};
use serde::{Deserialize, Serialize};

use crate::{
    engine::error::{Error, Result},
    runtime::user_mode,
};

/// A container's networks, as the user asked for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Docker's network mode: `none`: loopback alone; `host`: the host's; `container:ID`: another container's;
    /// `default`: `bridge`; `pasta` or `slirp4netns`: its own, connected by that program; else the first network's name.
    pub mode: String,
    /// The networks that it is plugged into; none in the modes `none`, `host` and `container`.
    pub endpoints: Vec<Endpoint>,
    /// The domain of its host name.
    pub domainname: String,
    /// What ports of the host lead to: `[IP:][HOST[-HOST]:]PORT[-PORT][/PROTOCOL]`.
    pub publish: Vec<String>,
    /// Whether each exposed port is published, on a port of the kernel's choice.
    pub publish_all: bool,
    /// The user's exposed ports and the image's: `PORT/PROTOCOL`.
    pub exposed: Vec<String>,
    /// Servers that are asked for names outside, in the place of the host's.
    pub dns: Vec<IpAddr>,
    /// Options of resolv.conf(5), in the place of the host's.
    pub dns_options: Vec<String>,
    /// Domains to look for names in, in the place of the host's.
    pub dns_search: Vec<String>,
    /// More lines of /etc/hosts: `NAME:ADDRESS`; `host-gateway` is the host's address.
    pub extra_hosts: Vec<String>,
    /// Other containers of the default network by other names: `CONTAINER:ALIAS`.
    pub links: Vec<String>,
}

/// A place in a network, as the user asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// Names that it goes by there.
    pub aliases: Vec<String>,
    /// Others there by other names: `CONTAINER:ALIAS`.
    pub links: Vec<String>,
    /// Its address, where it was said.
    pub ip: Option<IpAddr>,
    /// The same for IPv6.
    pub ip6: Option<IpAddr>,
    /// Its hardware address, where it was said.
    pub mac: Option<String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Where the default route goes: to the network with the highest.
    pub gateway_priority: i32,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            mode: "none".to_owned(),
            endpoints: Vec::new(),
            domainname: String::new(),
            publish: Vec::new(),
            publish_all: false,
            exposed: Vec::new(),
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            extra_hosts: Vec::new(),
            links: Vec::new(),
        }
    }
}

/// What is refused where the network is another container's, in Docker's words.
const CONTAINER_CONFLICT: &str = "conflicting options";

impl Network {
    /// On one network: by its name, or one of the modes.
    pub fn named(mode: &str) -> Self {
        let plugged = !["none", "host"].contains(&mode) && !mode.starts_with("container:");
        let endpoint = Endpoint { network: mode.to_owned(), ..Endpoint::default() };
        Self { mode: mode.to_owned(), endpoints: plugged.then_some(endpoint).into_iter().collect(), ..Self::default() }
    }

    /// The networks that it is on, as `inspect` has them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mode = ["host", "none"].contains(&self.mode.as_str()).then_some(self.mode.as_str());
        self.endpoints.iter().map(|endpoint| endpoint.network.as_str()).chain(mode)
    }

    /// The container whose network it is, as the user named it.
    pub fn of_container(&self) -> Option<&str> {
        self.mode.strip_prefix("container:")
    }

    /// The program that connects it, an ordinary user's.
    pub fn by(&self) -> Option<user_mode::Kind> {
        user_mode::Kind::parse(&self.mode).filter(|_| self.endpoints.is_empty())
    }

    /// Whether it has a network of its own.
    pub fn is_own(&self) -> bool {
        self.mode != "host" && self.of_container().is_none()
    }

    /// Whether ports are published that are the host's own anyway.
    pub fn discards_ports(&self) -> bool {
        self.mode == "host" && (self.publish_all || !self.publish.is_empty())
    }

    /// What is published.
    pub fn published(&self) -> Result<Vec<Publish>> {
        let mut all: Vec<Publish> = Vec::new();
        for text in &self.publish {
            let invalid = |e: ports::PublishError| Error::invalid(format!("invalid port {text:?}: {e}")).usage();
            all.push(text.parse().map_err(invalid)?);
        }
        if self.publish_all {
            for port in self.exposed_ports()? {
                let has = |publish: &Publish| publish.protocol == port.1 && publish.container.contains(&port.0);
                if !all.iter().any(has) {
                    all.push(Publish { protocol: port.1, address: None, host: None, container: port.0..=port.0 });
                }
            }
        }
        Ok(all)
    }

    /// Exposes what the image names, too. What is no port it may say without harm.
    pub fn expose<'a>(&mut self, image: impl Iterator<Item = &'a String>) {
        if self.of_container().is_none() {
            let is_port = |text: &&String| !text.contains(':') && text.parse::<Publish>().is_ok();
            self.exposed.extend(image.filter(is_port).cloned());
        }
    }

    /// The exposed ports, in order, each once.
    pub fn exposed_ports(&self) -> Result<Vec<(u16, Protocol)>> {
        let mut ports = Vec::new();
        for text in &self.exposed {
            let invalid = || Error::invalid(format!("invalid range format for --expose: {text}")).usage();
            if text.contains(':') {
                return Err(Error::invalid(format!("invalid port format for --expose: {text}")).usage());
            }
            let publish: Publish = text.parse().map_err(|_| invalid())?;
            ports.extend(publish.container.map(|port| (port, publish.protocol)));
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// Refuses what makes no sense together. Whether the networks are there is asked later.
    pub fn check(&self, has_hostname: bool) -> Result<()> {
        self.published()?;
        self.exposed_ports()?;
        let conflict = |what: &str| Err(Error::invalid(format!("{CONTAINER_CONFLICT}: {what}")));
        if self.of_container().is_some() {
            if has_hostname {
                return conflict("hostname and the network mode");
            }
            if !self.dns.is_empty() || !self.dns_options.is_empty() || !self.dns_search.is_empty() {
                return conflict("dns and the network mode");
            }
            if !self.extra_hosts.is_empty() {
                return conflict("custom host-to-IP mapping and the network mode");
            }
            if !self.publish.is_empty() || self.publish_all {
                return conflict("port publishing and the container type network mode");
            }
            if !self.exposed.is_empty() {
                return conflict("port exposing and the container type network mode");
            }
        }
        if !self.links.is_empty() && (self.of_container().is_some() || self.mode == "host") {
            let network = if self.mode == "host" { "host type networking" } else { "container type network" };
            return conflict(&format!("{network} can't be used with links. This would result in undefined behavior"));
        }
        let mut seen = Vec::new();
        for endpoint in &self.endpoints {
            if seen.contains(&&endpoint.network) {
                return conflict(&format!("network {:?} is specified multiple times", endpoint.network));
            }
            seen.push(&endpoint.network);
            if let Some(text) = &endpoint.mac {
                parse_mac(text)?;
            }
        }
        Ok(())
    }
}

/// A hardware address: six octets.
pub fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let octets: Vec<Option<u8>> = text
        .split([':', '-'])
        .map(|octet| u8::from_str_radix(octet, 16).ok().filter(|_| octet.len() == 2 && !octet.starts_with('+')))
        .collect();
    let octets: Option<Vec<u8>> = octets.into_iter().collect();
    let octets = octets.and_then(|octets| <[u8; 6]>::try_from(octets).ok());
    // The lowest bit of the first is for groups.
    octets
        .filter(|octets| octets[0] & 1 == 0)
        .ok_or_else(|| Error::invalid(format!("{text} is not a valid mac address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read() {
        assert_eq!(parse_mac("92:d0:c6:0a:29:33").unwrap(), [0x92, 0xd0, 0xc6, 0x0a, 0x29, 0x33]);
        for bad in
            ["", "92:d0:c6:0a:29", "92:d0:c6:0a:29:33:44", "93:d0:c6:0a:29:33", "zz:d0:c6:0a:29:33", "9:d0:c6:0a:29:33"]
        {
            assert!(parse_mac(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_exposed_is_published_once() {
        let network = Network {
            publish: vec!["127.0.0.1:8080:80".to_owned()],
            publish_all: true,
            exposed: ["80", "81-82/udp", "80/tcp"].map(str::to_owned).into(),
            ..Network::default()
        };
        let ports: Vec<_> =
            network.published().unwrap().into_iter().map(|p| (*p.container.start(), p.protocol)).collect();
        assert_eq!(ports, [(80, Protocol::Tcp), (81, Protocol::Udp), (82, Protocol::Udp)]);
    }
}
