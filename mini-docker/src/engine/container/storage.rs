//! What a container's root is made of beside its image's layers.

use serde::{Deserialize, Serialize};

/// Mounts and their kin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {}
