//! Ports of the host that lead to a container.

use std::{
    fs::{self, OpenOptions},
    io,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ports::Binding;
use process::Errno;
use serde::{Deserialize, Serialize};

use crate::engine::{
    Engine,
    container::Container,
    error::{Context, Error, Result},
    files::{Durability, read_json, write_json},
    store::make_directory,
};

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
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
        let all: Vec<Line> = bindings.iter().map(Line::from).collect();
        write_json(&self.ports_file(id), &all, Durability::Process)
    }

    /// The ports of the host that lead to a running container, by the container's port.
    pub fn published_ports(&self, container: &Container) -> Result<Vec<Published>> {
        if container.config.network.publish.is_empty() && !container.config.network.publish_all {
            return Ok(Vec::new());
        }
        let one = |binding: Binding| {
            (0..binding.count).map(move |n| Published {
                container: binding.container + n,
                protocol: binding.protocol.to_string(),
                address: binding.address,
                host: binding.host + n,
            })
        };
        let mut all: Vec<Published> =
            read_bindings(&self.ports_file(&container.config.id))?.into_iter().flat_map(one).collect();
        all.sort();
        Ok(all)
    }

    /// The same for those who bind them again.
    pub(super) fn bindings(&self, id: &str) -> Vec<Binding> {
        read_bindings(&self.ports_file(id)).unwrap_or_default()
    }

    fn garbage(&self) -> PathBuf {
        self.network_run().join("garbage")
    }

    /// Marks the elements of `owner`, a container's, as nobody's: its file of ports says which they are. Where there is none
    /// it was killed before it could be written.
    pub(super) fn discard_ports(&self, id: &str, owner: &str) -> Result<()> {
        make_directory(&self.garbage(), 0o700)?;
        let path = self.garbage().join(owner);
        let moved = match fs::rename(self.ports_file(id), &path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                OpenOptions::new().append(true).create(true).open(&path).map(drop)
            }
            moved => moved,
        };
        moved.doing("write", &path)
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
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for owner in &owners {
            match read_bindings(&path.join(owner)) {
                Ok(bindings) if !bindings.is_empty() => known.push((owner.clone(), bindings)),
                _ => unknown.push(owner),
            }
        }
        let table = self.nftables_table();
        let removed = ports::remove(&table, &known).and_then(|count| match unknown[..] {
            [] => Ok(count),
            _ => ports::repair(&table, |owner| !unknown.iter().any(|other| *other == owner)),
        });
        match removed {
            // Others change so much that it has to wait for a better moment.
            Err(refusal) if refusal.errno == Errno::EAGAIN => return Ok(()),
            removed => removed.map_err(|refusal| {
                Error::system(format_args!("remove ports from the table {table}"), &refusal.errno.into())
            })?,
        };
        for owner in owners {
            // Somebody else may have swept too.
            let _ = fs::remove_file(path.join(owner));
        }
        Ok(())
    }
}

/// A part of a published range, as it is written down.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    protocol: String,
    address: IpAddr,
    host: u16,
    container: u16,
    count: u16,
}

impl From<&Binding> for Line {
    fn from(binding: &Binding) -> Self {
        let Binding { protocol, address, host, container, count } = *binding;
        Self { protocol: protocol.to_string(), address, host, container, count }
    }
}

/// None where there is no such file, or an empty one.
fn read_bindings(path: &Path) -> Result<Vec<Binding>> {
    if fs::metadata(path).is_ok_and(|found| found.len() == 0) {
        return Ok(Vec::new());
    }
    let lines: Vec<Line> = read_json(path)?.unwrap_or_default();
    let binding = |line: Line| {
        let protocol = line.protocol.parse().ok()?;
        let Line { address, host, container, count, .. } = line;
        Some(Binding { protocol, address, host, container, count })
    };
    Ok(lines.into_iter().filter_map(binding).collect())
}
