//! Volumes: directories that outlive containers.
//!
//! ```text
//! volumes/NAME/
//!   volume.json   what it is; never changed
//!   _data         what is in it, and where what it stands for is mounted
//!   lock          held by whoever fills, mounts or unmounts it
//!   copying       where it is being filled from; one that nobody holds the lock of was interrupted
//! volumes.lock    shared while a container's configuration comes to name volumes, exclusive to remove some
//! ```
//!
//! Who uses a volume is what the containers' configurations say: no count that could go stale.

mod copy;
mod fill;
mod local;
mod remove;

use std::{collections::BTreeMap, fs, io::ErrorKind, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Engine,
    container::{
        Config,
        storage::{From, Storage},
        unreadable,
    },
    error::{Context, Error, Result},
    events::Type,
    files::{Durability, Lock, Locking, read_json, write_json},
    store::make_directory,
};
pub use remove::Pruned;

/// The ids of the containers that use each volume, by its name.
pub type Users = BTreeMap<String, Vec<String>>;

/// The only driver that there is.
pub const LOCAL: &str = "local";

/// A volume of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// `type`, `o` and `device`, as of mount(8): what it stands for. Empty: it is a directory.
    pub options: BTreeMap<String, String>,
    /// Whether it was made for one container, and got its name from us.
    pub anonymous: bool,
}

/// A volume to be made.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Its name; a random one where it is empty.
    pub name: String,
    /// `local`, or empty.
    pub driver: String,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// See [`Volume::options`].
    pub options: BTreeMap<String, String>,
    /// See [`Volume::anonymous`].
    pub anonymous: bool,
}

impl Engine {
    /// Makes a volume; one of that name is good as it is.
    pub fn create_volume(&self, mut new: NewVolume) -> Result<Volume> {
        let _none_goes = self.lock_volumes(Locking::Shared)?;
        if new.name.is_empty() {
            new.name = super::store::random_id()?;
            new.anonymous = true;
        }
        self.ensure_volume(new, Durability::Machine)
    }

    /// As [`Engine::create_volume`], for one who holds the lock of the volumes.
    pub(super) fn ensure_volume(&self, new: NewVolume, durability: Durability) -> Result<Volume> {
        let name = &new.name;
        check_name(name)?;
        if !matches!(new.driver.as_str(), "" | LOCAL) {
            return Err(Error::invalid(format!(
                "create {name}: error looking up volume plugin {0}: plugin \"{0}\" not found: only `local` is there",
                new.driver
            )));
        }
        local::check(&new.options).map_err(|why| Error::invalid(format!("create {name}: {why}")))?;
        if let Some(volume) = self.read_volume(name)? {
            return Ok(volume);
        }
        let volume = Volume {
            name: new.name,
            created: Timestamp::now(),
            labels: new.labels,
            options: new.options,
            anonymous: new.anonymous,
        };
        if self.publish(&volume, durability)? {
            self.emit(Type::Volume, "create", &volume.name, &[("driver", LOCAL)]);
        }
        self.volume(&volume.name)
    }

    /// False where somebody else was first.
    fn publish(&self, volume: &Volume, durability: Durability) -> Result<bool> {
        let scratch = self.store.scratch()?;
        let whole = scratch.path.join("volume");
        make_directory(&whole, 0o700)?;
        let data = whole.join("_data");
        make_directory(&data, 0o755)?;
        // Whatever the caller's umask: its users need not be root.
        fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o755)).doing("make", &data)?;
        write_json(&whole.join("volume.json"), volume, durability)?;
        let path = self.store.volume(&volume.name);
        match fs::rename(&whole, &path) {
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty) => return Ok(false),
            renamed => renamed.doing("make the volume", &path)?,
        }
        if durability == Durability::Machine {
            let volumes = self.store.root().join("volumes");
            fs::File::open(&volumes).and_then(|directory| directory.sync_all()).doing("sync", &volumes)?;
        }
        Ok(true)
    }

    /// The volume of this name.
    ///
    /// # Errors
    /// [`super::error::Kind::NotFound`] where there is none.
    pub fn volume(&self, name: &str) -> Result<Volume> {
        let missing = || Error::not_found(format!("get {name}: no such volume; see `mini-docker volume ls`"));
        if check_name(name).is_err() {
            return Err(missing());
        }
        self.read_volume(name)?.ok_or_else(missing)
    }

    fn read_volume(&self, name: &str) -> Result<Option<Volume>> {
        read_json(&self.store.volume(name).join("volume.json"))
    }

    /// Whether all volumes of the container are there.
    pub(super) fn has_volumes(&self, config: &Config) -> bool {
        config.storage.points.iter().all(|point| match &point.from {
            From::Volume { name, .. } => self.store.volume(name).join("volume.json").exists(),
            _ => true,
        })
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let mut volumes = Vec::new();
        for name in self.store.list("volumes")? {
            // One may go while they are read.
            if let Some(volume) = name.to_str().map(|name| self.read_volume(name)).transpose()?.flatten() {
                volumes.push(volume);
            }
        }
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(volumes)
    }

    /// Where the volume's data is on the host.
    pub fn volume_path(&self, name: &str) -> PathBuf {
        self.store.volume(name).join("_data")
    }

    /// Who uses which volume.
    ///
    /// # Errors
    /// Where a container cannot be read: it may use any.
    pub fn volume_users(&self) -> Result<Users> {
        let (users, unreadable) = self.known_volume_users()?;
        unreadable.map_or(Ok(users), Err)
    }

    /// The same of those that can be read; and why one cannot.
    pub fn known_volume_users(&self) -> Result<(Users, Option<Error>)> {
        /// Of a container's configuration.
        #[derive(Deserialize)]
        struct Only {
            storage: Storage,
        }
        let mut users = Users::new();
        let mut damage = None;
        for id in self.store.list("containers")? {
            let Some(id) = id.to_str() else { continue };
            let only = match read_json::<Only>(&self.container_file(id, "config.json")) {
                Ok(Some(only)) => only,
                // Without a configuration it is not made yet, or not there any more.
                Ok(None) => continue,
                Err(e) => {
                    damage = Some(unreadable(id, &e));
                    continue;
                }
            };
            for point in &only.storage.points {
                if let From::Volume { name, .. } = &point.from {
                    let ids = users.entry(name.clone()).or_default();
                    if !ids.iter().any(|other| other == id) {
                        ids.push(id.to_owned());
                    }
                }
            }
        }
        Ok((users, damage))
    }

    /// Locks the volumes: [`Locking::Shared`] against their removal, [`Locking::Exclusive`] to remove some.
    pub(super) fn lock_volumes(&self, how: Locking) -> Result<Lock> {
        let lock = Lock::take(&self.store.root().join("volumes.lock"), how)?;
        lock.ok_or_else(|| Error::conflict("the volumes are in use: try again"))
    }

    /// Locks one volume against others that fill, mount or unmount it.
    fn lock_volume(&self, name: &str) -> Result<Lock> {
        match Lock::take(&self.store.volume(name).join("lock"), Locking::Exclusive) {
            Ok(Some(lock)) => Ok(lock),
            _ => Err(Error::not_found(format!("get {name}: no such volume; it has just been removed"))),
        }
    }
}

/// Docker's rule: a letter or digit, then at least one more of letters, digits, `_`, `.`, `-`.
fn check_name(name: &str) -> Result<()> {
    if name.chars().count() == 1 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(good) && name.len() <= 255 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: {name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}
