//! How images come into the store, from wherever: layers first, each whole, and the record that names them last, when all
//! is on disk.
//!
//! An intake that dies leaves what a sweep removes, and whole layers, which the next one finds. While it lives no layer
//! that it counts on is removed, though it does not hold the store's lock as long as it waits for a network.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Image,
    config::ImageConfig,
    layer::{self, Expected},
};
use crate::engine::{
    Engine,
    digest::Digest,
    error::{Context, Error, Result},
    files::{Durability, Locking, read_json, write_atomic, write_json, write_unless_same},
    reference::Reference,
    store::{Scratch, UNDO, make_directory},
};

/// What we know of an image beside its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The image that it was made from here.
    pub parent: Option<Digest>,
    /// When it got its last name.
    pub tagged: Option<Timestamp>,
}

/// Where the parts of an image gather.
pub struct Intake<'a> {
    engine: &'a Engine,
    scratch: Scratch,
    next: AtomicU32,
}

/// The file in a scratch directory that lists the layers an intake counts on.
const USES: &str = "uses";

impl Engine {
    /// Begins to take an image in.
    pub fn intake(&self) -> Result<Intake<'_>> {
        self.store.sweep()?;
        Ok(Intake { engine: self, scratch: self.store.scratch()?, next: AtomicU32::new(0) })
    }

    /// Layers that intakes count on now.
    pub(super) fn leased_layers(&self) -> Result<Vec<String>> {
        self.store.sweep()?;
        let tmp = self.store.root().join("tmp");
        let lists =
            self.store.list("tmp")?.into_iter().filter_map(|name| fs::read_to_string(tmp.join(name).join(USES)).ok());
        Ok(lists.flat_map(|list| list.lines().map(str::to_owned).collect::<Vec<_>>()).collect())
    }

    /// Keeps the manifest by which an image is known in a registry now, and its name there.
    pub fn note_pushed(&self, image: &Image, name: &Reference, manifest: &[u8], digest: &Digest) -> Result<()> {
        let _no_removal = self.store.lock(Locking::Shared)?;
        if !self.store.image(&image.id).exists() {
            return Ok(());
        }
        write_atomic(&self.store.image_file(&image.id, "manifest"), manifest, Durability::Machine)?;
        self.name_image(&image.id, &name.with_digest(digest.clone()))
    }

    /// What we know of an image beside its configuration.
    pub fn notes(&self, id: &str) -> Notes {
        // They are only notes.
        read_json(&self.store.image_file(id, "notes")).ok().flatten().unwrap_or_default()
    }
}

impl Intake<'_> {
    /// A directory for what else there is on the way.
    pub(super) fn path(&self) -> &Path {
        &self.scratch.path
    }

    /// Names layers that the image will have, more than before. Those that are there stay there.
    pub fn lease(&self, layers: &[Digest]) -> Result<()> {
        // Who reads the list has the lock alone, so that it is whole then. A new one in the old one's place would wait for
        // the disk each time: that is how ext4 treats a rename.
        let _no_removal = self.engine.store.lock(Locking::Shared)?;
        let list: String = layers.iter().flat_map(|layer| [layer.hex(), "\n"]).collect();
        let path = self.scratch.path.join(USES);
        let file = File::options().append(true).create(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(list.as_bytes())).doing("write", &path)
    }

    /// Whether the store has a layer.
    pub fn has(&self, layer: &Digest) -> bool {
        self.engine.has_layer(layer)
    }

    /// Unpacks a layer and publishes it, all its files and then its name. Several threads may.
    pub fn layer(&self, archive: impl Read + Send, expected: Expected) -> Result<Digest> {
        let directory = self.directory()?;
        let layer =
            layer::unpack(archive, &directory, expected).and_then(|layer| self.engine.publish_layer(layer, &directory));
        if layer.is_err() {
            // What stays is garbage with the rest of the scratch directory.
            let _ = fs::remove_dir_all(&directory);
        }
        layer
    }

    /// Makes a layer of a tree, which is moved where `take` says so, and otherwise copied.
    pub fn tree(&self, tree: &Path, take: Take, leave_out: &[&[u8]]) -> Result<Digest> {
        let directory = self.directory()?;
        let layer = match take {
            Take::Move => {
                fs::rename(tree, directory.join("fs")).doing("take", tree)?;
                layer::adopt(&directory)?
            }
            Take::Copy => super::copy::layer(tree, &directory, leave_out)?,
        };
        self.engine.publish_layer(layer, &directory)
    }

    /// Records the image, and names it. `manifest` is the one that it came with, byte for byte.
    pub fn finish(self, config: &[u8], manifest: Option<&[u8]>, notes: &Notes, names: &[Reference]) -> Result<Image> {
        self.record(config, manifest, notes, names)
    }

    /// As [`Intake::finish`], where more images follow.
    pub fn record(&self, config: &[u8], manifest: Option<&[u8]>, notes: &Notes, names: &[Reference]) -> Result<Image> {
        let parsed = ImageConfig::parse(config)?;
        let store = &self.engine.store;
        let _no_removal = store.lock(Locking::Shared)?;
        if let Some(missing) = parsed.rootfs.diff_ids.iter().find(|layer| !self.has(layer)) {
            return Err(Error::conflict(format!("the layer {} has just been removed: try again", missing.short())));
        }
        self.engine.settle_layers(&parsed.rootfs.diff_ids)?;
        let id = Digest::of(config).hex().to_owned();
        if let Some(manifest) = manifest {
            write_atomic(&store.image_file(&id, "manifest"), manifest, Durability::Machine)?;
        }
        let known = self.engine.notes(&id);
        let notes =
            Notes { parent: notes.parent.clone().or(known.parent.clone()), tagged: notes.tagged.or(known.tagged) };
        if notes != known {
            write_json(&store.image_file(&id, "notes"), &notes, Durability::Process)?;
        }
        write_unless_same(&store.image(&id), config)?;
        for name in names {
            self.engine.name_image(&id, name)?;
        }
        Ok(Image { id, config: parsed })
    }

    /// Where what is done for it in the kernel is journaled: a sweep takes it back if this process dies.
    pub(in crate::engine) fn undo(&self) -> PathBuf {
        self.scratch.path.join(UNDO)
    }

    /// An empty directory that goes with it.
    pub(in crate::engine) fn directory(&self) -> Result<PathBuf> {
        let path = self.scratch.path.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        make_directory(&path, 0o700)?;
        Ok(path)
    }
}

/// What becomes of a tree that a layer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// It goes on, as it is.
    Copy,
    /// It becomes the layer.
    Move,
}
