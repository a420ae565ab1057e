//! Flags that say what a container may use.

use std::path::Path;

use cgroup::{DeviceLimit, Limits, Rate};
use clap::Args;

use crate::{
    cli::limits::ContainerLimits,
    engine::{DEFAULT_PIDS, Error, Request, Result, bytes::parse as bytes},
};

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub(super) struct ResourcesFlags {
    #[command(flatten)]
    limits: ContainerLimits,
    /// Processes and threads; -1 or 0: any number. Unlike Docker's, never unlimited unless asked for
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_PIDS, allow_negative_numbers = true)]
    pids_limit: i64,
    /// Bytes a second read from a device
    #[arg(long, value_name = "DEVICE:BYTES")]
    device_read_bps: Vec<String>,
    /// Bytes a second written to a device
    #[arg(long, value_name = "DEVICE:BYTES")]
    device_write_bps: Vec<String>,
    /// Reads a second from a device
    #[arg(long, value_name = "DEVICE:NUMBER")]
    device_read_iops: Vec<String>,
    /// Writes a second to a device
    #[arg(long, value_name = "DEVICE:NUMBER")]
    device_write_iops: Vec<String>,
    /// The cgroup above the container's
    #[arg(long, value_name = "PATH")]
    cgroup_parent: Option<String>,
}

impl ResourcesFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        request.limits = self.limits()?;
        request.cgroup_parent.clone_from(&self.cgroup_parent);
        Ok(())
    }

    fn limits(&self) -> Result<Limits> {
        Ok(Limits { pids: Some(self.pids_limit), devices: self.devices()?, ..self.limits.limits() })
    }

    fn devices(&self) -> Result<Vec<DeviceLimit>> {
        let all = [
            (Rate::ReadBytes, &self.device_read_bps),
            (Rate::WriteBytes, &self.device_write_bps),
            (Rate::Reads, &self.device_read_iops),
            (Rate::Writes, &self.device_write_iops),
        ];
        all.iter().flat_map(|(rate, list)| list.iter().map(|text| device(text, *rate))).collect()
    }
}

fn device(text: &str, rate: Rate) -> Result<DeviceLimit> {
    let invalid = |why: &str| Error::invalid(format!("bad device limit {text:?}: {why}"));
    let (path, most) = text.rsplit_once(':').ok_or_else(|| invalid("write it as /dev/DISK:NUMBER"))?;
    let most = match rate {
        Rate::ReadBytes | Rate::WriteBytes => bytes(most),
        Rate::Reads | Rate::Writes => most.parse().map_err(|_| format!("{most:?} is no number")),
    };
    let most = most.map_err(|why| invalid(&why))?;
    DeviceLimit::new(Path::new(path), rate, most).map_err(|e| Error::invalid(e.to_string()))
}
