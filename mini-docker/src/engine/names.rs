//! Names of containers: chosen by the user, or made up; and whose they are.

use std::{fs, io};

use super::{
    Engine,
    container::Config,
    error::{Context, Error, Kind, Result},
    files::{Lock, Locking},
};

/// Accepts what Docker accepts: a letter or digit, then at least one more of letters, digits, `_`, `.`, `-`.
pub(super) fn check(name: &str) -> Result<()> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.len() > 1
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(good)
    {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, and 2 to 200 characters"
    )))
}

const FIRST: [&str; 32] = [
    "able", "amber", "brave", "brisk", "calm", "clear", "clever", "crisp", "eager", "fair", "fleet", "fond", "gentle",
    "glad", "grand", "handy", "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat", "noble", "plain",
    "quick", "quiet", "ready", "sound", "swift", "warm",
];

const SECOND: [&str; 32] = [
    "barge", "basket", "beacon", "bottle", "bucket", "cabin", "cargo", "carton", "casket", "chest", "clipper",
    "coffer", "crane", "crate", "cutter", "drum", "ferry", "harbor", "hopper", "jar", "ketch", "kettle", "ledger",
    "locker", "parcel", "pier", "sampan", "schooner", "sloop", "tanker", "trunk", "vessel",
];

/// A name for the container `id`, from its digits; with `attempt` > 0 another one.
pub(super) fn made_up(id: &str, attempt: u32) -> String {
    let digits = |at: usize| usize::from_str_radix(id.get(at..at + 4).unwrap_or("0"), 16).unwrap_or(0);
    let at = 8 * (attempt as usize % 8);
    let name = format!("{}_{}", FIRST[digits(at) % FIRST.len()], SECOND[digits(at + 4) % SECOND.len()]);
    // When many containers have used the names up, the id goes in.
    if attempt < 4 { name } else { format!("{name}_{}", id.get(at..at + 8).unwrap_or(id)) }
}

impl Engine {
    pub(super) fn take_name(&self, config: &mut Config, name: Option<&str>) -> Result<()> {
        if let Some(name) = name {
            check(name)?;
            name.strip_prefix('/').unwrap_or(name).clone_into(&mut config.name);
            return self.take_free_name(config);
        }
        for attempt in 0..16 {
            config.name = made_up(&config.id, attempt);
            if self.link_name(config)?.is_none() {
                return Ok(());
            }
        }
        Err(Error::conflict("no free name found: give one with --name"))
    }

    /// Takes the name that it has by its configuration.
    pub(super) fn take_free_name(&self, config: &Config) -> Result<()> {
        let name = &config.name;
        match self.link_name(config)? {
            None => Ok(()),
            Some(holder) => Err(Error::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (mini-docker rm {name}) or rename that container to be able to reuse that name"
            ))),
        }
    }

    // ANCHOR: name
    /// Takes the name, or returns the id of the container that has it. link(2) lets one of many at once win.
    fn link_name(&self, config: &Config) -> Result<Option<String>> {
        let own = self.container_file(&config.id, "lock");
        let path = self.store.name(&config.name);
        loop {
            match fs::hard_link(&own, &path) {
                Ok(()) => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).doing("take the name", &path),
            }
            let Some(holder) = self.holder(&config.name)? else {
                continue;
            };
            if holder == config.id {
                // Left by an earlier renaming of its own.
                self.release_name(&config.name, &holder)?;
            } else if !self.reclaim_name(&config.name, &holder)? {
                return Ok(Some(holder));
            }
        }
    }
    // ANCHOR_END: name

    /// Gives a name back that leads to the container `id` but is not its own; whether it did. Alone with it: whoever makes
    /// or renames it just now is about to write down that the name is.
    fn reclaim_name(&self, name: &str, id: &str) -> Result<bool> {
        let is_own = || Ok(self.read_config(id)?.is_some_and(|config| config.name == name));
        if is_own()? {
            return Ok(false);
        }
        let _alone = match self.container_file(id, "lock").exists().then(|| self.try_lock_container(id)) {
            Some(Ok(None)) => return Ok(false),
            Some(Err(e)) if e.kind != Kind::NotFound => return Err(e),
            // It may have gone.
            taken => taken.and_then(Result::ok),
        };
        if is_own()? {
            return Ok(false);
        }
        self.release_name(name, id).map(|()| true)
    }

    /// Gives a name back, if it is still this container's.
    pub(super) fn release_name(&self, name: &str, id: &str) -> Result<()> {
        if name.is_empty() || self.holder(name)?.as_deref() != Some(id) {
            return Ok(());
        }
        // Or another who saw the same would take it from whoever takes it next.
        let _alone = Lock::take(&self.store.root().join("names.lock"), Locking::Exclusive)?;
        if self.holder(name)?.as_deref() != Some(id) {
            return Ok(());
        }
        let path = self.store.name(name);
        fs::remove_file(&path).doing("remove", &path)
    }

    /// Gives back all names that lead to a container.
    pub(super) fn release_names(&self, id: &str) -> Result<()> {
        let mut names = self.store.list("names")?.into_iter().filter_map(|name| name.into_string().ok());
        names.try_for_each(|name| self.release_name(&name, id))
    }

    /// Removes names of containers that have gone, and old ones of those that were being renamed when that was killed.
    pub(super) fn clear_stray_names(&self) -> Result<()> {
        for name in self.store.list("names")?.into_iter().filter_map(|name| name.into_string().ok()) {
            let Some(id) = self.holder(&name)? else { continue };
            // One that is there without a configuration, or with a damaged one, is for others to look after.
            if !self.store.container(&id).exists() || self.read_config(&id).is_ok_and(|config| config.is_some()) {
                self.reclaim_name(&name, &id)?;
            }
        }
        Ok(())
    }

    /// The id of the container that has this name.
    pub(super) fn holder(&self, name: &str) -> Result<Option<String>> {
        let path = self.store.name(name);
        match fs::read_to_string(&path) {
            Ok(id) => Ok(Some(id.trim_end().to_owned())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).doing("read", &path),
        }
    }
}
