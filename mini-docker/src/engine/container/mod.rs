//! Containers on disk.
//!
//! ```text
//! containers/ID/
//!   config.json     what it is: written last of all, replaced whole; without it the container was never made
//!   status.json     what has become of it: small, replaced whole; missing until it is first started
//!   status.room     room for the next status where the disk is full, from the first start on; not of one with `--rm`
//!   lock            held by whoever changes it; holds its id, and is names/NAME by another link
//!   log.json log.json.N   what it wrote, one JSON object a line, in the format of Docker's json-file driver; see `log`
//!   health.json     what its health checks found; replaced whole, by its monitor alone
//!   files/N         what is mounted into it alone: secrets and configurations that are no files of the host
//!   upper work      the writable layer, and the kernel's scratch
//! ```

mod config;
pub mod devices;
pub mod health;
mod log_details;
pub mod namespaces;
pub mod network;
pub mod rights;
mod status;
pub mod storage;
pub mod supervision;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
};

pub use config::Config;
pub use status::{State, Status};

use super::{
    Engine,
    error::{Context, Error, Kind, Result},
    files::{Durability, Lock, Locking, may_be_lost, read_json, reserve, write_json_reserved},
    image::short,
};

/// The exit code of a container whose end nobody saw.
pub const UNSEEN: i32 = 255;

/// Where the room for its status is kept.
const ROOM: &str = "status.room";

/// A container of the store, as read.
#[derive(Debug, Clone)]
pub struct Container {
    /// What it is.
    pub config: Config,
    /// What had become of it when it was read.
    pub status: Status,
}

/// The ids of containers that cannot be read, with the reason.
type Unreadable = Vec<(String, Error)>;

impl Engine {
    /// The path of a container's cgroup in every hierarchy. The store's key tells it from those of other stores. An
    /// ordinary user's is below what was delegated to whoever started it.
    pub fn cgroup_path(&self, config: &Config) -> PathBuf {
        let path = Path::new("/").join(&config.cgroup_parent).join(format!("{}.{}", self.store.key(), config.id));
        if !self.is_rootless() {
            return path;
        }
        let known = fs::read_to_string(self.delegation_file(config)).map(PathBuf::from).ok();
        let above = known.or_else(cgroup::delegated).unwrap_or_else(|| "/".into());
        above.join(path.strip_prefix("/").unwrap_or(&path))
    }

    fn delegation_file(&self, config: &Config) -> PathBuf {
        self.store.run(&config.id).join("delegated")
    }

    /// Writes down what is delegated to this process, which is about to start the container: others may come from
    /// elsewhere.
    pub(super) fn note_delegation(&self, config: &Config) -> Result<()> {
        let path = self.delegation_file(config);
        if !self.is_rootless() || path.exists() {
            return Ok(());
        }
        let Some(delegated) = cgroup::delegated() else { return Ok(()) };
        fs::write(&path, delegated.as_os_str().as_encoded_bytes()).doing("write", &path)
    }

    /// One of the files in a container's directory.
    pub fn container_file(&self, id: &str, name: &str) -> PathBuf {
        self.store.container(id).join(name)
    }

    /// Locks a container against other changes.
    pub fn lock_container(&self, id: &str) -> Result<Lock> {
        let lock = Lock::take(&self.container_file(id, "lock"), Locking::Exclusive);
        let is_there = self.container_file(id, "config.json").exists();
        match lock {
            Ok(Some(lock)) if is_there => Ok(lock),
            Err(e) if is_there => Err(e),
            _ => Err(removed(id)),
        }
    }

    /// As [`Engine::lock_container`], unless somebody holds it now.
    pub(super) fn try_lock_container(&self, id: &str) -> Result<Option<Lock>> {
        match Lock::take_free(&self.container_file(id, "lock")) {
            Err(_) if !self.store.container(id).exists() => Err(removed(id)),
            taken => taken,
        }
    }

    /// Reads the container with this full id, and settles what has become of one whose monitor is gone.
    pub fn load(&self, id: &str) -> Result<Container> {
        self.settled(self.read(id)?)
    }

