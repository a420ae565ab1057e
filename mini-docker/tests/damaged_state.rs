//! A file of the store that is damaged is named by what needs it, and nothing panics.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tests::engine::{Engine, Said, eventually};

/// What reads files and changes none.
const LOOKS: [&[&str]; 10] = [
    &["ps", "-a"],
    &["inspect", "one"],
    &["logs", "one"],
    &["images"],
    &["history", "bb:latest"],
    &["network", "inspect", "net"],
    &["network", "ls"],
    &["volume", "inspect", "vol"],
    &["system", "df", "-v"],
    &["check"],
];

fn engine() -> Engine {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["network", "create", "net"]).ok();
    let run = ["run", "--name", "one", "--network", "net", "-v", "vol:/v", "-p", "80", "--label", "a=b", "bb:latest"];
    engine.run(&[&run[..], &["sh", "-c", "echo said; exit 3"]].concat()).code.eq(&3).then_some(()).unwrap();
    engine
}

/// The files of the store's own: not those of layers, volumes and containers.
fn state(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            if !["fs", "upper", "work", "_data"].iter().any(|other| name == *other) {
                state(&path, found);
            }
        } else if entry.metadata().unwrap().len() > 0 && fs::read(&path).unwrap().starts_with(b"{") {
            found.push(path);
        }
    }
}

/// Fails in words of its own, or not at all.
#[track_caller]
fn is_calm(said: &Said, about: &dyn std::fmt::Display) {
    assert!([0, 1].contains(&said.code), "{about}: {said:?}");
    assert!(
        said.err.lines().all(|line| line.starts_with("mini-docker: ") || !line.contains("panicked")),
        "{about}: {said:?}"
    );
}

#[test]
fn what_needs_a_damaged_file_names_it() {
    let engine = engine();
    let mut files = Vec::new();
    state(&engine.root(), &mut files);
    assert!(files.len() >= 5, "{files:?}");
    for path in &files {
        let whole = fs::read(path).unwrap();
        for damage in [&b""[..], b"\xff{", &whole[..whole.len() / 2], b"null", &b"[".repeat(4096)] {
            fs::write(path, damage).unwrap();
            let said: Vec<Said> = LOOKS.iter().map(|look| engine.run(look)).collect();
            for said in &said {
                is_calm(said, &path.display());
            }
            let name = path.file_name().unwrap().to_str().unwrap();
            // A network's file has two names.
            let named = said.iter().any(|said| [&said.err, &said.out].iter().any(|text| text.contains("damaged")));
            // A log leaves out what is no line of its own; a status that cannot be read is that of an end that nobody saw;
            // what is noted beside an image is not needed.
            let quiet = ["log.json", "events.json", "status.json"].contains(&name)
                || path.extension().is_some_and(|kind| kind == "notes");
            assert!(named || quiet, "{} with {damage:?}: {said:#?}", path.display());
        }
        fs::write(path, whole).unwrap();
    }
    for look in LOOKS {
        engine.run(look).ok();
    }
}

