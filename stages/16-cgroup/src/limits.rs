//! What a container may use, with Docker's units, defaults and rules.

use std::{os::unix::fs::MetadataExt, path::Path};

use nix::sys::stat::{SFlag, major, minor};
use process::{Errno, Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Controller, DeviceRule};

/// Docker's least amount of memory: below it a container hardly starts.
pub const LEAST_MEMORY: u64 = 6 << 20;
/// Microseconds of a period where none is given, the kernel's own default.
pub const PERIOD: u64 = 100_000;
/// Rules about devices, each of which the kernel goes through when one is opened.
const MOST_RULES: usize = 2000;
const NANOS: u64 = 1_000_000_000;

/// Limits; what is `None` or empty is not limited. The documents are docker-run(1), "Runtime constraints on resources",
/// and the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2.rst.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory, at least [`LEAST_MEMORY`]. Beyond, the kernel reclaims and then kills.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together; -1: any amount of swap; equal to `memory`: none. `None` or 0 beside `memory`
    /// mean twice as much as `memory`, where the kernel counts swap.
    pub memory_swap: Option<i64>,
    /// Bytes that the kernel leaves to the container as long as others have some to spare.
    pub memory_reservation: Option<u64>,
    /// Billionths of a processor: 1,500,000,000 is one and a half. From 0.01 to the machine's number.
    pub nano_cpus: Option<u64>,
    /// Microseconds of processor time in a period, at least 1000; -1: any. Not with `nano_cpus`.
    pub cpu_quota: Option<i64>,
    /// Microseconds, 1000 to 1,000,000. Not with `nano_cpus`.
    pub cpu_period: Option<u64>,
    /// Share of a busy processor beside others, 2 to 262,144, to which others are moved; 1024 is everybody's
    /// default. For v2 see [`weight`](crate::weight).
    pub cpu_shares: Option<u64>,
    /// Processors, as `0-2,4`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes, as `0`.
    pub cpuset_mems: Option<String>,
    /// Processes and threads; 0 or less: any number.
    pub pids: Option<i64>,
    /// Share of a busy device beside others, 10 to 1000.
    pub io_weight: Option<u16>,
    /// What block devices are limited to.
    pub devices: Vec<DeviceLimit>,
    /// Shares of single devices, in place of `io_weight`.
    pub weights: Vec<DeviceWeight>,
    /// Which devices may be opened and made; `None`: all.
    pub access: Option<Vec<DeviceRule>>,
    /// Whether the kernel lets processes wait where it would kill one for want of memory. v1 only.
    pub oom_kill_disable: bool,
    /// How readily memory goes to swap, 0 to 100. v1 only.
    pub swappiness: Option<u64>,
    /// Microseconds of a period for real-time processes. v1 only.
    pub realtime_period: Option<u64>,
    /// Microseconds of it that they may run. v1 only.
    pub realtime_runtime: Option<u64>,
}

/// The share of one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWeight {
    /// Its major and minor number.
    pub device: (u64, u64),
    /// 10 to 1000.
    pub weight: u16,
}

impl DeviceWeight {
    /// The share of the block device whose file is `path`.
    ///
    /// # Errors
    /// As [`DeviceLimit::new`].
    pub fn new(path: &Path, weight: u16) -> Result<Self> {
        DeviceLimit::new(path, Rate::Reads, 1).map(|limit| Self { device: limit.device, weight })
    }
}

/// What of a block device is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rate {
    /// Bytes a second.
    ReadBytes,
    /// Bytes a second.
    WriteBytes,
    /// Operations a second.
    Reads,
    /// Operations a second.
    Writes,
}

/// A limit on one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLimit {
    /// Its major and minor number.
    pub device: (u64, u64),
    /// What is limited.
    pub rate: Rate,
    /// How many a second, at least 1; 0 takes a limit away.
    pub most: u64,
}

impl DeviceLimit {
    /// A limit on the block device whose file is `path`.
    ///
    /// # Errors
    /// ENOENT and its like where there is no such file, ENOTBLK where it is no block device.
    pub fn new(path: &Path, rate: Rate, most: u64) -> Result<Self> {
        let doing = || format!("limit the device {}", path.display());
        let metadata = std::fs::metadata(path).map_err(|e| Error::from_io("cgroup", doing(), &e))?;
        if metadata.mode() & SFlag::S_IFMT.bits() != SFlag::S_IFBLK.bits() {
            return Err(Error::new("cgroup", doing(), Errno::ENOTBLK).hint("name a disk, such as /dev/sda"));
        }
        Ok(Self { device: (major(metadata.rdev()), minor(metadata.rdev())), rate, most })
    }
}

