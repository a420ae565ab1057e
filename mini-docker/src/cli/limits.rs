//! Flags about memory and processors: those of a build's steps, and those of a container.

use cgroup::Limits;
use clap::Args;

use crate::engine::bytes::parse as bytes;

// What each step of a build may be limited to, too.
#[derive(Debug, Args)]
pub(super) struct StepLimits {
    /// Memory limit, such as 512m; at least 6m
    #[arg(short, long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Memory and swap together; -1: any amount of swap
    #[arg(long, value_name = "BYTES", value_parser = bytes_or_any, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
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
}

impl StepLimits {
    /// What is zero or empty is as if it were not there, as with Docker.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            memory: positive(self.memory),
            memory_swap: self.memory_swap.filter(|&value| value != 0),
            cpu_quota: self.cpu_quota.filter(|&value| value != 0),
            cpu_period: positive(self.cpu_period),
            cpu_shares: positive(self.cpu_shares),
            cpuset_cpus: self.cpuset_cpus.clone().filter(|list| !list.is_empty()),
            cpuset_mems: self.cpuset_mems.clone().filter(|list| !list.is_empty()),
            ..Limits::default()
        }
    }
}

// What `run`, `create` and `update` have in common.
#[derive(Debug, Args)]
pub(super) struct ContainerLimits {
    #[command(flatten)]
    step: StepLimits,
    /// Memory that is left to the container while others have some to spare
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory_reservation: Option<u64>,
    /// Processors, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = nano_cpus)]
    cpus: Option<u64>,
    /// Share of busy devices beside other containers, 10 to 1000; 0: everybody's
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,
}

impl ContainerLimits {
    pub(super) fn limits(&self) -> Limits {
        Limits {
            memory_reservation: positive(self.memory_reservation),
            nano_cpus: positive(self.cpus),
            io_weight: self.blkio_weight.filter(|&weight| weight > 0),
            ..self.step.limits()
        }
    }
}

fn positive(value: Option<u64>) -> Option<u64> {
    value.filter(|&value| value > 0)
}

fn bytes_or_any(text: &str) -> Result<i64, String> {
    if text == "-1" {
        return Ok(-1);
    }
    bytes(text)?.try_into().map_err(|_| format!("invalid size {text:?}: it is too large"))
}

/// Billionths of a processor from a decimal number, exactly.
fn nano_cpus(text: &str) -> Result<u64, String> {
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
