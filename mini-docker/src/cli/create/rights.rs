//! Flags about what the programs may do.

use clap::Args;

use crate::engine::{
    Error, Request, Result,
    container::{devices::Device, rights::Rights},
};

#[derive(Debug, Args)]
pub(super) struct RightsFlags {
    /// Add a capability to the default ones, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Security options: seccomp=FILE|builtin|unconfined filters system calls; no-new-privileges=false lets programs
    /// gain rights by set-user-id bits, as Docker's default does
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Limit each process, as nofile=1024:2048: open files, processes of the user, core dumps, ...
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// Give extended privileges to this container: all capabilities, all devices, no filter of system calls, /sys and the
    /// cgroup writable
    #[arg(long)]
    privileged: bool,
    /// Add a host device to the container, to read (r), write (w) and make files for (m): rwm where nothing is said
    #[arg(long, value_name = "HOST[:CONTAINER[:rwm]]")]
    device: Vec<String>,
    /// Add a rule to the cgroup allowed devices list: of which kind (a, b, c), numbers or *, and what of rwm, as
    /// 'c 189:* rwm'
    #[arg(long, value_name = "RULE")]
    device_cgroup_rule: Vec<String>,
    /// Add additional groups to join
    #[arg(long, value_name = "GROUP|GID")]
    group_add: Vec<String>,
    /// Sysctl options: settings of the container's own namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    sysctl: Vec<String>,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true, default_value_t = 0)]
    oom_score_adj: i32,
    /// Runtime to use for this container: there is one, whatever it is called
    #[arg(long, value_name = "NAME", hide_default_value = true)]
    runtime: Option<String>,
    /// Container isolation technology: default
    #[arg(long, value_name = "NAME")]
    isolation: Option<String>,
    /// GPU devices to add to the container: refused, use --device
    #[arg(long, value_name = "REQUEST")]
    gpus: Option<String>,
}

impl RightsFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        let mut rights = Rights::parse(&self.cap_add, &self.cap_drop, &self.ulimit, &self.security_opt)?;
        rights.privileged = self.privileged;
        rights.devices = self.device.iter().map(|text| Device::parse(text)).collect::<Result<_>>()?;
        for rule in &self.device_cgroup_rule {
            rights.device_rule(rule)?;
        }
        rights.groups.clone_from(&self.group_add);
        for setting in &self.sysctl {
            rights.sysctl(setting)?;
        }
        if !(-1000..=1000).contains(&self.oom_score_adj) {
            return Err(Error::invalid(format!(
                "invalid value {}, range for oom score adj is [-1000, 1000]",
                self.oom_score_adj
            )));
        }
        rights.oom_score_adj = self.oom_score_adj;
        request.rights = rights;
        self.only_defaults()
    }

    /// What has one value here.
    fn only_defaults(&self) -> Result<()> {
        match (self.runtime.as_deref(), self.isolation.as_deref(), self.gpus.as_deref()) {
            (Some(name), ..) if !["", "runc", "io.containerd.runc.v2"].contains(&name) => Err(Error::invalid(format!(
                "unknown or invalid runtime name: {name}: mini-docker is its own, leave --runtime out"
            ))),
            (_, Some(name), _) if !["", "default"].contains(&name) => {
                Err(Error::invalid(format!("invalid isolation ({name}) on linux, only 'default' is supported")))
            }
            (.., Some(name)) if !name.is_empty() => Err(Error::invalid(
                "could not select device driver \"\" with capabilities: [[gpu]]: name the devices with --device",
            )),
            _ => Ok(()),
        }
    }
}
