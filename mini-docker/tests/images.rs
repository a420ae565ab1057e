//! What images are made of, called, and what becomes of them.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    thread,
};

use serde_json::json;
use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn entries(engine: &Engine, directory: &str) -> usize {
    fs::read_dir(engine.root().join(directory)).map_or(0, Iterator::count)
}

fn image(engine: &Engine, name: &str) -> serde_json::Value {
    let text = engine.run(&["image", "inspect", name]).ok();
    serde_json::from_str::<Vec<_>>(&text).unwrap().pop().unwrap()
}

#[test]
fn a_commit_keeps_what_the_container_wrote_and_how_it_ran() {
    let engine = engine();
    let script = "echo koye > /foo; rm /etc/group; echo 1 > /h1; ln /h1 /h2; mkdir /d";
    engine.run(&["run", "--name", "c1", "-e", "A=1", "-w", "/tmp", "-l", "k=v", "bb", "sh", "-c", script]).ok();
    let id = engine.run(&["commit", "-a", "me", "-m", "note", "-c", "EXPOSE 80", "c1", "x/y:1"]).ok();
    assert!(id.starts_with("sha256:") && id.trim().len() == 71, "{id}");
    let made = image(&engine, "x/y:1");
    let base = image(&engine, "bb");
    let config = &made["Config"];
    assert_eq!(config["Cmd"], json!(["sh", "-c", script]));
    assert_eq!((&config["Env"], &config["WorkingDir"]), (&json!(["A=1"]), &json!("/tmp")));
    assert_eq!((&config["Labels"], &config["ExposedPorts"]), (&json!({"k": "v"}), &json!({"80/tcp": {}})));
    assert_eq!((&made["Author"], &made["Comment"], &made["Parent"]), (&json!("me"), &json!("note"), &base["Id"]));
    assert_eq!(made["RootFS"]["Layers"].as_array().unwrap().len(), 2);
    let look =
        "cat /foo; test -e /etc/group || echo gone; stat -c %h /h1; [ /h1 -ef /h2 ] && echo same; echo $A; pwd; ls /";
    let said = engine.run(&["run", "--rm", "x/y:1", "sh", "-c", look]).ok();
    assert!(said.starts_with("koye\ngone\n2\nsame\n1\n/tmp\n"), "{said}");
    // The same changes again are the same layer.
    engine.run(&["commit", "c1", "again"]).ok();
    assert_eq!(image(&engine, "again")["RootFS"], made["RootFS"]);
    let history = engine.run(&["history", "--no-trunc", "x/y:1"]).ok();
    let lines: Vec<_> = history.lines().collect();
    assert_eq!(lines.len(), 3, "{history}");
    assert!(lines[1].contains(id.trim()) && lines[1].contains("sh -c echo koye") && lines[1].ends_with("note"));
    let format = ["history", "--format", "{{.Comment}}", "-H=false", "x/y:1"];
    assert!(engine.run(&format).ok().starts_with("note\nImported from "));
    assert!(lines[2].contains(base["Id"].as_str().unwrap()) && lines[2].contains("Imported from"), "{history}");
}

#[test]
fn a_commit_takes_ports_and_volumes_over() {
    let engine = engine();
    engine
        .run(&[
            "create", "--name", "c1", "-p", "80", "--expose", "53/udp", "-v", "/data", "-v", "named:/n", "bb", "true",
        ])
        .ok();
    engine.run(&["commit", "c1", "with"]).ok();
    let config = &image(&engine, "with")["Config"];
    assert_eq!(config["ExposedPorts"], json!({ "53/udp": {}, "80/tcp": {} }));
    assert_eq!(config["Volumes"], json!({ "/data": {} }));
}

#[test]
fn a_commit_of_no_change_adds_no_layer() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "bb", "true"]).ok();
    engine.run(&["commit", "c1", "same"]).ok();
    assert_eq!(image(&engine, "same")["RootFS"], image(&engine, "bb")["RootFS"]);
    assert_eq!(engine.run(&["run", "--rm", "same", "echo", "runs"]).ok(), "runs\n");
}

