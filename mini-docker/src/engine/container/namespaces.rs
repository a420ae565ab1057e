//! Which namespaces a container shares with the host or with another container.

use serde::{Deserialize, Serialize};

/// The namespaces that are not the container's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {}
