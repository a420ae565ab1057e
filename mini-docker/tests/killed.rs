//! Commands that are killed at any point leave a store that `check` calls whole, and nothing in the kernel.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
    thread,
    time::Duration,
};

use nix::{
    fcntl::{Flock, FlockArg},
    libc,
};
use tests::{
    engine::Engine,
    leaks,
    registry::Registry,
    tracer::{Act, trace},
};

/// Kills the command after each of `times`, and looks at what it left.
fn killed(engine: &Engine, arguments: &[&str], times: impl Iterator<Item = Duration>) {
    for time in times {
        let mut command = engine.command(arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(time);
        // It may have ended.
        let _ = child.kill();
        child.wait().unwrap();
        whole(engine, &format!("{arguments:?} killed after {time:?}"));
    }
}

#[track_caller]
fn whole(engine: &Engine, when: &str) {
    let said = engine.run(&["check"]);
    assert!(said.code == 0 && said.out.ends_with("is whole\n"), "{when}: {said:?}");
    let said = engine.run(&["leaks"]);
    assert_eq!(said.code, 0, "{when}: {said:?}");
    let root = engine.root();
    for name in fs::read_dir(root.join("names")).unwrap().flatten() {
        let id = fs::read_to_string(name.path()).unwrap();
        assert!(root.join("containers").join(id.trim_end()).join("config.json").exists(), "{when}: {name:?} is left");
    }
}

#[test]
fn create() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let arguments = ["create", "--name", "one", "-v", "/data", "-v", "named:/named", "bb", "true"];
    killed(&engine, &arguments, (0..40).map(|n| Duration::from_micros(1500 + 500 * n)));
    engine.run(&["rm", "one"]);
    engine.run(&arguments).ok();
}

#[test]
fn a_name_that_a_killed_create_took_is_free() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let id = "d".repeat(64);
    let directory = engine.root().join("containers").join(&id);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("lock"), &id).unwrap();
    fs::hard_link(directory.join("lock"), engine.root().join("names/one")).unwrap();
    engine.run(&["ps", "-a"]).ok();
    assert!(!engine.root().join("names/one").exists());
    assert!(!directory.exists());
}

#[test]
fn a_name_that_a_killed_rename_or_removal_left_is_nobodys() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let id = engine.run(&["create", "--name", "one", "bb", "true"]).ok();
    let names = engine.root().join("names");
    fs::hard_link(names.join("one"), names.join("old")).unwrap();
    fs::write(names.join("gone"), "d".repeat(64)).unwrap();
    for name in ["old", "gone"] {
        let said = engine.run(&["rename", name, "other"]).refused(1);
        assert!(said.contains(&format!("No such container: {name}")), "{said}");
    }
    engine.run(&["leaks"]).ok();
    assert_eq!(fs::read_dir(&names).unwrap().count(), 1);
    assert_eq!(engine.run(&["inspect", "-f", "{{.Id}}", "one"]).ok(), id);
}

#[test]
fn a_name_is_not_taken_from_one_who_is_just_being_made() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let id = engine.run(&["create", "--name", "box", "bb", "true"]).ok();
    let directory = engine.root().canonicalize().unwrap().join("containers").join(id.trim());
    let (config, lock) = (directory.join("config.json"), directory.join("lock"));
    let unwritten = engine.path("config.json");
    fs::rename(&config, &unwritten).unwrap();
    let mut has_looked = false;
    let traced = trace(&engine.command(&["create", "--name", "box", "bb", "false"]), |call| {
        // It has found no configuration, and looks whether its maker is alive: he is done just now.
        if call.which() == Some(libc::SYS_flock) && !has_looked && call.file().is_some_and(|file| file == lock) {
            fs::rename(&unwritten, &config).unwrap();
            has_looked = true;
        }
        Act::Go
    });
    assert!(has_looked && traced.said.err.contains("already in use"), "{:?}", traced.said);
    assert_eq!(engine.run(&["inspect", "-f", "{{.Id}}", "box"]).ok(), id);
    assert_eq!(engine.run(&["ps", "-aq"]).ok().lines().count(), 1);
}

#[test]
fn a_sweep_is_not_put_off_by_what_goes_by_itself() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let scratch = engine.root().canonicalize().unwrap().join("tmp/scratch");
    fs::create_dir(&scratch).unwrap();
    fs::write(scratch.join("lock"), "").unwrap();
    let mut has_gone = false;
    let traced = trace(&engine.command(&["leaks"]), |call| {
        if call.which() == Some(libc::SYS_openat) && call.path().is_some_and(|path| path == scratch.join("lock")) {
            has_gone = fs::remove_dir_all(&scratch).is_ok() || has_gone;
        }
        Act::Go
    });
    assert!(has_gone && traced.said.code == 0, "{:?}", traced.said);
}

#[test]
fn a_step_that_a_killed_build_had_only_begun_is_nobodys() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["run", "--rm", "bb", "true"]).ok();
    let run = leaks::run_directories(&engine.root().canonicalize().unwrap()).next().unwrap();
    let [begun, abandoned, held] = ["a", "b", "c"].map(|digit| run.join(digit.repeat(64)));
    for step in [&begun, &abandoned, &held] {
        fs::create_dir(step).unwrap();
    }
    let lock = |step: &Path| Flock::lock(File::create(step.join("monitor")).unwrap(), FlockArg::LockExclusive).unwrap();
    drop(lock(&abandoned));
    let alive = lock(&held);
    engine.run(&["leaks"]);
    assert_eq!([&begun, &abandoned, &held].map(|step| step.exists()), [false, false, true]);
    drop(alive);
    assert_eq!(engine.run(&["leaks"]).code, 0);
    assert!(!held.exists());
}

#[test]
fn what_killed_writers_left_is_pruned() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let half = format!("images/{}.notes", "d".repeat(64));
    let left = ["images/.new-1-1", "refs/docker.io/library/.new-1-1", "build/.new-1-1", "networks/.new-1-1", &half];
    for path in left.map(|path| engine.root().join(path)) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "{").unwrap();
    }
    engine.run(&["system", "prune", "-f"]).ok();
    engine.run(&["builder", "prune", "-f"]).ok();
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
    for path in left {
        assert!(!engine.root().join(path).exists(), "{path}");
    }
}

#[test]
fn pull() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let registry = Registry::start();
    let name = registry.name("bb:1");
    engine.run(&["tag", "bb", &name]).ok();
    engine.run(&["push", &name]).ok();
    engine.run(&["rmi", "bb", &name]).ok();
    killed(&engine, &["pull", &name], (0..30).map(|n| Duration::from_millis(3 + 4 * n)));
    engine.run(&["pull", &name]).ok();
    assert_eq!(engine.run(&["run", "--rm", &name, "echo", "hello"]).ok(), "hello\n");
    whole(&engine, "at the end");
}
