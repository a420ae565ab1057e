//! `save`: blobs as they came where they are kept, packed where not.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
};

use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::{Entry, NAME, REF_NAME};
use crate::engine::{
    Engine,
    digest::{Digest, Hashing},
    error::{Error, Result},
    files::Locking,
    image::{
        Image,
        manifest::{Descriptor, Document, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST},
    },
    reference::Reference,
};

/// An archive in the making.
struct Save<'a, W: Write> {
    engine: &'a Engine,
    archive: Builder<W>,
    written: BTreeSet<Digest>,
}

impl Engine {
    /// Writes images to one archive, each with the names that it was asked for by. By id it goes without.
    pub fn save(&self, names: &[String], writer: impl Write) -> Result<()> {
        let mut images: Vec<(Image, Vec<Reference>)> = Vec::new();
        for text in names {
            for (image, name) in self.images_to_save(text)? {
                let at = images.iter().position(|(other, _)| other.id == image.id);
                match at {
                    Some(at) => {
                        let known = &mut images[at].1;
                        known.extend(name.filter(|name| !known.contains(name)).into_iter().collect::<Vec<_>>());
                    }
                    None => images.push((image, name.into_iter().collect())),
                }
            }
        }
        let layers: Vec<_> =
            images.iter().flat_map(|(image, _)| image.config.rootfs.diff_ids.iter().cloned()).collect();
        let leased = self.intake().and_then(|intake| intake.lease(&layers).map(|()| intake));
        // Where that cannot be written down, on a full disk for example, who removes images waits.
        let _lock = if leased.is_err() { Some(self.store.lock(Locking::Shared)?) } else { None };
        let mut save = Save {
            engine: self,
            archive: Builder::new(io::BufWriter::with_capacity(256 << 10, writer)),
            written: BTreeSet::new(),
        };
        save.everything(&images)?;
        for (image, _) in &images {
            self.emit_image("save", &image.id);
        }
        Ok(())
    }

    /// The images that one argument of `save` means: a repository without a tag is all its tags.
    fn images_to_save(&self, text: &str) -> Result<Vec<(Image, Option<Reference>)>> {
        let bare = Reference::parse_bare(text).ok().filter(|bare| bare.own_tag().is_none() && bare.digest().is_none());
        let mut tags = Vec::new();
        if let Some(bare) = bare {
            for (name, id) in self.names()? {
                if name.is_beside(&bare)
                    && name.digest().is_none()
                    && let Some(image) = self.read_image(&id)?
                {
                    tags.push((image, Some(name)));
                }
            }
        }
        if !tags.is_empty() {
            return Ok(tags);
        }
        let named = |name: &Reference| self.read_name(name).is_some() && name.digest().is_none();
        Ok(vec![(self.image(text)?, Reference::parse(text).ok().filter(named))])
    }
}

