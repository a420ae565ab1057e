//! Making a network.

use std::{
    collections::BTreeMap,
    ffi::CString,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use process::{
    Host, Journal,
    netlink::{Message, Socket, route},
    sys,
};

use super::{Config, Driver, PREDEFINED, Pool, parent::choose_parent, pools::chosen_pools, remove::pass_docker};
use crate::engine::{
    Engine,
    error::{Context, Error, Result},
    files::{Durability, Lock, Locking, read_json, write_json},
    store::{make_directory, random_id},
};

/// What the user asks for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// Docker's name of a driver; empty: `bridge`.
    pub driver: String,
    /// Subnets.
    pub subnets: Vec<String>,
    /// Gateways, each of one of the subnets.
    pub gateways: Vec<String>,
    /// Ranges to give addresses away from, each in one of the subnets.
    pub ranges: Vec<String>,
    /// Addresses that somebody else has, by name.
    pub reserved: BTreeMap<String, String>,
    /// Whether to have IPv4.
    pub ipv4: bool,
    /// Whether to have IPv6.
    pub ipv6: bool,
    /// Whether it is cut off from all others.
    pub internal: bool,
    /// Means nothing here.
    pub attachable: bool,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Options of the driver.
    pub options: BTreeMap<String, String>,
    /// Whether it is only to describe others.
    pub config_only: bool,
    /// The name of the network that describes this one; empty: none.
    pub config_from: String,
}

/// Where no two stores may choose at once: which subnet is free.
const MACHINE_LOCK: &str = "/run/mini-docker/networks.lock";
/// Docker's words for what the predefined networks refuse.
const LONGEST_NAME: usize = 255;

impl Engine {
    /// Makes a network.
    pub fn create_network(&self, request: &Request) -> Result<Config> {
        check_name(&request.name)?;
        self.refuse_without_root()?;
        // `default` is what `--network` calls the predefined bridge.
        if PREDEFINED.contains(&request.name.as_str()) || request.name == "default" {
            return Err(Error::conflict(format!(
                "operation is not permitted on predefined {} network: choose another name",
                request.name
            )));
        }
        let (config, chosen) = self.described(request)?;
        let _machine = machine_lock()?;
        let others = self.other_networks()?;
        let config = self.without_conflicts(config, chosen, &others)?;
        self.publish_network(&config)?;
        if let Err(e) = self.bring_up_locked(&config) {
            let taken_down = self.take_down(&config, false);
            self.forget(&config)?;
            return taken_down.and(Err(e));
        }
        self.emit_network(&config, "create", None);
        Ok(config)
    }

    /// What is asked for, and the addresses that were chosen.
    fn described(&self, request: &Request) -> Result<(Config, Vec<Pool>)> {
        let mut config = Config {
            id: random_id()?,
            name: request.name.clone(),
            created: Timestamp::now(),
            driver: if request.config_only { Driver::Null } else { driver(&request.driver)? },
            ipv4: request.ipv4,
            ipv6: request.ipv6,
            pools: Vec::new(),
            internal: request.internal,
            attachable: request.attachable,
            labels: request.labels.clone(),
            options: request.options.clone(),
            owns_parent: false,
            config_only: request.config_only,
            config_from: request.config_from.clone(),
        };
        let mut chosen = chosen_pools(request)?;
        super::inherit::check(request)?;
        if config.config_only {
            return Ok((config, chosen));
        }
        if !request.config_from.is_empty() {
            chosen = self.inherit(&mut config)?;
        }
        config.check_options()?;
        choose_parent(&mut config)?;
        self.ask_driver(&config)?;
        if !config.ipv4 && !config.ipv6 {
            return Err(Error::invalid("IPv4 or IPv6 must be enabled: leave --ipv4=false out, or add --ipv6"));
        }
        Ok((config, chosen))
    }

    /// The network with its addresses, beside `others`.
    fn without_conflicts(&self, mut config: Config, chosen: Vec<Pool>, others: &[Config]) -> Result<Config> {
        if others.iter().any(|other| other.name == config.name) {
            return Err(Error::conflict(format!(
                "network with name {} already exists: remove it (mini-docker network rm {0}), or choose another name",
                config.name
            )));
        }
        if config.config_only {
            config.pools = chosen;
            return Ok(config);
        }
        if config.driver == Driver::Bridge
            && others.iter().any(|other| other.driver == Driver::Bridge && other.link() == config.link())
        {
            return Err(Error::conflict(format!(
                "the bridge {} belongs to another network: choose another name",
                config.link()
            )));
        }
        config.pools = self.pools(&config, chosen, others)?;
        if config.driver == Driver::Bridge {
            refuse_existing(&config)?;
        }
        Ok(config)
    }

    /// Writes a network down, and takes its name.
    fn publish_network(&self, config: &Config) -> Result<()> {
        let name = self.network_name(&config.name);
        make_directory(name.parent().unwrap_or(Path::new("/")), 0o700)?;
        // Whoever writes there holds the same lock.
        self.store.clear_unfinished("networks")?;
        self.clear_nameless()?;
        let path = self.network_file(&config.id);
        write_json(&path, config, Durability::Machine)?;
        // What an interrupted removal may have left under the name was looked for under the same lock.
        fs::hard_link(&path, &name).doing("take the name", &name)?;
        let names = name.parent().unwrap_or(Path::new("/"));
        fs::File::open(names).and_then(|names| names.sync_all()).doing("sync", names)
    }

