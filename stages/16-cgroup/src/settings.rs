//! From limits to the kernel's files.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Path, PathBuf},
};

use process::{Errno, Error, Result};

use crate::{
    Controller, DeviceWeight, Limits, Rate,
    hierarchy::{Hierarchy, Version},
    limits::{PERIOD, invalid, parse_list},
};

/// A file to write. Kernels differ: the first name that exists is it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) files: Vec<(&'static str, String)>,
    /// Whether a kernel without any of the files will do.
    optional: bool,
}

fn one(file: &'static str, value: impl std::fmt::Display) -> Setting {
    Setting { files: vec![(file, format!("{value}"))], optional: false }
}

/// What a cgroup is limited to now, as far as new limits depend on it; `None`: unlimited or not known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    /// Bytes of memory.
    pub(crate) memory: Option<u64>,
    /// Whether it runs already, with limits of its own.
    pub(crate) update: bool,
}

/// The files of `controller`, in the order of writing.
pub(crate) fn settings(limits: &Limits, controller: Controller, version: Version, now: Now) -> Vec<Setting> {
    match (controller, version) {
        (Controller::Memory, Version::V1) => memory_v1(limits, now),
        (Controller::Memory, Version::V2) => memory_v2(limits, now),
        (Controller::Cpu, version) => cpu(limits, version),
        (Controller::Cpuset, _) => {
            let files = [("cpuset.cpus", &limits.cpuset_cpus), ("cpuset.mems", &limits.cpuset_mems)];
            files.into_iter().filter_map(|(file, list)| Some(one(file, list.as_ref()?))).collect()
        }
        (Controller::Io, version) => io_limits(limits, version),
        (Controller::Pids, _) => limits.pids.map(|most| one("pids.max", or_max(most))).into_iter().collect(),
        (Controller::Devices, Version::V1) => devices(limits),
        // v2: see program.rs.
        (Controller::CpuAccounting | Controller::Freezer | Controller::Devices, _) => Vec::new(),
    }
}

/// Nothing, and then what is allowed again.
fn devices(limits: &Limits) -> Vec<Setting> {
    let Some(rules) = &limits.access else { return Vec::new() };
    std::iter::once(one("devices.deny", 'a')).chain(rules.iter().map(|rule| one("devices.allow", rule))).collect()
}

fn or_max(number: i64) -> String {
    if number <= 0 { "max".to_owned() } else { number.to_string() }
}

/// Memory and swap together, with Docker's default for a new container, and whether it was asked for.
fn sum(limits: &Limits, now: Now) -> Option<(i64, bool)> {
    match (limits.memory_swap, limits.memory) {
        (Some(swap), _) if swap != 0 => Some((swap, true)),
        (_, Some(memory)) if !now.update => Some((i64::try_from(memory.saturating_mul(2)).unwrap_or(-1), false)),
        _ => None,
    }
}

fn memory_v1(limits: &Limits, now: Now) -> Vec<Setting> {
    let memory = limits.memory.map(|bytes| one("memory.limit_in_bytes", bytes));
    let swap = sum(limits, now)
        .map(|(bytes, asked)| Setting { optional: !asked, ..one("memory.memsw.limit_in_bytes", bytes) });
    let soft = limits.memory_reservation.map(|bytes| one("memory.soft_limit_in_bytes", bytes));
    // The sum is never less than its part: the larger of the two goes first when both rise.
    let rises = matches!((limits.memory, now.memory), (Some(new), Some(old)) if new > old);
    let both = if rises { [swap, memory] } else { [memory, swap] };
    let swappiness = limits.swappiness.map(|value| one("memory.swappiness", value));
    let waits = limits.oom_kill_disable.then(|| one("memory.oom_control", 1));
    both.into_iter().flatten().chain(soft).chain(swappiness).chain(waits).collect()
}

/// v2 limits swap alone.
fn memory_v2(limits: &Limits, now: Now) -> Vec<Setting> {
    let memory = limits.memory.or(now.memory);
    let swap = sum(limits, now).map(|(sum, asked)| {
        let swap = match memory {
            Some(memory) if sum >= 0 => sum.cast_unsigned().saturating_sub(memory).to_string(),
            _ => "max".to_owned(),
        };
        Setting { optional: !asked, ..one("memory.swap.max", swap) }
    });
    let memory = limits.memory.map(|bytes| one("memory.max", bytes));
    let low = limits.memory_reservation.map(|bytes| one("memory.low", bytes));
    memory.into_iter().chain(swap).chain(low).collect()
}

