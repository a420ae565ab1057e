//! Flags about what is mounted.

use clap::Args;

use crate::engine::{Request, Result};

#[derive(Debug, Args)]
pub(super) struct StorageFlags {}

impl StorageFlags {
    #[allow(clippy::unused_self)]
    pub(super) fn fill(&self, _request: &mut Request) -> Result<()> {
        Ok(())
    }
}
