//! Making a container: a directory, a name, and at last the configuration that makes it real.

use std::{
    collections::BTreeMap,
    fs,
    fs::Permissions,
    io::Write,
    os::unix::fs::{PermissionsExt, fchown},
    path::Path,
};

use cgroup::Limits;
use jiff::Timestamp;

use super::{
    Engine,
    container::{
        Config, Container, Status,
        namespaces::Namespaces,
        network::Network,
        rights::Rights,
        storage::{MountRequest, Storage},
        supervision::{HealthCheck, Supervision},
    },
    error::{Context, Error, Result},
    files::{Durability, Lock, Locking, write_json},
    image::{Healthcheck, Image, RunConfig, short},
    mounts,
    store::{Garbage, make_directory, random_id},
    user_namespace,
};

/// What the user asks for, over what the image says.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The image, by name or id.
    pub image: String,
    /// The command; empty: the image's.
    pub command: Vec<String>,
    /// In place of the image's, whose command goes with it; no words, or an empty one, take it away.
    pub entrypoint: Option<Vec<String>>,
    /// A name; made up where it is missing.
    pub name: Option<String>,
    /// `KEY=value`, over the image's.
    pub env: Vec<String>,
    /// Over the image's.
    pub working_dir: Option<String>,
    /// Over the image's.
    pub user: Option<String>,
    /// The short id where it is missing.
    pub hostname: Option<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether standard input is kept open.
    pub open_stdin: bool,
    /// Whether the first who attached closes it on leaving.
    pub stdin_once: bool,
    /// Whether an init stands before the program.
    pub init: bool,
    /// Whether it goes when it ends.
    pub auto_remove: bool,
    /// Over the image's.
    pub stop_signal: Option<String>,
    /// Seconds.
    pub stop_timeout: Option<i64>,
    /// Over the image's.
    pub labels: BTreeMap<String, String>,
    /// What its programs may do.
    pub rights: Rights,
    /// What it may use.
    pub limits: Limits,
    /// The cgroup above its own; `None`: `/mini-docker`.
    pub cgroup_parent: Option<String>,
    /// What it is mounted from, beside its layers.
    pub storage: Storage,
    /// Which namespaces it shares.
    pub namespaces: Namespaces,
    /// How it is connected.
    pub network: Network,
    /// What its monitor does for it.
    pub supervision: Supervision,
    /// Files of its own, which go with it.
    pub files: Vec<OwnFile>,
    /// Notes for whoever reads them.
    pub annotations: BTreeMap<String, String>,
}

/// A file that is mounted into one container alone, read-only.
#[derive(Debug, Clone, Default)]
pub struct OwnFile {
    /// Its path in the container.
    pub target: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whose it is.
    pub uid: u32,
    /// And its group.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
}

/// Above the cgroups of all containers.
const CGROUP_PARENT: &str = "/mini-docker";

impl Request {
    /// The host name that was asked for; an empty one was not.
    fn own_hostname(&self) -> Option<&str> {
        self.hostname.as_deref().filter(|name| !name.is_empty())
    }
}

impl Engine {
    /// Makes a container; it does not run yet.
    pub fn create(&self, request: &Request) -> Result<Container> {
        let _in_use = self.store.lock(Locking::Shared)?;
        let image = self.image(&request.image)?;
        let mut config = configure(&random_id()?, request, &image)?;
        self.resolve_namespaces(&mut config.namespaces)?;
        self.resolve_network(&mut config, request.own_hostname().is_some())?;
        user_namespace::check(&config)?;
        config.network.expose(image.config.config.exposed_ports.keys());
        let directory = self.store.container(&config.id);
        make_directory(&directory, 0o711)?;
        let made = self
            .write_own_files(&mut config, &request.files)
            .and_then(|()| self.fill(&mut config, request.name.as_deref()))
            .and_then(|()| self.note_links(&config));
        if made.is_err() {
            // The error says what to do; this leaves nothing to do about it.
            let _ = self.release_name(&config.name, &config.id);
            let _ = self.store.discard(&directory);
        }
        made?;
        self.emit_container(&config, "create", &[]);
        Ok(Container { config, status: Status::created() })
    }

