//! Clocks that jump, pids that come back, output that nobody reads.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;
use tests::{
    engine::{Engine, eventually},
    leaks,
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn change(path: &std::path::Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// What is written down was written by a clock that was years ahead, or behind.
#[test]
fn a_clock_that_jumps_is_no_error() {
    let engine = engine();
    let root = engine.root();
    engine.run(&["volume", "create", "data"]).ok();
    engine.run(&["run", "--name", "ended", "-v", "data:/data", "bb", "echo", "word"]).ok();
    engine.run(&["run", "-d", "--name", "runs", "--restart", "always", "bb", "sleep", "1000"]).ok();
    for time in ["2090-01-01T00:00:00Z", "1970-01-02T00:00:00Z"] {
        for name in ["ended", "runs"] {
            let id = engine.run(&["inspect", "-f", "{{.Id}}", name]).ok();
            let directory = root.join("containers").join(id.trim_end());
            change(&directory.join("config.json"), |config| config["created"] = time.into());
            change(&directory.join("status.json"), |status| status["started"] = time.into());
        }
        change(&root.join("volumes/data/volume.json"), |volume| volume["created"] = time.into());
        let commands: [&[&str]; 9] = [
            &["ps", "-a"],
            &["images"],
            &["inspect", "ended", "runs"],
            &["logs", "--since", "1h", "ended"],
            &["logs", "--until", "1h", "-t", "ended"],
            &["events", "--since", "2h", "--until", "1h"],
            &["system", "df", "-v"],
            &["image", "prune", "-f", "--filter", "until=1h"],
            &["builder", "prune", "-f", "--filter", "until=1h"],
        ];
        for command in commands {
            let said = engine.run(command);
            assert!(said.code == 0 && !said.err.contains("panicked"), "{command:?} in {time}: {said:?}");
        }
        // It ends, and comes again.
        let pid = || engine.inspect("runs")["State"]["Pid"].as_i64().unwrap();
        let before = pid();
        kill(Pid::from_raw(before as i32), Signal::SIGKILL).unwrap();
        eventually("it has been started again", || pid() != before && pid() > 0);
    }
    engine.run(&["stop", "-t", "0", "runs"]).ok();
    engine.run(&["check"]).ok();
}

/// The pid that a container had is another's now: he is not touched.
#[test]
fn a_pid_that_came_back_is_not_signalled() {
    let engine = engine();
    let root = engine.root().canonicalize().unwrap();
    for command in [
        &["kill", "box"][..],
        &["stop", "-t", "0", "box"],
        &["restart", "-t", "0", "box"],
        &["pause", "box"],
        &["rm", "-f", "box"],
        &["exec", "box", "true"],
        &["cp", "/etc/hosts", "box:/there"],
        &["start", "box"],
        &["top", "box"],
    ] {
        let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
        let id = engine.run(&["run", "-d", "--name", "box", "bb", "sleep", "1000"]).ok();
        let status = root.join("containers").join(id.trim_end()).join("status.json");
        for pid in leaks::processes(&root) {
            // Its init goes with its monitor, or the other way round.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        eventually("all are gone", || leaks::processes(&root).is_empty());
        change(&status, |status| {
            status["state"] = "running".into();
            status["pid"] = bystander.id().into();
        });
        let said = engine.run(command);
        assert!(!said.err.contains("panicked"), "{said:?}");
        assert!(bystander.try_wait().unwrap().is_none(), "{command:?}: {said:?}");
        let state = fs::read_to_string(format!("/proc/{}/stat", bystander.id())).unwrap();
        assert!(state.contains(") S "), "{command:?} stopped it: {state}");
        assert!(!fs::read_to_string(format!("/proc/{}/cgroup", bystander.id())).unwrap().contains(id.trim_end()));
        bystander.kill().unwrap();
        bystander.wait().unwrap();
        engine.run(&["rm", "-f", "box"]);
        engine.run(&["leaks"]).ok();
    }
}

/// Who follows and does not read holds nobody up for ever, and can be left.
#[test]
fn a_flood_that_nobody_reads_stops_no_command() {
    let engine = engine();
    let flood = "yes 0123456789012345678901234567890123456789 | head -n 200000; echo end; exec sleep 1000";
    engine.run(&["run", "-d", "--name", "box", "--log-opt", "max-size=1m", "bb", "sh", "-c", flood]).ok();
    let follow = |command: &[&str]| engine.command(command).stdout(Stdio::piped()).spawn().unwrap();
    let mut stalled = [follow(&["logs", "-f", "box"]), follow(&["attach", "--no-stdin", "box"])];
    // While they do not read:
    engine.run(&["exec", "box", "true"]).ok();
    engine.run(&["logs", "--tail", "1", "box"]).ok();
    engine.run(&["restart", "-t", "0", "box"]).ok();
    stalled[1].kill().unwrap();
    stalled[1].wait().unwrap();
    // Who logs is held up by nobody.
    eventually("all is written", || engine.run(&["logs", "--tail", "1", "box"]).out == "end\n");
    engine.run(&["rm", "-f", "box"]).ok();
    // What was written before is read, and then it ends.
    let mut rest = Vec::new();
    stalled[0].stdout.take().unwrap().read_to_end(&mut rest).unwrap();
    stalled[0].wait().unwrap();
    engine.run(&["leaks"]).ok();
}
