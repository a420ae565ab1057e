//! What a container's root is made of beside its image's layers.

use serde::{Deserialize, Serialize};

/// Mounts and their kin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// Bytes of /dev/shm; `None`: Docker's 64 MiB.
    pub shm_size: Option<u64>,
    /// Whether the root can only be read.
    pub read_only: bool,
}
