//! Images: a configuration, an ordered list of layers, and names for it.

mod ahead;
pub(crate) mod archive;
mod commit;
pub mod config;
mod copy;
mod filter;
mod history;
mod import;
mod inspect;
mod intake;
pub mod layer;
pub mod manifest;
pub mod platform;
mod remove;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::{
    Engine,
    digest::Digest,
    error::{Context, Error, Kind, Result},
    files::{Durability, Locking, read_json, write_json, write_unless_same},
    reference::Reference,
    store::make_directory,
};

pub use archive::Loaded;
pub use commit::Commit;
pub(super) use commit::MOUNT_POINTS;
pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use filter::Filters;
pub use history::Step;
pub use import::Import;
pub use intake::{Intake, Notes, Take};
pub use remove::{Pruned, Removed};

/// An image of the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its configuration.
    pub config: ImageConfig,
}

/// An image with its names.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The image.
    pub image: Image,
    /// Its names with tags.
    pub tags: Vec<Reference>,
    /// Its names by digest.
    pub digests: Vec<Reference>,
}

impl Image {
    /// The directories of its layers, the topmost first, as overlayfs takes them.
    pub fn lower(&self, engine: &Engine) -> Vec<PathBuf> {
        self.stack().iter().map(|id| engine.store.layer(id).join("fs")).collect()
    }

    /// Its layers' digits, the topmost first, each once: overlayfs takes no directory twice, and a layer shows nothing
    /// that it does not show at its topmost place.
    pub fn stack(&self) -> Vec<String> {
        let mut stack: Vec<String> = Vec::new();
        for layer in self.layers().rev() {
            if !stack.iter().any(|above| above == layer) {
                stack.push(layer.to_owned());
            }
        }
        stack
    }

    pub(super) fn layers(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.config.rootfs.diff_ids.iter().map(Digest::hex)
    }

    /// Bytes of all its layers' files.
    pub fn size(&self, engine: &Engine) -> u64 {
        let info = |layer: &Digest| engine.layer_info(layer).ok().flatten();
        self.config.rootfs.diff_ids.iter().filter_map(info).map(|layer| layer.size).sum()
    }

    /// `sha256:` and its id.
    pub fn digest(&self) -> String {
        format!("sha256:{}", self.id)
    }
}

impl Engine {
    /// As [`Engine::name_image`], by the user's wish.
    pub fn tag(&self, id: &str, name: &Reference) -> Result<()> {
        let _no_removal = self.store.lock(Locking::Shared)?;
        if !self.store.image(id).exists() {
            return Err(Error::not_found(format!("No such image: {}; it has just been removed", short(id))));
        }
        self.name_image(id, name)?;
        self.emit_tag(id, name);
        Ok(())
    }

    /// Names the image `id`; an image that had the name before goes on without.
    pub(super) fn name_image(&self, id: &str, name: &Reference) -> Result<()> {
        let path = self.name_file(name);
        if let Some(parent) = path.parent() {
            make_directory(parent, 0o700)?;
        }
        write_unless_same(&path, format!("{id}\n").as_bytes())?;
        // Last: what is waited for before has nothing of it to write.
        if name.digest().is_none() {
            let notes = Notes { tagged: Some(Timestamp::now()), ..self.notes(id) };
            write_json(&self.store.image_file(id, "notes"), &notes, Durability::Process)?;
        }
        Ok(())
    }

    /// Finds an image by name, by id, or by the beginning of its id.
    pub fn image(&self, text: &str) -> Result<Image> {
        let id = self.image_id(text)?;
        self.read_image(&id)?
            .ok_or_else(|| Error::not_found(format!("No such image: {text}; it has just been removed")))
    }

    pub(super) fn read_image(&self, id: &str) -> Result<Option<Image>> {
        let config = read_json(&self.store.image(id))?;
        Ok(config.map(|config| Image { id: id.to_owned(), config }))
    }

