//! What a limit does, and that the same succeeds without it.

use std::{fs, path::Path, time::Instant};

use cgroup::{Cgroup, Controller, DEFAULT_DEVICES, DeviceRule, Handle, Limits};
use pid::PidNamespace;
use process::Host;
use tests::{
    cgroups,
    container::{List, Ran, Running, image, run, script_as_nobody, script_as_root, shell, start, with_init},
};
use user::User;

const STAGE: &str = env!("CARGO_BIN_EXE_stage-16-cgroup");
const MB: u64 = 1 << 20;

fn list(path: &Path, limits: Limits, accounting: &[Controller]) -> List {
    vec![Box::new(Cgroup::new(path, limits, accounting).unwrap())]
}

fn limited(limits: Limits, script: &str) -> (Running, Handle) {
    let path = cgroups::name();
    let accounting = [Controller::Pids, Controller::Cpu, Controller::CpuAccounting];
    let mut running = start(list(&path, limits, &accounting), shell(script)).unwrap();
    running.wait_for("ready\n");
    let handle = Handle::open(&path).unwrap();
    (running, handle)
}

fn memory(megabytes: u64) -> Limits {
    Limits { memory: Some(megabytes * MB), memory_swap: Some((megabytes * MB).cast_signed()), ..Limits::default() }
}

/// Makes 60 sleepers, or as many as it may. Not endless, for the one without a limit.
const FORKS: &str = "for i in $(seq 60); do sleep 100 > /dev/null 2>&1 & done; echo ready; exec sleep 100";

#[test]
fn a_fork_bomb_ends_at_the_limit() {
    let (_running, handle) = limited(Limits::default(), FORKS);
    assert!(handle.stats().pids.unwrap().current > 60, "without a limit all are there");
    let path = cgroups::name();
    let limits = Limits { pids: Some(20), ..Limits::default() };
    let ran = run(list(&path, limits, &[]), shell(FORKS));
    assert!(ran.code != 0 && ran.out.to_lowercase().contains("fork"), "{ran:?}");
    assert!(cgroups::directories(&path).is_empty(), "the sleepers are gone, and their cgroup");
}

/// Holds 64 MB, alone: beside a second process that wants memory, the kernel may end the shell too.
const HOG: &str = "dd if=/dev/zero of=/dev/null bs=64M count=1 2> /dev/null";

#[test]
fn a_memory_hog_is_killed_at_the_limit() {
    assert_eq!(run(list(&cgroups::name(), Limits::default(), &[Controller::Memory]), shell(HOG)).code, 0);
    assert_eq!(run(list(&cgroups::name(), memory(128), &[]), shell(HOG)).code, 0);
    let (mut running, handle) = limited(memory(16), &format!("echo ready; {HOG}; echo code $?; sleep 100"));
    running.wait_for("code 137\n");
    assert_eq!(handle.oom_kills(), Some(1));
    let stats = handle.stats().memory.unwrap();
    assert!(stats.limit == Some(16 * MB) && stats.usage <= 16 * MB, "{stats:?}");
}

#[test]
fn a_quota_slows_a_busy_loop_down() {
    let limits = Limits { nano_cpus: Some(100_000_000), ..Limits::default() };
    let (_running, handle) = limited(limits, "echo ready; while :; do :; done");
    let end = Instant::now() + tests::patience(20);
    while handle.stats().cpu.unwrap_or_default().throttled_periods == 0 {
        assert!(Instant::now() < end, "nothing slows it down");
        std::thread::yield_now();
    }
    let (_running, handle) = limited(Limits::default(), "echo ready; while :; do :; done");
    assert_eq!(handle.stats().cpu.unwrap_or_default().throttled_periods, 0);
}

