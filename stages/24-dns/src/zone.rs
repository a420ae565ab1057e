//! The names that are the network's own.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read},
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::PathBuf,
};

use serde::Deserialize;

// ANCHOR: zone
/// What a resolver knows itself, and whether it may ask others about the rest.
pub trait Zone {
    /// Makes sure that what the other methods say is true now. Called before each batch of questions.
    fn refresh(&mut self) {}

    /// The addresses of a name that is ours: none of the asked family is an answer too. `None`: not ours.
    ///
    /// The name is in lower case, without a dot at its end.
    fn lookup(&self, name: &str) -> Option<&[IpAddr]>;

    /// The name of an address that is ours.
    fn reverse(&self, address: IpAddr) -> Option<&str>;

    /// Whether the container's networks are all internal: then no question about a name that is not ours is passed on.
    fn internal(&self) -> bool;
}
// ANCHOR_END: zone

/// Names in memory.
#[derive(Debug, Default)]
pub struct Names {
    /// Whether questions about other names stay unanswered.
    pub internal: bool,
    addresses: HashMap<String, Vec<IpAddr>>,
    reverse: HashMap<IpAddr, String>,
}

impl Names {
    /// One more address of a name. The first name of an address is the one that a reverse lookup gives.
    pub fn add(&mut self, name: &str, address: IpAddr) {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let addresses = self.addresses.entry(name.clone()).or_default();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        self.reverse.entry(address).or_insert(name);
    }
}

impl Zone for Names {
    fn lookup(&self, name: &str) -> Option<&[IpAddr]> {
        self.addresses.get(name).map(Vec::as_slice)
    }

    fn reverse(&self, address: IpAddr) -> Option<&str> {
        self.reverse.get(&address).map(String::as_str)
    }

    fn internal(&self) -> bool {
        self.internal
    }
}

// ANCHOR: state
/// The state of a network, as JSON in a file.
#[derive(Debug, Default, Deserialize)]
pub struct NetworkState {
    /// The network's name: `web` of the network `blue` is `web.blue` too.
    #[serde(default)]
    pub network: String,
    /// Whether the network has no way out.
    #[serde(default)]
    pub internal: bool,
    /// Who is on it. Two hosts may share a name, and it has the addresses of both then.
    #[serde(default)]
    pub hosts: Vec<HostState>,
}

/// A container on a network.
#[derive(Debug, Default, Deserialize)]
pub struct HostState {
    /// IPv4 and IPv6.
    pub addresses: Vec<IpAddr>,
    /// Its name, and then other names that it goes by.
    pub names: Vec<String>,
}
// ANCHOR_END: state

impl From<NetworkState> for Names {
    fn from(state: NetworkState) -> Self {
        let mut names = Self { internal: state.internal, ..Self::default() };
        for host in &state.hosts {
            for address in &host.addresses {
                for name in &host.names {
                    // First, as Docker does, the full name: it is what a reverse lookup gives.
                    if !state.network.is_empty() {
                        names.add(&format!("{name}.{}", state.network), *address);
                    }
                    names.add(name, *address);
                }
            }
        }
        names
    }
}

/// What tells one content of a file from another: device, inode, size, and the time of the last change in nanoseconds.
type Version = (u64, u64, u64, i64, i64);

/// The names of one network, from its state file, which may change at any time.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    seen: Option<Version>,
    names: Names,
}

impl Watched {
    /// One fstat(2) where the file is the one that was read. Written by rename, it is always a whole one.
    fn refresh(&mut self) {
        let version = fs::metadata(&self.path).map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
        match version {
            Ok(version) if self.seen == Some(version) => {}
            Ok(version) => {
                // A damaged file changes nothing; the next version of it will be read.
                if let Ok(state) = self.read() {
                    self.names = state.into();
                }
                self.seen = Some(version);
            }
            // The network is gone, and with it the right to pass anything on.
            Err(_) => (self.seen, self.names) = (None, Names { internal: true, ..Names::default() }),
        }
    }

    fn read(&self) -> io::Result<NetworkState> {
        let mut text = Vec::new();
        File::open(&self.path)?.read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

/// The names of all networks that a container is on, read from their state files ([`NetworkState`]): nobody has to be
/// told when one changes.
#[derive(Debug)]
pub struct Networks(Vec<Watched>);

impl Networks {
    /// The first network that knows a name says its addresses. Until a file has been read, and after it is gone, its
    /// network counts as internal and empty.
    pub fn new(files: impl IntoIterator<Item = PathBuf>) -> Self {
        let empty = || Names { internal: true, ..Names::default() };
        Self(files.into_iter().map(|path| Watched { path, seen: None, names: empty() }).collect())
    }
}

impl Zone for Networks {
    fn refresh(&mut self) {
        self.0.iter_mut().for_each(Watched::refresh);
    }

    fn lookup(&self, name: &str) -> Option<&[IpAddr]> {
        self.0.iter().find_map(|network| network.names.lookup(name))
    }

    fn reverse(&self, address: IpAddr) -> Option<&str> {
        self.0.iter().find_map(|network| network.names.reverse(address))
    }

    fn internal(&self) -> bool {
        self.0.iter().all(|network| network.names.internal)
    }
}
