//! What dies in the middle leaves nothing that the next command does not find and mend.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    engine::{Engine, eventually},
    leaks,
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn kill_monitor(engine: &Engine) {
    let monitors = leaks::monitors(&engine.root().canonicalize().unwrap());
    assert_eq!(monitors.len(), 1, "{monitors:?}");
    kill(Pid::from_raw(monitors[0]), Signal::SIGKILL).unwrap();
    eventually("the monitor is gone", || leaks::monitors(&engine.root().canonicalize().unwrap()).is_empty());
}

#[test]
fn a_container_without_its_monitor_is_still_stopped() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    kill_monitor(&engine);
    engine.run(&["stop", "-t", "0", "c1"]).ok();
    let state = &engine.inspect("c1")["State"];
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("exited"), Some(seen(137))));
    engine.run(&["rm", "c1"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

fn is_zombie(pid: i64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

/// What a new monitor makes of an exit code: it is not the process's parent, and has to ask the kernel.
fn seen(code: i64) -> i64 {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    if version >= (6, 15) { code } else { 255 }
}

#[test]
fn a_container_without_its_monitor_gets_a_new_one() {
    let engine = engine();
    let script = "echo one; while ! test -e /two; do sleep 0.01; done; echo two; echo err >&2; exit 7";
    let id = engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", script]).ok();
    eventually("it speaks", || engine.run(&["logs", "c1"]).out == "one\n");
    kill_monitor(&engine);
    // Many at once: one of them adopts it.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(engine.run(&["ps"]).ok().contains("c1")));
        }
    });
    let root = engine.root().canonicalize().unwrap();
    assert_eq!(leaks::monitors(&root).len(), 1);
    // It may be killed with the container, which ends by it.
    engine.run(&["exec", "c1", "touch", "/two"]);
    assert_eq!(engine.run(&["wait", "c1"]).ok(), format!("{}\n", seen(7)));
    let logs = engine.run(&["logs", "c1"]);
    assert_eq!((logs.out.as_str(), logs.err.as_str()), ("one\ntwo\n", "err\n"), "{id}");
    assert_eq!(engine.inspect("c1")["State"]["ExitCode"], seen(7));
    engine.run(&["rm", "c1"]).ok();
}

#[test]
fn a_container_that_was_to_go_goes_without_its_monitor() {
    let engine = engine();
    for adopted in [true, false] {
        engine.run(&["run", "-d", "--rm", "--name", "c1", "bb", "sleep", "1000"]).ok();
        let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
        kill_monitor(&engine);
        if adopted {
            engine.run(&["ps"]).ok();
        }
        kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
        eventually("it has gone", || engine.run(&["ps", "-aq"]).ok().is_empty());
        assert_eq!(engine.run(&["inspect", "c1"]).code, 1);
        assert_eq!(engine.leaks(), Vec::<String>::new());
    }
}

#[test]
fn a_new_monitor_reads_no_pipe_but_its_own() {
    let engine = engine();
    // The program's output is now a pipe between two processes of its own.
    let script = "mkfifo /f; (sleep 1000 </f) & exec >/f 2>&1; echo inside >/f; exec sleep 1000";
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", script]).ok();
    eventually("it has put a pipe of its own there", || {
        let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
        fs::read_link(format!("/proc/{pid}/fd/1")).is_ok_and(|to| to.ends_with("f"))
    });
    kill_monitor(&engine);
    engine.run(&["ps"]).ok();
    let root = engine.root().canonicalize().unwrap();
    let monitor = leaks::monitors(&root)[0];
    let fds = fs::read_dir(format!("/proc/{monitor}/fd")).unwrap().flatten();
    let pipes = fds.filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("pipe:")));
    assert_eq!(pipes.count(), 0);
    assert_eq!(engine.run(&["logs", "c1"]).ok(), "");
    engine.run(&["rm", "-f", "c1"]).ok();
}

#[test]
fn a_container_that_ends_without_its_monitor_did_not_succeed() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    kill_monitor(&engine);
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    eventually("it has ended", || process::start_time(Pid::from_raw(pid as i32)).is_none_or(|_| is_zombie(pid)));
    let state = &engine.inspect("c1")["State"];
    assert_eq!((state["Status"].as_str(), state["ExitCode"].as_i64()), (Some("exited"), Some(255)));
    assert_eq!(engine.run(&["wait", "c1"]).ok(), "255\n");
    assert_eq!(engine.run(&["rm", "c1"]).ok(), "c1\n");
}

