//! What the monitor does for a container: restarts, pauses, limits that change, names, events.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
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

fn state(engine: &Engine, name: &str) -> String {
    engine.inspect(name)["State"]["Status"].as_str().unwrap().to_owned()
}

fn kill_monitors(engine: &Engine) {
    let root = engine.root().canonicalize().unwrap();
    for monitor in leaks::monitors(&root) {
        kill(Pid::from_raw(monitor), Signal::SIGKILL).unwrap();
    }
    eventually("the monitors are gone", || leaks::monitors(&root).is_empty());
}

#[test]
fn a_failing_container_is_started_again_so_often() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "--restart", "on-failure:2", "bb", "sh", "-c", "echo x; exit 3"]).ok();
    eventually("it gives up", || state(&engine, "c1") == "exited");
    let container = engine.inspect("c1");
    assert_eq!((&container["RestartCount"], &container["State"]["ExitCode"]), (&2.into(), &3.into()));
    assert_eq!(container["HostConfig"]["RestartPolicy"]["MaximumRetryCount"], 2);
    assert_eq!(engine.run(&["logs", "c1"]).ok(), "x\nx\nx\n");
    engine.run(&["run", "-d", "--name", "c2", "--restart", "on-failure", "bb", "true"]).ok();
    engine.run(&["wait", "c2"]).ok();
    assert_eq!(engine.inspect("c2")["RestartCount"], 0);
    eventually("their monitors have ended", || leaks::monitors(&engine.root().canonicalize().unwrap()).is_empty());
    // The user's start begins to count anew.
    engine.run(&["start", "c1"]).ok();
    eventually("it gives up again", || {
        state(&engine, "c1") == "exited" && engine.run(&["logs", "c1"]).out.lines().count() == 6
    });
}

#[test]
fn what_the_user_stops_stays_stopped() {
    let engine = engine();
    for (number, stop) in [&["stop", "-t", "0"][..], &["kill"], &["kill", "-s", "TERM"]].into_iter().enumerate() {
        let name = format!("c{number}");
        let script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done";
        engine.run(&["run", "-d", "--name", &name, "--restart", "always", "bb", "sh", "-c", script]).ok();
        eventually("it is ready", || engine.run(&["logs", &name]).out == "ready\n");
        engine.run(&[stop, &[&name]].concat()).ok();
        engine.run(&["wait", &name]).ok();
        let container = engine.inspect(&name);
        assert_eq!((&container["State"]["Status"], &container["RestartCount"]), (&"exited".into(), &0.into()));
    }
}

/// A container that fails at once, and waits for its next start.
fn restarting(engine: &Engine, name: &str) {
    engine.run(&["run", "-d", "--name", name, "--restart", "always", "bb", "false"]).ok();
    // By then it waits for seconds.
    eventually("it has failed often", || {
        let container = engine.inspect(name);
        container["RestartCount"].as_i64() >= Some(4) && container["State"]["Status"] == "restarting"
    });
}

#[test]
fn one_that_waits_for_its_restart_can_be_stopped_removed_and_started() {
    let engine = engine();
    restarting(&engine, "c1");
    assert!(engine.run(&["ps"]).ok().contains("Restarting (1) "), "it counts as running");
    assert!(engine.run(&["rm", "c1"]).refused(1).contains("restarting"));
    assert!(engine.run(&["attach", "c1"]).refused(1).contains("restarting container"));
    engine.run(&["stop", "c1"]).ok();
    let stopped = engine.inspect("c1");
    assert_eq!((&stopped["State"]["Status"], &stopped["State"]["ExitCode"]), (&"exited".into(), &1.into()));
    eventually("its monitor goes", || leaks::monitors(&engine.root().canonicalize().unwrap()).is_empty());
    engine.run(&["start", "c1"]).ok();
    eventually("it is started again", || engine.inspect("c1")["RestartCount"].as_i64() >= Some(1));
    engine.run(&["rm", "-f", "c1"]).ok();
    restarting(&engine, "c2");
    engine.run(&["rm", "-f", "c2"]).ok();
    eventually("nothing is left", || engine.leaks().is_empty());
}

