//! What the cache takes, and how it goes.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::cache::Record;
use crate::engine::{
    Engine,
    error::{Context, Result},
    events::Type,
    files::{Lock, Locking, read_json},
    usage::{Usage, disk_usage},
};

/// Something that the cache keeps.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its key.
    pub id: String,
    /// `regular`: what a step made; `exec.cachemount`: a directory of `RUN --mount=type=cache`.
    pub kind: &'static str,
    /// What it is of, for people.
    pub description: String,
    /// Bytes that go with it: none where an image has the same layer.
    pub size: u64,
    /// Whether an image has the same layer.
    pub shared: bool,
    /// When it was made, or last written to.
    pub created: Timestamp,
    path: PathBuf,
}

impl Engine {
    /// All that the cache of builds keeps, the oldest first.
    pub fn build_cache(&self) -> Result<Vec<Entry>> {
        let mut seen = BTreeSet::new();
        for listed in self.images()? {
            seen.extend(listed.image.config.rootfs.diff_ids);
        }
        let images = seen.clone();
        let mut entries = Vec::new();
        let root = self.store.root().join("build");
        for path in names(&root) {
            let Some(id) = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json")) else { continue };
            // A damaged record counts for nothing, and goes with the others.
            let Ok(Some(record)) = read_json::<Record>(&path) else { continue };
            let mut size = 0;
            if let Some(layer) = &record.layer
                && seen.insert(layer.clone())
            {
                size = self.layer_info(layer)?.map_or(0, |info| info.size);
            }
            let shared = record.layer.as_ref().is_some_and(|layer| images.contains(layer));
            let (id, created) = (id.to_owned(), record.created);
            entries.push(Entry { id, kind: "regular", description: record.step, size, shared, created, path });
        }
        for path in names(&root.join("caches")).filter(|path| path.is_dir()) {
            let id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let written = fs::metadata(&path).and_then(|found| found.modified()).ok();
            entries.push(Entry {
                id,
                kind: "exec.cachemount",
                description: "RUN --mount=type=cache".to_owned(),
                size: disk_usage(&path)?,
                shared: false,
                created: written.and_then(|time| Timestamp::try_from(time).ok()).unwrap_or_default(),
                path,
            });
        }
        entries.sort_by_key(|entry| entry.created);
        Ok(entries)
    }

    /// Removes entries that are `meant`, the oldest first, until no more than `keep` bytes are left. What a build uses just
    /// now stays. Returns those that went.
    pub fn prune_build_cache(&self, keep: u64, meant: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
        let _alone = self.store.lock(Locking::Exclusive)?;
        let entries = self.build_cache()?;
        let mut left: u64 = entries.iter().map(|entry| entry.size).sum();
        let mut gone = Vec::new();
        for entry in entries.into_iter().filter(meant) {
            if keep > 0 && left <= keep {
                break;
            }
            if self.forget_entry(&entry)? {
                left = left.saturating_sub(entry.size);
                gone.push(entry);
            }
        }
        self.forget_contents()?;
        self.clear_layers(None)?;
        self.store.clear_unfinished("build")?;
        self.emit_prune(Type::Builder, gone.iter().map(|entry| entry.size).sum());
        Ok(gone)
    }

    fn forget_entry(&self, entry: &Entry) -> Result<bool> {
        if entry.kind == "regular" {
            return fs::remove_file(&entry.path).doing("remove", &entry.path).map(|()| true);
        }
        let Some(_unused) = Lock::take(&lock_of(&entry.path), Locking::Try)? else { return Ok(false) };
        self.store.discard(&entry.path).map(|()| true)
    }

    /// What the cache takes beside images.
    pub fn build_cache_usage(&self) -> Result<Usage> {
        let entries = self.build_cache()?;
        let size = entries.iter().map(|entry| entry.size).sum();
        let active = entries.iter().filter(|entry| entry.shared).count();
        Ok(Usage { total: entries.len(), active, size, reclaimable: size })
    }
}

/// The lock of a directory of `RUN --mount=type=cache`.
pub(super) fn lock_of(directory: &Path) -> PathBuf {
    directory.with_extension("lock")
}

fn names(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path())
}