/// Each value of a document in turn, by another of its kind that makes no sense.
fn senseless(document: &Value) -> Vec<Value> {
    fn walk(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| {
                walk(value, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(at, value)| walk(value, &format!("{path}/{at}"), found));
                found.push((path.to_owned(), json!([])));
            }
            Value::String(_) => found.extend(["é", "../../é"].map(|text| (path.to_owned(), json!(text)))),
            Value::Number(_) => found.extend([json!(-1), json!(u32::MAX)].map(|n| (path.to_owned(), n))),
            Value::Bool(_) | Value::Null => {}
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    let changed = found.into_iter().map(|(path, value)| {
        let mut changed = document.clone();
        *changed.pointer_mut(&path).unwrap() = value;
        changed
    });
    changed.collect()
}

#[test]
fn values_that_make_no_sense_panic_nowhere() {
    let engine = engine();
    let mut files = Vec::new();
    state(&engine.root(), &mut files);
    for path in &files {
        let whole = fs::read(path).unwrap();
        let Ok(document) = serde_json::from_slice::<Value>(&whole) else { continue };
        let of = |directory: &str| path.starts_with(engine.root().join(directory));
        let looks: &[&str] = match () {
            () if of("containers") => &["ps", "inspect"],
            () if of("networks") => &["network"],
            () => &["images", "history"],
        };
        for changed in senseless(&document) {
            fs::write(path, changed.to_string()).unwrap();
            for look in LOOKS.iter().filter(|look| looks.contains(&look[0])) {
                is_calm(&engine.run(look), &format_args!("{} as {changed}", path.display()));
            }
        }
        fs::write(path, whole).unwrap();
    }
}

/// What goes with its container is not waited for: a power cut may leave its name, and nothing in it.
#[test]
fn what_a_power_cut_leaves_of_one_with_rm_is_cleared() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let made = |flags: &[&str], damage: &str| {
        let id = engine.run(&[&["create", "--name", "one"], flags, &["bb:latest", "true"]].concat()).ok();
        let directory = engine.root().join("containers").join(id.trim());
        // As where it has run.
        fs::create_dir(directory.join("upper")).unwrap();
        fs::write(directory.join("config.json"), damage).unwrap();
        directory
    };
    for damage in ["", "{\"id\": "] {
        let left = made(&["--rm"], damage);
        assert_eq!(engine.run(&["run", "--rm", "--name", "one", "bb:latest", "echo", "next"]).ok(), "next\n");
        assert!(engine.run(&["check"]).ok().contains("is whole"), "it is nobody's");
        assert_eq!(engine.run(&["ps", "-aq"]).ok(), "");
        assert!(!left.exists());
    }
    // What was waited for is damaged by something else, and stays.
    let kept = made(&[], "");
    let said = engine.run(&["ps", "-a"]);
    assert!(said.code == 0 && said.err.contains("config.json: the file is damaged"), "{said:?}");
    assert!(kept.exists());
    engine.run(&["rm", "-f", "one"]).ok();
    assert!(!kept.exists());
}

#[test]
fn a_container_that_cannot_be_read_is_in_the_way_of_no_other_and_can_be_removed() {
    let engine = engine();
    let damage = |name: &str, file: &str| {
        let id = engine.inspect(name)["Id"].as_str().unwrap().to_owned();
        fs::write(engine.root().join("containers").join(&id).join(file), "{\"").unwrap();
        id
    };
    for file in ["config.json", "status.json"] {
        let run = ["run", "-d", "--name", "two", "--network", "net", "--restart", "always", "bb", "sleep", "1000"];
        engine.run(&run).ok();
        let pid = engine.inspect("two")["State"]["Pid"].to_string();
        let id = damage("two", file);
        for look in [&["ps", "-a"][..], &["system", "df"], &["image", "prune", "-f"], &["ps", "--filter", "name=one"]] {
            let said = engine.run(look);
            let is_named = said.err.contains(&format!("{id}/{file}: the file is damaged"));
            assert!(said.code == 0 && is_named && said.err.lines().count() == 1, "{look:?}: {said:?}");
        }
        assert!(engine.run(&["ps", "-a"]).out.contains("one"));
        for check in [&["check"][..], &["check", "--repair"]] {
            let said = engine.run(check);
            assert!(said.code == 1 && said.out.contains("rm -f"), "it runs: {said:?}");
        }
        assert!(engine.run(&["rm", "two"]).refused(1).contains("the file is damaged"));
        engine.run(&["rm", "-f", "two"]).ok();
        assert!(!engine.root().join("containers").join(id).exists());
        eventually("it has ended", || !Path::new("/proc").join(&pid).exists());
    }
    // Whose layers they are, nobody knows; who made them can be asked.
    let layers = || fs::read_dir(engine.root().join("layers")).unwrap().count();
    let id = damage("one", "config.json");
    engine.run(&["image", "prune", "-af"]).ok();
    assert_eq!(layers(), 1);
    let said = engine.run(&["check", "--repair"]);
    assert!(said.code == 0 && said.out.contains("set aside"), "{said:?}");
    assert!(engine.root().join("aside").join(id).join("upper").exists());
    for clear in [&["check"][..], &["leaks"], &["image", "prune", "-f"]] {
        let said = engine.run(clear);
        assert!(said.code == 0 && said.err.is_empty(), "{clear:?}: {said:?}");
    }
    assert_eq!(layers(), 0);
    engine.import_busybox();
    engine.run(&["create", "--name", "one", "bb", "true"]).ok();
}
