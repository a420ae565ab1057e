//! Flags about what is mounted.

use clap::Args;

use crate::engine::{Request, Result, bytes::parse as bytes};

#[derive(Debug, Args)]
pub(super) struct StorageFlags {
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    shm_size: Option<u64>,
}

impl StorageFlags {
    #[allow(clippy::unnecessary_wraps)]
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        // As in Docker, 0 is its own default.
        request.storage.shm_size = self.shm_size.filter(|size| *size > 0);
        request.storage.read_only = self.read_only;
        Ok(())
    }
}