    /// The id of the image that a name, or the beginning of an id, means.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::NotFound`] where there is none.
    pub fn image_id(&self, text: &str) -> Result<String> {
        let name = Reference::parse(text);
        if let Ok(name) = &name
            && let Some(id) = self.read_name(name)
        {
            return Ok(id);
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if is_hex {
            let found: Vec<_> = self.image_ids()?.into_iter().filter(|id| id.starts_with(prefix)).collect();
            match found.as_slice() {
                [] => {}
                [id] => return Ok(id.clone()),
                _ => {
                    return Err(Error::invalid(format!("the image id {prefix} is ambiguous: give more digits")));
                }
            }
        }
        if !is_hex || prefix.len() != 64 {
            name?;
        }
        Err(Error::not_found(format!("No such image: {text}; see `mini-docker images`")))
    }

    pub(super) fn read_name(&self, name: &Reference) -> Option<String> {
        let id = fs::read_to_string(self.name_file(name)).ok()?;
        Some(id.trim_end().to_owned())
    }

    fn name_file(&self, name: &Reference) -> PathBuf {
        self.store.root().join("refs").join(name.file())
    }

    pub(super) fn image_ids(&self) -> Result<Vec<String>> {
        let names = self.store.list("images")?.into_iter();
        let ids = names.filter_map(|name| name.to_str()?.strip_suffix(".json").map(str::to_owned));
        Ok(ids.filter(|id| Digest::from_hex(id).is_some()).collect())
    }

    /// All names in order, each with the id of its image.
    pub(super) fn names(&self) -> Result<Vec<(Reference, String)>> {
        let refs = self.store.root().join("refs");
        let mut names = Vec::new();
        walk(&refs, &mut |path| {
            if let Some(name) = path.strip_prefix(&refs).ok().and_then(Reference::from_file)
                && let Some(id) = self.read_name(&name)
            {
                names.push((name, id));
            }
        })?;
        names.sort();
        Ok(names)
    }

    /// All images, the newest first, each with its names.
    pub fn images(&self) -> Result<Vec<Listed>> {
        let mut names: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
        for (name, id) in self.names()? {
            names.entry(id).or_default().push(name);
        }
        let mut images = Vec::new();
        for id in self.image_ids()? {
            // It may have gone since it was listed.
            if let Ok(Some(image)) = self.read_image(&id) {
                let its = names.remove(&id).unwrap_or_default();
                let (digests, tags) = its.into_iter().partition(|name| name.digest().is_some());
                images.push(Listed { image, tags, digests });
            }
        }
        images.sort_by(|Listed { image: a, .. }, Listed { image: b, .. }| {
            b.config.created.cmp(&a.config.created).then(a.id.cmp(&b.id))
        });
        Ok(images)
    }

    /// The names of one image.
    pub fn names_of(&self, image: Image) -> Result<Listed> {
        let its = self.names()?.into_iter().filter(|(_, id)| *id == image.id).map(|(name, _)| name);
        let (digests, tags) = its.partition(|name| name.digest().is_some());
        Ok(Listed { image, tags, digests })
    }

    /// The image's configuration, byte for byte.
    pub fn image_bytes(&self, image: &Image) -> Result<Vec<u8>> {
        let path = self.store.image(&image.id);
        let bytes = fs::read(&path).doing("read", &path)?;
        if Digest::of(&bytes).hex() == image.id {
            return Ok(bytes);
        }
        Err(Error::new(
            Kind::System,
            format!("read {}: the file is damaged; remove the image and get it again", path.display()),
        ))
    }

    /// The manifest that the image came with, byte for byte.
    pub fn image_manifest(&self, image: &Image) -> Option<Vec<u8>> {
        fs::read(self.store.image_file(&image.id, "manifest")).ok()
    }
}

/// The first 12 digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Text from outside as people may see it: escaped, so that it cannot drive a terminal, and shortened.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}

fn walk(directory: &Path, file: &mut impl FnMut(&Path)) -> Result<()> {
    for entry in fs::read_dir(directory).doing("read", directory)?.flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, file)? } else { file(&path) }
    }
    Ok(())
}
