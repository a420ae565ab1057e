//! The filesystem of a stage while a step changes it: an overlay over its layers that is attached nowhere, or a directory
//! where there are no layers.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::open,
    sys::stat::{Mode, umask},
};
use overlay::Overlay;
use process::{Host, Journal};

use super::onto;
use crate::engine::{
    Engine,
    error::{Context, Error, Kind, Result},
    image::{Image, ImageConfig},
    store::make_directory,
};

/// A stage's files, to be read and changed. They go when this value does; what was changed is in [`Workspace::upper`].
pub(super) struct Workspace {
    base: PathBuf,
    root: OwnedFd,
}

/// Where overlayfs writes to, below the base.
const UPPER: &str = "upper";

/// The directories of an image's layers, the topmost first.
pub(super) fn lower(engine: &Engine, image: &ImageConfig) -> Vec<PathBuf> {
    Image { id: String::new(), config: image.clone() }.lower(engine)
}

impl Workspace {
    /// Mounts the layers of `image` below a writable one in `base`, an empty directory.
    pub(super) fn new(engine: &Engine, image: &ImageConfig, base: &Path) -> Result<Self> {
        let lower = lower(engine, image);
        if lower.is_empty() {
            return Self::alone(base);
        }
        let mut overlay = Overlay::new(lower, base.to_owned());
        // Layers are synced as a whole when they are published.
        overlay.volatile = true;
        let mut host = Host::new(Journal::default());
        let failed = |e: process::Error| Error::new(Kind::System, format!("mount the layers: {e}"));
        host.prepare(&mut overlay).map_err(failed)?;
        let root = host.root.take();
        let root = root.ok_or_else(|| Error::new(Kind::System, "mount the layers: the overlay has no root"))?;
        Ok(Self { base: base.to_owned(), root })
    }

    /// A filesystem with no layers below it.
    pub(super) fn alone(base: &Path) -> Result<Self> {
        let upper = base.join(UPPER);
        make_directory(&upper, 0o755)?;
        let root = open(&upper, onto::DIRECTORY, Mode::empty()).doing("open", &upper)?;
        Ok(Self { base: base.to_owned(), root })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Unmounts, and returns the directory with what was changed; `None` where nothing was.
    pub(super) fn into_upper(self) -> Result<Option<PathBuf>> {
        let upper = self.base.join(UPPER);
        drop(self.root);
        Ok(if is_empty(&upper) { None } else { Some(upper) })
    }
}

pub(super) fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// The user's mask of modes, which says nothing of what is in images; it counts again when this value goes.
pub(super) struct Unmasked(Mode);

impl Unmasked {
    pub(super) fn new() -> Self {
        Self(umask(Mode::empty()))
    }
}

impl Drop for Unmasked {
    fn drop(&mut self) {
        umask(self.0);
    }
}
