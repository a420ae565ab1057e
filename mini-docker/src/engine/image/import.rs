//! An image from a root filesystem.

use std::io::Read;

use super::{History, Image, ImageConfig, Notes, layer::Expected, platform::Platform};
use crate::engine::{
    Engine, build,
    error::{Error, Result},
    reference::Reference,
};

/// What to make of a root filesystem.
#[derive(Debug, Clone, Default)]
pub struct Import {
    /// The image's name.
    pub name: Option<Reference>,
    /// A remark.
    pub message: String,
    /// Dockerfile instructions over the configuration.
    pub changes: Vec<String>,
    /// What it is for; this machine.
    pub platform: Option<Platform>,
}

impl Engine {
    /// Makes an image of one layer from the root filesystem in `archive` (tar, compressed or not).
    pub fn import(&self, archive: impl Read + Send, import: &Import) -> Result<Image> {
        let mut config = ImageConfig::new();
        if let Some(platform) = &import.platform {
            if platform.os != "linux" {
                return Err(Error::invalid(format!("the platform {platform} cannot be run here: use linux/…")));
            }
            config.architecture.clone_from(&platform.architecture);
            config.variant.clone_from(&platform.variant);
        }
        build::change(&mut config.config, &import.changes)?;
        let intake = self.intake()?;
        let layer = intake.layer(archive, Expected::default())?;
        config.rootfs.diff_ids.push(layer);
        config.history.push(History { created: config.created, comment: import.message.clone(), ..History::default() });
        let bytes = serde_json::to_vec(&config).map_err(|e| Error::system("write the configuration", &e.into()))?;
        let image = intake.finish(&bytes, None, &Notes::default(), import.name.as_slice())?;
        if let Some(name) = &import.name {
            self.emit_tag(&image.id, name);
        }
        self.emit_image("import", &image.id);
        Ok(image)
    }
}
