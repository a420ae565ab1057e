//! What a cgroup has used, from the files of either version in one shape.

use std::{fs, path::Path, time::Duration};

use crate::Controller;

/// What is counted; `None` where the cgroup does not have the controller.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Memory.
    pub memory: Option<MemoryStats>,
    /// Processor time.
    pub cpu: Option<CpuStats>,
    /// Processes and threads.
    pub pids: Option<PidsStats>,
    /// Block devices.
    pub io: Option<Vec<IoStats>>,
}

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryStats {
    /// In use, with the page cache.
    pub usage: u64,
    /// The limit; `None`: unlimited.
    pub limit: Option<u64>,
    /// Page cache that the kernel would give up first: what `docker stats` subtracts from the usage.
    pub inactive_file: u64,
}

/// Processor time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuStats {
    /// All of it.
    pub usage: Duration,
    /// In programs.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
    /// Periods of a quota so far.
    pub periods: u64,
    /// Those in which the quota was used up.
    pub throttled_periods: u64,
    /// How long the processes stood still for that.
    pub throttled: Duration,
}

/// Numbers of processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PidsStats {
    /// Now.
    pub current: u64,
    /// The limit; `None`: unlimited.
    pub limit: Option<u64>,
}

/// What went to and from one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IoStats {
    /// Its major and minor number.
    pub device: (u64, u64),
    /// Bytes read.
    pub read_bytes: u64,
    /// Bytes written.
    pub written_bytes: u64,
    /// Read operations.
    pub reads: u64,
    /// Write operations.
    pub writes: u64,
}

/// The number after `key` in a file of lines `key number`.
pub(crate) fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn text(directory: &Path, file: &str) -> Option<String> {
    fs::read_to_string(directory.join(file)).ok()
}

fn number(directory: &Path, files: [&str; 2]) -> Option<u64> {
    files.into_iter().find_map(|file| text(directory, file)?.trim().parse().ok())
}

pub(crate) fn read<'a>(directory: impl Fn(Controller) -> Option<&'a Path>) -> Stats {
    let accounting = directory(Controller::CpuAccounting);
    Stats {
        memory: directory(Controller::Memory).and_then(memory),
        cpu: cpu(directory(Controller::Cpu), accounting),
        pids: directory(Controller::Pids).and_then(pids),
        io: directory(Controller::Io).map(io),
    }
}

/// v1 writes "unlimited" as the largest multiple of a page below 2⁶³.
const UNLIMITED: u64 = 1 << 62;

fn memory(directory: &Path) -> Option<MemoryStats> {
    let usage = number(directory, ["memory.current", "memory.usage_in_bytes"])?;
    let limit = number(directory, ["memory.max", "memory.limit_in_bytes"]).filter(|limit| *limit < UNLIMITED);
    let stat = text(directory, "memory.stat")?;
    let inactive_file = field(&stat, "total_inactive_file").or_else(|| field(&stat, "inactive_file")).unwrap_or(0);
    Some(MemoryStats { usage, limit, inactive_file })
}

fn pids(directory: &Path) -> Option<PidsStats> {
    let current = number(directory, ["pids.current"; 2])?;
    Some(PidsStats { current, limit: number(directory, ["pids.max"; 2]) })
}

fn cpu(quota: Option<&Path>, accounting: Option<&Path>) -> Option<CpuStats> {
    let mut stats = CpuStats::default();
    if let Some(stat) = quota.and_then(|directory| text(directory, "cpu.stat")) {
        stats.periods = field(&stat, "nr_periods").unwrap_or(0);
        stats.throttled_periods = field(&stat, "nr_throttled").unwrap_or(0);
        let micros = field(&stat, "throttled_usec").map(Duration::from_micros);
        stats.throttled =
            micros.or_else(|| field(&stat, "throttled_time").map(Duration::from_nanos)).unwrap_or_default();
    }
    let accounting = accounting?;
    let micros = |stat: &str, key| field(stat, key).map(Duration::from_micros);
    // Every v2 cgroup has the first three, with or without a controller.
    if let Some(stat) = text(accounting, "cpu.stat")
        && let Some(usage) = micros(&stat, "usage_usec")
    {
        let part = |key| micros(&stat, key).unwrap_or_default();
        return Some(CpuStats { usage, user: part("user_usec"), system: part("system_usec"), ..stats });
    }
    let nanos = |file| number(accounting, [file; 2]).map(Duration::from_nanos);
    let (user, system) = (nanos("cpuacct.usage_user"), nanos("cpuacct.usage_sys"));
    let usage = nanos("cpuacct.usage")?;
    Some(CpuStats { usage, user: user.unwrap_or_default(), system: system.unwrap_or_default(), ..stats })
}

fn io(directory: &Path) -> Vec<IoStats> {
    if let Some(stat) = text(directory, "io.stat") {
        return io_v2(&stat);
    }
    let read = |file: &str| {
        let throttle = text(directory, &format!("blkio.throttle.{file}_recursive"));
        throttle.or_else(|| text(directory, &format!("blkio.bfq.{file}_recursive"))).unwrap_or_default()
    };
    io_v1(&read("io_service_bytes"), &read("io_serviced"))
}

fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Lines `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`.
fn io_v2(stat: &str) -> Vec<IoStats> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let mut stats = IoStats { device: device(words.next()?)?, ..IoStats::default() };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match key {
                "rbytes" => stats.read_bytes = value,
                "wbytes" => stats.written_bytes = value,
                "rios" => stats.reads = value,
                "wios" => stats.writes = value,
                _ => {}
            }
        }
        Some(stats)
    };
    stat.lines().filter_map(line).collect()
}

/// Lines `8:0 Read 1`.
fn io_v1(bytes: &str, operations: &str) -> Vec<IoStats> {
    let mut all: Vec<IoStats> = Vec::new();
    for (text, in_bytes) in [(bytes, true), (operations, false)] {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [name, operation, value] = words[..] else { continue };
            let (Some(device), Ok(value)) = (device(name), value.parse()) else { continue };
            let known = all.iter().position(|stats| stats.device == device);
            let at = known.unwrap_or_else(|| {
                all.push(IoStats { device, ..IoStats::default() });
                all.len() - 1
            });
            match (operation, in_bytes) {
                ("Read", true) => all[at].read_bytes = value,
                ("Write", true) => all[at].written_bytes = value,
                ("Read", false) => all[at].reads = value,
                ("Write", false) => all[at].writes = value,
                _ => {}
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_io_read_the_same() {
        let expected = IoStats { device: (8, 16), read_bytes: 4096, written_bytes: 8192, reads: 1, writes: 2 };
        assert_eq!(io_v2("8:16 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n8:0 \n")[0], expected);
        let bytes = "8:16 Read 4096\n8:16 Write 8192\n8:16 Sync 1\nTotal 12288\n";
        assert_eq!(io_v1(bytes, "8:16 Read 1\n8:16 Write 2\n8:16 Total 3\nTotal 3\n"), [expected]);
    }

    #[test]
    fn a_key_is_a_whole_word() {
        assert_eq!(field("oom_kill_disable 0\nunder_oom 1\noom_kill 3\n", "oom_kill"), Some(3));
        assert_eq!(field("oom 1\n", "oom_kill"), None);
    }
}
