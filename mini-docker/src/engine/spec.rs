//! From a container of the store to what the runtime makes.

use std::{os::fd::OwnedFd, path::PathBuf, sync::Arc};

use cgroup::{Controller, DEFAULT_DEVICES, DeviceRule, Hierarchies, Limits};
use nix::unistd::Pid;

use super::{
    Engine,
    container::{Config, Container, devices, namespaces::other},
    error::{Error, Result},
    image::short,
    lifecycle::way_in,
};
use crate::runtime::{Namespace, Namespaces, ProcessSpec, Shm, Spec, View};

/// `CAP_MKNOD` of linux/capability.h.
const MKNOD: u32 = 27;
/// Processes of a container where nothing is said: a fork bomb's end, far from what programs use; podman's default.
pub const DEFAULT_PIDS: i64 = 2048;
/// Docker's /dev/shm, in bytes.
pub(super) const SHM_SIZE: u64 = 64 << 20;

/// Whether the limit of processes is the default, or none.
fn nobody_asked(pids: i64) -> bool {
    pids == DEFAULT_PIDS || pids <= 0
}

impl Engine {
    /// What the runtime is asked for.
    /// Takes the container's places in its networks.
    pub(super) fn spec(&self, container: &Container) -> Result<Spec> {
        let config = &container.config;
        let (view, access) = view(container)?;
        // Then it has a program of the kernel's asked, which takes a tenth of a millisecond to load.
        let meets_devices = brings_devices(config)?;
        Ok(Spec {
            lower: self.lower(config)?,
            base: self.store.container(&config.id),
            volatile: config.auto_remove,
            hostname: config.hostname.clone(),
            domain_name: config.network.domainname.clone(),
            network: self.join_networks(container)?,
            process: self.process_spec(container)?,
            init: config.init,
            cgroup: self.cgroup_path(config),
            no_devices: !meets_devices && !config.rights.privileged,
            is_pids_default: config.limits.pids.is_some_and(nobody_asked),
            limits: self.limits(config, access.filter(|_| meets_devices))?,
            mounts: self.mounts(config)?,
            shm: self.shm(container)?,
            user_namespace: self.user_namespace(container)?,
            namespaces: self.namespaces(container)?,
            sysctls: config.rights.sysctls.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            view,
            read_only: config.storage.read_only,
            die_with_parent: false,
        })
    }

    /// What the container may use. An ordinary user's goes without what nobody asked for where he may not limit it, and
    /// without rules about devices: he makes none, and opens those that the machine lets him.
    fn limits(&self, config: &Config, access: Option<Vec<DeviceRule>>) -> Result<Limits> {
        let mut limits = Limits { access, ..config.limits.clone() };
        if self.is_rootless() {
            limits.access = None;
            let shares = !config.namespaces.pid.is_empty();
            let usable = Hierarchies::usable().map_err(|e| Error::system("look for cgroups", &e))?;
            if usable.of(Controller::Pids).is_none() && limits.pids.is_some_and(nobody_asked) {
                limits.pids = None;
            }
            if shares && usable.0.is_empty() {
                return Err(Error::invalid(format!(
                    "--pid {} needs a cgroup, by which the container's processes are found and ended, and none was delegated to you: see `mini-docker doctor`",
                    config.namespaces.pid
                )));
            }
        }
        Ok(limits)
    }

    /// The container's first process, and what each other one of it begins with.
    pub(super) fn process_spec(&self, container: &Container) -> Result<ProcessSpec> {
        let config = &container.config;
        // What is said of neighbours comes first: the container's own variables are over it.
        let mut environment =
            if config.network.links.is_empty() { Vec::new() } else { self.link_variables(container)? };
        super::create::override_variables(&mut environment, &config.environment());
        Ok(ProcessSpec {
            arguments: config.entrypoint.iter().chain(&config.command).cloned().collect(),
            environment,
            working_dir: config.working_dir.clone(),
            user: config.user.clone(),
            terminal: config.tty,
            size: None,
            capabilities: config.rights.capabilities()?,
            launched: self.is_rootless() || self.is_host_root(config),
            new_privileges: config.rights.new_privileges,
            seccomp: config.rights.seccomp()?,
            rlimits: config.rights.rlimits()?,
            groups: config.rights.groups.clone(),
            oom_score: Some(config.rights.oom_score_adj).filter(|score| *score != 0),
        })
    }

