//! Containers from `run -d` to `rm`.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use tests::engine::{Engine, eventually};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn stop_asks_and_then_kills() {
    let engine = engine();
    let trap = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done";
    engine.run(&["run", "-d", "--name", "polite", "bb", "sh", "-c", trap]).ok();
    eventually("it is ready", || engine.run(&["logs", "polite"]).out == "ready\n");
    assert_eq!(engine.run(&["stop", "polite"]).ok(), "polite\n");
    assert_eq!(engine.run(&["logs", "polite"]).ok(), "ready\nbye\n");
    assert_eq!(engine.run(&["wait", "polite"]).ok(), "3\n");

    engine.run(&["run", "-d", "--name", "deaf", "bb", "sleep", "1000"]).ok();
    let start = Instant::now();
    engine.run(&["stop", "-t", "1", "deaf"]).ok();
    assert!(start.elapsed().as_secs() >= 1, "it had its second");
    assert_eq!(engine.inspect("deaf")["State"]["ExitCode"], 137);
    assert_eq!(engine.run(&["stop", "deaf"]).ok(), "deaf\n", "stopped is stopped");
}

#[test]
fn kill_sends_what_it_is_told() {
    let engine = engine();
    let trap = "trap 'echo usr1' USR1; echo ready; while :; do sleep 0.01; done";
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", trap]).ok();
    eventually("it is ready", || engine.run(&["logs", "c1"]).out == "ready\n");
    engine.run(&["kill", "-s", "USR1", "c1"]).ok();
    eventually("it got the signal", || engine.run(&["logs", "c1"]).out == "ready\nusr1\n");
    engine.run(&["kill", "c1"]).ok();
    assert_eq!(engine.inspect("c1")["State"]["ExitCode"], 137);
    assert!(engine.run(&["kill", "c1"]).refused(1).contains("not running"));
    assert!(engine.run(&["kill", "-s", "NOSUCH", "c1"]).refused(1).contains("invalid signal"));
}

#[test]
fn wait_returns_when_the_container_ends() {
    let engine = engine();
    engine.run(&["run", "-d", "-i", "--name", "c1", "bb", "sh", "-c", "sleep 0.2; exit 42"]).ok();
    assert_eq!(engine.run(&["wait", "c1", "c1"]).ok(), "42\n42\n");
}

#[test]
fn names_and_ids_find_containers() {
    let engine = engine();
    let id = engine.run(&["run", "-d", "--name", "web", "bb", "true"]).ok();
    let id = id.trim_end();
    for name in ["web", "/web", id, &id[..12], &id[..3]] {
        assert_eq!(engine.inspect(name)["Id"], id, "{name}");
    }
    let taken = engine.run(&["run", "--name", "web", "bb", "true"]).refused(125);
    assert!(taken.contains("already in use"), "{taken}");
    for bad in ["_x", "a/b", "a", "-x"] {
        engine.run(&["run", &format!("--name={bad}"), "bb", "true"]).refused(125);
    }
    engine.run(&["rm", "web"]).ok();
    engine.run(&["run", "--name", "web", "bb", "true"]).ok();
    assert!(engine.run(&["inspect", "../../etc"]).err.contains("No such object"));
}

#[test]
fn an_ambiguous_prefix_is_refused() {
    let engine = engine();
    // Among 17 ids two begin alike.
    let ids: Vec<String> = (0..17).map(|_| engine.run(&["run", "-d", "bb", "true"]).ok()).collect();
    let first = |id: &String| id.as_bytes()[0];
    let twice = ids.iter().find(|id| ids.iter().filter(|other| first(other) == first(id)).count() > 1).unwrap();
    assert!(engine.run(&["rm", &twice[..1]]).refused(1).contains("ambiguous"));
    assert_eq!(engine.run(&["ps", "-aq"]).ok().lines().count(), 17);
}

#[test]
fn rm_refuses_a_running_container_unless_forced() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    assert!(engine.run(&["rm", "c1"]).refused(1).contains("running"));
    assert_eq!(engine.run(&["rm", "-f", "c1"]).ok(), "c1\n");
    assert!(engine.run(&["rm", "c1"]).refused(1).contains("No such container"));
    assert_eq!(engine.run(&["rm", "-f", "c1"]).code, 0);
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn ps_shows_what_runs_and_with_a_what_ran() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "up", "bb", "sleep", "1000"]).ok();
    engine.run(&["run", "--name", "down", "bb", "false"]);
    let running = engine.run(&["ps"]).ok();
    assert!(running.contains("up") && running.contains("Up ") && !running.contains("down"), "{running}");
    let all = engine.run(&["ps", "-a"]).ok();
    assert!(all.contains("Exited (1)") && all.starts_with("CONTAINER ID   IMAGE "), "{all}");
}

