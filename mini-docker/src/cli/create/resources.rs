//! Flags that say what a container may use.

use std::path::Path;

use cgroup::{DeviceLimit, Limits, Rate};
use clap::Args;

use crate::engine::{Error, Request, Result, bytes::parse as bytes};

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
pub(super) struct ResourcesFlags {
    /// Memory limit, such as 512m; at least 6m
    #[arg(short, long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Memory and swap together; -1: any amount of swap
    #[arg(long, value_name = "BYTES", value_parser = bytes_or_any, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Memory that is left to the container while others have some to spare
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_reservation: Option<u64>,
    /// Processors, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = nano_cpus)]
    cpus: Option<u64>,
    /// Microseconds of processor time in a period; -1: any
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Length of a period in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// Share of busy processors beside other containers; 1024 is everybody's
    #[arg(short, long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// Processors to run on, such as 0-2,4
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use, such as 0
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Processes and threads; -1 or 0: any number. Unlike Docker's, never unlimited unless asked for
    #[arg(long, value_name = "NUMBER", default_value_t = PIDS, allow_negative_numbers = true)]
    pids_limit: i64,
    /// Share of busy devices beside other containers, 10 to 1000; 0: everybody's
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
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

/// A fork bomb's end, far from what programs use; podman's default.
const PIDS: i64 = 2048;

impl ResourcesFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        request.limits = self.limits()?;
        request.cgroup_parent.clone_from(&self.cgroup_parent);
        Ok(())
    }

    fn limits(&self) -> Result<Limits> {
        let positive = |value: Option<u64>| value.filter(|&value| value > 0);
        Ok(Limits {
            memory: positive(self.memory),
            memory_swap: self.memory_swap.filter(|&value| value != 0),
            memory_reservation: positive(self.memory_reservation),
            nano_cpus: positive(self.cpus),
            cpu_quota: self.cpu_quota.filter(|&value| value != 0),
            cpu_period: positive(self.cpu_period),
            cpu_shares: positive(self.cpu_shares),
            cpuset_cpus: self.cpuset_cpus.clone().filter(|list| !list.is_empty()),
            cpuset_mems: self.cpuset_mems.clone().filter(|list| !list.is_empty()),
            pids: Some(self.pids_limit),
            io_weight: self.blkio_weight.filter(|&weight| weight > 0),
            devices: self.devices()?,
            ..Limits::default()
        })
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

pub(in crate::cli) fn bytes_or_any(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    bytes(text)?.try_into().map_err(|_| format!("invalid size {text:?}: it is too large"))
}

/// Billionths of a processor from a decimal number, exactly.
pub(in crate::cli) fn nano_cpus(text: &str) -> Result<u64, String> {
    let invalid = || format!("invalid number of processors {text:?}: use a decimal number such as 1.5");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(invalid());
    }
    if fraction.len() > 9 {
        return Err(format!("invalid number of processors {text:?}: it is too precise, nine digits count"));
    }
    format!("{whole}{fraction:0<9}").parse().map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_amount_is_minus_one() {
        assert_eq!(bytes_or_any("-1"), Ok(-1));
        assert_eq!(bytes_or_any("1k"), Ok(1024));
    }

    #[test]
    fn processors_are_counted_exactly() {
        for (text, value) in [("1", 1_000_000_000), ("0.1", 100_000_000), (".5", 500_000_000), ("1.", 1_000_000_000)] {
            assert_eq!(nano_cpus(text), Ok(value), "{text}");
        }
        for text in ["", ".", "-1", "1e3", "x", "0.1234567891"] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }
}
