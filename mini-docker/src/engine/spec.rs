//! From a container of the store to what the runtime makes.

use super::{Engine, container::Container, error::Result};
use crate::runtime::{ProcessSpec, Spec};

/// Docker's /dev/shm, in bytes.
pub(super) const SHM_SIZE: u64 = 64 << 20;

impl Engine {
    /// What the runtime is asked for.
    pub(super) fn spec(&self, container: &Container) -> Result<Spec> {
        let config = &container.config;
        Ok(Spec {
            lower: config.layers.iter().map(|layer| self.store.layer(layer).join("fs")).collect(),
            base: self.store.container(&config.id),
            volatile: config.auto_remove,
            hostname: config.hostname.clone(),
            host_network: config.network.mode == "host",
            process: Self::process_spec(container)?,
            init: config.init,
            cgroup: self.cgroup_path(config),
            limits: config.limits.clone(),
            mounts: self.mounts(config)?,
            shm_size: config.storage.shm_size.unwrap_or(SHM_SIZE),
            read_only: config.storage.read_only,
        })
    }

    /// The container's first process, and what each other one of it begins with.
    pub(super) fn process_spec(container: &Container) -> Result<ProcessSpec> {
        let config = &container.config;
        Ok(ProcessSpec {
            arguments: config.entrypoint.iter().chain(&config.command).cloned().collect(),
            environment: config.env.clone(),
            working_dir: config.working_dir.clone(),
            user: config.user.clone(),
            terminal: config.tty,
            size: None,
            capabilities: config.rights.capabilities()?,
            new_privileges: config.rights.new_privileges,
            seccomp: config.rights.seccomp()?,
            rlimits: config.rights.rlimits()?,
        })
    }
}
