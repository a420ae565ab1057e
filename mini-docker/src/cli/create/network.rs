//! Flags about names and networks.

use std::net::IpAddr;

use clap::Args;

use crate::engine::{
    Error, Request, Result,
    container::network::{Endpoint, Network},
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
pub(super) struct NetworkFlags {
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Container domain name
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// Connect the container to a network: `bridge`, `none`, `host`, `container:NAME` or NETWORK; repeat for several.
    /// With options: name=NETWORK,alias=NAME,ip=ADDRESS,ip6=ADDRESS,mac-address=ADDRESS,gw-priority=NUMBER
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Vec<String>,
    /// Add a network-scoped alias for the container; works on the default network too, unlike Docker's
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "ADDRESS", value_parser = v4)]
    ip: Option<IpAddr>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "ADDRESS", value_parser = v6)]
    ip6: Option<IpAddr>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<String>,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "[[IP:]HOST:]PORT[/PROTOCOL]")]
    publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORT[-PORT][/PROTOCOL]")]
    expose: Vec<String>,
    /// Set custom DNS servers
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    dns: Vec<IpAddr>,
    /// Set DNS options
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Add a custom host-to-IP mapping (host:ip); the address host-gateway is the host's
    #[arg(long, value_name = "HOST:ADDRESS")]
    add_host: Vec<String>,
    /// Add another name for another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    link: Vec<String>,
    /// Not supported: addresses of the link are the kernel's to give
    #[arg(long, value_name = "ADDRESS", hide = true)]
    link_local_ip: Vec<String>,
}

impl NetworkFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        if !self.link_local_ip.is_empty() {
            return Err(Error::invalid("--link-local-ip is not supported: give an address of the network with --ip"));
        }
        request.hostname.clone_from(&self.hostname);
        for text in &self.add_host {
            crate::engine::network::check_extra_host(text)?;
        }
        let (mode, endpoints) = self.endpoints()?;
        request.network = Network {
            mode,
            endpoints,
            domainname: self.domainname.clone().unwrap_or_default(),
            publish: self.publish.iter().map(|text| short_form(text)).collect::<Result<_>>()?,
            publish_all: self.publish_all,
            exposed: self.expose.clone(),
            dns: self.dns.clone(),
            dns_options: self.dns_option.clone(),
            dns_search: self.dns_search.clone(),
            extra_hosts: self.add_host.iter().map(|text| text.replacen('=', ":", 1)).collect(),
            links: links(&self.link)?,
        };
        Ok(())
    }

    /// The network mode, and the networks to be on.
    fn endpoints(&self) -> Result<(String, Vec<Endpoint>)> {
        let mut endpoints: Vec<Endpoint> = self.network.iter().map(|text| endpoint(text)).collect::<Result<_>>()?;
        if endpoints.is_empty() {
            endpoints.push(Endpoint { network: "bridge".to_owned(), ..Endpoint::default() });
        }
        let special = |name: &str| ["none", "host"].contains(&name) || name.starts_with("container:");
        if endpoints.len() > 1 && endpoints.iter().any(|endpoint| special(&endpoint.network)) {
            return Err(Error::invalid(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ));
        }
        let mode = endpoints[0].network.clone();
        self.first_network(&mut endpoints[0])?;
        let user_defined = !special(&mode) && mode != "bridge";
        if endpoints.iter().any(|endpoint| endpoint.ip.or(endpoint.ip6).is_some()) && !user_defined {
            return Err(Error::invalid(
                "conflicting options: user specified IP address is supported on user defined networks only",
            ));
        }
        if special(&mode) {
            let Endpoint { aliases, mac, .. } = &endpoints[0];
            if mac.is_some() {
                return Err(Error::invalid("conflicting options: mac-address and the network mode"));
            }
            if !aliases.is_empty() {
                return Err(Error::invalid(
                    "network-scoped aliases are only supported for user-defined networks: name one with --network",
                ));
            }
            endpoints.clear();
        }
        Ok((mode, endpoints))
    }

    /// What is said without a network's name is for the first.
    fn first_network(&self, first: &mut Endpoint) -> Result<()> {
        let conflict = |flag: &str, option: &str| {
            Err(Error::invalid(format!("conflicting options: cannot specify both --{flag} and per-network {option}")))
        };
        match (!self.network_alias.is_empty(), !first.aliases.is_empty()) {
            (true, true) => return conflict("network-alias", "alias"),
            (true, false) => first.aliases.clone_from(&self.network_alias),
            _ => {}
        }
        match (self.ip, first.ip) {
            (Some(_), Some(_)) => return conflict("ip", "IPv4 address"),
            (ip, None) => first.ip = ip,
            _ => {}
        }
        match (self.ip6, first.ip6) {
            (Some(_), Some(_)) => return conflict("ip6", "IPv6 address"),
            (ip6, None) => first.ip6 = ip6,
            _ => {}
        }
        match (&self.mac_address, &first.mac) {
            (Some(mac), Some(other)) if mac != other => return conflict("mac-address", "MAC address"),
            (Some(mac), _) => first.mac = Some(mac.clone()),
            _ => {}
        }
        Ok(())
    }
}

