//! What a network is.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use process::netlink::Prefix;
use serde::{Deserialize, Serialize};

use crate::engine::{
    error::{Error, Result},
    go::boolean,
};

/// What a network is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A switch of the host's.
    Bridge,
    /// The host's own network.
    Host,
    /// Loopback alone.
    Null,
    /// Interfaces beside a card of the host's, with addresses of their own on its wire.
    Macvlan,
    /// The same with one hardware address.
    Ipvlan,
    /// What a program of that name makes.
    External(String),
}

impl Driver {
    /// Docker's name for it.
    pub fn name(&self) -> &str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::External(name) => name,
        }
    }
}

/// Addresses of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All of them.
    pub subnet: Prefix,
    /// The host's, where it has one.
    pub gateway: Option<IpAddr>,
    /// Those that are given away; all where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Prefix>,
    /// Those that somebody else has, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, IpAddr>,
    /// Whether the user chose it.
    #[serde(default)]
    pub chosen: bool,
}

/// A network, as it was made. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it is made of.
    pub driver: Driver,
    /// Whether containers get IPv4 addresses.
    pub ipv4: bool,
    /// Whether containers get IPv6 addresses.
    pub ipv6: bool,
    /// Its addresses: at most one of each family, but what the user chose.
    pub pools: Vec<Pool>,
    /// Whether nothing leaves it and nothing enters it.
    pub internal: bool,
    /// Docker's mark for networks of Swarm; means nothing here.
    pub attachable: bool,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Whether the interface below those of the containers was made for it, and goes with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owns_parent: bool,
    /// Whether it is only a description, of which others are made by `--config-from`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub config_only: bool,
    /// The name of the description that it was made of; empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub config_from: String,
}

/// Options of the driver `bridge`, and of others.
const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const HOST_BINDING: &str = "com.docker.network.bridge.host_binding_ipv4";
const DEFAULT_BRIDGE: &str = "com.docker.network.bridge.default_bridge";
const MTU: &str = "com.docker.network.driver.mtu";
const INTERFACE_PREFIX: &str = "com.docker.network.container_iface_prefix";
const PARENT: &str = "parent";
const MACVLAN_MODE: &str = "macvlan_mode";
const IPVLAN_MODE: &str = "ipvlan_mode";
const IPVLAN_FLAG: &str = "ipvlan_flag";

impl Config {
    pub(super) fn predefined(id: String, name: &str, driver: Driver) -> Self {
        Self {
            id,
            name: name.to_owned(),
            created: Timestamp::UNIX_EPOCH,
            driver,
            ipv4: true,
            ipv6: false,
            pools: Vec::new(),
            internal: false,
            attachable: false,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            owns_parent: false,
            config_only: false,
            config_from: String::new(),
        }
    }

    /// Whether it is there by itself.
    pub fn is_predefined(&self) -> bool {
        super::PREDEFINED.contains(&self.name.as_str())
    }

    /// Whether only those are on it whom the user put there: they may have raw sockets of
    /// all kinds, with which one can claim to be another. Strangers have those that `ping` takes.
    pub fn is_of_friends(&self) -> bool {
        self.driver == Driver::Bridge && !self.is_predefined()
    }

    /// The name of its bridge, or of its interfaces' parent: up to 15 bytes.
    pub fn link(&self) -> String {
        let short = self.id.get(..12).unwrap_or(&self.id);
        match (&self.driver, self.parent(), self.options.get(BRIDGE_NAME)) {
            (Driver::Macvlan | Driver::Ipvlan, Some(parent), _) => parent.to_owned(),
            (Driver::Macvlan | Driver::Ipvlan, None, _) => format!("dm-{short}"),
            (_, _, Some(name)) => name.clone(),
            _ => format!("br-{short}"),
        }
    }

    /// The largest packet in bytes, where it was said.
    pub fn mtu(&self) -> Option<u32> {
        self.options.get(MTU).and_then(|text| text.parse().ok())
    }