#[test]
fn a_killed_monitor_does_not_end_restarts() {
    let engine = engine();
    restarting(&engine, "c1");
    kill_monitors(&engine);
    let before = engine.inspect("c1")["RestartCount"].as_i64();
    eventually("another monitor goes on", || engine.inspect("c1")["RestartCount"].as_i64() > before);
    kill_monitors(&engine);
    engine.run(&["stop", "c1"]).ok();
    assert_eq!(state(&engine, "c1"), "exited");
    engine.run(&["rm", "c1"]).ok();
    // Both die: nobody knows how it ended, but it did not end as it should.
    engine.run(&["run", "-d", "--name", "c2", "--restart", "always", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("c2")["State"]["Pid"].as_i64().unwrap();
    kill_monitors(&engine);
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    eventually("it runs again", || {
        let state = &engine.inspect("c2")["State"];
        state["Status"] == "running" && state["Pid"] != pid
    });
}

#[test]
fn conflicts_are_refused_in_dockers_words() {
    let engine = engine();
    let refused = engine.run(&["run", "--rm", "--restart=always", "bb", "true"]).refused(125);
    assert!(refused.contains("conflicting options: cannot specify both --restart and --rm"), "{refused}");
    let refused = engine.run(&["run", "-d", "-a", "stdout", "bb", "true"]).refused(125);
    assert!(refused.contains("conflicting options"), "{refused}");
    let refused = engine.run(&["run", "-a", "nothing", "bb", "true"]).refused(125);
    assert!(refused.contains("valid streams are STDIN, STDOUT and STDERR"), "{refused}");
    for bad in ["bogus", "on-failure:-1", "always:3"] {
        engine.run(&["create", "--restart", bad, "bb", "true"]).refused(1);
    }
}

#[test]
fn only_the_attached_streams_come() {
    let engine = engine();
    let both = ["sh", "-c", "echo O; echo E >&2"];
    let said = engine.run(&[&["run", "--rm", "-a", "stdout", "bb"], &both[..]].concat());
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "O\n", ""));
    let said = engine.run(&[&["run", "--rm", "-a", "STDERR", "bb"], &both[..]].concat());
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "", "E\n"));
}

