//! Ports of the host that lead to a container.

use std::{fs, io, net::IpAddr, path::PathBuf};

use ports::Binding;
use process::netlink::nftables;
use serde::{Deserialize, Serialize};

use crate::engine::{
    Engine,
    container::Container,
    error::{Context, Error, Result},
    files::{Durability, read_json, write_json},
    store::make_directory,
};

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Published {
    /// The container's port.
    pub container: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The host's address; unspecified is all of its family.
    pub address: IpAddr,
    /// The host's port.
    pub host: u16,
}

impl Published {
    /// Docker's name for the container's port: `80/tcp`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.container, self.protocol)
    }
}

impl Engine {
    fn ports_file(&self, id: &str) -> PathBuf {
        self.store.run(id).join("ports.json")
    }

    /// Writes down which ports of the host a container got.
    pub(super) fn write_ports(&self, id: &str, bindings: &[Binding]) -> Result<()> {
        let mut all = Vec::new();
        for binding in bindings {
            all.extend((0..binding.count).map(|n| Published {
                container: binding.container + n,
                protocol: binding.protocol.to_string(),
                address: binding.address,
                host: binding.host + n,
            }));
        }
        all.sort();
        write_json(&self.ports_file(id), &all, Durability::Process)
    }

    /// The ports of the host that lead to a running container, by the container's port.
    pub fn published_ports(&self, container: &Container) -> Result<Vec<Published>> {
        if container.config.network.publish.is_empty() && !container.config.network.publish_all {
            return Ok(Vec::new());
        }
        Ok(read_json(&self.ports_file(&container.config.id))?.unwrap_or_default())
    }

    /// The same for those who bind them again.
    pub(super) fn bindings(&self, id: &str) -> Vec<Binding> {
        let all: Option<Vec<Published>> = read_json(&self.ports_file(id)).ok().flatten();
        let binding = |port: Published| {
            let protocol = port.protocol.parse().ok()?;
            Some(Binding { protocol, address: port.address, host: port.host, container: port.container, count: 1 })
        };
        let mut joined: Vec<Binding> = Vec::new();
        for next in all.into_iter().flatten().filter_map(binding) {
            // Ranges are kept together: they take one element.
            match joined.iter_mut().find(|last| {
                (last.protocol, last.address) == (next.protocol, next.address)
                    && last.host.checked_add(last.count) == Some(next.host)
                    && last.container.checked_add(last.count) == Some(next.container)
            }) {
                Some(last) => last.count += 1,
                None => joined.push(next),
            }
        }
        joined
    }

    fn garbage(&self) -> PathBuf {
        self.network_run().join("garbage")
    }

    /// Marks the elements of `owner` as nobody's.
    pub(super) fn discard_ports(&self, owner: &str) -> Result<()> {
        make_directory(&self.garbage(), 0o700)?;
        let path = self.garbage().join(owner);
        fs::write(&path, []).doing("write", &path)
    }

    /// Removes what is nobody's any more from nftables. Takes the kernel some milliseconds: not for while somebody waits.
    pub(in crate::engine) fn sweep_ports(&self) -> Result<()> {
        let path = self.garbage();
        let owners: Vec<String> = match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => {
                entries.doing("read", &path)?.flatten().filter_map(|e| e.file_name().into_string().ok()).collect()
            }
        };
        if owners.is_empty() {
            return Ok(());
        }
        let table = self.nftables_table();
        nftables::remove_owned(&table, &ports::MAPS.map(str::to_owned), |owner| {
            owners.iter().any(|other| other == owner)
        })
        .map_err(|refusal| Error::system(format_args!("remove ports from the table {table}"), &refusal.errno.into()))?;
        for owner in owners {
            // Somebody else may have swept too.
            let _ = fs::remove_file(path.join(owner));
        }
        Ok(())
    }
}