#[test]
fn a_cpuset_is_all_that_the_program_may_run_on() {
    let allowed = |limits| -> String {
        let ran = run(list(&cgroups::name(), limits, &[]), shell("grep ^Cpus_allowed_list /proc/self/status"));
        ran.out.split_whitespace().last().unwrap().to_owned()
    };
    let last = |text: &str| text.rsplit([',', '-']).next().unwrap().to_owned();
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    let last = last(online.trim());
    assert_eq!(allowed(Limits { cpuset_cpus: Some(last.clone()), ..Limits::default() }), last);
    assert_eq!(allowed(Limits { pids: Some(9), ..Limits::default() }), allowed(Limits::default()));
}

#[test]
fn processors_that_are_not_there_are_refused_by_name() {
    let limits = Limits { cpuset_cpus: Some("0,4095".into()), ..Limits::default() };
    let path = cgroups::name();
    let error = start(list(&path, limits, &[]), shell("true")).err().unwrap().to_string();
    assert!(error.contains("\"0,4095\"") && error.contains("available: "), "{error}");
    assert!(cgroups::directories(&path).is_empty(), "what was made is undone");
}

/// Opens /dev/zero both ways, and makes a file for it.
const DEVICES: &str = "(head -c 1 < /dev/zero | wc -c; : > /dev/zero) 2>&1; mknod $(mktemp -u) c 1 5 && echo made";

#[test]
fn only_devices_that_a_rule_names_are_opened_and_made() {
    let opened = |rules: &[&str]| {
        let access = Some(rules.iter().map(|rule| DeviceRule::parse(rule).unwrap()).collect());
        run(list(&cgroups::name(), Limits { access, ..Limits::default() }, &[]), shell(DEVICES)).out
    };
    let (all, none) = (opened(&["a *:* rwm"]), opened(&[]));
    assert!(all.starts_with("1\n") && all.ends_with("made\n") && !all.contains("not permitted"), "{all}");
    assert_eq!(none.matches("not permitted").count(), 3, "{none}");
    let read = opened(&["b 1:5 rwm", "c 1:* r", "c 1:9 rwm"]);
    assert!(read.starts_with("1\n") && read.matches("not permitted").count() == 2, "{read}");
    let path = cgroups::name();
    let limits = Limits { access: Some(DEFAULT_DEVICES.to_vec()), ..Limits::default() };
    let first = start(list(&path, limits, &[]), shell("echo ready; sleep 100")).unwrap();
    let again: List = vec![Box::new(Cgroup::existing(&path).unwrap())];
    let joined = run(again, shell("file=$(mktemp -u); mknod $file c 240 77; (: < $file); rm $file")).out;
    assert_eq!(joined.matches("not permitted").count(), 1, "it makes the file, and cannot open it: {joined}");
    drop(first);
}

