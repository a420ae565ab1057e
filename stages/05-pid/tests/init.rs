//! What process 1 owes to a container: reaping, signals, exit codes.

use std::{fs, time::Instant};

use nix::{libc, unistd::Pid};
use pid::PidNamespace;
use process::Process;
use tests::container::{List, command, run, shell, start, with_init};

fn list() -> List {
    vec![Box::new(PidNamespace)]
}

/// The states of its children, as the letters of `ps`.
fn children(pid: Pid) -> String {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let state = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    };
    children.split_whitespace().filter_map(state).collect()
}

/// Looks at them until they are as expected.
fn wait_for_children(pid: Pid, expected: &str) {
    let end = Instant::now() + tests::patience(10);
    while children(pid) != expected {
        assert!(Instant::now() < end, "{:?} instead of {expected:?}", children(pid));
        std::thread::yield_now();
    }
}

// Each subshell leaves a child to process 1, which ends when process 1, or the program, is long a `sleep`.
const ORPHANS: &str = "for i in 1 2 3; do (sleep 0.1 & ); done; echo ready; exec sleep 20";

#[test]
fn orphans_are_adopted_and_reaped() {
    let mut running = start(list(), with_init(shell(ORPHANS))).unwrap();
    running.wait_for("ready");
    wait_for_children(running.child.pid, "S");
}

#[test]
fn without_an_init_they_stay_zombies() {
    let mut running = start(list(), shell(ORPHANS)).unwrap();
    running.wait_for("ready");
    wait_for_children(running.child.pid, "ZZZ");
}

#[test]
fn it_does_not_show_the_host_s_command_line() {
    // This one's: the test's path, and whatever it was called with.
    let host = fs::read("/proc/self/cmdline").unwrap();
    // The second is longer than that, and goes on where the environment was.
    for padding in [0, host.len() + 10] {
        let script = format!("echo ready; : {}; exec sleep 20", "x".repeat(padding));
        let mut running = start(list(), with_init(shell(&script))).unwrap();
        running.wait_for("ready");
        let file = |name: &str| {
            let bytes = fs::read(format!("/proc/{}/{name}", running.child.pid)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let seen = file("cmdline");
        let seen = seen.strip_suffix('\0').unwrap_or(&seen);
        assert!(seen.starts_with("/sbin/docker-init -- ") && seen.ends_with(&script), "{seen:?}");
        assert_eq!(file("comm"), "docker-init\n");
        // There is the rest of a long title, and nothing of the host's.
        let environment = file("environ");
        assert!(script.contains(environment.trim_matches('\0')), "{environment:?}");
    }
}

#[test]
fn the_exit_code_is_the_program_s() {
    for init in [false, true] {
        let code = |script: &str| run(list(), Process { init, ..shell(script) }).code;
        assert_eq!(code("exit 0"), 0);
        assert_eq!(code("exit 7"), 7);
        assert_eq!(code("exit 255"), 255);
    }
    // Behind an init the program is no process 1, and dies of its own signals.
    for (signal, expected) in [("KILL", 137), ("TERM", 143), ("SEGV", 139)] {
        assert_eq!(run(list(), with_init(shell(&format!("kill -{signal} $$; exit 1")))).code, expected);
    }
    assert_eq!(run(list(), shell("kill -TERM $$; exit 1")).code, 1, "process 1 is deaf to its own signals");
}

#[test]
fn the_end_of_another_child_is_not_the_end() {
    assert_eq!(run(list(), with_init(shell("(sh -c 'exit 9' & ); sleep 0.05; exit 4"))).code, 4);
}

#[test]
fn signals_reach_the_program() {
    for (name, number) in
        [("TERM", libc::SIGTERM), ("INT", libc::SIGINT), ("HUP", libc::SIGHUP), ("USR1", libc::SIGUSR1)]
    {
        let script = format!("trap 'echo caught {name}; exit 5' {name}; echo ready; sleep 20 & wait");
        let mut running = start(list(), with_init(shell(&script))).unwrap();
        running.wait_for("ready");
        running.signal(number);
        let ran = running.finish();
        assert_eq!((ran.code, ran.out.as_str()), (5, format!("ready\ncaught {name}\n").as_str()));
    }
}

#[test]
fn a_real_time_signal_reaches_the_program() {
    let mut running = start(list(), with_init(shell("echo ready; exec sleep 20"))).unwrap();
    running.wait_for("ready");
    let signal = libc::SIGRTMIN() + 3;
    running.signal(signal);
    assert_eq!(running.finish().code, 128 + signal);
}

#[test]
fn a_signal_that_comes_at_once_is_not_lost() {
    for _ in 0..20 {
        let running = start(list(), with_init(command(&["sleep", "20"]))).unwrap();
        running.signal(libc::SIGTERM);
        assert_eq!(running.finish().code, 128 + libc::SIGTERM);
    }
}
