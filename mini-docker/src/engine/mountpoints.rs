//! Where every container has something mounted, and the sign that it is one: a layer below all of its image's. Without it
//! each start made what its image lacks in the container's own layer, and each end removed it.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::{
    Engine,
    container::Config,
    error::{Context, Result},
    network,
    store::make_directory,
};

/// Directories of the root.
const DIRECTORIES: [&str; 4] = ["dev", "etc", "proc", "sys"];

/// By which programs find out that they are in a container of Docker's kind.
const SIGN: &str = ".dockerenv";

fn sign(root: &Path) -> Result<()> {
    let path = root.join(SIGN);
    let file = fs::File::create(&path).doing("create", &path)?;
    file.set_permissions(fs::Permissions::from_mode(0o755)).doing("chmod", &path)
}

impl Engine {
    /// The read-only directories of a container's root, the topmost first.
    pub(super) fn lower(&self, config: &Config) -> Result<Vec<PathBuf>> {
        let layers = config.layers.iter().map(|layer| self.store.layer(layer).join("fs"));
        Ok(layers.chain([self.mount_points()?]).collect())
    }

    /// The layer with the mount points; made where it is missing.
    pub(super) fn mount_points(&self) -> Result<PathBuf> {
        let place = self.store.root().join("mountpoints");
        if place.join(SIGN).exists() {
            return Ok(place);
        }
        if place.exists() {
            // It is an older program's.
            sign(&place)?;
            return Ok(place);
        }
        let scratch = self.store.scratch()?;
        let new = scratch.path.join("new");
        for name in DIRECTORIES {
            make_directory(&new.join(name), 0o755)?;
        }
        for name in network::FILES {
            let path = new.join("etc").join(name);
            let file = fs::File::create(&path).doing("create", &path)?;
            file.set_permissions(fs::Permissions::from_mode(0o644)).doing("chmod", &path)?;
        }
        sign(&new)?;
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