    fn namespaces(&self, container: &Container) -> Result<Namespaces> {
        let of = |mode: &str, kind: &str| match (mode, other(mode)) {
            ("host", _) => Ok(Namespace::Host),
            (_, Some(id)) => self.namespace_of(id, kind).map(|(pid, pidfd)| Namespace::Of { pid, pidfd }),
            _ => Ok(Namespace::Own),
        };
        let modes = &container.config.namespaces;
        Ok(Namespaces {
            uts: of(&modes.uts, "UTS")?,
            pid: of(&modes.pid, "PID")?,
            ipc: of(&modes.ipc, "IPC")?,
            cgroup: of(&modes.cgroup, "CGROUP")?,
        })
    }

    /// The first process of another container, which runs.
    pub(super) fn namespace_of(&self, id: &str, kind: &str) -> Result<(Pid, Arc<OwnedFd>)> {
        let other = self.load(id)?;
        let (pid, pidfd) = way_in(&other).ok_or_else(|| {
            Error::conflict(format!(
                "cannot join {kind} of a non running container: {}: start it first (mini-docker start {})",
                short(id),
                other.config.name
            ))
        })?;
        Ok((pid, Arc::new(pidfd)))
    }

    fn shm(&self, container: &Container) -> Result<Shm> {
        let config = &container.config;
        let size = config.storage.shm_size.unwrap_or(SHM_SIZE);
        let shared = |id: &str| self.container_file(id, "shm");
        Ok(match (config.namespaces.ipc.as_str(), other(&config.namespaces.ipc)) {
            ("none", _) => Shm::None,
            ("host", _) => Shm::Of(PathBuf::from("/dev/shm")),
            ("shareable", _) => Shm::Shared(shared(&config.id), size),
            (_, Some(id)) if self.load(id)?.config.namespaces.ipc == "shareable" => Shm::Of(shared(id)),
            (_, Some(id)) => {
                return Err(Error::conflict(format!(
                    "cannot join IPC of container {}: it is non-shareable (hint: use --ipc shareable for the donor container)",
                    short(id)
                )));
            }
            _ => Shm::Own(size),
        })
    }
}

/// Whether a container can come by device files that work, other than its own in /dev: given, mounted, or made.
fn brings_devices(config: &Config) -> Result<bool> {
    let rights = &config.rights;
    let given = !rights.devices.is_empty() || !rights.device_rules.is_empty() || !config.storage.is_plain();
    Ok(given || rights.capabilities()?.contains(MKNOD))
}

/// What of the kernel it sees, and which devices it may open: all, where there is no list.
fn view(container: &Container) -> Result<(View, Option<Vec<DeviceRule>>)> {
    let rights = &container.config.rights;
    let mut access = DEFAULT_DEVICES.to_vec();
    let mut devices = if rights.privileged { devices::all() } else { Vec::new() };
    for device in &rights.devices {
        let nodes = device.nodes()?;
        access.extend(nodes.iter().map(|found| devices::rule(&found.node, &device.permissions)));
        devices.retain(|one| !nodes.iter().any(|own| own.path == one.path));
        devices.extend(nodes);
    }
    for rule in &rights.device_rules {
        access.push(DeviceRule::parse(rule).map_err(|e| Error::invalid(e.to_string()))?);
    }
    let view = View {
        writable_sys: rights.privileged,
        writable_cgroup: rights.privileged || rights.writable_cgroups,
        unmasked: rights.privileged || rights.unmasked,
        devices,
    };
    Ok((view, Some(access).filter(|_| !rights.privileged)))
}
