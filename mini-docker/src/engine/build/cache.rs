//! What has been built before: `build/KEY.json` says which layer a step made.
//!
//! A key is the digest of what the step does, of the content that it takes, and of the key that its stage had before it:
//! the same key is the same result. A record whose layer has gone counts for nothing.

use std::{fs, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::engine::{
    Engine,
    digest::Digest,
    error::Result,
    files::{Durability, Locking, read_json, write_json},
    store::make_directory,
};

/// What a step made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    /// The layer; `None` where nothing changed.
    pub(super) layer: Option<Digest>,
    /// When it was made.
    pub(super) created: Timestamp,
    /// What it did, for people.
    pub(super) step: String,
}

// ANCHOR: key
/// The key of a step, from its parts.
pub(super) fn key(parts: &[&str]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend((part.len() as u64).to_le_bytes());
        bytes.extend(part.as_bytes());
    }
    Digest::of(&bytes).hex().to_owned()
}

impl Engine {
    fn build_record(&self, key: &str) -> PathBuf {
        self.store.root().join("build").join(format!("{key}.json"))
    }

    /// What the step of this key made, if its layer is still there.
    pub(super) fn cached(&self, key: &str) -> Result<Option<Record>> {
        // A damaged record is none.
        let record: Option<Record> = read_json(&self.build_record(key)).ok().flatten();
        Ok(record.filter(|record| record.layer.as_ref().is_none_or(|layer| self.has_layer(layer))))
    }
    // ANCHOR_END: key

    /// Writes down what the step of this key made.
    pub(super) fn remember(&self, key: &str, record: &Record) -> Result<()> {
        // Who prunes takes what is not whole for abandoned.
        let _no_removal = self.store.lock(Locking::Shared)?;
        let path = self.build_record(key);
        if let Some(parent) = path.parent() {
            make_directory(parent, 0o700)?;
        }
        write_json(&path, record, Durability::Process)
    }

    /// The layers that the cache counts on: 64 hexadecimal digits each.
    pub(in crate::engine) fn cached_layers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.store.root().join("build")).into_iter().flatten().flatten();
        let records = entries.filter_map(|entry| read_json::<Record>(&entry.path()).ok().flatten());
        records.filter_map(|record| record.layer).map(|layer| layer.hex().to_owned()).collect()
    }
}