impl Limits {
    /// The controllers that these limits need.
    pub fn controllers(&self) -> Vec<Controller> {
        let memory = self.memory.is_some() || self.memory_swap.is_some() || self.memory_reservation.is_some();
        let memory = memory || self.oom_kill_disable || self.swappiness.is_some();
        let realtime = self.realtime_period.is_some() || self.realtime_runtime.is_some();
        let quota = self.nano_cpus.is_some() || self.cpu_quota.is_some() || self.cpu_period.is_some();
        let all = [
            (memory, Controller::Memory),
            (quota || realtime || self.cpu_shares.is_some(), Controller::Cpu),
            (self.cpuset_cpus.is_some() || self.cpuset_mems.is_some(), Controller::Cpuset),
            (self.io_weight.is_some() || !self.devices.is_empty() || !self.weights.is_empty(), Controller::Io),
            (self.access.is_some(), Controller::Devices),
            (self.pids.is_some(), Controller::Pids),
        ];
        all.into_iter().filter(|(needed, _)| *needed).map(|(_, controller)| controller).collect()
    }

    /// Microseconds of quota (-1: any) and period, from whichever way they were given.
    pub(crate) fn quota(&self) -> (Option<i64>, Option<u64>) {
        match self.nano_cpus {
            Some(nanos) => (Some((nanos * PERIOD / NANOS) as i64), Some(PERIOD)),
            None => (self.cpu_quota, self.cpu_period),
        }
    }

    /// Checks what can be checked without the kernel, for a container to be made, or (`update`) for one that runs.
    /// `processors` are those of the machine.
    ///
    /// # Errors
    /// EINVAL with the range in the hint.
    pub fn check(&self, processors: u64, update: bool) -> Result<()> {
        self.check_memory(update)?;
        self.check_cpu(processors)?;
        for (name, list) in [("cpus", &self.cpuset_cpus), ("mems", &self.cpuset_mems)] {
            if let Some(text) = list {
                parse_list(text).ok_or_else(|| {
                    let hint = format!(
                        "Invalid value {text} for cpuset {name}: write a list such as 0-2,4 with rising ranges"
                    );
                    invalid(format!("cpuset {name} {text:?}"), hint)
                })?;
            }
        }
        let weights = self.io_weight.into_iter().chain(self.weights.iter().map(|device| device.weight));
        if let Some(weight) = weights.into_iter().find(|weight| !(10..=1000).contains(weight)) {
            return Err(invalid(format!("I/O weight {weight}"), "Range of blkio weight is from 10 to 1000"));
        }
        if let Some(rules) = self.access.as_ref().filter(|rules| rules.len() > MOST_RULES) {
            return Err(invalid(
                format!("{} device rules", rules.len()),
                format!("at most {MOST_RULES} are kept apart: allow some with *"),
            ));
        }
        match self.swappiness {
            Some(value) if value > 100 => {
                Err(invalid(format!("invalid value: {value}"), "valid memory swappiness range is 0-100"))
            }
            _ => Ok(()),
        }
    }

    fn check_memory(&self, update: bool) -> Result<()> {
        for (name, bytes) in [("memory", self.memory), ("memory reservation", self.memory_reservation)] {
            if let Some(bytes) = bytes.filter(|bytes| *bytes < LEAST_MEMORY) {
                let which = if name == "memory" { "memory limit" } else { name };
                let hint = format!("Minimum {which} allowed is 6MB (6291456)");
                return Err(invalid(format!("{name} of {bytes} bytes"), hint));
            }
        }
        if let (Some(memory), Some(reservation)) = (self.memory, self.memory_reservation)
            && memory < reservation
        {
            let hint = format!("Minimum memory limit can not be less than memory reservation limit, {reservation}");
            return Err(invalid(format!("memory of {memory} bytes"), hint));
        }
        let limit = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        match (self.memory, self.memory_swap) {
            (_, Some(swap)) if swap < -1 => Err(invalid(format!("memory and swap of {swap} bytes"), "-1 is unlimited")),
            (None, Some(swap)) if swap > 0 && !update => Err(invalid(
                format!("memory and swap of {swap} bytes without a limit of memory"),
                "You should always set the Memory limit when using Memoryswap limit: this one is the sum of both",
            )),
            (Some(memory), Some(swap)) if swap > 0 && swap < limit(memory) => Err(invalid(
                format!("memory and swap of {swap} bytes"),
                format!("Minimum memoryswap limit should be larger than memory limit, {memory}: it is the sum of both"),
            )),
            _ => Ok(()),
        }
    }

    fn check_cpu(&self, processors: u64) -> Result<()> {
        if let Some(nanos) = self.nano_cpus {
            if self.cpu_quota.is_some() || self.cpu_period.is_some() {
                let other = if self.cpu_period.is_some() { "Period" } else { "Quota" };
                let hint = format!("Conflicting options: Nano CPUs and CPU {other} cannot both be set");
                return Err(invalid("cpus beside a cpu quota or period", hint));
            }
            if !(NANOS / 100..=processors * NANOS).contains(&nanos) {
                let hint = format!(
                    "Range of CPUs is from 0.01 to {processors}.00, as there are only {processors} CPUs available"
                );
                return Err(invalid(format!("{}.{:09} cpus", nanos / NANOS, nanos % NANOS), hint));
            }
        }
        if let Some(period) = self.cpu_period.filter(|period| !(1000..=1_000_000).contains(period)) {
            let hint = "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)";
            return Err(invalid(format!("cpu period of {period} µs"), hint));
        }
        if let Some(quota) = self.cpu_quota.filter(|quota| *quota != -1 && *quota < 1000) {
            let hint = "CPU cfs quota can not be less than 1ms (i.e. 1000), and -1 is unlimited";
            return Err(invalid(format!("cpu quota of {quota} µs"), hint));
        }
        Ok(())
    }
}

