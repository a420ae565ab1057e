//! Flags about what RUN may use.

use clap::Args;

use crate::{
    cli::create::resources::bytes_or_any,
    engine::{
        Error, build::Environs, bytes::parse as bytes, container::rights::Rights, error::Result,
        network::check_extra_host,
    },
};

#[derive(Debug, Args)]
#[command(next_help_heading = "RUN instructions")]
pub(super) struct EnvironsFlags {
    /// Set the networking mode for the RUN instructions during build: default, none, host, or a network
    #[arg(long, visible_alias = "net", default_value = "default", value_name = "MODE|NETWORK")]
    network: String,
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "HOST:ADDRESS")]
    add_host: Vec<String>,
    /// Memory limit of each step
    #[arg(short, long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "BYTES", value_parser = bytes_or_any, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Limit the CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// Limit the CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Set the parent cgroup for the RUN instructions during build
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
    /// Shared memory size for build containers
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    shm_size: Option<u64>,
    /// Ulimit options
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
    /// Security options, as `run` has them
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Container isolation technology: default
    #[arg(long, value_name = "NAME")]
    isolation: Option<String>,
}

impl EnvironsFlags {
    pub(super) fn environs(&self) -> Result<Environs> {
        if let Some(name) = self.isolation.as_deref().filter(|name| !["", "default"].contains(name)) {
            return Err(Error::invalid(format!("invalid isolation ({name}) on linux, only 'default' is supported")));
        }
        self.add_host.iter().try_for_each(|text| check_extra_host(text))?;
        let positive = |value: Option<u64>| value.filter(|&value| value > 0);
        let list = |text: &Option<String>| text.clone().filter(|list| !list.is_empty());
        Ok(Environs {
            network: self.network.clone(),
            extra_hosts: self.add_host.iter().map(|text| text.replacen('=', ":", 1)).collect(),
            limits: cgroup::Limits {
                memory: positive(self.memory),
                memory_swap: self.memory_swap.filter(|&value| value != 0),
                cpu_period: positive(self.cpu_period),
                cpu_quota: self.cpu_quota.filter(|&value| value != 0),
                cpu_shares: positive(self.cpu_shares),
                cpuset_cpus: list(&self.cpuset_cpus),
                cpuset_mems: list(&self.cpuset_mems),
                ..cgroup::Limits::default()
            },
            cgroup_parent: list(&self.cgroup_parent),
            shm_size: positive(self.shm_size),
            rights: Rights::parse(&[], &[], &self.ulimit, &self.security_opt)?,
        })
    }
}
