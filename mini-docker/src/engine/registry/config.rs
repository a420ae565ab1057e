//! Which registries have mirrors, and which may be spoken to without TLS.
//!
//! `/etc/mini-docker/config.json`, or the file that `MINI_DOCKER_CONFIG` names, with the keys of Docker's daemon.json:
//!
//! ```json
//! { "registry-mirrors": ["https://mirror.example.org"], "insecure-registries": ["registry.lan:5000", "10.0.0.0/8"] }
//! ```

use std::{net::IpAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

use crate::engine::{
    error::{Error, Kind, Result},
    files::read_json,
    reference::DEFAULT_DOMAIN,
};

/// Where the file is.
pub fn path() -> PathBuf {
    std::env::var_os("MINI_DOCKER_CONFIG").map_or_else(|| "/etc/mini-docker/config.json".into(), PathBuf::from)
}

/// The file's contents.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Config {
    /// Tried before Docker's own registry, in this order.
    registry_mirrors: Vec<String>,
    /// `HOST[:PORT]` or networks, where TLS is not verified or not there at all.
    insecure_registries: Vec<String>,
    /// Seconds without a byte after which a connection counts as dead.
    timeout: Option<u64>,
}

/// Where a registry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://HOST[:PORT]`, without a slash at its end.
    pub base: String,
    /// Whether its certificate is not asked for, and plain HTTP is good enough.
    pub insecure: bool,
}

impl Config {
    /// Reads the file; where there is none, everything is as usual.
    pub fn read() -> Result<Self> {
        let hint = |e: Error| {
            Error::new(Kind::Invalid, format!("{e}; its keys are registry-mirrors, insecure-registries and timeout"))
        };
        Ok(read_json(&path()).map_err(hint)?.unwrap_or_default())
    }

    /// How long to wait for a byte.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.unwrap_or(30).max(1))
    }

    /// Where to look for what is in the registry `domain`, the best place first. Only the last one is written to.
    pub fn endpoints(&self, domain: &str) -> Vec<Endpoint> {
        let own = if domain == DEFAULT_DOMAIN { "registry-1.docker.io" } else { domain };
        let mut endpoints = Vec::new();
        if domain == DEFAULT_DOMAIN {
            endpoints.extend(self.registry_mirrors.iter().map(|mirror| {
                let base = mirror.trim_end_matches('/');
                let host = base.split_once("://").map_or(base, |(_, host)| host);
                let base = if base.contains("://") { base.to_owned() } else { format!("https://{base}") };
                Endpoint { insecure: self.is_insecure(host) || base.starts_with("http://"), base }
            }));
        }
        endpoints.push(Endpoint { base: format!("https://{own}"), insecure: self.is_insecure(own) });
        endpoints
    }

    /// Where to search the registry `domain`: Docker's own has another host for that.
    pub fn search_endpoint(&self, domain: &str) -> Endpoint {
        let host = if domain == DEFAULT_DOMAIN { "index.docker.io" } else { domain };
        Endpoint { base: format!("https://{host}"), insecure: self.is_insecure(host) }
    }

    /// As for Docker, a registry on this machine is.
    fn is_insecure(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let address = name.parse::<IpAddr>().ok();
        name == "localhost"
            || address.is_some_and(|address| address.is_loopback())
            || self
                .insecure_registries
                .iter()
                .any(|entry| entry == host || entry == name || address.is_some_and(|address| is_in(address, entry)))
    }
}

/// Whether an address is in a network, `ADDRESS/BITS`.
fn is_in(address: IpAddr, network: &str) -> bool {
    let Some((base, bits)) = network.split_once('/') else { return false };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |a: u128, b: u128, width: u32| bits == 0 || (bits <= width && (a ^ b) >> (width - bits) == 0);
    match (address, base) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_where_docker_finds_them() {
        let config: Config = serde_json::from_str(
            r#"{"registry-mirrors": ["http://m:1/"], "insecure-registries": ["r.lan:5000", "10.0.0.0/8", "fd00::/16"]}"#,
        )
        .unwrap();
        let bases = |domain: &str| {
            let endpoints = config.endpoints(domain).into_iter();
            endpoints.map(|e| format!("{}{}", if e.insecure { "!" } else { "" }, e.base)).collect::<Vec<_>>()
        };
        assert_eq!(bases("docker.io"), ["!http://m:1", "https://registry-1.docker.io"]);
        assert_eq!(bases("example.org"), ["https://example.org"]);
        for insecure in ["localhost:5000", "127.0.0.2", "[::1]:5000", "r.lan:5000", "10.9.8.7:80", "[fd00::1]"] {
            assert_eq!(bases(insecure), [format!("!https://{insecure}")]);
        }
        for secure in ["r.lan:5001", "11.0.0.1", "localhost.example.org", "[fd01::1]:5000"] {
            assert_eq!(bases(secure), [format!("https://{secure}")]);
        }
        assert!(serde_json::from_str::<Config>(r#"{"mirrors": []}"#).is_err());
    }
}
