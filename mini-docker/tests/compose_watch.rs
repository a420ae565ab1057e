//! `compose watch`: what is changed in a service's files is changed in its containers.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{compose::Shop, engine::eventually};

/// Ends it with the test, whatever becomes of that.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A project with files to watch; its container sleeps.
fn project(name: &str, service: &str) -> Shop {
    let file = format!("services:\n  a:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n{service}");
    let shop = Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, &file);
    fs::create_dir_all(shop.engine.path("shop/src/deep")).unwrap();
    shop.write("src/old", "old");
    shop.write("src/noise.log", "noise");
    shop.write("Dockerfile", "FROM bb\nCOPY src/page /page\n");
    for name in ["page", "conf", "told"] {
        shop.write(&format!("src/{name}"), "one\n");
    }
    shop
}

/// The same, and it is watched.
fn watched(name: &str, service: &str) -> (Shop, Watching) {
    let shop = project(name, service);
    let (watching, lines) = watch(&shop);
    // Nobody else reads what it says.
    std::thread::spawn(move || lines.for_each(drop));
    (shop, watching)
}

/// Watches, and what is said from then on.
fn watch(shop: &Shop) -> (Watching, impl Iterator<Item = String> + Send + use<>) {
    let arguments = shop.arguments(&["watch"]);
    let mut command = shop.engine.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let watching = Watching(child);
    assert!(lines.any(|line| line == "Watch enabled"));
    (watching, lines)
}

fn read(shop: &Shop, path: &str) -> String {
    shop.compose(&["exec", "-T", "a", "cat", path]).out
}

#[test]
fn files_are_copied_and_removed_but_not_those_that_are_ignored() {
    let (shop, mut watching) = watched(
        "sync",
        "    develop:\n      watch:\n        - {path: src, action: sync, target: /app, ignore: ['*.log'], initial_sync: true}\n",
    );
    assert_eq!(read(&shop, "/app/old"), "old");
    assert_eq!(shop.compose(&["exec", "-T", "a", "test", "-e", "/app/noise.log"]).code, 1);
    shop.write("src/noise.log", "more");
    shop.write("src/deep/new", "new");
    eventually("the file is there", || read(&shop, "/app/deep/new") == "new");
    fs::create_dir(shop.engine.path("shop/src/later")).unwrap();
    shop.write("src/later/too", "too");
    eventually("one of a new directory is too", || read(&shop, "/app/later/too") == "too");
    fs::remove_file(shop.engine.path("shop/src/old")).unwrap();
    eventually("the file has gone", || shop.compose(&["exec", "-T", "a", "test", "-e", "/app/old"]).code == 1);
    assert_eq!(shop.compose(&["exec", "-T", "a", "test", "-e", "/app/noise.log"]).code, 1);
    // What it has executed in the container has not taken its signals.
    kill(Pid::from_raw(watching.0.id().cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(watching.0.wait().unwrap().signal(), Some(Signal::SIGTERM as i32));
}

#[test]
fn containers_are_restarted_told_or_made_anew() {
    let (shop, _watching) = watched(
        "redo",
        "    build: .\n    pull_policy: build\n    develop:\n      watch:\n        - {path: src/page, action: rebuild}\n        - {path: src/conf, action: sync+restart, target: /conf}\n        - {path: src/told, action: sync+exec, target: /told, exec: {command: cp /told /heard}}\n",
    );
    let seen = || {
        let container = shop.engine.inspect(&shop.container("a"));
        (container["Id"].to_string(), container["State"]["StartedAt"].to_string())
    };
    let first = seen();
    shop.write("src/told", "two");
    eventually("the command has run", || read(&shop, "/heard").trim() == "two");
    assert_eq!(seen(), first);
    shop.write("src/conf", "two");
    eventually("it is started again", || seen().1 != first.1 && read(&shop, "/conf").trim() == "two");
    assert_eq!(seen().0, first.0);
    assert_eq!(read(&shop, "/page").trim(), "one");
    shop.write("src/page", "two");
    eventually("it is made anew of another image", || read(&shop, "/page").trim() == "two");
    assert_ne!(seen().0, first.0);
}

#[test]
fn a_build_that_fails_ends_neither_the_watch_nor_the_container() {
    let service = "    build: .\n    pull_policy: build\n    develop: {watch: [{path: src/page, action: rebuild}]}\n";
    let shop = project("fails", service);
    let stages = "FROM bb AS one\nCOPY src/page /page\nRUN grep one /page\nFROM bb AS two\nRUN sleep 1\nFROM bb\nCOPY --from=one /page /page\nCOPY --from=two /bin/sh /sh\n";
    shop.write("Dockerfile", stages);
    let (_watching, mut lines) = watch(&shop);
    let monitor = || {
        let pid = shop.engine.inspect(&shop.container("a"))["State"]["Pid"].as_i64().unwrap();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("PPid:\t").map(str::to_owned)).unwrap()
    };
    let before = monitor();
    shop.write("src/page", "two");
    assert!(lines.any(|line| line.contains("did not complete successfully: exit code: 1")));
    // And it is still watched: what is built now comes to it.
    assert_eq!(monitor(), before);
    shop.write("src/page", "one again");
    eventually("it is made anew", || read(&shop, "/page") == "one again");
}

#[test]
fn up_shows_what_those_write_that_were_made_anew() {
    let service = "    build: .\n    pull_policy: build\n    init: true\n    entrypoint: sh -c 'cat /page; exec sleep 1000'\n    develop: {watch: [{path: src/page, action: rebuild}]}\n";
    let shop = project("upwatch", service);
    let arguments = shop.arguments(&["--progress", "quiet", "up", "--watch"]);
    let mut command = shop.engine.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut watching = Watching(child);
    assert!(lines.any(|line| line.is_ok_and(|line| line == "a-1  | one")));
    assert!(said.any(|line| line.is_ok_and(|line| line == "Watch enabled")));
    std::thread::spawn(move || said.for_each(drop));
    shop.write("src/page", "two\n");
    assert!(lines.any(|line| line.is_ok_and(|line| line == "a-1  | two")));
    kill(Pid::from_raw(watching.0.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(watching.0.wait().unwrap().code(), Some(130));
    assert_eq!(shop.compose(&["ps", "-q"]).ok(), "");
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let shop = Shop::new(env!("CARGO_BIN_EXE_mini-docker"), "blind", "services:\n  a: {image: bb, command: 'true'}\n");
    for command in [&["watch"][..], &["up", "--watch"]] {
        let error = shop.compose(command).refused(1);
        assert!(error.contains("none of the selected services is configured for watch"), "{error}");
    }
    shop.describe("services:\n  a:\n    image: bb\n    develop: {watch: [{path: nosuch, action: restart}]}\n");
    let error = shop.refused(&["watch"]);
    assert!(error.contains("compose.yaml:4:15: services.a.develop.watch: ") && error.contains("nosuch"), "{error}");
}