    /// The opposite.
    pub(super) fn forget(&self, config: &Config) -> Result<()> {
        self.keep_hosts(config, |_| false)?;
        for path in [self.network_name(&config.name), self.network_file(&config.id)] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e).doing("remove", &path),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes what killed commands left of networks that had no name yet, or none any more, and of which nothing is in the
    /// kernel. The caller holds the machine's lock.
    pub(super) fn clear_nameless(&self) -> Result<()> {
        for name in self.store.list("networks")? {
            let path = self.store.root().join("networks").join(name);
            // What has a name has two, unless the store was copied.
            if path.extension().is_none_or(|end| end != "json")
                || fs::metadata(&path).is_ok_and(|file| file.nlink() > 1)
            {
                continue;
            }
            // What is damaged is for `check` to tell of.
            let Ok(Some(network)) = read_json::<Config>(&path) else { continue };
            let Ok(named) = read_json::<Config>(&self.network_name(&network.name)) else { continue };
            if named.is_none_or(|named| named.id != network.id) {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// The default network; made by whoever asks first.
    pub(super) fn default_bridge(&self) -> Result<Config> {
        let _machine = machine_lock()?;
        if let Some(config) = read_json(&self.network_name("bridge"))? {
            return Ok(config);
        }
        let mut config = Config::predefined(self.predefined_id("bridge"), "bridge", Driver::Bridge);
        config.created = Timestamp::now();
        let link = if self.is_default_store() { "mini-docker0".to_owned() } else { format!("md-{}", self.store.key()) };
        config.set_default_bridge(&link);
        config.pools = self.pools(&config, Vec::new(), &self.other_networks()?)?;
        self.publish_network(&config)?;
        Ok(config)
    }

    /// All that are written down: those that users made, and the default one if it was used.
    pub(super) fn other_networks(&self) -> Result<Vec<Config>> {
        let names = self.store.root().join("networks/names");
        let entries = match fs::read_dir(&names) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing("read", &names)?,
        };
        let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.iter().filter_map(|path| read_json(path).transpose()).collect()
    }

    /// Makes a network's bridge, where it is not there: after a restart of the machine, or for the first time.
    pub(super) fn bring_up(&self, network: &Config) -> Result<()> {
        if matches!(network.driver, Driver::Host | Driver::Null | Driver::External(_)) || link_exists(&network.link()) {
            return Ok(());
        }
        let _machine = machine_lock()?;
        // It may have been removed meanwhile.
        if !self.network_file(&network.id).exists() {
            return Err(Error::not_found(format!("network {} not found: it has just been removed", network.name)));
        }
        self.bring_up_locked(network)
    }

    fn bring_up_locked(&self, network: &Config) -> Result<()> {
        match network.driver {
            Driver::Bridge => self.make_bridge(network),
            Driver::Macvlan | Driver::Ipvlan => self.make_parent(network),
            Driver::External(_) => self.call_driver(network, "create", None),
            Driver::Host | Driver::Null => Ok(()),
        }
    }

    fn make_bridge(&self, network: &Config) -> Result<()> {
        let failed =
            |errno: process::Errno| Error::system(format_args!("make the bridge {}", network.link()), &errno.into());
        let mut host = Host::new(Journal::in_memory());
        let socket = Socket::route().map_err(failed)?;
        let made = network.bridge().ensure(&mut host, &socket);
        let index = made.map_err(|e| Error::new(crate::engine::error::Kind::System, e.to_string()))?;
        self.label_link(&socket, index, network);
        pass_docker(&[network.link()])
    }

    /// Writes on a link whose it is: only for who looks at it.
    pub(super) fn label_link(&self, socket: &Socket, index: u32, network: &Config) {
        let label = Message::new(libc::RTM_NEWLINK, 0, &route::link_header(index, true))
            .string(libc::IFLA_IFALIAS, &alias(self.store.root(), network));
        let _ = socket.request(&[label]);
    }
}

/// What `ip link` shows of a bridge: whose it is.
pub(super) fn alias(root: &Path, network: &Config) -> String {
    let mut text = format!("mini-docker {} {}", root.display(), network.name);
    // The kernel's limit is 255 bytes.
    while text.len() > 250 {
        text.pop();
    }
    text
}

/// Whether this network namespace has a link of that name. /sys would show that of whoever mounted it.
pub(super) fn link_exists(name: &str) -> bool {
    CString::new(name).is_ok_and(|name| sys::interface_index(&name).is_ok())
}

fn refuse_existing(config: &Config) -> Result<()> {
    if link_exists(&config.link()) {
        return Err(Error::conflict(format!(
            "a network interface {} exists already: choose another com.docker.network.bridge.name",
            config.link()
        )));
    }
    Ok(())
}

pub(super) fn machine_lock() -> Result<Lock> {
    let path = Path::new(MACHINE_LOCK);
    make_directory(path.parent().unwrap_or(Path::new("/")), 0o711)?;
    Lock::take(path, Locking::Exclusive)?.ok_or_else(|| Error::conflict("networks are being changed: try again"))
}

fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() <= LONGEST_NAME && name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "invalid network name {name:?}: only letters, digits, _ . and - are allowed, a letter or digit first"
    )))
}

fn driver(name: &str) -> Result<Driver> {
    match name {
        "" | "bridge" | "default" => Ok(Driver::Bridge),
        "host" => Err(Error::conflict("only one instance of \"host\" network is allowed: use the network `host`")),
        "null" | "none" => {
            Err(Error::conflict("only one instance of \"null\" network is allowed: use the network `none`"))
        }
        "overlay" => Err(Error::invalid("the driver overlay needs Swarm, which there is none of here: use bridge")),
        "macvlan" => Ok(Driver::Macvlan),
        "ipvlan" => Ok(Driver::Ipvlan),
        other => Ok(Driver::External(other.to_owned())),
    }
}
