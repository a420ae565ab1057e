//! Images that a build stands on or takes files from.

use std::fmt;

use super::{Builder, Event, Failure, context::Context};
use crate::engine::{
    digest::Digest,
    error::{Kind, Result},
    files::Locking,
    image::{Image, ImageConfig},
};

/// Gets the image of a name into the store.
pub type Get = dyn Fn(&str) -> Result<()>;

/// Gets images from registries. The engine's part in a build has one thread, and tells of nothing: somebody else does it.
pub struct Pull {
    /// Gets the image of this name into the store.
    pub get: Box<Get>,
    /// Whether it also gets those that are there.
    pub always: bool,
}

impl fmt::Debug for Pull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull").field("always", &self.always).finish_non_exhaustive()
    }
}

/// What `--build-context` gives a name to.
#[derive(Debug)]
pub enum Place {
    /// A directory.
    Directory(Context),
    /// An image, in the place of the one of that name.
    Image(String),
}

impl Builder<'_> {
    /// An image to stand on.
    pub(super) fn base_image(&mut self, name: &str) -> Result<(ImageConfig, Option<Digest>), Failure> {
        let image = self.image(name)?;
        let id = Digest::from_hex(&image.id);
        Ok((image.config, id))
    }

    /// An image that files are taken from.
    pub(super) fn image_of(&mut self, name: &str) -> Result<ImageConfig, Failure> {
        if name == "scratch" {
            return Ok(ImageConfig::new());
        }
        Ok(self.image(name)?.config)
    }

    fn image(&mut self, name: &str) -> Result<Image> {
        let name = match self.request.contexts.get(name) {
            Some(Place::Image(other)) => other,
            _ => name,
        };
        let pull = &self.request.pull;
        let by_id = name.starts_with("sha256:");
        let is_wanted = match self.engine.image(name) {
            Ok(_) => pull.always && !self.pulled.iter().any(|other| other == name),
            Err(e) => e.kind == Kind::NotFound,
        };
        if is_wanted && !by_id {
            (self.progress)(Event::Pull(name));
            (pull.get)(name)?;
        }
        // Until its layers are known to be counted on.
        let _no_removal = self.engine.store.lock(Locking::Shared)?;
        let image = self.engine.image(name)?;
        self.pulled.push(name.to_owned());
        self.lease(&image.config.rootfs.diff_ids)?;
        Ok(image)
    }
}