/// Which of its hierarchies show the process in the cgroup `path`.
fn joined(running: &Running, path: &Path) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", running.child.pid)).unwrap();
    let here = |line: &&str| line.ends_with(&format!(":{}", path.display()));
    text.lines().filter(here).map(|line| line.split(':').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn a_process_is_in_the_hierarchies_that_were_asked_for() {
    let path = cgroups::name();
    let all = Cgroup::new(&path, memory(64), &[Controller::Pids]).unwrap();
    let expected = all.hierarchies().count();
    let mut running = start(vec![Box::new(all)], shell("echo ready; sleep 100")).unwrap();
    running.wait_for("ready");
    let joined = joined(&running, &path);
    assert_eq!(joined.len(), expected);
    assert_eq!(cgroups::directories(&path).len(), expected);
    assert!(!joined.iter().any(|names| names.contains("blkio")), "{joined:?}");
    assert_eq!(Handle::open(&path).unwrap().processes().unwrap().first(), Some(&running.child.pid.as_raw()));
    drop(running);
    assert!(cgroups::directories(&path).is_empty());
}

#[test]
fn a_user_namespace_and_an_init_are_no_obstacle() {
    for user in [false, true] {
        let (path, limits) = (cgroups::name(), Limits { pids: Some(20), ..memory(64) });
        let mut list = list(&path, limits, &[]);
        if user {
            list.insert(0, Box::new(User::single()));
        }
        list.push(Box::new(PidNamespace));
        let mut running = start(list, with_init(shell("sleep 100 & echo ready; wait"))).unwrap();
        running.wait_for("ready");
        let handle = Handle::open(&path).unwrap();
        assert!(handle.stats().pids.unwrap().current >= 3, "init, shell and sleep are counted");
        assert!(!joined(&running, &path).is_empty());
    }
}

#[test]
fn a_parent_is_made_and_stays_for_others() {
    let parent = cgroups::name();
    let paths = [parent.join("a/one"), parent.join("a/two")];
    let limits = || Limits { pids: Some(10), cpuset_mems: Some("0".into()), ..Limits::default() };
    let mut first = start(list(&paths[0], limits(), &[]), shell("echo ready; sleep 100")).unwrap();
    first.wait_for("ready");
    assert_eq!(run(list(&paths[1], limits(), &[]), shell("exit 5")).code, 5);
    assert!(cgroups::directories(&paths[1]).is_empty());
    assert!(!joined(&first, &paths[0]).is_empty(), "the other one's end is none of its business");
    drop(first);
    for directory in [parent.join("a"), parent].iter().flat_map(|path| cgroups::directories(path)) {
        fs::remove_dir(directory).unwrap();
    }
}

#[test]
fn another_container_s_cgroup_is_neither_used_nor_removed() {
    let path = cgroups::name();
    let mut first = start(list(&path, Limits::default(), &[Controller::Pids]), shell("echo ready; sleep 100")).unwrap();
    first.wait_for("ready");
    let error = start(list(&path, Limits::default(), &[Controller::Pids]), shell("true")).err().unwrap();
    assert!(error.errno == process::Errno::EEXIST && error.hint.is_some(), "{error}");
    assert!(!joined(&first, &path).is_empty(), "it lives");
}

#[test]
fn a_second_process_joins_the_container_s_cgroup() {
    let path = cgroups::name();
    let mut first = start(list(&path, memory(64), &[]), shell("echo ready; sleep 100")).unwrap();
    first.wait_for("ready");
    let again: List = vec![Box::new(Cgroup::existing(&path).unwrap())];
    let mut second = start(again, shell("echo ready; sleep 100")).unwrap();
    second.wait_for("ready");
    assert_eq!(joined(&second, &path), joined(&first, &path));
    drop(second);
    assert!(!joined(&first, &path).is_empty(), "joining undoes nothing");
    assert!(Cgroup::existing(&cgroups::name()).is_err());
}

#[test]
fn a_failure_later_on_leaves_no_cgroup() {
    let path = cgroups::name();
    let mut list = list(&path, memory(64), &[]);
    list.push(Box::new(uts::Uts::new("x".repeat(65))));
    assert_eq!(start(list, shell("true")).err().unwrap().primitive, "uts");
    assert!(cgroups::directories(&path).is_empty());
}

#[test]
fn what_is_done_is_explained() {
    let mut host = Host::new(process::Journal::in_memory());
    host.explain();
    let path = cgroups::name();
    let list = list(&path, Limits { pids: Some(7), ..Limits::default() }, &[]);
    let running = tests::container::start_on(host, list, shell("true")).unwrap();
    let said = running.host.trace().to_string();
    assert!(said.contains("mkdir(") && said.contains("pids.max\", \"7\")"), "{said}");
    assert!(said.contains("CLONE_INTO_CGROUP") || said.contains("tasks\", \"0\")"), "{said}");
}

#[test]
fn the_binary_limits_and_needs_root() {
    let image = image();
    let Ran { code, out } = script_as_root(STAGE, image.path(), HOG);
    assert_eq!(code, 137, "{out}");
    let refused = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(refused.code == 125 && refused.out.contains("delegated"), "{refused:?}");
}