/// `NETWORK`, or `name=NETWORK,alias=…`.
fn endpoint(text: &str) -> Result<Endpoint> {
    if text.is_empty() {
        return Err(Error::invalid("network name/id is not specified"));
    }
    let mut endpoint = Endpoint::default();
    if !text.contains('=') {
        endpoint.network = if text == "default" { "bridge".to_owned() } else { text.to_owned() };
        return Ok(endpoint);
    }
    for field in text.split(',') {
        let (key, value) =
            field.split_once('=').ok_or_else(|| Error::invalid(format!("invalid field {field} in --network")))?;
        let bad = |e: String| Error::invalid(format!("invalid --network {field}: {e}"));
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => value.clone_into(&mut endpoint.network),
            "alias" => endpoint.aliases.push(value.to_owned()),
            "ip" => endpoint.ip = Some(v4(value).map_err(bad)?),
            "ip6" => endpoint.ip6 = Some(v6(value).map_err(bad)?),
            "mac-address" => endpoint.mac = Some(value.to_owned()),
            "gw-priority" => {
                endpoint.gateway_priority = value.parse().map_err(|_| bad("it is no number".to_owned()))?;
            }
            "driver-opt" | "link-local-ip" => {
                return Err(Error::invalid(format!("{key} in --network is not supported: leave it out")));
            }
            _ => return Err(Error::invalid(format!("invalid key {key} in {field}"))),
        }
    }
    if endpoint.network.is_empty() {
        return Err(Error::invalid("network name/id is not specified"));
    }
    Ok(endpoint)
}

/// Docker's long form, `published=8080,target=80,protocol=tcp`, as the short one.
fn short_form(text: &str) -> Result<String> {
    if !text.contains('=') {
        return Ok(text.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            _ => {
                return Err(Error::invalid(format!(
                    "invalid publish opts format (should be name=value but got '{field}')"
                )));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text} is not an ip address"))
}

fn v4(text: &str) -> Result<IpAddr, String> {
    address(text).ok().filter(IpAddr::is_ipv4).ok_or_else(|| format!("{text} is not a valid IPv4 address"))
}

fn v6(text: &str) -> Result<IpAddr, String> {
    address(text).ok().filter(IpAddr::is_ipv6).ok_or_else(|| format!("{text} is not a valid IPv6 address"))
}
/// `CONTAINER[:ALIAS]`, each.
pub(in crate::cli) fn links(texts: &[String]) -> Result<Vec<String>> {
    for link in texts {
        if link.is_empty() {
            return Err(Error::invalid(
                "invalid argument \"\" for \"--link\" flag: empty string specified for links: write CONTAINER[:ALIAS]",
            ));
        }
        if link.split(':').count() > 2 {
            return Err(Error::invalid(format!(
                "invalid argument {link:?} for \"--link\" flag: bad format for links: {link}: write CONTAINER[:ALIAS]"
            )));
        }
    }
    Ok(texts.to_vec())
}
