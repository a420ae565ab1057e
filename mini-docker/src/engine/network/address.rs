//! Which addresses a network and its containers get.

use std::net::IpAddr;

use process::netlink::{Prefix, Socket, route};

use super::config::Pool;
use crate::engine::error::{Error, Result};

/// Docker's default pools: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in sixteen parts.
fn dockers_pools() -> impl Iterator<Item = Prefix> {
    let prefix = |a, b, c, length| Prefix { address: [a, b, c, 0].into(), length };
    (17..=31).map(move |b| prefix(172, b, 0, 16)).chain((0..16).map(move |part| prefix(192, 168, 16 * part, 20)))
}

/// 8,192 networks of a thousand addresses, about as many as a bridge has ports, which other stores than the default one take
/// first, each from another place on: so that Docker, and the default store, find theirs free.
fn small_pools(first: u32) -> impl Iterator<Item = Prefix> {
    const COUNT: u32 = 1 << 13;
    let pool = move |number: u32| {
        let number = first.wrapping_add(number) % COUNT;
        Prefix { address: [10, 128 + (number >> 6) as u8, (number << 2) as u8, 0].into(), length: 22 }
    };
    (0..COUNT).map(pool)
}

/// The first network that is free here and none of `taken`. `key` is the store's, where it is not the default one.
///
/// # Errors
/// There is none.
pub(super) fn free_subnet(key: Option<&str>, taken: &[Prefix]) -> Result<Prefix> {
    let first = key.map(|key| u32::from_str_radix(key, 16).unwrap_or(0));
    let small = small_pools(first.unwrap_or(0));
    let candidates: Vec<Prefix> = match first {
        Some(_) => small.chain(dockers_pools()).collect(),
        None => dockers_pools().chain(small).collect(),
    };
    let free = candidates.into_iter().filter(|candidate| !taken.iter().any(|other| other.overlaps(candidate)));
    let asked = Socket::route().map_err(Into::into).and_then(|socket| route::free_network(&socket, free));
    let found = asked.map_err(|refusal| Error::system("look for a free network", &refusal.errno.into()))?;
    found.ok_or_else(|| {
        Error::conflict(
            "all predefined address pools have been fully subnetted: remove networks (mini-docker network prune), or give a --subnet",
        )
    })
}

/// A unique local network (RFC 4193), from digits of the network's id.
pub(super) fn local_subnet(id: &str) -> Prefix {
    let digits = |at: usize| u16::from_str_radix(id.get(at..at + 4).unwrap_or("0"), 16).unwrap_or(0);
    let segments = [0xfd00 | digits(0) & 0xff, digits(4), digits(8), digits(12), 0, 0, 0, 0];
    Prefix { address: std::net::Ipv6Addr::from(segments).into(), length: 64 }
}

/// The first address of `pool` that is none of `taken`; of the user's choice, if he has one.
///
/// # Errors
/// Docker's words for what is not there.
pub(super) fn pick(
    pool: &Pool,
    wanted: Option<IpAddr>,
    taken: impl Fn(IpAddr) -> bool,
    network: &str,
) -> Result<Prefix> {
    let given = |address| Prefix { address, length: pool.subnet.length };
    let reserved = |address| pool.gateway == Some(address) || pool.reserved.values().any(|other| *other == address);
    if let Some(wanted) = wanted {
        if !pool.subnet.contains(wanted) {
            return Err(Error::invalid(format!(
                "invalid address {wanted}: it does not belong to any of the subnets of network {network} ({})",
                pool.subnet
            )));
        }
        if reserved(wanted) || taken(wanted) {
            return Err(Error::conflict(format!(
                "address already in use: {wanted} of network {network} belongs to somebody else: give another one, or none"
            )));
        }
        return Ok(given(wanted));
    }
    let range = pool.range.unwrap_or(pool.subnet);
    let bits = u32::from(range.bits() - range.length).min(24);
    // In a network of two addresses or one there is none that means all.
    let whole = range.length == pool.subnet.length && bits > 1;
    let (first, last) = if whole { (1, (1_u32 << bits) - 2) } else { (0, (1_u32 << bits) - 1) };
    let last_of_all = pool.subnet.broadcast();
    let free = (first..=last).map(|host| range.host(host).address).find(|&address| {
        let special = pool.subnet.length < pool.subnet.bits() - 1
            && (address == pool.subnet.network().address || address == last_of_all);
        !special && !reserved(address) && !taken(address)
    });
    free.map(given).ok_or_else(|| {
        Error::conflict(format!(
            "no available addresses on network {network}: all of {range} are taken: stop containers, or make a larger network"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: Option<&str>) -> Pool {
        let subnet: Prefix = subnet.parse().unwrap();
        let range = range.map(|range| range.parse().unwrap());
        Pool { subnet, gateway: Some(subnet.host(1).address), range, reserved: [].into(), chosen: true }
    }

    fn picked(pool: &Pool, wanted: Option<&str>, taken: &[&str]) -> Result<String> {
        let taken: Vec<IpAddr> = taken.iter().map(|text| text.parse().unwrap()).collect();
        let address = pick(pool, wanted.map(|text| text.parse().unwrap()), |address| taken.contains(&address), "n");
        address.map(|prefix| prefix.to_string())
    }

    #[test]
    fn the_first_free_address_is_given() {
        let small = pool("10.9.9.0/29", None);
        assert_eq!(picked(&small, None, &[]).unwrap(), "10.9.9.2/29");
        assert_eq!(picked(&small, None, &["10.9.9.2", "10.9.9.3"]).unwrap(), "10.9.9.4/29");
        assert_eq!(picked(&small, Some("10.9.9.6"), &[]).unwrap(), "10.9.9.6/29");
        let all: Vec<String> = (2..7).map(|n| format!("10.9.9.{n}")).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert!(picked(&small, None, &all).unwrap_err().to_string().contains("no available addresses"));
        for (wanted, words) in
            [("10.9.9.1", "already in use"), ("10.9.9.2", "already in use"), ("10.9.8.2", "does not belong")]
        {
            let error = picked(&small, Some(wanted), &["10.9.9.2"]).unwrap_err().to_string();
            assert!(error.contains(words), "{wanted}: {error}");
        }
    }

    #[test]
    fn a_range_limits_what_is_given_and_not_what_is_wanted() {
        let ranged = pool("172.28.0.0/16", Some("172.28.5.0/24"));
        assert_eq!(picked(&ranged, None, &[]).unwrap(), "172.28.5.0/16");
        assert_eq!(picked(&ranged, Some("172.28.9.9"), &[]).unwrap(), "172.28.9.9/16");
        let end = pool("10.1.0.0/24", Some("10.1.0.254/31"));
        assert_eq!(picked(&end, None, &[]).unwrap(), "10.1.0.254/24");
        assert!(picked(&end, None, &["10.1.0.254"]).is_err());
    }

    #[test]
    fn ipv6_works_too() {
        let six = pool("fd00::/64", None);
        assert_eq!(picked(&six, None, &[]).unwrap(), "fd00::2/64");
        assert_eq!(local_subnet("0123456789abcdef").to_string(), "fd23:4567:89ab:cdef::/64");
    }

    #[test]
    fn two_stores_begin_in_different_places() {
        let all = |first| small_pools(first).take(3).map(|p| p.to_string()).collect::<Vec<_>>();
        assert_eq!(all(0x1fff), ["10.255.252.0/22", "10.128.0.0/22", "10.128.4.0/22"]);
        assert_eq!(dockers_pools().count(), 31);
        assert_eq!(dockers_pools().last().unwrap().to_string(), "192.168.240.0/20");
    }
}
