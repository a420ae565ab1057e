//! The names that are the network's own.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::{OsStr, OsString},
    fs, io,
    net::IpAddr,
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
/// A container's place in a network, as JSON in a file of its own. The file is written by rename, never changes, and none
/// after it has its name.
#[derive(Debug, Default, Deserialize)]
pub struct HostState {
    /// The network's name: `web` of the network `blue` is `web.blue` too.
    #[serde(default)]
    pub network: String,
    /// Whether the network has no way out.
    #[serde(default)]
    pub internal: bool,
    /// IPv4 and IPv6.
    pub addresses: Vec<IpAddr>,
    /// The container's name, and then other names that it goes by. Two may share one, and it has the addresses of both.
    pub names: Vec<String>,
}
// ANCHOR_END: state

impl<'a> FromIterator<&'a HostState> for Names {
    /// The names of a network, which is internal if there is nobody on it.
    fn from_iter<T: IntoIterator<Item = &'a HostState>>(hosts: T) -> Self {
        let mut names = Self { internal: true, ..Self::default() };
        for host in hosts {
            names.internal = host.internal;
            for address in &host.addresses {
                for name in &host.names {
                    // First, as Docker does, the full name: it is what a reverse lookup gives.
                    if !host.network.is_empty() {
                        names.add(&format!("{name}.{}", host.network), *address);
                    }
                    names.add(name, *address);
                }
            }
        }
        names
    }
}

/// The names of one network, from its directory, where files come and go at any time.
#[derive(Debug)]
struct Watched {
    directory: PathBuf,
    hosts: BTreeMap<OsString, HostState>,
    names: Names,
}

impl Watched {
    /// Reads what is new: of many places one at a time comes or goes.
    fn refresh(&mut self) {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        // Names with a dot are for files that are being written.
        let found: BTreeSet<OsString> =
            entries.map(|entry| entry.file_name()).filter(|name| !name.as_encoded_bytes().starts_with(b".")).collect();
        let before = self.hosts.len();
        self.hosts.retain(|name, _| found.contains(name));
        let mut changed = self.hosts.len() != before;
        for name in found {
            if !self.hosts.contains_key(&name)
                // It may have gone by now; a damaged one counts for nothing.
                && let Ok(host) = self.read(&name)
            {
                self.hosts.insert(name, host);
                changed = true;
            }
        }
        if changed {
            self.names = self.hosts.values().collect();
        }
    }

    fn read(&self, name: &OsStr) -> io::Result<HostState> {
        Ok(serde_json::from_slice(&fs::read(self.directory.join(name))?)?)
    }
}

/// The names of all networks that a container is on: each is a directory with a file for each place ([`HostState`]).
#[derive(Debug)]
pub struct Networks(Vec<Watched>);

impl Networks {
    /// The first network that knows a name says its addresses. As long as nobody is on it, a network counts as internal.
    pub fn new(directories: impl IntoIterator<Item = PathBuf>) -> Self {
        let watched = |directory| Watched { directory, hosts: BTreeMap::new(), names: Names::from_iter([]) };
        Self(directories.into_iter().map(watched).collect())
    }
}

impl Zone for Networks {
    /// Lists the directories: for those who have no [`Mark`](crate::Mark) to tell them that nothing has changed.
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
