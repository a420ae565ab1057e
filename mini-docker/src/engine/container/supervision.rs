//! What a container's monitor does for it: restarts, health checks, its log.

use serde::{Deserialize, Serialize};

/// The monitor's orders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supervision {}
