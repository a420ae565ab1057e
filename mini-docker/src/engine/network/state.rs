//! Who is on a network now. In the format that the resolvers read: see [`dns::NetworkState`].

use std::{fs, io, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::Config;
use crate::engine::{
    Engine,
    error::{Context, Result},
    files::{Durability, read_json, write_json},
    store::make_directory,
};

/// A network's state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct State {
    /// The network's name.
    pub network: String,
    /// Whether it has no way out.
    pub internal: bool,
    /// Who is on it.
    pub hosts: Vec<Host>,
}

/// A container on a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Host {
    /// The container's id.
    pub container: String,
    /// Its place in the network: 64 hexadecimal digits, others at each start.
    pub endpoint: String,
    /// IPv4 and IPv6.
    pub addresses: Vec<IpAddr>,
    /// The hardware address.
    pub mac: String,
    /// The interface in the container.
    pub interface: String,
    /// Its name, and then other names that it goes by.
    pub names: Vec<String>,
}

impl State {
    /// Whether somebody has the address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.hosts.iter().any(|host| host.addresses.contains(&address))
    }
}

impl Engine {
    pub(super) fn network_run(&self) -> PathBuf {
        self.store.run("networks")
    }

    /// Where the resolvers find it.
    pub(super) fn state_file(&self, id: &str) -> PathBuf {
        self.network_run().join(format!("{id}.json"))
    }

    /// Who is on a network, as last written.
    pub(super) fn network_state(&self, network: &Config) -> Result<State> {
        let state = read_json(&self.state_file(&network.id))?;
        Ok(state.unwrap_or_else(|| State {
            network: network.name.clone(),
            internal: network.internal,
            hosts: Vec::new(),
        }))
    }

    /// Replaces it. The caller holds the network's lock.
    pub(super) fn write_network_state(&self, id: &str, state: &State) -> Result<()> {
        let path = self.state_file(id);
        if !state.hosts.is_empty() {
            make_directory(&self.network_run(), 0o700)?;
            return write_json(&path, state, Durability::Process);
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e).doing("remove", &path),
            _ => Ok(()),
        }
    }

    /// Forgets those whose containers are gone or do not run: monitors that were killed leave such. The caller holds the
    /// network's lock.
    pub(super) fn drop_void(&self, state: &mut State) {
        state.hosts.retain(|host| self.is_present(&host.container));
    }

    /// Whether the container runs, is starting or ending.
    pub(super) fn is_present(&self, id: &str) -> bool {
        self.presence_file(id).exists() && self.runs(id)
    }
}