    fn settled(&self, mut container: Container) -> Result<Container> {
        self.settle(&mut container)?;
        self.mend_pause(&mut container)?;
        Ok(container)
    }

    /// What a container is; `None` where there is none.
    pub(super) fn read_config(&self, id: &str) -> Result<Option<Config>> {
        let path = self.container_file(id, "config.json");
        let config = match read_json(&path) {
            Err(_) if self.is_lost(id)? => None,
            Err(e) => return Err(unreadable(id, &e)),
            Ok(config) => config,
        };
        // It leads to files: those of the container that it is kept with, or of none.
        if config.as_ref().is_some_and(|config: &Config| config.id != id) {
            let e = Error::invalid(format!("read {}: the file is damaged: its id is another's", path.display()));
            return Err(unreadable(id, &e));
        }
        Ok(config)
    }

    /// Whether a power cut took the configuration of a container with `--rm`, which would have gone anyway.
    pub(super) fn is_lost(&self, id: &str) -> Result<bool> {
        let path = self.container_file(id, "config.json");
        Ok(may_be_lost(&path) && read_json::<Config>(&path).is_err() && !self.is_monitored(id)?)
    }

    /// As [`Engine::load`], as it is.
    pub(super) fn read(&self, id: &str) -> Result<Container> {
        let config =
            self.read_config(id)?.ok_or_else(|| Error::not_found(format!("No such container: {}", short(id))))?;
        Ok(Container { config, status: self.read_status(id)? })
    }

    /// What its checks have found; `None`: nothing is checked.
    pub fn health(&self, container: &Container) -> Option<health::Verdict> {
        container.config.supervision.health.as_ref()?.command()?;
        let found: Option<health::Health> =
            read_json(&self.container_file(&container.config.id, "health.json")).ok()?;
        Some(found.unwrap_or_default().status)
    }

    pub(super) fn read_status(&self, id: &str) -> Result<Status> {
        let path = self.container_file(id, "status.json");
        match read_json(&path) {
            // That it ran was not synced. When the power went, it ended.
            Err(_) if path.exists() && !self.is_monitored(id)? => Ok(Status::lost()),
            read => Ok(read?.unwrap_or_else(Status::created)),
        }
    }

    pub(super) fn write_status(&self, config: &Config, status: &Status) -> Result<()> {
        // That it runs means nothing after a restart of the machine; that it ended, and how, does.
        let durability = if status.state == State::Exited { config.durability() } else { Durability::Process };
        let file = |name| self.container_file(&config.id, name);
        write_json_reserved(&file("status.json"), &file(ROOM), status, durability)
    }

    /// Sees to it that the container's end can be written down, whatever the disk has left by then.
    pub(super) fn reserve_status(&self, config: &Config) {
        if !config.auto_remove {
            // Where there is no room for it now, that is for the next status to tell.
            let _ = reserve(&self.container_file(&config.id, ROOM));
        }
    }

    /// All containers, the newest first, but those that cannot be read: of them standard error hears, once.
    pub fn containers(&self) -> Result<Vec<Container>> {
        static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
        let (containers, unreadable) = self.containers_and_others()?;
        for (id, e) in unreadable {
            if TOLD.lock().is_ok_and(|mut told| told.insert(id.clone())) {
                tell!("mini-docker: warning: container {} is left out: {e}", short(&id));
            }
        }
        Ok(containers)
    }

    /// All containers, the newest first; and those that cannot be read.
    pub(super) fn containers_and_others(&self) -> Result<(Vec<Container>, Unreadable)> {
        self.mend_networks()?;
        let (mut containers, mut unreadable) = (Vec::new(), Unreadable::new());
        for id in self.store.list("containers")? {
            let Some(id) = id.to_str() else { continue };
            match self.load(id) {
                Ok(container) => containers.push(container),
                Err(e) if e.kind == Kind::NotFound => self.clear_abandoned(id)?,
                Err(e) => unreadable.push((id.to_owned(), e)),
            }
        }
        containers.sort_by_key(|container: &Container| std::cmp::Reverse(container.config.created));
        Ok((containers, unreadable))
    }

