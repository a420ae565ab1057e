//! What a container's runtime is to mount, from what the container is.

use mount::Mount;

use super::{Engine, container::Config, error::Result};

impl Engine {
    /// What is mounted in the container beside what every container has, parents before children.
    #[allow(clippy::unused_self)]
    pub(super) fn mounts(&self, _config: &Config) -> Result<Vec<Mount>> {
        Ok(Vec::new())
    }
}