    /// Whether its containers may talk to each other.
    pub fn icc(&self) -> bool {
        self.option(ICC)
    }

    /// Whether the host's address takes the place of its own on the way out.
    pub fn masquerade(&self) -> bool {
        self.option(MASQUERADE)
    }

    /// The address of the host that ports are published on where nothing is said.
    pub fn host_binding(&self) -> Option<IpAddr> {
        self.options.get(HOST_BINDING).and_then(|text| text.parse().ok())
    }

    /// What its interfaces' names in a container begin with.
    pub fn interface_prefix(&self) -> &str {
        self.options.get(INTERFACE_PREFIX).map_or("eth", String::as_str)
    }

    /// The host's interface below those of the containers, where it was said.
    pub fn parent(&self) -> Option<&str> {
        self.options.get(PARENT).map(String::as_str)
    }

    /// How its interfaces share the parent's wire.
    pub(super) fn kind(&self) -> macvlan::Kind {
        let option = |name: &str| self.options.get(name).map_or("", String::as_str);
        if self.driver == Driver::Macvlan {
            return macvlan::Kind::Macvlan(match option(MACVLAN_MODE) {
                "private" => 1,
                "vepa" => 2,
                "passthru" => 8,
                _ => 4,
            });
        }
        let mode = ["l2", "l3", "l3s"].iter().position(|mode| *mode == option(IPVLAN_MODE)).unwrap_or(0);
        let flag = ["bridge", "private", "vepa"].iter().position(|flag| *flag == option(IPVLAN_FLAG)).unwrap_or(0);
        macvlan::Kind::Ipvlan(mode as u16, flag as u16)
    }

    fn option(&self, name: &str) -> bool {
        self.options.get(name).and_then(|text| boolean(text)).unwrap_or(true)
    }

    pub(super) fn set_default_bridge(&mut self, link: &str) {
        for (name, value) in [(DEFAULT_BRIDGE, "true"), (ICC, "true"), (MASQUERADE, "true"), (HOST_BINDING, "0.0.0.0")]
        {
            self.options.insert(name.to_owned(), value.to_owned());
        }
        self.options.insert(BRIDGE_NAME.to_owned(), link.to_owned());
        self.options.insert(MTU.to_owned(), "1500".to_owned());
    }

    /// Refuses options that are unknown or make no sense.
    pub(super) fn check_options(&self) -> Result<()> {
        for (name, value) in &self.options {
            let invalid = |why: &str| Error::invalid(format!("invalid driver option {name}={value}: {why}"));
            let good = match (name.as_str(), &self.driver) {
                (BRIDGE_NAME | INTERFACE_PREFIX, Driver::Bridge) => {
                    let room = if name == BRIDGE_NAME { 15 } else { 12 };
                    !value.is_empty()
                        && value.len() <= room
                        && !value.contains(['/', ' ', '\0'])
                        && value != "."
                        && value != ".."
                }
                (ICC | MASQUERADE, Driver::Bridge) => boolean(value).is_some(),
                (HOST_BINDING, Driver::Bridge) => value.parse::<std::net::Ipv4Addr>().is_ok(),
                (MTU, _) => value.parse::<u32>().is_ok_and(|mtu| (68..=65535).contains(&mtu)),
                (PARENT, Driver::Macvlan | Driver::Ipvlan) => !value.is_empty() && value.len() <= 15,
                (MACVLAN_MODE, Driver::Macvlan) => ["bridge", "private", "vepa", "passthru"].contains(&value.as_str()),
                (IPVLAN_MODE, Driver::Ipvlan) => ["l2", "l3", "l3s"].contains(&value.as_str()),
                (IPVLAN_FLAG, Driver::Ipvlan) => ["bridge", "private", "vepa"].contains(&value.as_str()),
                // The plug-in knows them.
                (_, Driver::External(_)) => true,
                _ => return Err(invalid(&format!("the driver {} has no such option", self.driver.name()))),
            };
            if !good {
                return Err(invalid("bad value"));
            }
        }
        Ok(())
    }
}