#[test]
fn logs_keep_the_streams_apart() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "echo one; echo two >&2; printf three"]);
    let said = engine.run(&["logs", "c1"]);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("one\nthree", "two\n"));
    assert_eq!(engine.run(&["logs", "-n", "1", "c1"]).out, "three");
    assert!(engine.run(&["logs", "-t", "c1"]).out.contains("Z one\n"));
}

#[test]
fn a_detached_container_with_rm_goes_by_itself() {
    let engine = engine();
    engine.run(&["run", "-d", "--rm", "--name", "c1", "bb", "true"]).ok();
    eventually("it is gone", || engine.run(&["ps", "-aq"]).out.is_empty());
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn an_image_in_use_is_not_removed() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    assert!(engine.run(&["rmi", "bb"]).refused(1).contains("is using its referenced image"));
    // Not by `inspect`: the container's id may begin with these letters.
    let id = engine.run(&["image", "inspect", "-f", "{{.Id}}", "bb"]).ok();
    assert!(engine.run(&["rmi", "-f", id.trim_end()]).refused(1).contains("cannot be forced"));
    engine.run(&["rm", "-f", "c1"]).ok();
    let said = engine.run(&["rmi", "bb"]).ok();
    assert!(said.starts_with("Untagged: bb:latest\nDeleted: sha256:"), "{said}");
    let left = fs::read_dir(engine.root().join("layers")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn five_hundred_runs_in_a_row_and_fifty_at_once() {
    let engine = engine();
    for number in 0..500 {
        let said = engine.run(&["run", "--rm", "--network", "none", "bb", "true"]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "run {number}");
    }
    let mut children: Vec<_> = (0..50)
        .map(|number| {
            let mut command: Command = engine.command(&["run", "--rm", "bb", "sh", "-c", &format!("exit {number}")]);
            command.spawn().unwrap()
        })
        .collect();
    for (number, child) in children.iter_mut().enumerate() {
        assert_eq!(child.wait().unwrap().code(), Some(number as i32));
    }
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn containers_come_and_go_under_the_eyes_of_others() {
    let engine = engine();
    std::thread::scope(|scope| {
        let makers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..40 {
                        engine.run(&["run", "--rm", "bb", "true"]).ok();
                        let id = engine.run(&["run", "-d", "bb", "true"]).ok();
                        engine.run(&["rm", "-f", id.trim_end()]).ok();
                    }
                })
            })
            .collect();
        while makers.iter().any(|maker| !maker.is_finished()) {
            engine.run(&["ps", "-a"]).ok();
        }
    });
}

#[test]
fn to_remove_by_force_what_is_not_there_is_no_error() {
    let engine = engine();
    let removed = engine.run(&["rm", "-f", "nosuch"]);
    assert_eq!((removed.code, removed.out.as_str()), (0, ""), "{removed:?}");
}

#[test]
fn a_container_starts_again_and_keeps_what_it_wrote() {
    let engine = engine();
    let id = engine.run(&["create", "--name", "c1", "bb", "sh", "-c", "echo x >>/f; cat /f; exit 5"]).ok();
    assert_eq!(engine.inspect("c1")["State"]["Status"], "created");
    let first = engine.run(&["start", "-a", "c1"]);
    assert_eq!((first.code, first.out.as_str()), (5, "x\n"));
    assert_eq!(engine.run(&["start", id.trim_end(), "c1"]).ok(), format!("{id}c1\n"), "names are printed as given");
    engine.run(&["wait", "c1"]).ok();
    eventually("it has run again", || engine.run(&["logs", "c1"]).out.lines().count() >= 3);
    let both = engine.run(&["start", "c1", "nosuch"]);
    assert_eq!((both.code, both.out.as_str()), (1, "c1\n"));
    assert!(both.err.contains("No such container: nosuch") && both.err.contains("failed to start containers: nosuch"));
    assert!(engine.run(&["start", "-a", "c1", "c1"]).refused(1).contains("cannot start and attach multiple"));
}

