//! `check`: a store that is whole is called so, and each sort of damage is found and, where nothing is lost by it, mended.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf};

use tests::{
    engine::{Engine, Said},
    registry::Registry,
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// The image's only layer.
fn layer(engine: &Engine) -> PathBuf {
    let mut layers = fs::read_dir(engine.root().join("layers")).unwrap();
    layers.next().unwrap().unwrap().path()
}

#[track_caller]
fn damaged(said: &Said, what: &str) {
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("damaged ") && said.out.contains(what), "{said:?}");
}

#[test]
fn a_store_in_use_is_whole() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "one", "-v", "data:/data", "bb", "sleep", "100"]).ok();
    engine.run(&["create", "--name", "two", "bb", "true"]).ok();
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
    assert!(engine.run(&["check", "--repair"]).ok().ends_with("is whole\n"));
    assert_eq!(engine.run(&["ps", "-q"]).ok().lines().count(), 1);
}

#[test]
fn what_interrupted_commands_leave_is_no_damage() {
    let engine = engine();
    let root = engine.root();
    fs::create_dir(root.join("tmp/halfway")).unwrap();
    fs::create_dir(root.join("containers").join("a".repeat(64))).unwrap();
    fs::write(root.join("names/lost"), "a".repeat(64)).unwrap();
    fs::write(root.join("images/.new-1-1"), "{").unwrap();
    engine.run(&["check"]).ok();
    assert!(!root.join("tmp/halfway").exists());
    engine.run(&["create", "--name", "lost", "bb", "true"]).ok();
}

#[test]
fn a_damaged_layer_without_an_archive_takes_its_image_with_it() {
    let engine = engine();
    fs::write(layer(&engine).join("fs/bin/busybox"), "something else").unwrap();
    damaged(&engine.run(&["check"]), "layer");
    assert_eq!(engine.run(&["images", "-q"]).ok().lines().count(), 1, "only looked at");
    assert_eq!(engine.run(&["check", "--repair"]).code, 1, "what was in it is lost");
    assert_eq!(engine.run(&["images", "-q"]).ok(), "");
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
}

#[test]
fn a_damaged_layer_with_an_archive_is_unpacked_again() {
    let engine = engine();
    let registry = Registry::start();
    let name = registry.name("bb:1");
    engine.run(&["tag", "bb", &name]).ok();
    engine.run(&["push", &name]).ok();
    engine.run(&["rmi", "bb", &name]).ok();
    engine.run(&["pull", &name]).ok();
    let file = layer(&engine).join("fs/bin/busybox");
    let good = fs::read(&file).unwrap();
    fs::write(&file, "something else").unwrap();
    damaged(&engine.run(&["check"]), "its files are not those of its archive");
    assert!(engine.run(&["check", "--repair"]).ok().contains("made whole again"));
    assert_eq!(fs::read(&file).unwrap(), good);
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
    assert_eq!(engine.run(&["run", "--rm", &name, "echo", "hello"]).ok(), "hello\n");
}

#[test]
fn a_missing_layer_is_missed_by_image_and_container() {
    let engine = engine();
    engine.run(&["create", "--name", "one", "bb", "true"]).ok();
    fs::remove_dir_all(layer(&engine)).unwrap();
    let said = engine.run(&["check"]);
    damaged(&said, "image ");
    damaged(&said, "container one: its layer");
}

#[test]
fn names_of_nothing_go() {
    let engine = engine();
    engine.run(&["tag", "bb", "other:1"]).ok();
    fs::write(engine.root().join("refs/docker.io/library/other:1"), "b".repeat(64)).unwrap();
    damaged(&engine.run(&["check"]), "other:1");
    assert!(engine.run(&["check", "--repair"]).ok().contains("repaired"));
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
    assert_eq!(engine.run(&["images", "-q"]).ok().lines().count(), 1);
}

#[test]
fn a_container_gets_its_name_back() {
    let engine = engine();
    engine.run(&["create", "--name", "one", "bb", "true"]).ok();
    fs::remove_file(engine.root().join("names/one")).unwrap();
    damaged(&engine.run(&["check"]), "its name one");
    engine.run(&["check", "--repair"]).ok();
    engine.run(&["rm", "one"]).ok();
}

