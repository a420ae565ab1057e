//! Flags about what the monitor does: restarts, health checks, logs.

use clap::Args;

use crate::engine::{Request, Result};

#[derive(Debug, Args)]
pub(super) struct SupervisionFlags {}

impl SupervisionFlags {
    #[allow(clippy::unused_self)]
    pub(super) fn fill(&self, _request: &mut Request) -> Result<()> {
        Ok(())
    }
}
