//! `update`.

use clap::Args;

use crate::{
    cli::{
        Outcome,
        create::resources::{bytes_or_any, nano_cpus},
        each,
    },
    engine::{Changes, Engine, Error, bytes::parse as bytes, container::supervision::RestartPolicy},
};

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Share of busy devices beside other containers, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
    /// Length of a period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// Microseconds of processor time in a period; -1: any
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Share of busy processors beside other containers; 1024 is everybody's
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// Processors, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = nano_cpus)]
    cpus: Option<u64>,
    /// Processors to run on, such as 0-2,4
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use, such as 0
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Memory limit, such as 512m; at least 6m
    #[arg(short, long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Memory that is left to the container while others have some to spare
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_reservation: Option<u64>,
    /// Memory and swap together; -1: any amount of swap
    #[arg(long, value_name = "BYTES", value_parser = bytes_or_any, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Processes and threads; -1 or 0: any number
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// When to start the container again: no, on-failure[:N], always, unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
}

impl Update {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let limits = cgroup::Limits {
            memory: self.memory.filter(|&bytes| bytes > 0),
            memory_swap: self.memory_swap.filter(|&bytes| bytes != 0),
            memory_reservation: self.memory_reservation.filter(|&bytes| bytes > 0),
            nano_cpus: self.cpus.filter(|&cpus| cpus > 0),
            cpu_quota: self.cpu_quota.filter(|&quota| quota != 0),
            cpu_period: self.cpu_period.filter(|&period| period > 0),
            cpu_shares: self.cpu_shares.filter(|&shares| shares > 0),
            cpuset_cpus: self.cpuset_cpus.filter(|list| !list.is_empty()),
            cpuset_mems: self.cpuset_mems.filter(|list| !list.is_empty()),
            pids: self.pids_limit,
            io_weight: self.blkio_weight.filter(|&weight| weight > 0),
            ..cgroup::Limits::default()
        };
        let restart = self.restart.as_deref().map(RestartPolicy::parse).transpose()?;
        if restart.is_none() && limits == cgroup::Limits::default() {
            return Err(Error::invalid("you must provide one or more flags when using this command"));
        }
        let changes = Changes { limits, restart };
        each(&self.containers, |name| engine.container_id(name).and_then(|id| engine.update(&id, &changes)))
    }
}
