//! How a container is connected.

use serde::{Deserialize, Serialize};

use crate::engine::error::{Error, Result};

/// A container's networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// `none`: loopback alone; `host`: the host's.
    pub mode: String,
}

impl Default for Network {
    fn default() -> Self {
        Self { mode: "none".to_owned() }
    }
}

impl Network {
    /// Whether it can be had.
    pub fn check(&self) -> Result<()> {
        match self.mode.as_str() {
            "none" | "host" => Ok(()),
            other => Err(Error::not_found(format!("network {other} not found: there are `none` and `host`"))),
        }
    }
}