impl<W: Write> Save<'_, W> {
    fn everything(&mut self, images: &[(Image, Vec<Reference>)]) -> Result<()> {
        let (mut entries, mut manifests) = (Vec::new(), Vec::new());
        let mut repositories: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for (image, names) in images {
            let (descriptor, manifest) = self.image(image)?;
            let path = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.digest.hex());
            entries.push(Entry {
                config: path(&manifest.config),
                repo_tags: Some(names.iter().map(ToString::to_string).collect()),
                layers: Some(manifest.layers.iter().map(path).collect()),
            });
            for name in names {
                let annotations =
                    BTreeMap::from([(NAME.to_owned(), name.full()), (REF_NAME.to_owned(), name.tag().to_owned())]);
                manifests.push(Descriptor { annotations: Some(annotations), ..descriptor.clone() });
                if let Some(top) = manifest.layers.last() {
                    let tags = repositories.entry(name.repository()).or_default();
                    tags.insert(name.tag().to_owned(), top.digest.hex().to_owned());
                }
            }
            if names.is_empty() {
                manifests.push(descriptor);
            }
        }
        self.json("index.json", &json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests }))?;
        self.json("manifest.json", &json!(entries))?;
        self.json("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
        if !repositories.is_empty() {
            self.json("repositories", &json!(repositories))?;
        }
        self.archive.finish().and_then(|()| self.archive.get_mut().flush()).map_err(|e| failed(&e))
    }

    /// Writes an image's blobs. Returns its manifest, and what names that.
    fn image(&mut self, image: &Image) -> Result<(Descriptor, Manifest)> {
        let config = self.engine.image_bytes(image)?;
        let mut layers = Vec::new();
        for diff in &image.config.rootfs.diff_ids {
            layers.push(self.layer(diff)?);
        }
        let id = Digest::of(&config);
        self.blob(&id, config.len() as u64, &mut config.as_slice())?;
        let kept = self.engine.image_manifest(image).and_then(|bytes| match Document::parse(&bytes, "").ok()? {
            Document::Manifest(manifest) => Some((bytes, manifest)),
            Document::Index(_) => None,
        });
        let same = |manifest: &Manifest| {
            manifest.config.digest == id
                && manifest.layers.iter().map(|l| &l.digest).eq(layers.iter().map(|l| &l.digest))
        };
        let (bytes, manifest) = if let Some(kept) = kept.filter(|(_, manifest)| same(manifest)) {
            kept
        } else {
            let size = config.len() as u64;
            let media_type = OCI_CONFIG.to_owned();
            let config = Descriptor { media_type, size, digest: id, platform: None, annotations: None };
            let manifest = Manifest { schema_version: 2, media_type: OCI_MANIFEST.to_owned(), config, layers };
            (serde_json::to_vec(&manifest).map_err(|e| failed(&e.into()))?, manifest)
        };
        let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
        self.blob(&digest, size, &mut bytes.as_slice())?;
        let media_type = manifest.content_type().to_owned();
        Ok((Descriptor { media_type, size, digest, platform: None, annotations: None }, manifest))
    }

    fn layer(&mut self, diff: &Digest) -> Result<Descriptor> {
        if let Some((blob, mut file)) = self.engine.layer_blob(diff)? {
            self.blob(&blob.digest, blob.size, &mut file)?;
            let compression = match blob.media_type.rsplit_once(['+', '.']) {
                Some((_, compression @ ("gzip" | "zstd"))) => format!("+{compression}"),
                _ => String::new(),
            };
            return Ok(Descriptor {
                media_type: format!("{OCI_LAYER}{compression}"),
                platform: None,
                annotations: None,
                ..blob
            });
        }
        // Its length stands before it: packed twice, and never on the disk.
        let mut counting = Hashing::new(io::sink());
        self.engine.write_layer(diff, &mut counting)?;
        let size = counting.length();
        if self.written.insert(diff.clone()) {
            self.header(&format!("blobs/sha256/{}", diff.hex()), size)?;
            self.engine.write_layer(diff, self.archive.get_mut())?;
            self.pad(size)?;
        }
        Ok(Descriptor {
            media_type: OCI_LAYER.to_owned(),
            size,
            digest: diff.clone(),
            platform: None,
            annotations: None,
        })
    }

    fn blob(&mut self, digest: &Digest, size: u64, contents: &mut dyn Read) -> Result<()> {
        if !self.written.insert(digest.clone()) {
            return Ok(());
        }
        self.header(&format!("blobs/sha256/{}", digest.hex()), size)?;
        let copied = io::copy(&mut contents.take(size), self.archive.get_mut()).map_err(|e| failed(&e))?;
        if copied < size {
            return Err(Error::invalid(format!(
                "save the blob {}: it has become shorter, the store is damaged",
                digest.short()
            )));
        }
        self.pad(size)
    }

    fn json(&mut self, name: &str, value: &serde_json::Value) -> Result<()> {
        let text = value.to_string();
        self.header(name, text.len() as u64)?;
        self.archive.get_mut().write_all(text.as_bytes()).map_err(|e| failed(&e))?;
        self.pad(text.len() as u64)
    }

    fn header(&mut self, name: &str, size: u64) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_size(size);
        let written = header.set_path(name).and_then(|()| {
            header.set_cksum();
            self.archive.get_mut().write_all(header.as_bytes())
        });
        written.map_err(|e| failed(&e))
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let padding = size.wrapping_neg() % 512;
        self.archive.get_mut().write_all(&[0; 512][..padding as usize]).map_err(|e| failed(&e))
    }
}

fn failed(cause: &io::Error) -> Error {
    Error::system("write the archive", cause)
}
