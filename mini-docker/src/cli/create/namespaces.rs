//! Flags about which namespaces are shared.

use clap::Args;

use crate::engine::{Request, Result};

#[derive(Debug, Args)]
pub(super) struct NamespacesFlags {}

impl NamespacesFlags {
    #[allow(clippy::unused_self)]
    pub(super) fn fill(&self, _request: &mut Request) -> Result<()> {
        Ok(())
    }
}
