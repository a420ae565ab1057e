//! Flags about what RUN may use.

use clap::Args;

use crate::{
    cli::limits::StepLimits,
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
    /// What RUN may ask for itself: network.host, for --network=host
    #[arg(long, value_name = "network.host")]
    allow: Vec<String>,
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "HOST:ADDRESS")]
    add_host: Vec<String>,
    #[command(flatten)]
    limits: StepLimits,
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
        if let Some(what) = self.allow.iter().find(|what| *what != "network.host") {
            return Err(Error::invalid(format!("--allow={what}: no step gets that; there is network.host")));
        }
        self.add_host.iter().try_for_each(|text| check_extra_host(text))?;
        Ok(Environs {
            network: self.network.clone(),
            allow_host_network: self.network == "host" || !self.allow.is_empty(),
            extra_hosts: self.add_host.iter().map(|text| text.replacen('=', ":", 1)).collect(),
            limits: self.limits.limits(),
            cgroup_parent: self.cgroup_parent.clone().filter(|path| !path.is_empty()),
            shm_size: self.shm_size.filter(|&size| size > 0),
            rights: Rights::parse(&[], &[], &self.ulimit, &self.security_opt)?,
        })
    }
}