#[test]
fn a_paused_container_stands_still() {
    let engine = engine();
    let count = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done";
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", count]).ok();
    eventually("it counts", || !engine.run(&["logs", "c1"]).out.is_empty());
    assert_eq!(engine.run(&["pause", "c1"]).ok(), "c1\n");
    assert_eq!(state(&engine, "c1"), "paused");
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(engine.run(&["ps"]).ok().contains("(Paused)"));
    assert!(engine.run(&["pause", "c1"]).refused(1).contains("already paused"));
    let refused = engine.run(&["start", "c1"]);
    assert!(refused.code == 1 && refused.err.contains("cannot start a paused container"), "{refused:?}");
    assert!(engine.run(&["rm", "c1"]).refused(1).contains("paused"));
    let ticks = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let before = (engine.run(&["logs", "c1"]).out, ticks());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!((engine.run(&["logs", "c1"]).out, ticks()), before, "{cgroup}");
    assert_eq!(engine.run(&["unpause", "c1"]).ok(), "c1\n");
    eventually("it goes on", || engine.run(&["logs", "c1"]).out != before.0);
    assert!(engine.run(&["unpause", "c1"]).refused(1).contains("not paused"));
    // What is to end does, paused or not.
    engine.run(&["pause", "c1"]).ok();
    kill_monitors(&engine);
    assert_eq!(state(&engine, "c1"), "paused", "with a new monitor");
    engine.run(&["stop", "-t", "0", "c1"]).ok();
    assert_eq!(state(&engine, "c1"), "exited");
    assert!(engine.run(&["pause", "c1"]).refused(1).contains("not running"));
    engine.run(&["start", "c1"]).ok();
    engine.run(&["pause", "c1"]).ok();
    engine.run(&["kill", "c1"]).ok();
    engine.run(&["start", "c1"]).ok();
    engine.run(&["pause", "c1"]).ok();
    engine.run(&["rm", "-f", "c1"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_restart_keeps_what_a_stop_would_take() {
    let engine = engine();
    let script = "echo x >>/f; echo; sleep 1000";
    engine.run(&["run", "-d", "--rm", "--name", "c1", "bb", "sh", "-c", script]).ok();
    eventually("it has begun", || engine.run(&["logs", "c1"]).out == "\n");
    let before = engine.inspect("c1")["State"]["Pid"].as_i64();
    assert_eq!(engine.run(&["restart", "-t", "0", "c1"]).ok(), "c1\n");
    assert_ne!(engine.inspect("c1")["State"]["Pid"].as_i64(), before);
    eventually("it has begun again", || engine.run(&["logs", "c1"]).out == "\n\n");
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/root/f")).unwrap(), "x\nx\n");
    engine.run(&["stop", "-t", "0", "c1"]).ok();
    eventually("it goes as before", || engine.run(&["ps", "-aq"]).out.is_empty());
    engine.run(&["create", "--name", "c2", "bb", "true"]).ok();
    engine.run(&["restart", "c2"]).ok();
    assert_eq!(engine.run(&["wait", "c2"]).ok(), "0\n");
}

#[test]
fn a_name_moves_with_its_container() {
    let engine = engine();
    let id = engine.run(&["run", "-d", "--name", "old", "bb", "sleep", "1000"]).ok();
    engine.run(&["create", "--name", "taken", "bb", "true"]).ok();
    assert_eq!(engine.run(&["rename", "old", "new"]).ok(), "");
    assert_eq!((&engine.inspect("new")["Name"], &engine.inspect("new")["Id"]), (&"/new".into(), &id.trim_end().into()));
    assert_eq!(engine.run(&["inspect", "old"]).code, 1);
    assert!(engine.run(&["rename", "new", "taken"]).refused(1).contains("already in use"));
    assert!(engine.run(&["rename", "new", "new"]).refused(1).contains("same name"));
    engine.run(&["rename", "new", "_"]).refused(1);
    engine.run(&["rename", "nosuch", "other"]).refused(1);
    engine.run(&["create", "--name", "old", "bb", "true"]).ok();
    // Whoever is killed on the way leaves a name that is nobody's.
    fs::hard_link(engine.root().join("names/new"), engine.root().join("names/half")).unwrap();
    engine.run(&["create", "--name", "half", "bb", "true"]).ok();
    // Its monitor learns of it.
    engine.run(&["run", "-d", "--rm", "--name", "a1", "bb", "sleep", "1000"]).ok();
    engine.run(&["rename", "a1", "a2"]).ok();
    engine.run(&["kill", "a2"]).ok();
    eventually("the name is free", || !engine.root().join("names/a2").exists());
}

#[test]
fn limits_change_while_it_runs() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "-m", "64m", "bb", "sleep", "1000"]).ok();
    let inside = |file: &str| {
        let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
        ["memory", "cpu", "pids", ""].iter().find_map(|controller| {
            fs::read_to_string(format!("/proc/{pid}/root/sys/fs/cgroup/{controller}/{file}")).ok()
        })
    };
    assert_eq!(engine.run(&["update", "-m", "96m", "--memory-swap", "128m", "--pids-limit", "7", "c1"]).ok(), "c1\n");
    let memory = inside("memory.limit_in_bytes").or_else(|| inside("memory.max"));
    assert_eq!(memory.as_deref(), Some("100663296\n"));
    assert_eq!(inside("pids.max").as_deref(), Some("7\n"));
    let host = &engine.inspect("c1")["HostConfig"];
    assert_eq!((&host["Memory"], &host["PidsLimit"]), (&100_663_296.into(), &7.into()));
    // A controller that it did not have: the monitor removes that cgroup, too.
    engine.run(&["update", "--cpu-shares", "512", "--restart", "on-failure:3", "c1"]).ok();
    assert_eq!(engine.inspect("c1")["HostConfig"]["RestartPolicy"]["Name"], "on-failure");
    let before = engine.inspect("c1")["HostConfig"].clone();
    engine.run(&["update", "-m", "1m", "c1"]).refused(1);
    engine.run(&["update", "c1"]).refused(1);
    assert_eq!(engine.inspect("c1")["HostConfig"], before, "all or nothing");
    engine.run(&["stop", "-t", "0", "c1"]).ok();
    engine.run(&["update", "-m", "32m", "--memory-swap", "64m", "c1"]).ok();
    assert_eq!(engine.inspect("c1")["HostConfig"]["Memory"], 33_554_432);
    engine.run(&["rm", "c1"]).ok();
    // As much swap as memory, where nobody says otherwise; an empty name is none.
    engine.run(&["create", "--name", "c1", "-m", "32m", "-h", "", "bb", "true"]).ok();
    let made = engine.inspect("c1");
    assert_eq!(made["HostConfig"]["MemorySwap"], 67_108_864);
    assert_eq!(made["Config"]["Hostname"].as_str(), made["Id"].as_str().map(|id| &id[..12]));
    engine.run(&["rm", "c1"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn want_of_memory_is_told() {
    let engine = engine();
    let hungry = "dd if=/dev/zero of=/dev/shm/x bs=1M count=32";
    let said = engine.run(&["run", "--name", "c1", "-m", "16m", "--memory-swap", "16m", "bb", "sh", "-c", hungry]);
    assert_ne!(said.code, 0);
    assert_eq!(engine.inspect("c1")["State"]["OOMKilled"], true, "{said:?}");
    let events = engine.run(&["events", "--since", "1h", "--until", "0s", "--format", "{{.Action}}"]).ok();
    assert!(events.contains("oom\n"), "{events}");
}

#[test]
fn events_tell_a_life() {
    let engine = engine();
    let id = engine.run(&["run", "-d", "--name", "c1", "-l", "a=b", "bb", "sleep", "1000"]).ok();
    let mut follow = engine
        .command(&["events", "-f", "container=c2", "--format", "{{.Action}}"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    engine.run(&["pause", "c1"]).ok();
    engine.run(&["unpause", "c1"]).ok();
    engine.run(&["rename", "c1", "c2"]).ok();
    engine.run(&["stop", "-t", "0", "c2"]).ok();
    engine.run(&["rm", "c2"]).ok();
    let all = |filter: &[&str], format: &str| {
        let arguments = [&["events", "--since", "1h", "--until", "0s", "--format", format], filter].concat();
        engine.run(&arguments).ok()
    };
    let actions = all(&["-f", "type=container"], "{{.Action}}");
    let life = "create\nstart\npause\nunpause\nrename\nkill\nkill\ndie\nstop\ndestroy\n";
    assert!([life, &life.replacen("kill\n", "", 1)].contains(&actions.as_str()), "{actions}");
    assert_eq!(all(&["-f", "event=die"], r#"{{index .Actor.Attributes "exitCode"}} {{.ID}}"#), format!("137 {id}"));
    assert_eq!(
        all(&["-f", "label=a=b", "-f", "event=create", "-f", "event=start"], "{{.Type}}"),
        "container\n".repeat(2)
    );
    assert_eq!(all(&["-f", "label=a=c"], "x"), "");
    let json: serde_json::Value = serde_json::from_str(&all(&["-f", "event=create"], "json")).unwrap();
    assert_eq!((&json["Actor"]["Attributes"]["image"], &json["status"]), (&"bb".into(), &"create".into()));
    engine.run(&["events", "-f", "nosuch=1", "--until", "0s"]).refused(125);
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    assert!(["rename", "kill", "stop"].contains(&lines.next().unwrap().unwrap().as_str()));
    follow.kill().unwrap();
    follow.wait().unwrap();
}

/// Who stops the checks on their way in stops no monitor with them.
#[test]
fn a_container_that_stops_its_checks_can_be_ended() {
    let engine = engine();
    let flags =
        ["run", "-d", "--name", "c1", "--restart", "always", "--health-cmd", "true", "--health-interval", "1ms"];
    let script = "trap : TERM; while :; do kill -STOP -1; done";
    engine.run(&[&flags[..], &["bb", "sh", "-c", script]].concat()).ok();
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    let is_stopped =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") T "));
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let pids = || {
        let (_, path) = cgroup.lines().find_map(|line| line.split_once("mini-docker/")).unwrap();
        let all =
            tests::cgroups::mounts().into_iter().map(|mount| mount.join("mini-docker").join(path).join("cgroup.procs"));
        all.filter_map(|file| fs::read_to_string(file).ok()).collect::<String>()
    };
    eventually("a check stands still", || pids().lines().any(is_stopped));
    engine.run(&["stop", "-t", "0", "c1"]).ok();
    assert_eq!(engine.inspect("c1")["State"]["Status"], "exited");
    engine.run(&["rm", "c1"]).ok();
}

#[test]
fn health_is_asked_for_again_and_again() {
    let engine = engine();
    let check = ["--health-cmd", "cat /status", "--health-interval", "50ms", "--health-retries", "2"];
    let run =
        [&["run", "-d", "--name", "c1"], &check[..], &["bb", "sh", "-c", "echo OK >/status; sleep 1000"]].concat();
    engine.run(&run).ok();
    let health = |name: &str| engine.inspect(name)["State"]["Health"].clone();
    eventually("it is healthy", || health("c1")["Status"] == "healthy");
    assert_eq!(health("c1")["Log"][0]["Output"], "OK\n");
    assert!(engine.run(&["ps"]).ok().contains("(healthy)"));
    engine.run(&["exec", "c1", "rm", "/status"]).ok();
    eventually("it is unhealthy", || health("c1")["Status"] == "unhealthy");
    // Another monitor goes on where the last one was.
    kill_monitors(&engine);
    engine.run(&["exec", "c1", "sh", "-c", "printf OK > /status"]).ok();
    eventually("it is healthy again", || health("c1")["Status"] == "healthy");
    let events = engine.run(&[
        "events",
        "--since",
        "1h",
        "--until",
        "0s",
        "-f",
        "event=health_status",
        "--format",
        "{{.Action}}",
    ]);
    assert_eq!(events.out, "health_status: healthy\nhealth_status: unhealthy\nhealth_status: healthy\n");
    // One that takes too long is killed, and counts as failed.
    let slow = ["--health-cmd", "sleep 1000", "--health-interval", "10ms", "--health-timeout", "50ms"];
    engine.run(&[&["run", "-d", "--name", "c2"], &slow[..], &["bb", "sleep", "1000"]].concat()).ok();
    eventually("it is unhealthy", || health("c2")["Status"] == "unhealthy");
    assert_eq!(health("c2")["Log"][0]["ExitCode"], -1);
    engine.run(&["run", "--no-healthcheck", "--health-cmd", "x", "bb", "true"]).refused(125);
    engine.run(&["run", "--health-interval", "1us", "bb", "true"]).refused(125);
    engine.run(&["rm", "-f", "c1", "c2"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_pause_between_checks_stops_no_monitor() {
    let engine = engine();
    let check = ["--health-cmd", "true", "--health-interval", "1ms"];
    engine.run(&[&["run", "-d", "--name", "c1"], &check[..], &["bb", "sleep", "1000"]].concat()).ok();
    for _ in 0..20 {
        engine.run(&["pause", "c1"]).ok();
        engine.run(&["unpause", "c1"]).ok();
    }
    engine.run(&["pause", "c1"]).ok();
    // The monitor answers only if it does not stand still with the container.
    assert!(engine.run(&["rm", "-f", "c1"]).ok().contains("c1"));
}