fn cpu(limits: &Limits, version: Version) -> Vec<Setting> {
    let (quota, period) = limits.quota();
    let mut all = Vec::new();
    match version {
        Version::V1 => {
            all.extend(limits.cpu_shares.map(|shares| one("cpu.shares", shares)));
            all.extend(period.map(|period| one("cpu.cfs_period_us", period)));
            all.extend(quota.map(|quota| one("cpu.cfs_quota_us", quota)));
            all.extend(limits.realtime_period.map(|period| one("cpu.rt_period_us", period)));
            all.extend(limits.realtime_runtime.map(|runtime| one("cpu.rt_runtime_us", runtime)));
        }
        Version::V2 => {
            all.extend(limits.cpu_shares.map(|shares| one("cpu.weight", weight(shares))));
            if quota.is_some() || period.is_some() {
                let quota = or_max(quota.unwrap_or(-1));
                all.push(one("cpu.max", format!("{quota} {}", period.unwrap_or(PERIOD))));
            }
        }
    }
    all
}

/// v1's cpu shares (2 to 262,144, 1024 the default) as v2's weight (1 to 10,000, 100 the default).
///
/// As runc and crun do it since 2025: a parabola through the three pairs of least, default and greatest values, drawn
/// over logarithms: with l = log2(shares), weight = ⌈10^((l² + 125 l) / 612 − 7 / 34)⌉. The straight line that was there
/// before made a default of 39, so that containers fell behind everything else.
pub fn weight(shares: u64) -> u64 {
    match shares {
        ..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let l = f64::from(shares as u32).log2();
            let weight = 10_f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0);
            // 1024 is 100, not 101 for the last digit of a division.
            (weight - 1e-9).ceil() as u64
        }
    }
}

fn io_limits(limits: &Limits, version: Version) -> Vec<Setting> {
    let mut all = Vec::new();
    if let Some(weight) = limits.io_weight {
        let files = match version {
            Version::V1 => vec![("blkio.bfq.weight", weight.to_string()), ("blkio.weight", weight.to_string())],
            Version::V2 => {
                // 10 to 1000 becomes 1 to 10,000, as in runc.
                let wide = 1 + (u64::from(weight) - 10) * 9999 / 990;
                vec![("io.bfq.weight", weight.to_string()), ("io.weight", wide.to_string())]
            }
        };
        all.push(Setting { files, optional: false });
    }
    for DeviceWeight { device: (major, minor), weight } in &limits.weights {
        let value = format!("{major}:{minor} {weight}");
        let files = match version {
            Version::V1 => ["blkio.bfq.weight_device", "blkio.weight_device"],
            Version::V2 => ["io.bfq.weight", "io.weight"],
        };
        all.push(Setting { files: files.map(|file| (file, value.clone())).into(), optional: false });
    }
    for limit in &limits.devices {
        let (v1, v2) = match limit.rate {
            Rate::ReadBytes => ("blkio.throttle.read_bps_device", "rbps"),
            Rate::WriteBytes => ("blkio.throttle.write_bps_device", "wbps"),
            Rate::Reads => ("blkio.throttle.read_iops_device", "riops"),
            Rate::Writes => ("blkio.throttle.write_iops_device", "wiops"),
        };
        let ((major, minor), most) = (limit.device, limit.most);
        all.push(match version {
            Version::V1 => one(v1, format!("{major}:{minor} {most}")),
            Version::V2 => {
                let most = if most == 0 { "max".to_owned() } else { most.to_string() };
                one("io.max", format!("{major}:{minor} {v2}={most}"))
            }
        });
    }
    all
}

/// Writes a file of a cgroup, which is there or it is an error.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Errno> {
    let written = OpenOptions::new().write(true).open(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(Errno::EIO as i32)))
}

impl Setting {
    /// The file and its value, in the cgroup at `directory`; `None` where this kernel has none and none is needed.
    pub(crate) fn find(&self, directory: &Path) -> Option<(PathBuf, &str)> {
        let mut all = self.files.iter().map(|(file, value)| (directory.join(file), value.as_str()));
        // The last one only tells what is missing.
        all.find(|(path, _)| path.exists()).or_else(|| {
            let (file, value) = self.files.last()?;
            (!self.optional).then(|| (directory.join(file), value.as_str()))
        })
    }
}

