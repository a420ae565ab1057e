//! Commands that are killed at any point leave a store that `check` calls whole, and nothing in the kernel.

use std::{fs, process::Stdio, thread, time::Duration};

use tests::{engine::Engine, registry::Registry};

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
