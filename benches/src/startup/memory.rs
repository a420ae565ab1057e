//! What memory a container that runs costs beside its program: that of the processes which are there for it alone.

use std::{
    collections::BTreeSet,
    fs,
    process::Stdio,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    Result,
    run::{PATIENCE, Run, kill_group},
};

/// The program that does nothing in the container: as its first argument and name, so that it is told from its helpers.
pub(crate) const IDLE: [&str; 2] = ["sleep", "98765"];

/// Private bytes of the processes that come with an idle container, without the container's own.
pub(crate) fn beside(run: &Run) -> Result<u64> {
    let before = processes();
    let mut child = run.start(Stdio::null())?;
    let start = Instant::now();
    while !processes().difference(&before).any(|pid| is_idle(*pid)) {
        if start.elapsed() > PATIENCE {
            run.clean();
            return Err("its program does not run".into());
        }
        sleep(Duration::from_millis(20));
    }
    // Clients that return, and helpers that settle.
    sleep(Duration::from_secs(1));
    let all = processes();
    let bytes =
        all.difference(&before).filter(|pid| !is_idle(**pid) && is_ours(**pid, &before)).map(|pid| private(*pid)).sum();
    if run.cleanup.is_empty() {
        kill_group(&child);
    }
    run.clean();
    let _ = child.wait();
    Ok(bytes)
}

/// Private bytes of a machine that has started within `boot`, with all that is in it.
pub(crate) fn machine(run: &Run, boot: Duration) -> Result<u64> {
    let before = processes();
    let mut child = run.start(Stdio::null())?;
    sleep(boot);
    let bytes = processes().difference(&before).filter(|pid| is_ours(**pid, &before)).map(|pid| private(*pid)).sum();
    kill_group(&child);
    child.wait()?;
    Ok(bytes)
}

fn processes() -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeSet::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn is_idle(pid: u32) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments == format!("{}\0{}\0", IDLE[0], IDLE[1]).as_bytes()
}

/// Whether a new process comes of what was started here, as far as one can tell: of this process, of nobody who lives (a
/// helper that has let go of its parent), or of a daemon of containers; not of somebody's shell.
fn is_ours(pid: u32, before: &BTreeSet<u32>) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may hold anything.
    let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
    match parent {
        Some(parent) if parent == 1 || parent == std::process::id() => true,
        Some(parent) if before.contains(&parent) => {
            let name = fs::read_to_string(format!("/proc/{parent}/comm")).unwrap_or_default();
            ["dockerd", "containerd", "systemd"].contains(&name.trim_end())
        }
        Some(parent) => is_ours(parent, before),
        None => false,
    }
}

/// What would be free without this process, in bytes: `Private_*` of proc_pid_smaps_rollup(5).
fn private(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib =
        |line: &str| line.strip_prefix("Private_").and_then(|rest| rest.split_whitespace().nth(1)?.parse::<u64>().ok());
    text.lines().filter_map(kib).sum::<u64>() << 10
}
