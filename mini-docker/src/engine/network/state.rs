//! Who is on a network now: a file for each place, in the format that the resolvers read (see [`dns::HostState`]).
//!
//! What is in it is in its name too, as far as others need it to find a place of their own, and the names are in one file
//! besides: to list the directory took 0.4 ms of a start beside five hundred others.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Config, choose::names};
use crate::engine::{
    Engine,
    container::{Config as ContainerConfig, network::Endpoint},
    error::{Context, Result},
    files::{Durability, read_json, write_atomic, write_json},
    image::short,
    store::make_directory,
};

/// A container on a network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Host {
    /// The network's name.
    pub network: String,
    /// Whether it has no way out.
    pub internal: bool,
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
    /// How often its name has changed since it came.
    #[serde(default)]
    pub renamed: u32,
}

impl Host {
    /// The name of its file: container, place, and addresses. Another one for each change: resolvers read a file once.
    fn file_name(&self) -> String {
        let addresses = self.addresses.iter().map(|address| format!("-{address}"));
        let renamed = if self.renamed == 0 { String::new() } else { format!("-r{}", self.renamed) };
        format!("{}-{}{}{renamed}", self.container, short(&self.endpoint), addresses.collect::<String>())
    }
}

// ANCHOR: places
/// In a network's directory, the names of its files, a line each. Some that were never written may be among them, but none is
/// missing: a name comes in first, and goes last.
const LIST: &str = ".list";

/// The files of a network's places, as listed. Only for one who holds the network's lock they are so still.
#[derive(Debug)]
pub(super) struct Places {
    directory: PathBuf,
    names: Vec<String>,
    taken: HashSet<IpAddr>,
    /// Whether the names are in [`LIST`].
    listed: bool,
}

impl Places {
    fn list(directory: PathBuf) -> Result<Self> {
        // Who is killed while he writes leaves a line without an end.
        let text = fs::read_to_string(directory.join(LIST)).ok().filter(|text| text.ends_with('\n'));
        let names = match &text {
            Some(text) => text.lines().map(str::to_owned).collect(),
            None => found(&directory)?,
        };
        let mut places = Self { directory, names, taken: HashSet::new(), listed: text.is_some() };
        places.count();
        Ok(places)
    }

    fn count(&mut self) {
        self.taken = self.names.iter().flat_map(|name| name.split('-').skip(2)).flat_map(str::parse).collect();
    }
    // ANCHOR_END: places

    /// Whether somebody has the address.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.taken.contains(&address)
    }

    /// Whether nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Who is there, as far as `meant` says by the container's id.
    pub(super) fn hosts(&self, meant: impl Fn(&str) -> bool) -> Result<Vec<Host>> {
        let names = self.names.iter().filter(|name| meant(container(name)));
        names.filter_map(|name| read_json(&self.directory.join(name)).transpose()).collect()
    }

    /// Gives a container its place. The caller holds the network's lock.
    pub(super) fn add(&mut self, host: &Host) -> Result<()> {
        make_directory(&self.directory, 0o700)?;
        self.names.push(host.file_name());
        let path = self.directory.join(LIST);
        if self.listed {
            let file = OpenOptions::new().append(true).open(&path);
            let line = host.file_name() + "\n";
            file.and_then(|mut file| file.write_all(line.as_bytes())).doing("write", &path)?;
        } else {
            self.write_list()?;
        }
        self.taken.extend(&host.addresses);
        write_json(&self.directory.join(host.file_name()), host, Durability::Process)
    }

    /// Takes their places from those of whom `stays` says no; whether there was one. The caller holds the network's lock.
    pub(super) fn keep(&mut self, stays: impl Fn(&str) -> bool) -> Result<bool> {
        self.keep_files(|name| stays(container(name)))
    }

    fn keep_files(&mut self, stays: impl Fn(&str) -> bool) -> Result<bool> {
        if self.names.iter().all(|name| stays(name)) && !self.names.is_empty() {
            return Ok(false);
        }
        let (kept, gone): (Vec<_>, Vec<_>) = self.names.drain(..).partition(|name| stays(name));
        self.names = kept;
        for name in &gone {
            let path = self.directory.join(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).doing("remove", &path),
                _ => {}
            }
        }
        if self.names.is_empty() {
            // With what a killed writer left.
            match fs::remove_dir_all(&self.directory) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).doing("remove", &self.directory),
                _ => {}
            }
            self.listed = false;
        } else {
            self.write_list()?;
        }
        self.count();
        Ok(!gone.is_empty())
    }

    fn write_list(&mut self) -> Result<()> {
        let text: String = self.names.iter().flat_map(|name| [name.as_str(), "\n"]).collect();
        write_atomic(&self.directory.join(LIST), text.as_bytes(), Durability::Process)?;
        self.listed = true;
        Ok(())
    }
}