#[test]
fn what_ran_before_the_machine_restarted_has_ended() {
    let engine = engine();
    let id = engine.run(&["run", "-d", "--name", "c1", "bb", "true"]).ok();
    engine.run(&["wait", "c1"]).ok();
    // A process that lives: only the boot tells that it is not the container's.
    let pid = std::process::id();
    let start_time = process::start_time(Pid::this()).unwrap();
    let status = engine.root().join("containers").join(id.trim_end()).join("status.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&status).unwrap()).unwrap();
    json["state"] = "running".into();
    json["pid"] = pid.into();
    json["start_time"] = start_time.into();
    json["boot"] = "another".into();
    fs::write(&status, json.to_string()).unwrap();
    // Its monitor may still be clearing up.
    eventually("it has ended, and nobody saw it", || {
        let state = engine.inspect("c1")["State"].clone();
        (state["Status"].as_str(), state["ExitCode"].as_i64()) == (Some("exited"), Some(255))
    });
    engine.run(&["rm", "c1"]).ok();
}

#[test]
fn one_who_waits_outlives_the_monitor() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let mut waiting = engine.command(&["wait", "c1"]).stdout(Stdio::piped()).spawn().unwrap();
    let root = engine.root().canonicalize().unwrap();
    eventually("it waits", || leaks::monitors(&root).len() == 2);
    let monitor = leaks::monitors(&root).into_iter().find(|pid| *pid != waiting.id() as i32).unwrap();
    kill(Pid::from_raw(monitor), Signal::SIGKILL).unwrap();
    engine.run(&["kill", "c1"]).ok();
    let mut line = String::new();
    BufReader::new(waiting.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("{}\n", seen(137)));
    waiting.wait().unwrap();
}

#[test]
fn a_container_outlives_the_terminal_that_started_it() {
    let engine = engine();
    let script = "echo ready; sleep 1000";
    let mut run =
        engine.command(&["run", "--name", "c1", "bb", "sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(engine.inspect("c1")["State"]["Status"], "running");
    assert_eq!(engine.run(&["logs", "c1"]).ok(), "ready\n");
    engine.run(&["rm", "-f", "c1"]).ok();
}

#[test]
fn run_can_be_killed_at_any_moment() {
    let engine = engine();
    let root = engine.root().canonicalize().unwrap();
    for step in 0..60u64 {
        let name = format!("c{step}");
        let mut run = engine.command(&["run", "-d", "--name", &name, "bb", "sleep", "1000"]);
        let mut child = run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From before it has begun to after it is done.
        std::thread::sleep(Duration::from_micros(step * 250));
        // The command, and the monitor that it may have made.
        child.kill().unwrap();
        if step % 2 == 1 {
            for pid in leaks::monitors(&root) {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        child.wait().unwrap();
        engine.run(&["ps", "-a"]).ok();
        let removed = engine.run(&["rm", "-f", &name]);
        let again = engine.run(&["run", "--rm", "--name", &name, "bb", "echo", "again"]);
        assert_eq!((again.code, again.out.as_str()), (0, "again\n"), "step {step}: {again:?} after {removed:?}");
    }
    assert_eq!(engine.run(&["ps", "-aq"]).ok(), "");
    // An import sweeps what is left of removals.
    engine.run_with(&["import", "-", "x"], b"");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn an_import_can_be_killed_at_any_moment() {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    let archive = engine.path("bb.tar");
    tests::rootfs::busybox_tar(&archive);
    let name = archive.to_str().unwrap().to_owned();
    for step in 0..20u64 {
        let mut import = engine.command(&["import", &name, "bb"]).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(step));
        import.kill().unwrap();
        import.wait().unwrap();
        let images = engine.run(&["images", "-q"]).ok();
        if !images.is_empty() {
            assert_eq!(engine.run(&["run", "--rm", images.lines().next().unwrap(), "echo", "whole"]).ok(), "whole\n");
        }
    }
    engine.run(&["import", &name, "bb"]).ok();
    assert_eq!(fs::read_dir(engine.root().join("tmp")).unwrap().count(), 0);
    assert_eq!(engine.run(&["run", "--rm", "bb", "echo", "whole"]).ok(), "whole\n");
}