    /// Below its directory, where nobody else may look.
    fn write_own_files(&self, config: &mut Config, files: &[OwnFile]) -> Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let directory = self.container_file(&config.id, "files");
        make_directory(&directory, 0o700)?;
        for (number, file) in files.iter().enumerate() {
            let path = directory.join(number.to_string());
            let written = fs::File::create_new(&path).and_then(|mut written| {
                written.write_all(&file.content)?;
                fchown(&written, Some(file.uid), Some(file.gid))?;
                written.set_permissions(Permissions::from_mode(file.mode & 0o777))?;
                written.sync_all()
            });
            written.doing("write", &path)?;
            config.storage.mounts.push(MountRequest {
                kind: "bind".to_owned(),
                source: path.display().to_string(),
                target: file.target.clone(),
                read_only: true,
                ..MountRequest::default()
            });
        }
        Ok(())
    }

    fn fill(&self, config: &mut Config, name: Option<&str>) -> Result<()> {
        // Held until it is whole: an unlocked container without a configuration is nobody's.
        let path = self.container_file(&config.id, "lock");
        let making = Lock::take(&path, Locking::Exclusive)?;
        if let Some(lock) = &making {
            // What a name leads to.
            lock.file().write_all(config.id.as_bytes()).doing("write", &path)?;
            if config.durability() == Durability::Machine {
                // Before it has its name: after a power cut a name of nobody would be free.
                lock.file().sync_data().doing("sync", &path)?;
            }
        }
        self.take_name(config, name)?;
        let path = self.container_file(&config.id, "config.json");
        if config.storage.is_plain() {
            // It has nothing that anybody else could have.
            return self.resolve_mounts(config).and_then(|()| write_json(&path, config, config.durability()));
        }
        loop {
            let made = self.fill_with_volumes(config, &path);
            if !matches!(made, Ok(true)) {
                // The error says what to do; this leaves nothing to do about it.
                let _ = self.set_own_volumes_aside(config).map(Garbage::clear);
            }
            match made {
                Ok(true) => return Ok(()),
                // One of its volumes went while it was filled: again, from the beginning.
                Ok(false) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Makes and fills its volumes, and writes down that it uses them; false where one of them has gone meanwhile. Filling
    /// may take long, and happens without the lock that others wait for.
    fn fill_with_volumes(&self, config: &mut Config, path: &Path) -> Result<bool> {
        {
            let _none_goes = self.lock_volumes(Locking::Shared)?;
            self.resolve_mounts(config)?;
        }
        let filled = self.fill_volumes(config);
        let _none_goes = self.lock_volumes(Locking::Shared)?;
        if !self.has_volumes(config) {
            return Ok(false);
        }
        filled?;
        write_json(path, config, config.durability()).map(|()| true)
    }
}

/// The image's configuration with the user's wishes over it.
pub(super) fn configure(id: &str, request: &Request, image: &Image) -> Result<Config> {
    let defaults = &image.config.config;
    // An entry point of the user's own makes the image's command meaningless, as in Docker.
    let (entrypoint, command) = match &request.entrypoint {
        Some(words) if words.first().is_none_or(String::is_empty) => (Vec::new(), request.command.clone()),
        Some(words) => (words.clone(), request.command.clone()),
        None => {
            let command = if request.command.is_empty() { defaults.cmd.clone() } else { Some(request.command.clone()) };
            (defaults.entrypoint.clone().unwrap_or_default(), command.unwrap_or_default())
        }
    };
    if entrypoint.is_empty() && command.is_empty() {
        return Err(Error::invalid(format!(
            "no command specified: the image {} names none; add one: mini-docker run {} COMMAND",
            request.image, request.image
        )));
    }
    let hostname = request.own_hostname().unwrap_or(short(id)).to_owned();
    let working_dir = request.working_dir.clone().unwrap_or_else(|| defaults.working_dir.clone());
    let mut labels = defaults.labels.clone().unwrap_or_default();
    labels.extend(request.labels.clone());
    let stop_signal = request.stop_signal.as_ref().or(Some(&defaults.stop_signal).filter(|name| !name.is_empty()));
    let config = Config {
        id: id.to_owned(),
        name: String::new(),
        created: Timestamp::now(),
        image: image.id.clone(),
        image_name: request.image.clone(),
        layers: image.stack(),
        entrypoint,
        command,
        env: environment(defaults.env.as_deref().unwrap_or_default(), request),
        working_dir: normalise(&working_dir)?,
        user: request.user.clone().unwrap_or_else(|| defaults.user.clone()),
        hostname,
        tty: request.tty,
        open_stdin: request.open_stdin,
        stdin_once: request.stdin_once,
        init: request.init,
        auto_remove: request.auto_remove,
        stop_signal: stop_signal.map_or(Ok(libc::SIGTERM), |name| super::signal::parse(name))?,
        stop_signal_text: stop_signal.cloned(),
        stop_timeout: request.stop_timeout,
        labels,
        annotations: request.annotations.clone(),
        rights: request.rights.clone(),
        limits: request.limits.clone(),
        cgroup_parent: request.cgroup_parent.clone().unwrap_or_else(|| CGROUP_PARENT.to_owned()),
        storage: storage(request, defaults),
        namespaces: request.namespaces.clone(),
        network: request.network.clone(),
        supervision: Supervision {
            health: health(request.supervision.health.as_ref(), defaults.healthcheck.as_ref()),
            ..request.supervision.clone()
        },
    };
    check(&config)?;
    Ok(config)
}

/// What the user asks for, and the places where the image wants volumes.
fn storage(request: &Request, defaults: &RunConfig) -> Storage {
    let mut storage = request.storage.clone();
    storage.anonymous.extend(defaults.volumes.keys().cloned());
    storage
}

impl Engine {
    /// Makes sure that the container's networks are there, and completes what they say of it.
    pub(super) fn resolve_network(&self, config: &mut Config, has_hostname: bool) -> Result<()> {
        config.network.check(has_hostname)?;
        if let Some(other) = config.network.of_container() {
            if other.is_empty() {
                return Err(Error::invalid("invalid network mode: invalid container format container:<name|id>"));
            }
            let other = self.container(other)?.config;
            config.network.mode = format!("container:{}", other.id);
            config.hostname = other.hostname;
        } else if config.network.mode == "host" && !has_hostname {
            let name = nix::unistd::gethostname().map_err(|e| Error::system("read the host's name", &e.into()))?;
            config.hostname = name.to_string_lossy().into_owned();
        }
        if self.is_rootless() {
            Self::resolve_user_mode(&mut config.network)?;
        }
        let mut among_themselves = !config.network.endpoints.is_empty();
        for endpoint in &mut config.network.endpoints {
            let network = self.network(&endpoint.network)?;
            among_themselves &= network.is_of_friends();
            // By its name, whatever the user called it.
            endpoint.network = network.name;
        }
        self.resolve_links(config)?;
        // Behind a program of an ordinary user's there is nobody else at all.
        config.rights.raw_sockets = among_themselves || config.network.by().is_some();
        config.rights.ping = config.network.mode != "host";
        Ok(())
    }
}

/// The user's health check with the image's values where it has none.
fn health(asked: Option<&HealthCheck>, image: Option<&Healthcheck>) -> Option<HealthCheck> {
    let any = asked.is_some() || image.is_some();
    any.then(|| asked.cloned().unwrap_or_default().over(image)).filter(|check| !check.test.is_empty())
}

fn check(config: &Config) -> Result<()> {
    let strings = config.entrypoint.iter().chain(&config.command).chain(&config.env);
    if strings.chain([&config.working_dir, &config.hostname, &config.user]).any(|s| s.contains('\0')) {
        return Err(Error::invalid("an argument has a null byte in it, which the kernel cannot take"));
    }
    if config.hostname.is_empty() || config.hostname.len() > 64 {
        return Err(Error::invalid(format!("invalid hostname {:?}: 1 to 64 bytes are allowed", config.hostname)));
    }
    let foreign = config.rights.foreign_sysctl(config.network.mode == "host", config.namespaces.ipc == "host");
    if let Some((name, namespace)) = foreign {
        return Err(Error::invalid(format!(
            "sysctl {name:?} not allowed in host {namespace} namespace: it would be set for the whole machine"
        )));
    }
    if let Some(name) = config.supervision.health.as_ref().and_then(HealthCheck::too_short) {
        return Err(Error::invalid(format!(
            "{name} in Healthcheck cannot be less than 1ms: the image says so, give another (--health-…) or --no-healthcheck"
        )));
    }
    let limits = config.limits.check(cgroup::processors(), false);
    limits.map_err(|e| Error::invalid(e.to_string()))
}

/// Docker's order: the user's, where the last of a name wins, and the image's.
fn environment(image: &[String], request: &Request) -> Vec<String> {
    let key = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut env: Vec<String> = Vec::new();
    override_variables(&mut env, &request.env);
    for variable in image {
        if !request.env.iter().chain(&env).any(|other| key(other) == key(variable)) {
            env.push(variable.clone());
        }
    }
    env
}

/// The last of a name wins, in the first's place; a name without a value takes the variable away, as with Docker.
pub(super) fn override_variables(env: &mut Vec<String>, over: &[String]) {
    for variable in over {
        let key = variable.split('=').next().unwrap_or_default();
        if key == variable {
            env.retain(|other| other.split('=').next() != Some(key));
            continue;
        }
        match env.iter_mut().find(|other| other.split('=').next() == Some(key)) {
            Some(other) => other.clone_from(variable),
            None => env.push(variable.clone()),
        }
    }
}

/// An absolute path without `.` and `..`.
fn normalise(path: &str) -> Result<String> {
    if path.is_empty() {
        return Ok(String::new());
    }
    if !path.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory {path:?} is invalid, it needs to be an absolute path"
        )));
    }
    Ok(mounts::clean(path))
}
