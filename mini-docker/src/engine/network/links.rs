//! `--link`: another container by another name. On the default network it is as old as Docker: lines of /etc/hosts, and
//! variables. On other networks it is one more name for the resolver, whose container may come later.

use std::{fs, net::IpAddr};

use super::{files::edit_hosts, join::LinkName};
use crate::engine::{
    Engine,
    container::{Config, Container, State, network::Endpoint},
    error::{Error, Result},
    files::{Lock, Locking, write_atomic},
    image::short,
};

/// Variables of another container's that say nothing to its neighbours.
const OWN: [&str; 2] = ["HOME", "PATH"];

/// What a container's directory has when others are linked to it: their ids, a line each.
const LINKED: &str = "linked";

/// The name of a link, and the container that it leads to.
struct Link<'a> {
    alias: &'a str,
    to: Container,
}

/// `CONTAINER:ALIAS`, where the container's name is its alias too if it has no other.
pub(super) fn parse(link: &str) -> (&str, &str) {
    let link = link.strip_prefix('/').unwrap_or(link);
    link.split_once(':').unwrap_or((link, link))
}

impl Engine {
    /// The links of a container's place in a user-defined network, as the resolver knows them.
    pub(super) fn link_names(&self, network: &str, endpoint: &Endpoint) -> Vec<LinkName> {
        let one = |link: &String| {
            let (name, alias) = parse(link);
            // A name is whoever has it, now or later; an id is no name there but for its beginning.
            let name = match self.container(name) {
                Ok(to) if to.config.name != name => short(&to.config.id).to_owned(),
                _ => name.to_ascii_lowercase(),
            };
            LinkName { network: network.to_owned(), alias: alias.to_ascii_lowercase(), name }
        };
        endpoint.links.iter().map(one).collect()
    }

    /// Checks the links of a new container: on the default network they lead to containers from now on, whatever these are
    /// called later. On user-defined networks they belong to its place on the first one.
    pub(in crate::engine) fn resolve_links(&self, config: &mut Config) -> Result<()> {
        let network = &mut config.network;
        match network.endpoints.first_mut() {
            Some(first) if first.network != "bridge" => first.links.append(&mut network.links),
            _ => {}
        }
        for link in &mut config.network.links {
            let (name, alias) = parse(link);
            let missing = |e: Error| Error::new(e.kind, format!("could not get container for {name}: {e}"));
            let to = self.container(name).map_err(missing)?;
            let mut network = to.config.network;
            while let Some(other) = network.of_container() {
                network = self.container(other).map_err(missing)?.config.network;
            }
            if network.mode == "host" {
                return Err(Error::conflict(
                    "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
                ));
            }
            *link = format!("{}:{alias}", to.config.id);
        }
        Ok(())
    }

    /// Writes down with those that a container is linked to that it is.
    pub(in crate::engine) fn note_links(&self, config: &Config) -> Result<()> {
        for link in &config.network.links {
            let Ok(to) = self.container(parse(link).0) else { continue };
            let path = self.container_file(&to.config.id, LINKED);
            let _lock = Lock::take(&path.with_extension("lock"), Locking::Exclusive)?;
            let mut linked = self.linked_to(&to.config.id);
            if !linked.contains(&config.id) {
                linked.retain(|id| self.container_file(id, "config.json").exists());
                linked.push(config.id.clone());
                write_atomic(&path, (linked.join("\n") + "\n").as_bytes(), config.durability())?;
            }
        }
        Ok(())
    }