/// What the user can do about a limit that the kernel refused.
pub(crate) fn advise(error: Error, path: &Path) -> Error {
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let hint = match error.errno {
        Errno::ENOENT if file.contains("memsw") || file.contains("swap") => {
            "this kernel does not count swap: boot it with swapaccount=1, or leave the limit of memory and swap out"
        }
        Errno::ENOENT if file.contains("weight") => {
            "this kernel weighs no I/O: it takes CONFIG_BFQ_CGROUP_IOSCHED, or in v2 CONFIG_BLK_CGROUP_IOCOST"
        }
        Errno::ENOENT if file.contains("throttle") => {
            "this kernel limits no devices: it takes CONFIG_BLK_DEV_THROTTLING"
        }
        Errno::ENOENT if file.starts_with("cpu.rt") => {
            "this kernel has no real-time groups: it takes CONFIG_RT_GROUP_SCHED"
        }
        Errno::EINVAL if file.starts_with("cpu.rt") => "the parent cgroup has no time for real-time processes to give",
        Errno::ENOENT if file.starts_with("cpu.") => "this kernel has no quotas: it takes CONFIG_CFS_BANDWIDTH",
        Errno::EBUSY if file == "memory.limit_in_bytes" => {
            "the container uses more than that, and the kernel cannot take it away: set a higher limit"
        }
        Errno::EINVAL if file == "memory.limit_in_bytes" => {
            "it would be more than memory and swap together: raise memory_swap at the same time"
        }
        Errno::EINVAL if file == "memory.memsw.limit_in_bytes" => {
            "it would be less than the limit of memory: set both at the same time"
        }
        Errno::EINVAL if file.starts_with("cpu.") => "the parent cgroup's quota is less than that: ask for less",
        Errno::EINVAL | Errno::EACCES | Errno::ERANGE if file.starts_with("cpuset.") => {
            "the parent cgroup does not have all of them: name some of its own"
        }
        Errno::ENODEV | Errno::ENXIO | Errno::EINVAL if file.contains("throttle") || file == "io.max" => {
            "there is no such disk; name a whole one, not a partition"
        }
        Errno::EROFS => {
            "cgroups are mounted read-only here, as in a container: it takes a machine's own, or a privileged container"
        }
        Errno::EACCES | Errno::EPERM => DELEGATE,
        _ => return error,
    };
    error.hint(hint)
}

/// For whom something was delegated already.
pub(crate) const DELEGATE_MORE: &str = "with systemd, have root add `Delegate=yes` to [Service] of the unit user@.service \
    (systemctl edit user@.service), and log in anew";

pub(crate) const DELEGATE: &str = "cgroups are root's unless one is delegated: with v2 and systemd, \
    run it by `systemd-run --user --scope -p Delegate=yes`; v1 has no delegation";

/// Refuses what version 2 has no word for.
pub(crate) fn check_version(limits: &Limits, version: Version) -> Result<()> {
    let only_v1 = [
        (limits.oom_kill_disable, "no killing for want of memory"),
        (limits.swappiness.is_some(), "a swappiness of its own"),
        (limits.realtime_period.is_some() || limits.realtime_runtime.is_some(), "time for real-time processes"),
    ];
    match only_v1.into_iter().find(|(asked, _)| *asked && version == Version::V2) {
        Some((_, what)) => Err(invalid(what, "cgroup v2 does not have that: leave it out")),
        None => Ok(()),
    }
}