#[test]
fn an_import_takes_changes() {
    let engine = engine();
    let archive = engine.path("bb.tar");
    let changes = ["-c", "CMD [\"cat\",\"/etc/motd\"]", "-c", "ENV Q=1 R='2 3'", "-m", "remark"];
    let arguments =
        [&["import"], &changes[..], &["--platform", "linux/arm64", archive.to_str().unwrap(), "i"]].concat();
    engine.run(&arguments).ok();
    let made = image(&engine, "i");
    assert_eq!(made["Config"]["Cmd"], json!(["cat", "/etc/motd"]));
    assert_eq!((&made["Comment"], &made["Architecture"]), (&json!("remark"), &json!("arm64")));
    assert_eq!(engine.run(&["run", "--rm", "i", "sh", "-c", "echo $Q $R"]).ok(), "1 2 3\n");
    assert!(engine.run(&["import", "-c", "RUN x", "-", "i"]).refused(1).contains("not a valid change command"));
    // As in a Dockerfile: variables are the image's own.
    engine.run(&["create", "--name", "c1", "i"]).ok();
    engine.run(&["commit", "-c", "ENV A=$Q \\", "-c", "  B=${R}4", "-c", "ENTRYPOINT [\"echo\"]", "c1", "j"]).ok();
    let made = image(&engine, "j");
    assert_eq!((&made["Config"]["Cmd"], &made["Config"]["Entrypoint"]), (&json!(null), &json!(["echo"])));
    assert_eq!(made["Config"]["Env"], json!(["Q=1", "R=2 3", "A=1", "B=2 34"]));
    assert!(engine.run(&["import", "http://127.0.0.1:9/y.tar", "i"]).refused(1).contains("127.0.0.1:9"));
    // As in an image that is read from a file.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/bb.tar", server.local_addr().unwrap());
    let content = fs::read(&archive).unwrap();
    let answer = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap()).lines();
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", content.len());
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content)).unwrap();
    });
    engine.run(&["import", &address, "far"]).ok();
    answer.join().unwrap();
    let far = image(&engine, "far");
    assert_eq!(far["RootFS"], image(&engine, "bb")["RootFS"]);
    assert_eq!(far["Comment"], json!(format!("Imported from {address}")));
}

#[test]
fn names_come_and_go() {
    let engine = engine();
    let id = image(&engine, "bb")["Id"].clone();
    engine.run(&["tag", "bb", "x:1"]).ok();
    engine.run(&["tag", &id.as_str().unwrap()[7..19], "localhost:5000/x/foo:v2"]).ok();
    assert_eq!(image(&engine, "x:1")["RepoTags"], json!(["bb:latest", "x:1", "localhost:5000/x/foo:v2"]));
    for bad in ["fo$z$", "Foo@3cc", "UPPER", "a//b", "repo:", "x@sha256:00"] {
        assert!(engine.run(&["tag", "bb", bad]).refused(1).contains("invalid reference format"), "{bad}");
    }
    assert!(engine.run(&["tag", "nosuch", "y"]).refused(1).contains("No such image"));
    // By id, with several names, only by force.
    let said = engine.run(&["rmi", &id.as_str().unwrap()[7..]]).refused(1);
    assert!(said.contains("must be forced") && said.contains("multiple repositories"), "{said}");
    assert_eq!(engine.run(&["rmi", "x:1"]).ok(), "Untagged: x:1\n");
    assert_eq!(engine.run(&["rmi", "localhost:5000/x/foo:v2"]).ok(), "Untagged: localhost:5000/x/foo:v2\n");
    let said = engine.run(&["rmi", "bb"]).ok();
    assert!(said.starts_with(&format!("Untagged: bb:latest\nDeleted: {}\nDeleted: sha256:", id.as_str().unwrap())));
    for directory in ["layers", "images", "tmp"] {
        assert_eq!(entries(&engine, directory), 0, "{directory}");
    }
    assert_eq!(engine.run(&["rmi", "-f", "bb"]).code, 0);
}

#[test]
fn an_image_in_use_stays() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "bb", "true"]).ok();
    let said = engine.run(&["rmi", "bb"]).refused(1);
    assert!(said.contains("unable to remove repository reference \"bb\" (must force)"), "{said}");
    engine.run(&["rmi", "-f", "bb"]).ok();
    assert!(engine.run(&["images", "-q"]).ok().is_empty());
    // The container still has its layers.
    engine.run(&["commit", "c1", "saved"]).ok();
    engine.run(&["rm", "c1"]).ok();
    assert_eq!(engine.run(&["run", "--rm", "saved", "echo", "1"]).ok(), "1\n");
    engine.run(&["run", "-d", "--name", "c2", "saved", "sleep", "100"]).ok();
    let id = image(&engine, "saved")["Id"].as_str().unwrap().to_owned();
    let said = engine.run(&["rmi", "-f", &id]).refused(1);
    assert!(said.contains("cannot be forced") && said.contains("running container"), "{said}");
    engine.run(&["rm", "-f", "c2"]).ok();
    engine.run(&["rmi", "saved"]).ok();
    assert_eq!(entries(&engine, "layers"), 0);
}

