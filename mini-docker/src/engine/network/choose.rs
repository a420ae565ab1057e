//! Which addresses and names a container gets in a network.

use process::netlink::Prefix;

use super::{Config, address, state::Places};
use crate::engine::{
    container::{Config as ContainerConfig, network::Endpoint},
    error::{Error, Result},
    image::short,
};

/// Refuses an address of the user's choice where the network's own were not chosen, in Docker's words.
pub(super) fn check_addresses(network: &Config, endpoint: &Endpoint) -> Result<()> {
    for wanted in [endpoint.ip, endpoint.ip6].into_iter().flatten() {
        if network.is_predefined() {
            return Err(Error::invalid("user specified IP address is supported on user defined networks only"));
        }
        let chosen = |pool: &super::Pool| pool.chosen && pool.subnet.address.is_ipv4() == wanted.is_ipv4();
        if !network.pools.iter().any(chosen) {
            return Err(Error::invalid(
                "user specified IP address is supported only when connecting to networks with user configured subnets: make the network with --subnet",
            ));
        }
    }
    Ok(())
}

/// An address in each of the network's families.
pub(super) fn choose(network: &Config, endpoint: &Endpoint, places: &Places) -> Result<Vec<Prefix>> {
    let mut addresses = Vec::new();
    for v4 in [true, false] {
        let wanted = if v4 { endpoint.ip } else { endpoint.ip6 };
        let mut pools = network.pools.iter().filter(|pool| pool.subnet.address.is_ipv4() == v4).peekable();
        if pools.peek().is_none() {
            if let Some(wanted) = wanted {
                return Err(Error::invalid(format!(
                    "invalid address {wanted}: network {} has none of that family",
                    network.name
                )));
            }
            continue;
        }
        // Of several subnets the one that has the address, or the first with a free one.
        let mut last = None;
        for pool in
            pools.filter(|pool| wanted.is_none_or(|wanted| pool.subnet.contains(wanted)) || network.pools.len() == 1)
        {
            match address::pick(pool, wanted, |address| places.has(address), &network.name) {
                Ok(prefix) => {
                    addresses.push(prefix);
                    last = None;
                    break;
                }
                Err(e) => last = Some(e),
            }
        }
        if let Some(e) = last {
            return Err(e);
        }
        if let Some(wanted) = wanted
            && !addresses.iter().any(|prefix| prefix.address == wanted)
        {
            return Err(Error::invalid(format!(
                "invalid address {wanted}: it does not belong to any of the subnets of network {}",
                network.name
            )));
        }
    }
    Ok(addresses)
}

/// The container's name, its aliases, its short id and its host name, each once.
pub(super) fn names(container: &ContainerConfig, endpoint: &Endpoint) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let own = [container.name.as_str()].into_iter();
    let all = own.chain(endpoint.aliases.iter().map(String::as_str)).chain([short(&container.id), &container.hostname]);
    for name in all.map(str::to_ascii_lowercase) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