#[test]
fn damaged_files_are_named() {
    let engine = engine();
    engine.run(&["volume", "create", "data"]).ok();
    let description = engine.root().join("volumes/data/volume.json");
    let good = fs::read(&description).unwrap();
    fs::write(&description, "{").unwrap();
    damaged(&engine.run(&["check", "--repair"]), "volumes/data/volume.json");
    fs::write(&description, good).unwrap();
    engine.run(&["check"]).ok();
}

/// A container's directory.
fn container(engine: &Engine, name: &str) -> PathBuf {
    engine.root().join("containers").join(engine.run(&["inspect", "-f", "{{.Id}}", name]).ok().trim_end())
}

#[test]
fn a_lost_configuration_takes_no_data_with_it() {
    let engine = engine();
    engine.run(&["run", "--name", "one", "bb", "sh", "-c", "echo word > /word"]).ok();
    let config = container(&engine, "one").join("config.json");
    let good = fs::read(&config).unwrap();
    fs::remove_file(&config).unwrap();
    engine.run(&["ps", "-a"]).ok();
    damaged(&engine.run(&["check", "--repair"]), "its configuration config.json is missing");
    fs::write(&config, good).unwrap();
    engine.run(&["cp", "one:/word", "-"]).ok();
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
}

#[test]
fn a_container_whose_status_was_lost_has_ended() {
    let engine = engine();
    engine.run(&["run", "--name", "one", "bb", "true"]).ok();
    fs::write(container(&engine, "one").join("status.json"), "").unwrap();
    assert_eq!(engine.run(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"]).ok(), "exited 255\n");
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
    engine.run(&["start", "one"]).ok();
    assert_eq!(engine.run(&["wait", "one"]).ok(), "0\n");
}

#[test]
fn what_describes_layers_and_images_is_made_again() {
    let engine = engine();
    let registry = Registry::start();
    let name = registry.name("bb:1");
    engine.run(&["tag", "bb", &name]).ok();
    engine.run(&["push", &name]).ok();
    let id = engine.run(&["inspect", "-f", "{{slice .Id 7}}", "bb"]).ok();
    let manifest = engine.root().join(format!("images/{}.manifest", id.trim_end()));
    for (file, found, done) in [
        (manifest, "its manifest is damaged", "the image goes on without"),
        (layer(&engine).join("layer.json"), "its description layer.json is", "it was made whole again"),
    ] {
        if file.ends_with("layer.json") { fs::remove_file(file) } else { fs::write(file, "{}") }.unwrap();
        damaged(&engine.run(&["check"]), found);
        assert!(engine.run(&["check", "--repair"]).ok().contains(done));
    }
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
    engine.run(&["run", "--rm", "bb:latest", "true"]).ok();
    engine.run(&["push", &name]).ok();
}

#[test]
fn what_was_being_written_when_the_machine_died_is_verified_before_it_counts() {
    let engine = engine();
    let archive = engine.root().join("bb.tar");
    engine.run(&["save", "-o", archive.to_str().unwrap(), "bb:latest"]).ok();
    let load = || engine.run(&["load", "-i", archive.to_str().unwrap()]).ok();
    let mark = layer(&engine).join("unsynced");
    assert!(!mark.exists(), "it is recorded, and so on disk");
    // All of it has come to disk in time.
    let number = fs::metadata(layer(&engine)).unwrap().ino();
    fs::write(&mark, "another boot").unwrap();
    load();
    assert!(!mark.exists());
    assert_eq!(fs::metadata(layer(&engine)).unwrap().ino(), number, "it has stayed");
    // Not all.
    fs::write(&mark, "").unwrap();
    fs::write(layer(&engine).join("fs/bin/busybox"), "").unwrap();
    load();
    assert!(!mark.exists());
    assert!(engine.run(&["check"]).ok().ends_with("is whole\n"));
    engine.run(&["run", "--rm", "bb", "true"]).ok();
}
