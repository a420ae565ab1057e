//! Where every container has something mounted: a layer below all of its image's. Without it each start made what its
//! image lacks in the container's own layer, and each end removed it.

use std::{fs, io::ErrorKind, os::unix::fs::PermissionsExt, path::PathBuf};

use super::{
    Engine,
    container::Config,
    error::{Context, Result},
    network,
    store::make_directory,
};

/// Directories of the root.
const DIRECTORIES: [&str; 4] = ["dev", "etc", "proc", "sys"];

impl Engine {
    /// The read-only directories of a container's root, the topmost first.
    pub(super) fn lower(&self, config: &Config) -> Result<Vec<PathBuf>> {
        let layers = config.layers.iter().map(|layer| self.store.layer(layer).join("fs"));
        Ok(layers.chain([self.mount_points()?]).collect())
    }

    /// The layer with the mount points; made where it is missing.
    pub(super) fn mount_points(&self) -> Result<PathBuf> {
        let place = self.store.root().join("mountpoints");
        if place.exists() {
            return Ok(place);
        }
        let scratch = self.store.scratch()?;
        let new = scratch.path.join("new");
        for name in DIRECTORIES {
            make_directory(&new.join(name), 0o755)?;
        }
        for name in network::FILES {
            let path = new.join("etc").join(name);
            fs::File::create(&path).doing("create", &path)?;
        }
        // Whatever the umask: an image without them shows these.
        for name in DIRECTORIES.iter().chain([&"."]) {
            let path = new.join(name);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).doing("chmod", &path)?;
        }
        match fs::rename(&new, &place) {
            // Somebody was faster.
            Err(e) if !matches!(e.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                Err(e).doing("make", &place)
            }
            _ => Ok(place),
        }
    }
}