#[test]
fn many_attach_and_each_sees_all() {
    let engine = engine();
    let script = "read x; echo got $x; read x; exit 6";
    engine.run(&["run", "-d", "-i", "--name", "c1", "bb", "sh", "-c", script]).ok();
    let spawn = |input: Stdio| engine.command(&["attach", "c1"]).stdin(input).stdout(Stdio::piped()).spawn().unwrap();
    let (mut one, two) = (spawn(Stdio::piped()), spawn(Stdio::piped()));
    let no_stdin = engine.command(&["attach", "--no-stdin", "c1"]).stdout(Stdio::piped()).spawn().unwrap();
    let id = engine.inspect("c1")["Id"].as_str().unwrap().to_owned();
    let attached = || {
        // The monitor's ends of the lines (proc_net(5)): connected, and with a number once it has taken them.
        let table = fs::read_to_string("/proc/net/unix").unwrap();
        let is_taken = |line: &&str| {
            let fields: Vec<_> = line.split_whitespace().collect();
            line.ends_with(&format!("{id}/attach")) && fields[5] == "03" && fields[6] != "0"
        };
        table.lines().filter(is_taken).count() >= 3
    };
    eventually("all have attached", attached);
    let mut keys = one.stdin.take().unwrap();
    keys.write_all(b"hello\n").unwrap();
    keys.write_all(b"bye\n").unwrap();
    for attached in [one, two, no_stdin] {
        let output = attached.wait_with_output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(6), &b"got hello\n"[..]));
    }
    let refused = engine.run(&["attach", "c1"]).refused(1);
    assert!(refused.contains("cannot attach to a stopped container"), "{refused}");
}

#[test]
fn start_heals_what_died_with_its_monitor() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap() as i32;
    for monitor in tests::leaks::monitors(&engine.root().canonicalize().unwrap()) {
        kill(Pid::from_raw(monitor), Signal::SIGKILL).unwrap();
    }
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    // On its way to be a zombie it is not ended yet.
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let ended = || stat().rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('Z'));
    eventually("both have ended", || {
        let root = engine.root().canonicalize().unwrap();
        tests::leaks::monitors(&root).is_empty() && (ended() || process::start_time(Pid::from_raw(pid)).is_none())
    });
    engine.run(&["start", "c1"]).ok();
    let state = &engine.inspect("c1")["State"];
    assert_eq!(state["Status"], "running");
    assert_ne!(state["Pid"], pid);
}

#[test]
fn a_stop_without_patience_meets_containers_that_are_just_ending() {
    let engine = engine();
    // A program that ends about when the deadline comes, now before and now after it.
    for number in 0..30 {
        let name = format!("brief{number}");
        engine.run(&["run", "-d", "--name", &name, "--network", "none", "bb", "true"]).ok();
        engine.run(&["stop", "-t", "0", &name]).ok();
        engine.run(&["rm", "-f", &name]).ok();
    }
}

#[test]
fn a_copy_of_a_store_leaves_the_containers_of_the_original_alone() {
    let engine = engine();
    let (root, copy) = (engine.root(), engine.path("copy"));
    let said = "echo said; while :; do sleep 0.01; done";
    let run = ["run", "-d", "--network", "none", "--restart", "always", "--name", "one", "bb", "sh", "-c", said];
    engine.run(&run).ok();
    eventually("it has said it", || engine.run(&["logs", "one"]).out == "said\n");
    let pid = engine.inspect("one")["State"]["Pid"].clone();
    assert!(Command::new("cp").arg("-a").arg(&root).arg(&copy).status().unwrap().success());
    let at = |root: &Path, arguments: &[&str]| {
        let mut command = engine.command(arguments);
        command.env("MINI_DOCKER_ROOT", root);
        tests::engine::said(&tests::engine::output(command, b""))
    };
    assert_eq!(at(&copy, &["ps", "-q"]).ok(), "");
    assert!(tests::leaks::monitors(&copy).is_empty());
    assert!(at(&copy, &["ps", "-a"]).ok().contains("Exited (255)"));
    at(&copy, &["rm", "-f", "one"]).ok();
    assert_eq!(engine.inspect("one")["State"]["Pid"], pid);
    engine.run(&["kill", "one"]).ok();
    // One that is moved is the same.
    let moved = engine.path("moved");
    fs::rename(&root, &moved).unwrap();
    at(&moved, &["start", "one"]).ok();
    assert!(at(&moved, &["ps"]).ok().contains("one"));
    at(&moved, &["rm", "-f", "one"]).ok();
    for run in [&copy, &moved].into_iter().flat_map(|store| tests::leaks::run_directories(store)) {
        fs::remove_dir_all(run).unwrap();
    }
    fs::rename(&moved, &root).unwrap();
}