    /// Removes what builds that were killed left of their steps.
    pub(super) fn clear_abandoned_steps(&self) -> Result<()> {
        let _no_new_step = self.store.lock_sweeps(Locking::Exclusive)?;
        let alive = |id: &str| self.store.run(id).join("monitor");
        let is_step = |id: &String| !self.container_file(id, "config.json").exists() && alive(id).exists();
        let made = self.store.list("containers")?.into_iter().filter_map(|id| id.into_string().ok()).filter(is_step);
        // Whose maker was killed between its two directories: a container has the other one first.
        let begun = self.store.running().into_iter().filter(|id| !self.store.container(id).exists());
        for id in made.chain(begun) {
            if !Lock::is_held(&alive(&id))? {
                self.forget_step(&id)?;
            }
        }
        Ok(())
    }

    /// Removes what is left of a container whose maker died before it was whole.
    fn clear_abandoned(&self, id: &str) -> Result<()> {
        // Every maker shares the store's lock until it is done; a step of a build holds its own.
        let alone = self.store.try_lock_alone()?;
        let is_step = || Lock::is_held(&self.store.run(id).join("monitor"));
        // What has run had a configuration: it was lost, and is for `check` to tell of.
        let stays = || self.container_file(id, "upper").exists() || self.container_file(id, "config.json").exists();
        if alone.is_none() || is_step()? || (stays() && !self.is_lost(id)?) {
            return Ok(());
        }
        // First its name: without the directory nobody would know that it is nobody's.
        self.release_names(id)?;
        self.forget_step(id)
    }

    /// Finds a container by name, by id, or by the beginning of its id.
    pub fn container(&self, text: &str) -> Result<Container> {
        match self.find(text)? {
            (id, None) => self.load(&id),
            (id, Some(config)) => self.settled(Container { status: self.read_status(&id)?, config }),
        }
    }

    /// As [`Engine::container`], without reading all of it.
    pub fn container_id(&self, text: &str) -> Result<String> {
        self.find(text).map(|(id, _)| id)
    }

    /// Its id, and what it is, where that had to be read for it.
    fn find(&self, text: &str) -> Result<(String, Option<Config>)> {
        let name = text.strip_prefix('/').unwrap_or(text);
        let path_like = name.is_empty() || name.contains('/') || name.starts_with('.');
        if !path_like && self.container_file(name, "config.json").exists() {
            return Ok((name.to_owned(), None));
        }
        if !path_like && let Some(id) = self.holder(name)? {
            match self.read_config(&id) {
                // For who reads it to tell.
                Err(_) => return Ok((id, None)),
                Ok(Some(config)) if config.name == name => return Ok((id, Some(config))),
                // Whoever was killed while he renamed or removed it left a name that is nobody's.
                Ok(_) => {}
            }
        }
        let mut found = Vec::new();
        if !path_like && name.bytes().all(|b| b.is_ascii_hexdigit()) {
            let ids = self.store.list("containers")?.into_iter().filter_map(|id| id.into_string().ok());
            found.extend(ids.filter(|id| id.starts_with(name) && self.container_file(id, "config.json").exists()));
        }
        match found.as_slice() {
            [] => Err(Error::not_found(format!("No such container: {text}; see `mini-docker ps -a`"))),
            [id] => Ok((id.clone(), None)),
            _ => Err(Error::invalid(format!("the container id {text} is ambiguous: give more digits"))),
        }
    }
}

/// For one that cannot be read, with what can be done.
pub(in crate::engine) fn unreadable(id: &str, e: &Error) -> Error {
    let id = short(id);
    Error::new(e.kind, format!("{e}; set it aside: mini-docker check --repair, or remove it: mini-docker rm -f {id}"))
}

/// For one that was there a moment ago.
pub(super) fn removed(id: &str) -> Error {
    Error::not_found(format!("No such container: {}; it has just been removed", short(id)))
}
