//! A running container's cgroup, looked at and changed from outside.

use std::{
    fs,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cgroup::{Cgroup, Controller, DeviceLimit, Handle, Limits, Rate};
use nix::poll::{PollFd, PollTimeout, poll};
use process::{Host, Journal, cgroupfs};
use tests::{
    cgroups,
    container::{Running, shell, start},
};

const MB: u64 = 1 << 20;
/// The engine's usual ones.
const ACCOUNTING: [Controller; 2] = [Controller::Pids, Controller::CpuAccounting];
const BUSY: &str = "echo ready; while :; do :; done";

fn run(limits: Limits, script: &str) -> (Running, Handle, PathBuf) {
    let path = cgroups::name();
    let cgroup = Cgroup::new(&path, limits, &ACCOUNTING).unwrap();
    let mut running = start(vec![Box::new(cgroup)], shell(script)).unwrap();
    running.wait_for("ready");
    let handle = Handle::open(&path).unwrap();
    (running, handle, path)
}

fn used(handle: &Handle) -> Duration {
    handle.stats().cpu.unwrap().usage
}

/// Waits until it has used more processor time than `before`.
fn await_progress(handle: &Handle, before: Duration) {
    let end = Instant::now() + tests::patience(20);
    while used(handle) <= before {
        assert!(Instant::now() < end, "it stands still");
        std::thread::yield_now();
    }
}

#[test]
fn frozen_processes_stand_still_until_they_are_thawed() {
    let (mut running, mut handle, _) = run(Limits::default(), BUSY);
    await_progress(&handle, used(&handle));
    handle.thaw().expect("nothing is to be thawed");
    handle.freeze(&mut running.host).unwrap();
    handle.freeze(&mut running.host).expect("twice is no more than once");
    let before = used(&handle);
    // For as long as makes some progress certain without the freezer.
    let end = Instant::now() + Duration::from_millis(50);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
    assert_eq!(used(&handle), before);
    handle.thaw().unwrap();
    handle.thaw().expect("twice is no more than once");
    await_progress(&handle, before);
}

#[test]
fn a_frozen_container_can_be_killed() {
    let (mut running, mut handle, path) = run(Limits::default(), BUSY);
    handle.freeze(&mut running.host).unwrap();
    handle.kill().unwrap();
    assert_eq!(running.finish().code, 137);
    assert!(cgroups::directories(&path).is_empty());
    handle.kill().expect("nobody is there to be killed");
    assert!(handle.freeze(&mut Host::new(Journal::in_memory())).is_err() && handle.processes().is_err());
    assert!(Handle::open(&path).is_err());
}

#[test]
fn kill_ends_all_processes_and_their_children() {
    let script = "for i in 1 2 3 4 5; do sleep 100 & done; echo ready; wait";
    let (running, handle, _) = run(Limits::default(), script);
    assert_eq!(handle.processes().unwrap().len(), 6);
    handle.kill().unwrap();
    assert_eq!(running.finish().code, 137, "the output ends: all are gone");
}

#[test]
fn limits_change_while_it_runs() {
    let memory = |megabytes: u64| Limits {
        memory: Some(megabytes * MB),
        memory_swap: Some((megabytes * MB).cast_signed()),
        ..Limits::default()
    };
    let (running, mut handle, _) = run(Limits { pids: Some(10), ..memory(64) }, BUSY);
    let mut host = Host::new(Journal::in_memory());
    let mut update = |handle: &mut Handle, limits: &Limits| handle.update(limits, &mut host);
    for megabytes in [128, 32, 64] {
        update(&mut handle, &memory(megabytes)).unwrap();
        assert_eq!(handle.stats().memory.unwrap().limit, Some(megabytes * MB));
    }
    assert_eq!(handle.stats().pids.unwrap().limit, Some(10), "what is not named stays");
    update(&mut handle, &Limits { pids: Some(-1), ..Limits::default() }).unwrap();
    assert_eq!(handle.stats().pids.unwrap().limit, None);
    let error = update(&mut handle, &memory(1)).unwrap_err();
    assert!(error.to_string().contains("6MB"), "{error}");
    drop(running);
}

#[test]
fn a_controller_that_it_lacks_is_given_to_it() {
    let (running, mut handle, path) = run(Limits::default(), "sleep 100 & echo ready; wait");
    let mut host = Host::new(Journal::in_memory());
    // In v2 the controller may be there for the sake of others.
    assert_eq!(handle.stats().memory.and_then(|memory| memory.limit), None);
    let limits = Limits { memory: Some(64 * MB), nano_cpus: Some(500_000_000), ..Limits::default() };
    handle.update(&limits, &mut host).unwrap();
    assert_eq!(handle.stats().memory.unwrap().limit, Some(64 * MB));
    for pid in handle.processes().unwrap() {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let of_memory = |line: &&str| line.contains(":memory:") || line.starts_with("0:");
        assert!(text.lines().filter(of_memory).all(|line| line.ends_with(&*path.to_string_lossy())), "{text}");
    }
    drop(running);
    host.journal.undo_to(0).unwrap();
    assert!(cgroups::directories(&path).is_empty());
}

#[test]
fn running_out_of_memory_wakes_who_waits_for_it() {
    let limits = Limits { memory: Some(16 * MB), memory_swap: Some(16 << 20), ..Limits::default() };
    let fifo = tempfile::tempdir().unwrap();
    let go = fifo.path().join("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("echo ready; read x < {}; exec dd if=/dev/zero of=/dev/null bs=64M count=1", go.display());
    let (running, handle, _) = run(limits, &script);
    let mut events = handle.oom_events().unwrap().expect("there is a memory controller");
    events.clear();
    let ready = |timeout: PollTimeout| poll(&mut [PollFd::new(events.as_fd(), events.events)], timeout).unwrap();
    assert_eq!((ready(PollTimeout::ZERO), handle.oom_kills()), (0, Some(0)));
    fs::write(&go, "go\n").unwrap();
    assert_eq!(ready(PollTimeout::from(20_000_u16)), 1);
    assert_eq!(running.finish().code, 137);
}

#[test]
fn what_it_uses_is_counted() {
    let limits = Limits { pids: Some(30), memory: Some(64 * MB), ..Limits::default() };
    let (_running, handle, _) = run(limits, "sleep 100 & echo ready; while :; do :; done");
    await_progress(&handle, Duration::ZERO);
    let stats = handle.stats();
    let (memory, cpu, pids) = (stats.memory.unwrap(), stats.cpu.unwrap(), stats.pids.unwrap());
    assert!((1..64 * MB).contains(&memory.usage) && memory.limit == Some(64 * MB), "{memory:?}");
    assert_eq!((pids.current, pids.limit), (2, Some(30)));
    assert!(cpu.usage >= cpu.user.max(cpu.system), "{cpu:?}");
}

/// A whole disk of this machine.
fn disk() -> Option<PathBuf> {
    let disks = fs::read_dir("/sys/block").ok()?.flatten().map(|entry| Path::new("/dev").join(entry.file_name()));
    disks.into_iter().find(|path| path.exists())
}

#[test]
fn devices_are_limited() {
    let Some(disk) = disk() else {
        eprintln!("skipped: this machine has no block device");
        return;
    };
    let limit = DeviceLimit::new(&disk, Rate::ReadBytes, 1_000_000).unwrap();
    let (_running, _handle, path) = run(Limits { devices: vec![limit], ..Limits::default() }, "echo ready; sleep 100");
    let files = ["blkio.throttle.read_bps_device", "io.max"];
    let said: String = cgroups::directories(&path)
        .into_iter()
        .flat_map(|directory| files.map(|file| fs::read_to_string(directory.join(file)).unwrap_or_default()))
        .collect();
    assert!(said.contains(&format!("{}:{}", limit.device.0, limit.device.1)) && said.contains("1000000"), "{said}");
    for (path, errno) in [("/dev/null", "ENOTBLK"), ("/nonexistent", "ENOENT")] {
        let error = DeviceLimit::new(Path::new(path), Rate::Reads, 1).unwrap_err().to_string();
        assert!(error.contains(path) && error.contains(errno), "{error}");
    }
}

#[test]
fn a_cgroup_that_the_container_made_below_its_own_goes_with_it() {
    let (running, _, path) = run(Limits::default(), "echo ready; sleep 100");
    for directory in cgroups::directories(&path) {
        fs::create_dir_all(directory.join("a/b")).unwrap();
    }
    drop(running);
    assert!(cgroups::directories(&path).is_empty());
    for directory in cgroups::mounts() {
        assert!(cgroupfs::kill(&directory).is_err(), "a root is never killed");
    }
}
