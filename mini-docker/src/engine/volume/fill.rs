//! Filling an empty volume with what the image has in its place.
//!
//! Once, and whole: a mark says from where, before the first file is copied, and goes when all is on disk. Whoever uses the
//! volume next and finds the mark completes what was interrupted. Nothing is ever replaced or removed in a volume: another
//! container may have it, since when it was empty.

use std::{
    fs,
    io::ErrorKind,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{SFlag, fstat},
    unistd::syncfs,
};
use serde::{Deserialize, Serialize};

use super::{Volume, copy};
use crate::engine::{
    Engine,
    container::{Config, storage::From},
    error::{Context, Error, Result},
    files::{Durability, read_json, write_json},
};

/// Where a volume is filled from.
#[derive(Debug, Serialize, Deserialize)]
struct Mark {
    /// The image's layers, the topmost first.
    layers: Vec<String>,
    /// The directory of the image.
    path: String,
}

impl Engine {
    /// Fills the container's empty volumes from its image, and completes what another could not.
    pub(in crate::engine) fn fill_volumes(&self, config: &Config) -> Result<()> {
        for point in &config.storage.points {
            let From::Volume { name, copy, anonymous, .. } = &point.from else { continue };
            let durability = if *anonymous { config.durability() } else { Durability::Machine };
            let volume = self.volume(name)?;
            let _alone = self.lock_volume(name)?;
            let filled = self.complete_filling(&volume, durability).and_then(|()| {
                if !copy {
                    return Ok(());
                }
                let mark = Mark { layers: config.layers.clone(), path: point.destination.clone() };
                self.fill_empty(&volume, &mark, durability)
            });
            // It is mounted again when the container starts.
            let released = if volume.options.is_empty() { Ok(()) } else { self.release_volume(config, name) };
            filled.and(released)?;
        }
        Ok(())
    }

    fn mark_file(&self, name: &str) -> PathBuf {
        self.store.volume(name).join("copying")
    }

    /// Completes the filling that was interrupted, if there was one. Without its image what is there is all there will be.
    fn complete_filling(&self, volume: &Volume, durability: Durability) -> Result<()> {
        let path = self.mark_file(&volume.name);
        let Some(mark) = read_json::<Mark>(&path)? else { return Ok(()) };
        let (data_path, data) = self.open_locked(volume)?;
        if mark.layers.iter().all(|layer| self.store.layer(layer).exists())
            && let Some(source) = self.image_directory(&mark)?
        {
            copy_to(&source, &data, &data_path)?;
        }
        self.finish_filling(&data, &path, durability)
    }

    // ANCHOR: fill
    fn fill_empty(&self, volume: &Volume, mark: &Mark, durability: Durability) -> Result<()> {
        let (data_path, data) = self.open_locked(volume)?;
        if fs::read_dir(&data_path).doing("read", &data_path)?.next().is_some() {
            return Ok(());
        }
        let Some(source) = self.image_directory(mark)? else { return Ok(()) };
        let path = self.mark_file(&volume.name);
        write_json(&path, mark, durability)?;
        copy_to(&source, &data, &data_path)?;
        self.finish_filling(&data, &path, durability)
    }
    // ANCHOR_END: fill

    /// All that was copied is on disk before the mark goes.
    #[allow(clippy::unused_self)]
    fn finish_filling(&self, data: &OwnedFd, mark: &Path, durability: Durability) -> Result<()> {
        if durability == Durability::Machine {
            let directory =
                nix::fcntl::openat(data, ".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty());
            directory.and_then(syncfs).doing("sync", mark)?;
        }
        match fs::remove_file(mark) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing("remove", mark),
            _ => Ok(()),
        }
    }

    /// Refuses a volume in the place of a file of the image, as Docker does for those that nobody named.
    pub(in crate::engine) fn check_no_file(&self, config: &Config, path: &str) -> Result<()> {
        let mark = Mark { layers: config.layers.clone(), path: path.to_owned() };
        match self.open_in_image(&mark, OFlag::O_PATH)?.map(|found| fstat(&found)) {
            Some(Ok(found)) if SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT != SFlag::S_IFDIR => {
                Err(Error::invalid(format!(
                    "cannot mount volume over existing file, file exists {path}: choose another place"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The directory of the image, if it has one there.
    fn image_directory(&self, mark: &Mark) -> Result<Option<OwnedFd>> {
        self.open_in_image(mark, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NONBLOCK)
    }

    // ANCHOR: open
    /// Links in the image lead nowhere else.
    fn open_in_image(&self, mark: &Mark, flags: OFlag) -> Result<Option<OwnedFd>> {
        let lower: Vec<_> = mark.layers.iter().map(|layer| self.store.layer(layer).join("fs")).collect();
        let seen = |errno: Errno| Error::system("look into the image to fill a volume", &errno.into());
        let root = overlay::merged(&lower).map_err(seen)?;
        let confined = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(confined);
        match openat2(root.as_fd(), mark.path.as_str(), how) {
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            opened => opened.map(Some).map_err(seen),
        }
    }
    // ANCHOR_END: open
}

fn copy_to(source: &OwnedFd, data: &OwnedFd, path: &Path) -> Result<()> {
    copy::tree(source, data)
        .map_err(|e| Error::system(format_args!("fill the volume {} from the image", path.display()), &e))
}