pub(crate) fn invalid(what: impl std::fmt::Display, hint: impl Into<String>) -> Error {
    Error::new("cgroup", format!("limit to {what}"), Errno::EINVAL).hint(hint)
}

/// The numbers of a list such as `0-2,4` (cpuset(7), "List format"); `None` for anything else.
pub(crate) fn parse_list(text: &str) -> Option<Vec<u32>> {
    /// More than any kernel is built for.
    const MOST: u32 = 65_536;
    let mut numbers = Vec::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= MOST {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn refused(limits: &Limits) -> Option<String> {
        limits.check(2, false).err().map(|e| e.to_string())
    }

    #[test]
    fn what_docker_takes_is_taken() {
        let base = Limits { memory: Some(64 * MB), ..Limits::default() };
        for limits in [
            Limits::default(),
            Limits { memory: Some(LEAST_MEMORY), ..Limits::default() },
            Limits { memory_swap: Some(-1), ..Limits::default() },
            Limits { memory_swap: Some(64 << 20), ..base.clone() },
            Limits { memory_swap: Some(0), memory_reservation: Some(64 * MB), ..base },
            Limits { nano_cpus: Some(10_000_000), ..Limits::default() },
            Limits { nano_cpus: Some(2_000_000_000), ..Limits::default() },
            Limits { cpu_quota: Some(-1), cpu_period: Some(1000), cpu_shares: Some(2), ..Limits::default() },
            Limits { cpuset_cpus: Some("0-1,3".into()), pids: Some(-1), io_weight: Some(10), ..Limits::default() },
        ] {
            assert_eq!(refused(&limits), None, "{limits:?}");
        }
    }

    #[test]
    fn what_docker_refuses_is_refused_with_its_range() {
        let base = Limits { memory: Some(64 * MB), ..Limits::default() };
        for (limits, said) in [
            (Limits { memory: Some(LEAST_MEMORY - 1), ..Limits::default() }, "Minimum memory limit allowed is 6MB"),
            (Limits { memory_reservation: Some(1), ..Limits::default() }, "Minimum memory reservation allowed is 6MB"),
            (Limits { memory_reservation: Some(65 * MB), ..base.clone() }, "less than memory reservation limit"),
            (Limits { memory_swap: Some(64 << 20), ..Limits::default() }, "always set the Memory limit"),
            (Limits { memory_swap: Some(63 << 20), ..base.clone() }, "memoryswap limit should be larger"),
            (Limits { memory_swap: Some(-2), ..base }, "-1 is unlimited"),
            (Limits { nano_cpus: Some(9_999_999), ..Limits::default() }, "from 0.01 to 2.00"),
            (Limits { nano_cpus: Some(2_000_000_001), ..Limits::default() }, "from 0.01 to 2.00"),
            (
                Limits { nano_cpus: Some(1 << 30), cpu_quota: Some(5000), ..Limits::default() },
                "CPU Quota cannot both be set",
            ),
            (
                Limits { nano_cpus: Some(1 << 30), cpu_period: Some(5000), ..Limits::default() },
                "CPU Period cannot both be set",
            ),
            (Limits { cpu_period: Some(999), ..Limits::default() }, "less than 1ms (i.e. 1000) or larger than 1s"),
            (
                Limits { cpu_period: Some(1_000_001), ..Limits::default() },
                "less than 1ms (i.e. 1000) or larger than 1s",
            ),
            (Limits { cpu_quota: Some(999), ..Limits::default() }, "less than 1ms (i.e. 1000)"),
            (Limits { cpuset_cpus: Some("1-0".into()), ..Limits::default() }, "cpuset cpus \"1-0\""),
            (Limits { cpuset_mems: Some("0,".into()), ..Limits::default() }, "cpuset mems \"0,\""),
            (Limits { cpuset_cpus: Some("+1".into()), ..Limits::default() }, "cpuset cpus"),
            (Limits { cpuset_cpus: Some("0-4294967295".into()), ..Limits::default() }, "cpuset cpus"),
            (Limits { io_weight: Some(9), ..Limits::default() }, "10 to 1000"),
        ] {
            let error = refused(&limits).unwrap_or_else(|| panic!("{limits:?} is taken"));
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn only_controllers_of_limits_are_needed() {
        assert_eq!(Limits::default().controllers(), []);
        let limits = Limits { cpu_shares: Some(2), pids: Some(0), ..Limits::default() };
        assert_eq!(limits.controllers(), [Controller::Cpu, Controller::Pids]);
    }
}