/// The names of the files in a network's directory.
fn found(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.doing("read", directory)?,
    };
    // Those with a dot are being written, or never were to their end.
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

/// The container's id, from the name of a file.
fn container(name: &str) -> &str {
    name.split('-').next().unwrap_or_default()
}

impl Engine {
    pub(super) fn network_run(&self) -> PathBuf {
        self.store.run("networks")
    }

    /// Where the resolvers find who is on a network.
    pub(super) fn places_directory(&self, id: &str) -> PathBuf {
        self.network_run().join(id)
    }

    /// What tells the resolvers that something has changed: see [`dns::Mark`].
    pub(super) fn mark(&self) -> PathBuf {
        self.network_run().join("mark")
    }

    /// The places on a network.
    pub(super) fn places(&self, id: &str) -> Result<Places> {
        Places::list(self.places_directory(id))
    }

    /// Whom `meant` means, by the container's id, of those who are on a network.
    pub(super) fn hosts_on(&self, network: &Config, meant: impl Fn(&str) -> bool) -> Result<Vec<Host>> {
        self.places(&network.id)?.hosts(meant)
    }

    /// A container's place on a network.
    pub(super) fn host_on(&self, network: &Config, container: &str) -> Result<Option<Host>> {
        Ok(self.hosts_on(network, |id| id == container)?.pop())
    }

    /// Whether there is a container on a network, with whatever has been left by those that were killed.
    pub(super) fn is_occupied(&self, network: &Config) -> Result<bool> {
        Ok(!self.hosts_on(network, |id| self.is_present(id))?.is_empty())
    }

    /// Has a container's places say its new name. The caller holds the container's lock.
    pub(in crate::engine) fn rename_host(&self, config: &ContainerConfig) -> Result<()> {
        for id in self.presence(&config.id)?.unwrap_or_default().networks {
            let Some(network) = read_json::<Config>(&self.network_file(&id))? else { continue };
            let _lock = self.lock_network(&network)?;
            let mut places = self.places(&id)?;
            // Who was killed while he did the same left two.
            let hosts = places.hosts(|id| id == config.id)?.into_iter();
            let Some(mut host) = hosts.max_by_key(|host| host.renamed) else { continue };
            let endpoint = config.network.endpoints.iter().find(|endpoint| endpoint.network == network.name);
            host.names = names(config, endpoint.unwrap_or(&Endpoint::default()));
            host.renamed += 1;
            places.add(&host)?;
            let new = host.file_name();
            places.keep_files(|name| container(name) != config.id || name == new)?;
        }
        self.tell_resolvers()
    }

    /// Forgets those of whom `stays` says no. The caller holds the network's lock.
    pub(super) fn keep_hosts(&self, network: &Config, stays: impl Fn(&str) -> bool) -> Result<()> {
        self.places(&network.id)?.keep(stays)?;
        self.tell_resolvers()
    }

    /// Has the resolvers look at who is there before they answer again: after each change.
    pub(super) fn tell_resolvers(&self) -> Result<()> {
        let mark = self.mark();
        match dns::Mark::set(&mark) {
            // Nobody has been on any network, so that nobody asks.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            told => told.doing("write", &mark),
        }
    }

    /// The ids of networks that somebody is on, or was until he was killed.
    pub(super) fn occupied_networks(&self) -> Vec<String> {
        let entries = fs::read_dir(self.network_run()).into_iter().flatten().flatten();
        let is_id = |name: &String| name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(is_id).collect()
    }

    /// Whether nobody is on one of them: a killed command may leave its directory.
    pub(super) fn is_deserted(&self, id: &str) -> bool {
        self.places(id).is_ok_and(|places| places.is_empty())
    }

    /// Whether the container runs, is starting or ending.
    pub(super) fn is_present(&self, id: &str) -> bool {
        self.presence_file(id).exists() && self.runs(id)
    }
}
