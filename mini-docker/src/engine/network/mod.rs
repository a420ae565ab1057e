//! Networks: what containers are plugged into, who has which address there, and by which names he is found.
//!
//! ```text
//! ROOT/networks/ID.json        what a network is; locked by whoever changes what follows
//! ROOT/networks/names/NAME     the same file by another link, taken by link(2)
//! RUN/networks/ID/PLACE        who is on it now, a file each: addresses and names. The resolvers read them
//! RUN/networks/mark            other eight bytes after each change there: what the resolvers look at
//! RUN/networks/garbage/OWNER   elements of nftables that nobody needs any more: removed late, all at once
//! RUN/ID/networks.json         which networks a running container is on: written before it takes anything there
//! RUN/ID/guests                others are in its network too
//! RUN/ID/ports.json            which ports of the host lead to it
//! ```
//!
//! An address belongs to a container that runs. What a killed monitor leaves is void: whoever wants it takes it.

mod address;
mod beside_docker;
mod choose;
mod config;
mod connect;
mod create;
mod external;
mod files;
mod inherit;
mod inspect;
mod join;
mod leaks;
mod leave;
mod links;
mod parent;
mod pools;
mod ports;
mod remove;
mod resolver;
mod state;
mod user_mode;

pub use config::{Config, Driver, Pool};
pub use create::Request;
pub(in crate::engine) use files::FILES;
pub use ports::Published;
pub use resolver::Attendance;

use std::{fs, io, path::PathBuf};

use sha2::{Digest, Sha256};

use super::{
    Engine,
    error::{Context, Error, Kind, Result},
    files::{Lock, read_json},
    store::hex,
};

/// The networks that are there by themselves.
pub const PREDEFINED: [&str; 3] = ["bridge", "host", "none"];

/// The name of the store at the default root has no key in it: there is one on a machine.
const DEFAULT_ROOT: &str = "/var/lib/mini-docker";

/// Refuses what is no line for /etc/hosts: `NAME:ADDRESS`.
pub fn check_extra_host(text: &str) -> Result<()> {
    files::extra_host(text).map(drop)
}

impl Engine {
    pub(super) fn network_file(&self, id: &str) -> PathBuf {
        self.store.root().join("networks").join(format!("{id}.json"))
    }

    fn network_name(&self, name: &str) -> PathBuf {
        self.store.root().join("networks/names").join(name)
    }

    /// The id of one of the [`PREDEFINED`] networks: always the same in a store.
    fn predefined_id(&self, name: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(self.store.root().as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update(name);
        hex(&digest.finalize())
    }

    /// Whether another store's objects in the kernel could have the same names as this one's.
    fn is_default_store(&self) -> bool {
        self.store.root() == std::path::Path::new(DEFAULT_ROOT)
    }

    /// The table of nftables that is this store's.
    pub fn nftables_table(&self) -> String {
        if self.is_default_store() { nat::TABLE.to_owned() } else { format!("{}-{}", nat::TABLE, self.store.key()) }
    }

    /// Locks a network against changes of who is on it, and returns it as it is then.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where it was removed meanwhile.
    fn lock_network(&self, network: &Config) -> Result<Lock> {
        let path = self.network_file(&network.id);
        let gone = || Error::not_found(format!("network {} not found: it has just been removed", network.name));
        let lock = Lock::take_existing(&path)?.ok_or_else(gone)?;
        // It may have been removed while we waited.
        if path.exists() { Ok(lock) } else { Err(gone()) }
    }

    /// The network of that name, id, or beginning of an id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none.
    pub fn network(&self, text: &str) -> Result<Config> {
        let not_found = || Error::not_found(format!("network {text} not found; see `mini-docker network ls`"));
        if text.is_empty() || text.contains(['/', '\0']) || text.starts_with('.') {
            return Err(not_found());
        }
        if let Some(network) = self.network_by_name(text)? {
            return Ok(network);
        }
        let mut all = self.networks()?;
        all.retain(|network| network.id.starts_with(text));
        match all.len() {
            0 => Err(not_found()),
            1 => Ok(all.swap_remove(0)),
            _ => Err(Error::invalid(format!("the network id {text} is ambiguous: give more digits"))),
        }
    }

    fn network_by_name(&self, name: &str) -> Result<Option<Config>> {
        if let Some(network) = read_json(&self.network_name(name))? {
            return Ok(Some(network));
        }
        match name {
            // An ordinary user may make none.
            "bridge" if self.is_rootless() => Ok(None),
            "bridge" => self.default_bridge().map(Some),
            "host" => Ok(Some(Config::predefined(self.predefined_id(name), name, Driver::Host))),
            "none" => Ok(Some(Config::predefined(self.predefined_id(name), name, Driver::Null))),
            _ => Ok(None),
        }
    }

    /// All networks, by name.
    pub fn networks(&self) -> Result<Vec<Config>> {
        let path = self.store.root().join("networks/names");
        let mut names: Vec<String> = PREDEFINED.map(str::to_owned).into();
        match fs::read_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            entries => {
                names.extend(entries.doing("read", &path)?.flatten().filter_map(|e| e.file_name().into_string().ok()));
            }
        }
        names.sort();
        names.dedup();
        let mut networks = Vec::new();
        for name in names {
            match self.network_by_name(&name) {
                Err(e) if e.kind == Kind::NotFound => {}
                found => networks.extend(found?),
            }
        }
        Ok(networks)
    }
}
