//! `--link`: another container by another name and, on the default network, what Docker says of it in variables.

use std::net::IpAddr;

use super::join::Presence;
use crate::engine::{
    Engine,
    container::{Config, Container, State},
    error::{Error, Result},
};

/// Variables of another container's that say nothing to its neighbours.
const OWN: [&str; 2] = ["HOME", "PATH"];

/// The name of a link, and the container that it leads to.
struct Link<'a> {
    alias: &'a str,
    to: Container,
}

impl Engine {
    /// The containers of `--link`: noted for the resolver, and as lines of /etc/hosts on the default network.
    pub(super) fn links(&self, config: &Config, presence: &mut Presence) -> Result<Vec<(IpAddr, String)>> {
        let mut lines = Vec::new();
        for Link { alias, to } in self.linked(config).collect::<Result<Vec<_>>>()? {
            let name = &to.config.name;
            presence.links.push((alias.to_ascii_lowercase(), name.to_ascii_lowercase()));
            let also = if alias == name { String::new() } else { format!(" {name}") };
            for address in self.address_beside(config, &to)? {
                lines.push((address, format!("{alias} {}{also}", to.config.hostname)));
            }
        }
        Ok(lines)
    }

    /// What its variables say of the containers of `--link`, as Docker's: their ports on the default network, and their own
    /// variables. Once it runs, who is gone is left out.
    pub(in crate::engine) fn link_variables(&self, container: &Container) -> Result<Vec<String>> {
        let config = &container.config;
        let mut all = Vec::new();
        let mut links = self.linked(config).collect::<Vec<_>>();
        if container.status.state.is_alive() {
            links.retain(Result::is_ok);
        }
        for Link { alias, to } in links.into_iter().collect::<Result<Vec<_>>>()? {
            let Some(address) = self.address_beside(config, &to)?.into_iter().find(IpAddr::is_ipv4) else { continue };
            let prefix = alias.to_ascii_uppercase().replace('-', "_");
            all.push(format!("{prefix}_NAME=/{}/{alias}", config.name));
            let ports = to.config.network.exposed_ports()?;
            let lead = |(port, protocol): &(u16, ports::Protocol)| format!("{protocol}://{address}:{port}");
            all.extend(ports.first().map(|first| format!("{prefix}_PORT={}", lead(first))));
            for one in &ports {
                let (port, protocol) = (one.0, one.1.to_string());
                let name = format!("{prefix}_PORT_{port}_{}", protocol.to_ascii_uppercase());
                all.push(format!("{name}={}", lead(one)));
                all.push(format!("{name}_ADDR={address}"));
                all.push(format!("{name}_PORT={port}"));
                all.push(format!("{name}_PROTO={protocol}"));
            }
            let theirs = to.config.env.iter().filter_map(|variable| variable.split_once('='));
            let theirs = theirs.filter(|(key, _)| !OWN.contains(key));
            all.extend(theirs.map(|(key, value)| format!("{prefix}_ENV_{key}={value}")));
        }
        Ok(all)
    }

    fn linked<'a>(&self, config: &'a Config) -> impl Iterator<Item = Result<Link<'a>>> {
        config.network.links.iter().map(move |link| {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            let to = self.container(name)?;
            if to.status.state != State::Running {
                return Err(Error::conflict(format!(
                    "cannot link to a non running container: /{} AS /{}/{alias}: start it first",
                    to.config.name, config.name
                )));
            }
            Ok(Link { alias, to })
        })
    }

    /// The other container's addresses on the default network, if both are there. On others names are the resolver's
    /// alone, as with Docker: there an address may change while nobody's files do.
    fn address_beside(&self, config: &Config, other: &Container) -> Result<Vec<IpAddr>> {
        let is_there = |config: &Config| config.network.endpoints.iter().any(|endpoint| endpoint.network == "bridge");
        if !is_there(config) || !is_there(&other.config) {
            return Ok(Vec::new());
        }
        let theirs = self.host_on(&self.network("bridge")?, &other.config.id)?;
        Ok(theirs.map(|host| host.addresses).unwrap_or_default())
    }
}
