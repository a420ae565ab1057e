//! Flags about limits that only cgroup v1 has, or that weigh single devices.

use std::path::Path;

use cgroup::DeviceWeight;
use clap::Args;

use crate::engine::{Error, Request, Result, bytes::parse as bytes};

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub(super) struct Version1Flags {
    /// Share of one busy device beside other containers, 10 to 1000
    #[arg(long, value_name = "DEVICE:WEIGHT")]
    blkio_weight_device: Vec<String>,
    /// Disable OOM Killer: processes wait for memory instead (cgroup v1)
    #[arg(long)]
    oom_kill_disable: bool,
    /// Tune container memory swappiness (0 to 100; -1: the machine's; cgroup v1)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, default_value_t = -1)]
    memory_swappiness: i64,
    /// Limit CPU real-time period in microseconds (cgroup v1)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_period: Option<u64>,
    /// Limit CPU real-time runtime in microseconds (cgroup v1)
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_rt_runtime: Option<u64>,
    /// Kernel memory limit: gone from kernel and Docker, and refused
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    kernel_memory: Option<u64>,
}

impl Version1Flags {
    /// Adds to the limits, which are there.
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        if self.kernel_memory.is_some_and(|bytes| bytes > 0) {
            return Err(Error::invalid(
                "--kernel-memory is gone from the kernel and from Docker: limit all memory with --memory",
            ));
        }
        let limits = &mut request.limits;
        limits.oom_kill_disable = self.oom_kill_disable;
        limits.swappiness = match self.memory_swappiness {
            -1 => None,
            value @ 0..=100 => u64::try_from(value).ok(),
            value => {
                return Err(Error::invalid(format!("invalid value: {value}, valid memory swappiness range is 0-100")));
            }
        };
        limits.realtime_period = self.cpu_rt_period.filter(|period| *period > 0);
        limits.realtime_runtime = self.cpu_rt_runtime.filter(|runtime| *runtime > 0);
        limits.weights = self.blkio_weight_device.iter().map(|text| weight(text)).collect::<Result<_>>()?;
        Ok(())
    }
}

fn weight(text: &str) -> Result<DeviceWeight> {
    let invalid = |why: &str| Error::invalid(format!("bad format: {text:?}: {why}"));
    let (path, weight) = text.rsplit_once(':').ok_or_else(|| invalid("write it as /dev/DISK:WEIGHT"))?;
    if !path.starts_with("/dev/") {
        return Err(invalid("a device is below /dev"));
    }
    let weight = weight.parse().ok().filter(|weight| (10..=1000).contains(weight));
    let weight = weight.ok_or_else(|| invalid("the weight ranges from 10 to 1000"))?;
    DeviceWeight::new(Path::new(path), weight).map_err(|e| Error::invalid(e.to_string()))
}