    /// The ids of those that are linked to a container, or were.
    fn linked_to(&self, id: &str) -> Vec<String> {
        let text = fs::read_to_string(self.container_file(id, LINKED)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The containers of `--link`, as lines of /etc/hosts.
    pub(super) fn links(&self, config: &Config) -> Result<Vec<(IpAddr, String)>> {
        self.note_links(config)?;
        let mut lines = Vec::new();
        for Link { alias, to } in self.linked(config).collect::<Result<Vec<_>>>()? {
            let names = host_names(alias, &to.config);
            let addresses = self.default_addresses(&to.config)?;
            if !to.config.network.endpoints.iter().any(|endpoint| endpoint.network == "bridge") {
                return Err(Error::conflict(format!(
                    "container {} not attached to default bridge network: connect it, or make a network for both",
                    to.config.id
                )));
            }
            if addresses.is_empty() {
                // It is just ending, or starting.
                return Err(not_running(alias, &to, config));
            }
            lines.extend(addresses.into_iter().map(|address| (address, names.clone())));
        }
        Ok(lines)
    }

    /// Tells those that are linked to a container where it is now; no addresses: that it is there no more.
    pub(super) fn tell_linked(&self, config: &Config, addresses: &[IpAddr]) {
        for id in self.linked_to(&config.id) {
            // What is wrong with another is in nobody's way.
            let other: Option<Config> = self.read_config(&id).ok().flatten();
            let Some(other) = other else { continue };
            let aliases: Vec<_> = other.network.links.iter().map(|link| parse(link)).collect();
            let aliases: Vec<_> =
                aliases.into_iter().filter(|(to, _)| *to == config.id).map(|(_, alias)| alias).collect();
            let theirs = |line: &str| aliases.iter().any(|alias| is_of(line, alias));
            let line = |alias: &&str| addresses.iter().map(|&at| (at, host_names(alias, config))).collect::<Vec<_>>();
            let new: Vec<_> = aliases.iter().flat_map(line).collect();
            let _ = edit_hosts(&self.etc_file(&other, "hosts"), theirs, &new);
        }
    }

    /// Takes a link from a container: `rm --link CONTAINER/ALIAS`.
    pub fn remove_link(&self, link: &str) -> Result<()> {
        let bad = || {
            Error::invalid(format!(
                "Conflict, cannot remove the default link name of the container: {link}: write CONTAINER/ALIAS"
            ))
        };
        let (name, alias) = link.trim_matches('/').split_once('/').ok_or_else(bad)?;
        let (_lock, Container { mut config, .. }) = self.hold(&self.container_id(name)?)?;
        let links = &mut config.network.links;
        let at = links.iter().position(|link| parse(link).1 == alias);
        let at = at.ok_or_else(|| {
            Error::not_found(format!("could not find link {alias} of container {name}: inspect shows its Links"))
        })?;
        links.remove(at);
        self.write_config(&config)?;
        edit_hosts(&self.etc_file(&config, "hosts"), |line| is_of(line, alias), &[])
    }

    /// `HostConfig.Links`.
    pub(super) fn described_links(&self, config: &Config) -> Vec<String> {
        let one = |link: &String| {
            let (to, alias) = parse(link);
            let name = self.container(to).map_or_else(|_| short(to).to_owned(), |to| to.config.name);
            format!("/{name}:/{}/{alias}", config.name)
        };
        config.network.links.iter().map(one).collect()
    }

    /// What its variables say of the containers of `--link`, as Docker's: their ports, and their own variables. Once it
    /// runs, who is gone is left out.
    pub(in crate::engine) fn link_variables(&self, container: &Container) -> Result<Vec<String>> {
        let config = &container.config;
        let mut all = Vec::new();
        let mut links = self.linked(config).collect::<Vec<_>>();
        if container.status.state.is_alive() {
            links.retain(Result::is_ok);
        }
        for Link { alias, to } in links.into_iter().collect::<Result<Vec<_>>>()? {
            let Some(address) = self.default_addresses(&to.config)?.into_iter().find(IpAddr::is_ipv4) else { continue };
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
            let (name, alias) = parse(link);
            let to = self.container(name).map_err(|e| {
                let own = &config.name;
                Error::new(
                    e.kind,
                    format!("link {alias} of {own}: {e}: take the link away (mini-docker rm --link {own}/{alias})"),
                )
            })?;
            if to.status.state != State::Running {
                return Err(not_running(alias, &to, config));
            }
            Ok(Link { alias, to })
        })
    }

    /// A container's addresses on the default network.
    fn default_addresses(&self, config: &Config) -> Result<Vec<IpAddr>> {
        let host = self.host_on(&self.network("bridge")?, &config.id)?;
        Ok(host.map(|host| host.addresses).unwrap_or_default())
    }
}

fn not_running(alias: &str, to: &Container, config: &Config) -> Error {
    Error::conflict(format!(
        "cannot link to a non running container: /{} AS /{}/{alias}: start it first",
        to.config.name, config.name
    ))
}

/// Whether a line of /etc/hosts is a link's: its alias first, and at least another name.
fn is_of(line: &str, alias: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_loopback = words.next().and_then(|address| address.parse().ok()).is_some_and(|at: IpAddr| at.is_loopback());
    !is_loopback && words.next() == Some(alias) && words.next().is_some()
}

/// What a link's line of /etc/hosts has after the address.
fn host_names(alias: &str, to: &Config) -> String {
    let also = if alias == to.name { String::new() } else { format!(" {}", to.name) };
    format!("{alias} {}{also}", to.hostname)
}
