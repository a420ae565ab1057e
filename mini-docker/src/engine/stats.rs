//! What a running container uses now, counted by its cgroup as far as that has the controllers, and by its processes else.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cgroup::{Handle, Stats};

use super::{
    Engine,
    container::{Container, State},
    error::Result,
};

/// What a container has used until now.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// When it was looked at.
    pub at: Instant,
    /// Processor time.
    pub processor: Duration,
    /// Bytes of memory, without page cache that the kernel would give up first.
    pub memory: u64,
    /// The most bytes of it: its own limit or all that the machine has.
    pub memory_limit: u64,
    /// Bytes received and sent by all interfaces but loopback; with the host's network they are not its own: 0.
    pub network: (u64, u64),
    /// Bytes read from and written to block devices.
    pub block: (u64, u64),
    /// Processes and threads.
    pub pids: u64,
}

impl Usage {
    /// Processors used since `before`, in percent of one.
    pub fn percent_since(&self, before: &Self) -> f64 {
        let passed = self.at.saturating_duration_since(before.at).as_secs_f64();
        let used = self.processor.saturating_sub(before.processor).as_secs_f64();
        if passed > 0.0 { used / passed * 100.0 } else { 0.0 }
    }

    /// Memory in percent of the limit.
    #[allow(clippy::cast_precision_loss)] // Two digits are shown.
    pub fn memory_percent(&self) -> f64 {
        if self.memory_limit > 0 { self.memory as f64 / self.memory_limit as f64 * 100.0 } else { 0.0 }
    }
}

impl Engine {
    /// What a container uses; `None` where it does not run (any more).
    pub fn usage(&self, container: &Container) -> Result<Option<Usage>> {
        if container.status.state == State::Exited || container.status.pid == 0 {
            return Ok(None);
        }
        let stats = match Handle::open(&self.cgroup_path(&container.config)) {
            Ok(handle) => handle.stats(),
            // An ordinary user's has none, or it has ended.
            Err(_) if self.is_rootless() => Stats::default(),
            Err(_) => return Ok(None),
        };
        let processes = || self.pids(container).map(|pids| Tally::of(&pids));
        let complete = stats.memory.is_some() && stats.cpu.is_some() && stats.io.is_some() && stats.pids.is_some();
        let tally = if complete { Ok(Tally::default()) } else { processes() }?;
        let network = if container.config.network.mode == "host" {
            (0, 0)
        } else {
            network(process::way_in(nix::unistd::Pid::from_raw(container.status.pid)).as_raw())
        };
        Ok(Some(usage(&stats, &tally, network)))
    }
}

fn usage(stats: &Stats, tally: &Tally, network: (u64, u64)) -> Usage {
    let all = machine_memory();
    let block = stats.io.as_ref().map_or(tally.block, |devices| {
        devices.iter().fold((0, 0), |sum, device| (sum.0 + device.read_bytes, sum.1 + device.written_bytes))
    });
    Usage {
        at: Instant::now(),
        processor: stats.cpu.map_or(tally.processor, |cpu| cpu.usage),
        memory: stats.memory.map_or(tally.memory, |memory| memory.usage.saturating_sub(memory.inactive_file)),
        memory_limit: stats.memory.and_then(|memory| memory.limit).map_or(all, |limit| limit.min(all)),
        network,
        block,
        pids: stats.pids.map_or(tally.threads, |pids| pids.current),
    }
}

/// What the processes themselves are counted with, where there is no controller: without what those had that are gone.
#[derive(Debug, Default)]
struct Tally {
    processor: Duration,
    memory: u64,
    block: (u64, u64),
    threads: u64,
}

impl Tally {
    fn of(pids: &[i32]) -> Self {
        let mut tally = Self::default();
        for pid in pids {
            let text = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let (status, io, times) = (text("status"), text("io"), text("schedstat"));
            // Anonymous and shared memory: files' pages are cache.
            tally.memory += 1024 * (field(&status, "RssAnon:") + field(&status, "RssShmem:"));
            tally.threads += field(&status, "Threads:");
            tally.block.0 += field(&io, "read_bytes:");
            tally.block.1 += field(&io, "write_bytes:");
            let nanos = times.split(' ').next().and_then(|nanos| nanos.parse().ok());
            tally.processor += Duration::from_nanos(nanos.unwrap_or(0));
        }
        tally
    }
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    value.unwrap_or(0)
}

fn machine_memory() -> u64 {
    1024 * field(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal:")
}

/// Received and sent, by the interfaces of the process's network.
fn network(pid: i32) -> (u64, u64) {
    let table = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("net/dev")).unwrap_or_default();
    table.lines().filter_map(interface).fold((0, 0), |sum, (received, sent)| (sum.0 + received, sum.1 + sent))
}

/// A line of proc_pid_net(5), dev: `eth0: ` and sixteen numbers, the bytes received first, those sent ninth.
fn interface(line: &str) -> Option<(u64, u64)> {
    let (name, numbers) = line.split_once(':')?;
    let numbers: Vec<u64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
    (name.trim() != "lo").then_some((*numbers.first()?, *numbers.get(8)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_counted_without_loopback() {
        let table = "Inter-|   Receive        |  Transmit\n face |bytes packets|bytes packets\n\
            lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n  eth0:100 1 0 0 0 0 0 0 200 1 0 0 0 0 0 0\n";
        let found: Vec<_> = table.lines().filter_map(interface).collect();
        assert_eq!(found, [(100, 200)]);
    }

    #[test]
    fn percents_are_of_one_processor_and_of_the_limit() {
        let at = Instant::now();
        let before = usage(&Stats::default(), &Tally::default(), (0, 0));
        let before = Usage { at, memory_limit: 0, ..before };
        let later = Usage { at: at + Duration::from_secs(2), processor: Duration::from_secs(3), ..before };
        assert!((later.percent_since(&before) - 150.0).abs() < 0.01);
        assert!(before.percent_since(&before).abs() < 0.01 && before.memory_percent().abs() < 0.01);
        assert!((Usage { memory: 1, memory_limit: 4, ..before }.memory_percent() - 25.0).abs() < 0.01);
    }
}
