//! Volumes that go: by name, all that nobody uses, or with their container.

use super::Volume;
use crate::engine::{
    Engine,
    container::{Config, storage::From},
    error::{Error, Kind, Result},
    files::Locking,
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
    /// Removes a volume; with `force` one that is not there is no error.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where a container uses it, `force` or not.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let _alone = self.lock_volumes(Locking::Exclusive)?;
        match self.volume(name) {
            Err(e) if force && e.kind == Kind::NotFound => return Ok(()),
            found => found?,
        };
        if let Some(users) = self.volume_users()?.get(name) {
            return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
        }
        self.set_volume_aside(name)?.clear()
    }

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
                pruned.space += self.volume_size(&volume.name)?;
                garbage = garbage.and(self.set_volume_aside(&volume.name)?);
                pruned.names.push(volume.name);
            }
        }
        garbage.clear()?;
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
            garbage = garbage.and(self.set_volume_aside(name)?);
        }
        Ok(garbage)
    }

    fn set_volume_aside(&self, name: &str) -> Result<Garbage> {
        // Or what it stands for would be taken apart.
        self.unmount_volume(name)?;
        self.store.set_aside(&self.store.volume(name))
    }

    /// Bytes that the volume's files take.
    pub fn volume_size(&self, name: &str) -> Result<u64> {
        disk_usage(&self.volume_path(name))
    }
}
