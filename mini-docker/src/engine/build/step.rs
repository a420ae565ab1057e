//! The container of a RUN step: one without a name and a configuration on disk, so that whoever comes across it after
//! this process has died takes it for abandoned, and removes it with its places in networks.

use std::path::{Path, PathBuf};

use super::{mounts::Mounts, stage::Stage, workspace};
use crate::{
    engine::{
        DEFAULT_PIDS, Engine,
        container::{Container, Status, network::Network, rights::Rights, storage::Storage},
        create::{self, Request},
        error::{Context, Result},
        files::{Lock, Locking},
        image::Image,
        store::{make_directory, random_id},
    },
    runtime::Spec,
};

/// The host name of every step.
const HOSTNAME: &str = "build";

/// What steps may use, and how they are connected.
#[derive(Debug, Clone)]
pub struct Environs {
    /// `default`, `none`, `host`, `container:NAME`, or a network's name; RUN may say otherwise.
    pub network: String,
    /// Whether RUN may say `host`: with it goes the user namespace, and a Dockerfile is a stranger's.
    pub allow_host_network: bool,
    /// More lines of /etc/hosts: `NAME:ADDRESS`.
    pub extra_hosts: Vec<String>,
    /// Resources of each step.
    pub limits: cgroup::Limits,
    /// The cgroup above the steps' own.
    pub cgroup_parent: Option<String>,
    /// Bytes of /dev/shm; `None`: Docker's 64 MiB.
    pub shm_size: Option<u64>,
    /// What a step's programs may do; rights that set-user-id bits give are always theirs.
    pub rights: Rights,
}

impl Default for Environs {
    fn default() -> Self {
        Self {
            network: "default".to_owned(),
            allow_host_network: false,
            extra_hosts: Vec::new(),
            limits: cgroup::Limits::default(),
            cgroup_parent: None,
            shm_size: None,
            rights: Rights::default(),
        }
    }
}

/// A step's container while it is there; [`Place::leave`] gives back what it took.
pub(super) struct Place<'a> {
    engine: &'a Engine,
    pub(super) container: Container,
    /// Tells others that somebody looks after it.
    _alive: Option<Lock>,
}

impl<'a> Place<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        environs: &Environs,
        stage: &Stage,
        arguments: &[String],
        network: &str,
    ) -> Result<Self> {
        let image = Image { id: String::new(), config: stage.image.clone() };
        let id = random_id()?;
        let mut config = create::configure(&id, &request(environs, stage, arguments, network), &image)?;
        config.entrypoint.clear();
        config.command = arguments.to_vec();
        let shares = config.network.of_container().is_some();
        engine.resolve_network(&mut config, !shares)?;
        let _no_sweep = engine.store.lock_sweeps(Locking::Shared)?;
        // First: by it others see that the step is not abandoned.
        let alive = engine.store.make_run(&id)?.join("monitor");
        let alive = Lock::take(&alive, Locking::Exclusive)?;
        make_directory(&engine.store.container(&id), 0o711)?;
        Ok(Self { engine, container: Container { config, status: Status::created() }, _alive: alive })
    }

    /// What the runtime makes of it, in `base`. Takes its places in its networks.
    pub(super) fn spec(&self, stage: &Stage, environment: Vec<String>, mounts: &Mounts, base: &Path) -> Result<Spec> {
        let mut spec = self.engine.spec(&self.container)?;
        spec.lower = workspace::lower(self.engine, &stage.image);
        spec.lower.push(self.engine.mount_points()?);
        base.clone_into(&mut spec.base);
        spec.process.environment = environment;
        // /etc itself comes first, and what the step wants may cover the files in it.
        let (first, rest) = mounts.list.split_at(1);
        let own = std::mem::take(&mut spec.mounts);
        let covered = |path: &std::ffi::CStr| rest.iter().any(|mount| *mount.path == *path);
        let own = own.into_iter().filter(|mount| !covered(&mount.path));
        spec.mounts = first.iter().cloned().chain(own).chain(rest.iter().cloned()).collect();
        spec.die_with_parent = true;
        Ok(spec)
    }

    /// Gives everything back. What is in the kernel is undone already.
    pub(super) fn leave(self) -> Result<()> {
        self.engine.forget_step(&self.container.config.id)
    }
}

impl Engine {
    /// Removes what is left of a container that has no configuration: a step's, or one whose maker has died.
    pub(in crate::engine) fn forget_step(&self, id: &str) -> Result<()> {
        self.leave_networks_without_ports(id)?;
        // In this order: what is interrupted after it is begun again by who finds a volatile directory alone.
        self.store.discard(&self.store.container(id))?;
        let run: PathBuf = self.store.run(id);
        match process::remove_tree(&run) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).doing("remove", &run),
            _ => Ok(()),
        }
    }
}

fn request(environs: &Environs, stage: &Stage, arguments: &[String], network: &str) -> Request {
    let mode = if network == "default" { "bridge" } else { network };
    let mut limits = environs.limits.clone();
    limits.pids.get_or_insert(DEFAULT_PIDS);
    Request {
        command: arguments.to_vec(),
        working_dir: Some(stage.image.config.working_dir.clone()),
        user: Some(stage.image.config.user.clone()),
        hostname: Some(HOSTNAME.to_owned()),
        // Nothing of it outlives the step but its layer, which is synced with others.
        auto_remove: true,
        rights: Rights { new_privileges: true, ..environs.rights.clone() },
        limits,
        cgroup_parent: environs.cgroup_parent.clone(),
        storage: Storage { shm_size: environs.shm_size, ..Storage::default() },
        network: Network { extra_hosts: environs.extra_hosts.clone(), ..Network::named(mode) },
        ..Request::default()
    }
}
