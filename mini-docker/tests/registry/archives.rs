//! Images as archives.

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};

use crate::{empty, engine, entries};

#[test]
fn a_repository_is_saved_with_all_its_tags() {
    let engine = engine();
    let file = engine.path("s.tar");
    let saved = |name: &str| {
        engine.run(&["save", "-o", file.to_str().unwrap(), name]).ok();
        let output = Command::new("tar").arg("-xOf").arg(&file).arg("manifest.json").output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()[0]["RepoTags"].clone()
    };
    for tag in ["many:1", "many:2", "other:1"] {
        engine.run(&["tag", "bb", tag]).ok();
    }
    // One is needed that is called `latest` no more than another.
    assert_eq!(saved("many"), json!(["many:1", "many:2"]));
    assert_eq!(saved("many:2"), json!(["many:2"]));
    assert_eq!(saved("bb"), json!(["bb:latest"]));
}

#[test]
fn what_is_saved_is_loaded_again() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "echo saved > /f; rm /etc/group"]).ok();
    engine.run(&["commit", "-c", "CMD cat /f", "c1", "x/y:1"]).ok();
    engine.run(&["rm", "c1"]).ok();
    engine.run(&["tag", "bb", "z:2"]).ok();
    let id = engine.inspect("x/y:1")["Id"].as_str().unwrap().to_owned();
    let file = engine.path("s.tar");
    let path = file.to_str().unwrap();
    engine.run(&["save", "-o", path, "x/y:1", "z:2", &id]).ok();
    let list = |name: &str| {
        let output = Command::new("tar").args(["-xOf", path, name]).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let manifest = list("manifest.json");
    assert_eq!(manifest.as_array().unwrap().len(), 2, "{manifest}");
    assert_eq!(manifest[0]["RepoTags"], json!(["x/y:1"]));
    assert_eq!(list("index.json")["manifests"][0]["annotations"]["io.containerd.image.name"], "docker.io/x/y:1");
    let load = |arguments: &[&str], input: &[u8], said: &str| {
        let engine = empty();
        assert_eq!(engine.run_with(arguments, input).ok(), said);
        assert_eq!(engine.inspect("x/y:1")["Id"], id.as_str());
        assert_eq!(engine.run(&["run", "--rm", "x/y:1"]).ok(), "saved\n");
        assert_eq!(engine.run(&["run", "--rm", "x/y:1", "test", "-e", "/etc/group"]).code, 1);
    };
    let both = "Loaded image: x/y:1\nLoaded image: z:2\n";
    load(&["load", "-i", path], b"", both);
    load(&["load"], &fs::read(&file).unwrap(), both);
    let zipped = Command::new("gzip").arg("-c").arg(&file).output().unwrap().stdout;
    load(&["load", "-q"], &zipped, both);
    // Layers of our own need no copy of their archive, there as here.
    let blobs = fs::read_dir(engine.root().join("layers")).unwrap();
    assert!(blobs.flatten().all(|layer| !layer.path().join("blob").exists()));
    // Without manifest.json it is an OCI layout, without index.json an old archive; other programs read both.
    let folder = engine.path("layout");
    fs::create_dir(&folder).unwrap();
    let tar = |arguments: &[&str]| assert!(Command::new("tar").args(arguments).status().unwrap().success());
    let repack = |without: &str, to: &Path| {
        tar(&["-xf", path, "-C", folder.to_str().unwrap()]);
        fs::remove_file(folder.join(without)).unwrap();
        tar(&["-cf", to.to_str().unwrap(), "-C", folder.to_str().unwrap(), "."]);
    };
    for without in ["manifest.json", "index.json"] {
        let other = engine.path("other.tar");
        repack(without, &other);
        load(&["load", "-i", other.to_str().unwrap()], b"", both);
    }
    let skopeo = |from: &str| {
        let output =
            Command::new("skopeo").args(["--insecure-policy", "inspect", "--config", from]).output().expect("skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(config["config"]["Cmd"], json!(["/bin/sh", "-c", "cat /f"]));
    };
    skopeo(&format!("docker-archive:{path}:x/y:1"));
}

#[test]
fn archives_that_are_no_images_are_refused() {
    let engine = empty();
    assert!(engine.run_with(&["load"], b"nonsense").refused(1).contains("archive"));
    let one = |name: &str, contents: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, name, contents.as_bytes()).unwrap();
        archive.into_inner().unwrap()
    };
    for (name, contents, says) in [
        ("etc/passwd", "x", "no images"),
        ("manifest.json", "[]", "no images"),
        ("manifest.json", r#"[{"Config":"../../../etc/passwd","Layers":[]}]"#, "lacks the configuration"),
        ("manifest.json", "{", "manifest.json"),
        (
            "index.json",
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../x"}]}"#,
            "index.json",
        ),
    ] {
        let said = engine.run_with(&["load"], &one(name, contents)).refused(1);
        assert!(said.contains(says), "{said}");
    }
    assert_eq!(entries(&engine, "tmp"), 0);
    assert!(engine.run(&["save", "nosuch"]).refused(1).contains("No such image"));
}
