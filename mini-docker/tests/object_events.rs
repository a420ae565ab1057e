//! `events` of images and volumes, and a commit that holds its container still.

use tests::engine::Engine;

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
