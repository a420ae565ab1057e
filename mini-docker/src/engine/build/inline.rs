//! A cache that travels: what the steps of an image made, written into its configuration, and taken from there where the
//! user says that an image may be trusted with that (`--cache-from`).
//!
//! Layers that the records name are those of the image itself, which were verified when it came. Where a cache travels
//! alone, it is an image too, of the layers that its records name.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{Builder, cache::Record};
use crate::engine::{
    Engine,
    error::{Context, Error, Result},
    image::{Image, ImageConfig, Notes},
};

/// The field of the configuration.
const FIELD: &str = "mini-docker.build-cache.v0";

/// A step's record and its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    key: String,
    record: Record,
}

/// What the steps of a build made.
#[derive(Debug)]
pub struct Steps(pub(super) Vec<Kept>);

/// Whose steps travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those whose layers are the image's.
    Image,
    /// Those of all stages.
    All,
}

impl Builder<'_> {
    /// Notes what a step of this build made.
    pub(super) fn keep(&mut self, key: &str, record: &Record) {
        if self.request.inline_cache || self.request.keep_steps {
            self.kept.push(Kept { key: key.to_owned(), record: record.clone() });
        }
    }

    /// The configuration as it is written, with what has been kept.
    pub(super) fn encode(&self, image: &ImageConfig) -> Result<Vec<u8>> {
        let failed = |e: serde_json::Error| Error::system("write the configuration", &e.into());
        if !self.request.inline_cache {
            return serde_json::to_vec(image).map_err(failed);
        }
        let mut value = serde_json::to_value(image).map_err(failed)?;
        let kept: Vec<_> = self.kept.iter().filter(|kept| kept.is_of(image)).collect();
        if let Some(fields) = value.as_object_mut() {
            fields.insert(FIELD.to_owned(), serde_json::to_value(kept).map_err(failed)?);
        }
        serde_json::to_vec(&value).map_err(failed)
    }
}

impl Kept {
    /// Whether its layer is one of the image's, if it has one.
    fn is_of(&self, image: &ImageConfig) -> bool {
        self.record.layer.as_ref().is_none_or(|layer| image.rootfs.diff_ids.contains(layer))
    }
}

impl Engine {
    /// Records a cache as an image without a name, which nobody runs.
    pub fn record_cache(&self, steps: &Steps, image: &Image, whose: Whose) -> Result<Image> {
        let kept: Vec<_> = steps.0.iter().filter(|kept| whose == Whose::All || kept.is_of(&image.config)).collect();
        let mut config = ImageConfig::new();
        config.created = kept.iter().map(|kept| kept.record.created).max();
        for layer in kept.iter().filter_map(|kept| kept.record.layer.as_ref()) {
            if !config.rootfs.diff_ids.contains(layer) {
                config.rootfs.diff_ids.push(layer.clone());
            }
        }
        let failed = |e: serde_json::Error| Error::system("write the cache", &e.into());
        let mut value = serde_json::to_value(config).map_err(failed)?;
        value[FIELD] = serde_json::to_value(kept).map_err(failed)?;
        let bytes = serde_json::to_vec(&value).map_err(failed)?;
        self.intake()?.finish(&bytes, None, &Notes::default(), &[])
    }

    /// Takes over what an image's steps made; how many there were.
    pub fn import_cache(&self, image: &Image) -> Result<usize> {
        let path = self.store.image(&image.id);
        let bytes = fs::read(&path).doing("read", &path)?;
        let mut value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        // A damaged list is none.
        let kept: Vec<Kept> = serde_json::from_value(value[FIELD].take()).unwrap_or_default();
        let of_image = |kept: &&Kept| {
            let is_key = kept.key.len() == 64 && kept.key.bytes().all(|b| b.is_ascii_hexdigit());
            is_key && kept.is_of(&image.config)
        };
        let mut taken = 0;
        for kept in kept.iter().filter(of_image) {
            if self.cached(&kept.key)?.is_none() {
                self.remember(&kept.key, &kept.record)?;
            }
            taken += 1;
        }
        Ok(taken)
    }
}
