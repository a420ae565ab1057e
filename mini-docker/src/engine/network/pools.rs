//! The addresses of a network that is made: the user's choice, and what he left open.

use std::{collections::BTreeMap, net::IpAddr};

use process::netlink::Prefix;

use super::{Config, Pool, Request, address};
use crate::engine::{
    Engine,
    error::{Error, Result},
};

impl Engine {
    /// The user's pools, and others where they are missing: none overlaps another network's.
    pub(super) fn pools(&self, config: &Config, mut pools: Vec<Pool>, others: &[Config]) -> Result<Vec<Pool>> {
        // What only describes others has nothing.
        let others: Vec<&Config> = others.iter().filter(|other| !other.config_only).collect();
        let taken: Vec<Prefix> = others.iter().flat_map(|other| &other.pools).map(|pool| pool.subnet).collect();
        for pool in &pools {
            let wrong =
                others.iter().find(|other| other.pools.iter().any(|theirs| theirs.subnet.overlaps(&pool.subnet)));
            if let Some(other) = wrong {
                return Err(Error::conflict(format!(
                    "invalid pool request: Pool overlaps with other one on this address space: {} and network {}: choose another subnet",
                    pool.subnet, other.name
                )));
            }
        }
        if config.ipv4 && !pools.iter().any(|pool| pool.subnet.address.is_ipv4()) {
            let key = (!self.is_default_store()).then(|| self.store.key());
            pools.insert(0, made(address::free_subnet(key, &taken)?));
        }
        if config.ipv6 && !pools.iter().any(|pool| pool.subnet.address.is_ipv6()) {
            pools.push(made(address::local_subnet(&config.id)));
        }
        if !config.ipv6 {
            // As Docker: a subnet of a family that is not enabled is kept, and not used.
            pools.retain(|pool| pool.subnet.address.is_ipv4());
        }
        if !config.ipv4 {
            pools.retain(|pool| pool.subnet.address.is_ipv6());
        }
        Ok(pools)
    }
}

/// One that nobody chose: the host has its first address.
fn made(subnet: Prefix) -> Pool {
    Pool { subnet, gateway: Some(subnet.host(1).address), range: None, reserved: BTreeMap::new(), chosen: false }
}

/// What the user said of addresses, put together by subnet.
pub(super) fn chosen_pools(request: &Request) -> Result<Vec<Pool>> {
    let mut pools: Vec<Pool> = Vec::new();
    for text in &request.subnets {
        let subnet = prefix(text)?;
        if subnet != subnet.network() {
            return Err(Error::invalid(format!("invalid subnet {subnet}: it should be {}", subnet.network())));
        }
        if subnet.length > subnet.bits() - 2 {
            return Err(Error::invalid(format!(
                "invalid subnet {subnet}: it is too small for a gateway and a container"
            )));
        }
        if pools.iter().any(|pool| pool.subnet.overlaps(&subnet)) {
            return Err(Error::invalid("multiple overlapping subnet configuration is not supported"));
        }
        pools.push(Pool { chosen: true, ..made(subnet) });
    }
    for text in &request.ranges {
        let range = prefix(text)?.network();
        let pool =
            pools.iter_mut().find(|pool| pool.subnet.contains(range.address) && pool.subnet.length <= range.length);
        let pool =
            pool.ok_or_else(|| Error::invalid(format!("no matching subnet for range {text}: give it with --subnet")))?;
        if pool.range.replace(range).is_some() {
            return Err(Error::invalid("cannot configure multiple ranges on the same subnet"));
        }
    }
    let mut given: Vec<IpAddr> = Vec::new();
    for text in &request.gateways {
        let (gateway, pool) = inside(&mut pools, text, "gateway")?;
        if given.iter().any(|other| pool.subnet.contains(*other)) {
            return Err(Error::invalid("cannot configure multiple gateways for the same subnet"));
        }
        given.push(gateway);
        pool.gateway = Some(gateway);
    }
    for (name, text) in &request.reserved {
        let (address, pool) = inside(&mut pools, text, "aux-address")?;
        pool.reserved.insert(name.clone(), address);
        // The first address is the gateway's only where nobody else has it.
        if pool.gateway == Some(address) && !given.contains(&address) {
            let next =
                (2..64).map(|host| pool.subnet.host(host).address).find(|a| !pool.reserved.values().any(|r| r == a));
            pool.gateway = next;
        }
    }
    Ok(pools)
}

fn inside<'a>(pools: &'a mut [Pool], text: &str, what: &str) -> Result<(IpAddr, &'a mut Pool)> {
    let address: IpAddr = text.parse().map_err(|_| Error::invalid(format!("invalid {what} address {text:?}")))?;
    let pool = pools.iter_mut().find(|pool| pool.subnet.contains(address));
    let missing = || Error::invalid(format!("no matching subnet for {what} {text}: give it with --subnet"));
    Ok((address, pool.ok_or_else(missing)?))
}

fn prefix(text: &str) -> Result<Prefix> {
    text.parse().map_err(|e: process::netlink::PrefixError| Error::invalid(e.to_string()))
}