#[test]
fn children_keep_their_parents_and_take_the_nameless_with_them() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "touch", "/x"]).ok();
    engine.run(&["commit", "c1", "child"]).ok();
    engine.run(&["rm", "c1"]).ok();
    let base = image(&engine, "bb")["Id"].as_str().unwrap().to_owned();
    assert!(engine.run(&["rmi", "-f", &base]).refused(1).contains("dependent child images"));
    assert_eq!(engine.run(&["rmi", "bb"]).ok(), "Untagged: bb:latest\n");
    assert_eq!(engine.run(&["images", "-q"]).ok().lines().count(), 1);
    assert_eq!(engine.run(&["images", "-aq"]).ok().lines().count(), 2);
    assert!(engine.run(&["rmi", "child"]).ok().contains(&format!("Deleted: {base}\n")));
    assert_eq!(entries(&engine, "layers"), 0);
}

#[test]
fn images_are_found_by_what_they_are() {
    let engine = engine();
    let file = engine.path("bb.tar");
    let file = file.to_str().unwrap();
    engine.run(&["import", "-c", "LABEL k=v", file, "me/one:1"]).ok();
    engine.run(&["import", "-c", "LABEL k=w", file, "two:2"]).ok();
    let nameless = engine.run(&["import", "-c", "LABEL n=1", file]).ok();
    let list =
        |arguments: &[&str]| engine.run(&[&["images", "-q", "--no-trunc"], arguments].concat()).ok().lines().count();
    for (arguments, count) in [
        (&[][..], 4),
        (&["bb"], 1),
        (&["bb:nosuch"], 0),
        (&["me/*"], 1),
        (&["-f", "reference=*:2"], 1),
        (&["-f", "dangling=true"], 1),
        (&["-f", "dangling=false"], 3),
        (&["-f", "label=k"], 2),
        (&["-f", "label=k=w"], 1),
        (&["-f", "label=k", "-f", "label=k=w"], 1),
        (&["-f", "since=me/one:1"], 2),
        (&["-f", "before=me/one:1"], 1),
        (&["-f", "until=1h"], 0),
        (&["--digests"], 4),
    ] {
        assert_eq!(list(arguments), count, "{arguments:?}");
    }
    assert!(engine.run(&["images", "-f", "nosuch=1"]).refused(1).contains("there are"));
    let format = "{{.Repository}}:{{.Tag}} {{.Digest}}";
    assert_eq!(engine.run(&["images", "--format", format, "two"]).ok(), "two:2 <none>\n");
    let table = engine.run(&["images", "me/one"]).ok();
    assert!(table.starts_with("REPOSITORY") && table.contains("me/one") && table.lines().count() == 2, "{table}");
    assert_eq!(engine.run(&["image", "prune", "-f", "--filter", "label=other"]).ok(), "Total reclaimed space: 0B\n");
    let said = engine.run(&["image", "prune", "-f"]).ok();
    assert!(said.starts_with("Deleted Images:\n") && said.contains(&format!("deleted: {}", nameless.trim())), "{said}");
    assert_eq!(list(&[]), 3);
    engine.run(&["create", "--name", "c1", "bb", "true"]).ok();
    let said = engine.run(&["image", "prune", "-af", "--filter", "label!=k=w"]).ok();
    assert!(said.contains("untagged: me/one:1"), "{said}");
    assert_eq!(list(&[]), 2);
    let refused = engine.run_with(&["image", "prune"], b"n\n");
    assert!(refused.out.contains("WARNING! This will remove all dangling images.") && refused.code == 0);
}

#[test]
fn a_layer_that_nobody_has_goes_with_a_prune() {
    let engine = engine();
    let stray = engine.root().join("layers").join("0".repeat(64));
    fs::create_dir_all(stray.join("fs")).unwrap();
    fs::write(stray.join("layer.json"), r#"{"size":5}"#).unwrap();
    assert_eq!(engine.run(&["image", "prune", "-f"]).ok(), "Total reclaimed space: 5B\n");
    assert!(!stray.exists());
    assert_eq!(engine.run(&["run", "--rm", "bb", "echo", "1"]).ok(), "1\n");
}

#[test]
fn what_a_dead_command_left_is_no_name() {
    let engine = engine();
    let refs = engine.root().join("refs/docker.io/library");
    fs::write(refs.join(".new-12-0"), "half").unwrap();
    assert_eq!(engine.run(&["images", "-q"]).ok().lines().count(), 1);
    assert!(Path::new(&refs.join("bb:latest")).exists());
}
