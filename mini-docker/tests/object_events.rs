//! `events` of images and volumes, and a commit that holds its container still.

use std::{fs, process::Stdio};

use tests::engine::{Engine, eventually};

fn events(engine: &Engine, kind: &str) -> String {
    let filter = format!("type={kind}");
    engine
        .run(&["events", "--since", "0", "--until", "0s", "-f", &filter, "--format", "{{.Action}} {{.Actor.ID}}"])
        .ok()
}

#[test]
fn images_and_volumes_have_events() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let id = engine.inspect("bb")["Id"].as_str().unwrap().to_owned();
    engine.run(&["tag", "bb", "other:1"]).ok();
    engine.run(&["rmi", "other:1"]).ok();
    engine.run(&["rmi", "bb"]).ok();
    let said = events(&engine, "image");
    assert!(said.ends_with(&format!("tag {id}\nuntag {id}\nuntag {id}\ndelete {id}\n")), "{said}");
    engine.run(&["volume", "create", "data"]).ok();
    engine.run(&["volume", "rm", "data"]).ok();
    assert_eq!(events(&engine, "volume"), "create data\ndestroy data\n");
}

#[test]
fn a_commit_pauses_unless_told_not_to() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["run", "-d", "--name", "one", "bb", "sleep", "100"]).ok();
    engine.run(&["commit", "--pause=false", "one"]).ok();
    let said = events(&engine, "container");
    assert!(!said.contains("pause") && said.contains("commit "), "{said}");
    engine.run(&["commit", "one"]).ok();
    let said = events(&engine, "container");
    assert!(said.contains("pause ") && said.contains("unpause "), "{said}");
    assert_eq!(engine.inspect("one")["State"]["Status"], "running");
}

#[test]
fn a_commit_that_is_killed_leaves_nothing_paused() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let script = "dd if=/dev/zero of=/large bs=1M count=48; touch /written; sleep 1000";
    let id = engine.run(&["run", "-d", "--name", "one", "bb", "sh", "-c", script]).ok();
    eventually("it has much to commit", || engine.run(&["exec", "one", "ls", "/written"]).code == 0);
    let status = engine.root().join("containers").join(id.trim()).join("status.json");
    let is_paused = || fs::read_to_string(&status).unwrap().contains("\"paused\"");
    // It may be too fast to be seen.
    let killed = (0..20).any(|_| {
        let mut commit = engine.command(&["commit", "one"]).stdout(Stdio::null()).spawn().unwrap();
        while commit.try_wait().unwrap().is_none() && !is_paused() {}
        commit.kill().unwrap();
        commit.wait().unwrap();
        is_paused()
    });
    assert!(killed);
    assert_eq!(engine.inspect("one")["State"]["Status"], "running");
    engine.run(&["exec", "one", "true"]).ok();
    // What the user has paused stays so.
    engine.run(&["pause", "one"]).ok();
    assert_eq!(engine.inspect("one")["State"]["Status"], "paused");
    engine.run(&["check"]).ok();
}

#[test]
fn a_volume_is_created_once() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["volume", "create", "data"]).ok();
    engine.run(&["volume", "create", "data"]).ok();
    assert_eq!(events(&engine, "volume"), "create data\n");
}
