//! Images in archives: `save` and `load`.
//!
//! An archive is two formats in one, as Docker's own is today: an OCI image layout (`oci-layout`, `index.json`, `blobs/`),
//! and beside it the `manifest.json` by which older programs find the same blobs.

mod load;
pub(crate) mod place;
mod save;

use serde::{Deserialize, Serialize};

pub use load::Loaded;

/// An entry of `manifest.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Entry {
    pub(crate) config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) layers: Option<Vec<String>>,
}

/// The full name of an image, as containerd notes it.
const NAME: &str = "io.containerd.image.name";
/// The name, or only the tag, as OCI has it.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
