//! Volumes that go: by name, all that nobody uses, or with their container.

use super::{LOCAL, Volume};
use crate::engine::{
    Engine,
    container::{Config, storage::From},
    error::{Error, Kind, Result},
    events::Type,
    files::{Lock, Locking},
    store::Garbage,
    usage::disk_usage,
};

/// What [`Engine::prune_volumes`] removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names.
    pub names: Vec<String>,
    /// Bytes.
    pub space: u64,
}

impl Engine {
    // ANCHOR: remove
    /// Removes a volume; with `force` one that is not there is no error.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where a container uses it, `force` or not.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let alone = self.lock_volumes(Locking::Exclusive)?;
        match self.volume(name) {
            Err(e) if force && e.kind == Kind::NotFound => return Ok(()),
            found => found?,
        };
        if let Some(users) = self.volume_users()?.get(name) {
            return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        let busy = || Error::conflict(format!("remove {name}: volume is in use: it is being filled, wait until it is"));
        let garbage = self.set_volume_aside(name)?.ok_or_else(busy)?;
        drop(alone);
        garbage.clear()
    }
    // ANCHOR_END: remove

    /// Removes all volumes that no container uses and that `wanted` wants.
    pub fn prune_volumes(&self, wanted: impl Fn(&Volume) -> bool) -> Result<Pruned> {
        let mut pruned = Pruned::default();
        let mut garbage = Garbage::default();
        {
            let _alone = self.lock_volumes(Locking::Exclusive)?;
            let users = self.volume_users()?;
            for volume in
                self.volumes()?.into_iter().filter(|volume| !users.contains_key(&volume.name) && wanted(volume))
            {
                if let Some(removed) = self.set_volume_aside(&volume.name)? {
                    garbage = garbage.and(removed);
                    pruned.names.push(volume.name);
                }
            }
        }
        for path in garbage.paths() {
            pruned.space += disk_usage(&path.join("_data"))?;
        }
        garbage.clear()?;
        self.emit_prune(Type::Volume, pruned.space);
        Ok(pruned)
    }

    /// Takes the volumes out of sight that were made for this container alone, which is about to go.
    pub(in crate::engine) fn set_own_volumes_aside(&self, config: &Config) -> Result<Garbage> {
        let own: Vec<_> = config
            .storage
            .points
            .iter()
            .filter_map(|point| match &point.from {
                From::Volume { name, anonymous: true, .. } => Some(name),
                _ => None,
            })
            .collect();
        if own.is_empty() {
            return Ok(Garbage::default());
        }
        let _alone = self.lock_volumes(Locking::Exclusive)?;
        let users = self.volume_users()?;
        // With --volumes-from another may have taken one over.
        let is_only = |name: &&&String| users.get(**name).is_none_or(|ids| ids.iter().all(|id| *id == config.id));
        let mut garbage = Garbage::default();
        for name in own.iter().filter(is_only) {
            garbage = garbage.and(self.set_volume_aside(name)?.unwrap_or_default());
        }
        Ok(garbage)
    }

    /// Takes a volume out of sight, unless one who has not written down yet that he uses it is filling it. The caller has
    /// the lock of the volumes, and knows that no container uses it.
    fn set_volume_aside(&self, name: &str) -> Result<Option<Garbage>> {
        if !self.store.volume(name).exists() {
            return Ok(None);
        }
        let Some(_alone) = Lock::take(&self.store.volume(name).join("lock"), Locking::Try)? else {
            return Ok(None);
        };
        // Or what it stands for would be taken apart.
        self.unmount_volume(name)?;
        let garbage = self.store.set_aside(&self.store.volume(name))?;
        self.emit(Type::Volume, "destroy", name, &[("driver", LOCAL)]);
        Ok(Some(garbage))
    }

    /// Bytes that the volume's files take.
    pub fn volume_size(&self, name: &str) -> Result<u64> {
        disk_usage(&self.volume_path(name))
    }
}
