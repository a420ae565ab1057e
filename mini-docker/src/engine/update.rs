//! Changing what a container is: its name, what it may use, when it is started again.

use cgroup::{Handle, Limits};
use process::{Host, Journal};

use super::{
    Engine,
    container::{Config, Container, supervision::RestartPolicy},
    error::{Context, Error, Kind, Result},
    files::write_json,
    names,
};

/// What is to change; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Limits, by their `Some`.
    pub limits: Limits,
    /// When it is started again.
    pub restart: Option<RestartPolicy>,
}

impl Engine {
    /// Changes limits and restart policy, at once and for later starts: all of it, or nothing.
    ///
    /// # Errors
    /// What the kernel refuses; then the configuration stays as it was.
    pub fn update(&self, id: &str, changes: &Changes) -> Result<()> {
        let (_lock, Container { mut config, status }) = self.hold(id)?;
        if let Some(restart) = changes.restart {
            if config.auto_remove && restart != RestartPolicy::No {
                return Err(Error::conflict(format!(
                    "restart policy cannot be updated because AutoRemove is enabled for the container {}",
                    config.name
                )));
            }
            config.supervision.restart = restart;
        }
        let before = config.limits.clone();
        merge(&mut config.limits, &changes.limits);
        if config.limits != before {
            let failed = |e: process::Error| {
                let message = format!("cannot update container {}: {e}", config.name);
                Error::new(if e.errno == process::Errno::EINVAL { Kind::Invalid } else { Kind::System }, message)
            };
            // Checked by one who makes nothing.
            cgroup::Cgroup::new(&self.cgroup_path(&config), config.limits.clone(), &[]).map_err(failed)?;
            if status.state.is_alive() {
                self.limit(&config, &changes.limits)?.map_err(failed)?;
            }
        }
        self.write_config(&config)?;
        self.emit_container(&config, "update", &[]);
        Ok(())
    }

    fn limit(&self, config: &Config, limits: &Limits) -> Result<process::Result<()>> {
        let mut host = self.late_host(config)?;
        let handle = Handle::open(&self.cgroup_path(config));
        Ok(handle.and_then(|mut handle| handle.update(limits, &mut host)))
    }

    /// For what a running container is given: it is journaled for the monitor, which undoes it with everything else.
    pub(super) fn late_host(&self, config: &Config) -> Result<Host> {
        let path = self.store.run(&config.id).join("undo");
        Ok(Host::new(Journal::open(&path).doing("open", &path)?))
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where the name is another's.
    pub fn rename(&self, id: &str, name: &str) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid("neither old nor new names may be empty: write rename OLD NEW"));
        }
        names::check(name)?;
        let (_lock, Container { mut config, .. }) = self.hold(id)?;
        let name = name.strip_prefix('/').unwrap_or(name);
        let old = std::mem::replace(&mut config.name, name.to_owned());
        if old == name {
            return Err(Error::invalid(
                "Renaming a container with the same name as its current name: choose another one",
            ));
        }
        // Both names lead to it until the old one is gone; one that is killed in between leaves a name that nobody's
        // configuration has, and so one that is free.
        self.take_free_name(&config)?;
        if let Err(e) = self.write_config(&config) {
            let _ = self.release_name(name, id);
            return Err(e);
        }
        self.release_name(&old, id)?;
        self.rename_host(&config)?;
        self.emit_container(&config, "rename", &[("oldName", &format!("/{old}"))]);
        Ok(())
    }

    /// Replaces a container's configuration. The caller holds its lock.
    pub(super) fn write_config(&self, config: &Config) -> Result<()> {
        write_json(&self.container_file(&config.id, "config.json"), config, config.durability())
    }
}

fn merge(limits: &mut Limits, changes: &Limits) {
    let Limits {
        memory,
        memory_swap,
        memory_reservation,
        nano_cpus,
        cpu_quota,
        cpu_period,
        cpu_shares,
        cpuset_cpus,
        cpuset_mems,
        pids,
        io_weight,
        realtime_period,
        realtime_runtime,
        devices: _,
        access: _,
        weights: _,
        oom_kill_disable: _,
        swappiness: _,
    } = changes;
    macro_rules! change {
        ($($field:ident),*) => { $(if $field.is_some() { limits.$field.clone_from($field); })* };
    }
    change!(memory, memory_swap, memory_reservation, nano_cpus, cpu_quota, cpu_period, cpu_shares);
    change!(cpuset_cpus, cpuset_mems, pids, io_weight, realtime_period, realtime_runtime);
}