/// Refuses processors and memory nodes that are not there: the kernel would for some write a shorter list.
pub(crate) fn check_cpuset(limits: &Limits, hierarchy: &Hierarchy) -> Result<()> {
    let lists = [("cpus", &limits.cpuset_cpus), ("mems", &limits.cpuset_mems)];
    for (name, list) in lists {
        let Some(text) = list else { continue };
        let files = [format!("cpuset.{name}.effective"), format!("cpuset.effective_{name}"), format!("cpuset.{name}")];
        let read = |file: &String| -> io::Result<String> { std::fs::read_to_string(hierarchy.mount.join(file)) };
        let Some(available) = files.iter().find_map(|file| read(file).ok()) else { continue };
        let (Some(all), Some(wanted)) = (parse_list(&available), parse_list(text)) else { continue };
        if !wanted.iter().all(|number| all.contains(number)) {
            let what = if name == "cpus" { "CPUs" } else { "memory nodes" };
            let hint =
                format!("Requested {what} are not available - requested {text}, available: {}", available.trim());
            return Err(invalid(format!("cpuset {name} {text:?}"), hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1 << 20;

    fn files(limits: &Limits, version: Version, now: Now) -> Vec<String> {
        let all = limits.controllers().into_iter().flat_map(|c| settings(limits, c, version, now));
        all.map(|s| s.files.iter().map(|(file, value)| format!("{file}={value}")).collect::<Vec<_>>().join("|"))
            .collect()
    }

    #[test]
    fn shares_become_weights_by_the_formula_of_runc() {
        let pairs = [(0, 1), (2, 1), (3, 2), (512, 53), (1024, 100), (2048, 170), (262_143, 10_000), (262_144, 10_000)];
        for (shares, expected) in pairs {
            let got = weight(shares);
            assert!(
                got.abs_diff(expected) <= u64::from(![0, 2, 1024, 262_144].contains(&shares)) * 20,
                "{shares}: {got}"
            );
        }
        assert!((2..262_144_u64).step_by(97).all(|shares| weight(shares) <= weight(shares + 97)), "it never falls");
    }

    #[test]
    fn memory_and_swap_are_docker_s_sum() {
        let new = Now::default();
        let limits = |memory_swap| Limits { memory: Some(64 * MB), memory_swap, ..Limits::default() };
        let v1 = |swap| files(&limits(swap), Version::V1, new);
        let v2 = |swap| files(&limits(swap), Version::V2, new);
        let memory = "memory.limit_in_bytes=67108864";
        assert_eq!(v1(None), [memory, "memory.memsw.limit_in_bytes=134217728"]);
        assert_eq!(v1(Some(0)), v1(None));
        assert_eq!(v1(Some(-1)), [memory, "memory.memsw.limit_in_bytes=-1"]);
        assert_eq!(v1(Some(64 << 20)), [memory, "memory.memsw.limit_in_bytes=67108864"]);
        assert_eq!(v2(None), ["memory.max=67108864", "memory.swap.max=67108864"]);
        assert_eq!(v2(Some(-1)), ["memory.max=67108864", "memory.swap.max=max"]);
        assert_eq!(v2(Some(64 << 20)), ["memory.max=67108864", "memory.swap.max=0"]);
        assert_eq!(v2(Some(80 << 20)), ["memory.max=67108864", "memory.swap.max=16777216"]);
    }

    #[test]
    fn an_update_changes_what_it_names_and_the_larger_limit_first() {
        let now = Now { memory: Some(32 * MB), update: true };
        let memory = |memory| Limits { memory: Some(memory * MB), memory_swap: Some(128 << 20), ..Limits::default() };
        assert!(files(&memory(64), Version::V1, now)[0].starts_with("memory.memsw"));
        assert!(files(&memory(16), Version::V1, now)[0].starts_with("memory.limit"));
        let alone = Limits { memory: Some(64 * MB), ..Limits::default() };
        assert_eq!(files(&alone, Version::V1, now), ["memory.limit_in_bytes=67108864"]);
        let swap = Limits { memory_swap: Some(48 << 20), ..Limits::default() };
        assert_eq!(files(&swap, Version::V2, now), ["memory.swap.max=16777216"]);
    }

    #[test]
    fn both_versions_get_the_same_in_their_own_words() {
        let limits = Limits {
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(1024),
            cpuset_cpus: Some("0-1".into()),
            pids: Some(0),
            io_weight: Some(1000),
            devices: vec![crate::DeviceLimit { device: (8, 16), rate: Rate::WriteBytes, most: 1_000_000 }],
            memory_reservation: Some(8 * MB),
            ..Limits::default()
        };
        let v1 = [
            "memory.soft_limit_in_bytes=8388608",
            "cpu.shares=1024",
            "cpu.cfs_period_us=100000",
            "cpu.cfs_quota_us=150000",
            "cpuset.cpus=0-1",
            "blkio.bfq.weight=1000|blkio.weight=1000",
            "blkio.throttle.write_bps_device=8:16 1000000",
            "pids.max=max",
        ];
        assert_eq!(files(&limits, Version::V1, Now::default()), v1);
        let v2 = [
            "memory.low=8388608",
            "cpu.weight=100",
            "cpu.max=150000 100000",
            "cpuset.cpus=0-1",
            "io.bfq.weight=1000|io.weight=10000",
            "io.max=8:16 wbps=1000000",
            "pids.max=max",
        ];
        assert_eq!(files(&limits, Version::V2, Now::default()), v2);
        let period = Limits { cpu_period: Some(5000), ..Limits::default() };
        assert_eq!(files(&period, Version::V2, Now::default()), ["cpu.max=max 5000"]);
    }
}
