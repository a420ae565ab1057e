//! Flags about names and networks.

use clap::Args;

use crate::engine::{Request, Result};

#[derive(Debug, Args)]
pub(super) struct NetworkFlags {
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
    /// Connect the container to a network: `none` (loopback only), or `host`
    #[arg(long, visible_alias = "net", default_value = "none")]
    network: String,
}

impl NetworkFlags {
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        request.hostname.clone_from(&self.hostname);
        request.network.mode.clone_from(&self.network);
        Ok(())
    }
}
