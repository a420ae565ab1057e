//! `compose up` in the foreground and `compose logs`: what is shown, and how it ends.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{compose::Shop, engine::eventually};

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

/// A command with its standard output for the test to read.
fn begin(shop: &Shop, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + use<>) {
    let all = shop.arguments(arguments);
    let mut command = shop.engine.command(&all.iter().map(String::as_str).collect::<Vec<_>>());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    (child, lines)
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn an_interrupt_stops_what_was_named_and_nothing_that_it_needs() {
    let sleep = "{image: bb, command: sleep 1000, stop_signal: KILL}";
    let shop =
        shop("named", &format!("services:\n  app: {}\n  db: {sleep}\n", sleep.replace('}', ", depends_on: [db]}")));
    let (mut child, mut lines) = begin(&shop, &["up", "app"]);
    assert_eq!(lines.next().as_deref(), Some("Attaching to app-1"));
    let state = |name: &str| shop.engine.inspect(&shop.container(name))["State"]["Status"].clone();
    eventually("it runs", || shop.compose(&["ps", "-q", "app"]).out.lines().count() == 1 && state("app") == "running");
    signal(&child, Signal::SIGINT);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!((state("app"), state("db")), ("exited".into(), "running".into()));
    shop.compose(&["down", "-t", "0"]).ok();
}

#[test]
fn what_they_write_is_shown_with_their_names_until_all_have_ended() {
    let file = "services:\n  a:\n    image: bb\n    command: sh -c 'echo one; echo two >&2; printf rest'\n  longer:\n    image: bb\n    command: echo hello\n    container_name: NAME\n  quiet:\n    image: bb\n    command: echo unseen\n    attach: false\n";
    let name = format!("own{}", std::process::id());
    let shop = shop("fore", &file.replace("NAME", &name));
    let said = shop.compose(&["up"]);
    let (out, width) = (&said.out, name.len());
    // Each stream is the same of this program.
    assert!(said.err.contains(&format!("{:width$}  | two\n", "a-1")), "{said:?}");
    for line in [
        format!("{:width$}  | one\n", "a-1"),
        format!("{:width$}  | rest\n", "a-1"),
        format!("{name}  | hello\n"),
        "a-1 exited with code 0\n".to_owned(),
    ] {
        assert!(out.contains(&line), "{line:?} is not in {out:?}");
    }
    assert!(!out.contains("unseen"), "{out}");
    // Once more: what they wrote before is not shown again.
    let out = shop.compose(&["up", "--no-log-prefix", "a"]).ok();
    assert!(out.starts_with("Attaching to a-1\none\n") && out.contains("rest\n") && !out.contains("two"), "{out:?}");
    let logs = shop.compose(&["logs", "--no-log-prefix", "-n", "1", "a"]);
    // The two streams are read in any order.
    let logs = format!("{}{}", logs.out, logs.err);
    assert!(["rest\n", "two\n"].contains(&logs.as_str()), "{logs}");
    let logs = shop.compose(&["logs", "-f", "--no-color"]);
    let logs = format!("{}{}", logs.out, logs.err);
    // Of both runs; what the first one did not end with a line's end may stand before what the second one wrote.
    let count = |text: &str| logs.matches(text).count();
    assert_eq!(["two", "rest", "hello", "unseen"].map(count), [2, 2, 1, 1], "{logs}");
}

#[test]
fn one_that_ends_may_end_all_with_its_code() {
    let file = "services:\n  a:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n  t:\n    image: bb\n    command: sh -c 'exit 42'\n    depends_on: {job: {condition: service_completed_successfully}}\n  job:\n    image: bb\n    command: 'true'\n";
    let shop = shop("abort", file);
    for arguments in [&["--exit-code-from", "t"][..], &["--abort-on-container-failure"]] {
        let said = shop.compose(&[&["up"], arguments].concat());
        assert_eq!(said.code, 42, "{arguments:?}: {said:?}");
        let state = shop.engine.inspect(&shop.container("a"))["State"].clone();
        assert_eq!(state["Status"], "exited");
    }
    assert_eq!(shop.compose(&["up", "--exit-code-from", "a"]).code, 137);
    // The first end is everybody's, whoever waited for it.
    let said = shop.compose(&["up", "--abort-on-container-exit"]);
    assert!(said.code == 0 && said.out.contains("job-1 exited with code 0"), "{said:?}");
    assert!(shop.compose(&["up", "--menu=false", "--exit-code-from", "t"]).code == 42);
}

#[test]
fn an_interrupt_stops_dependants_first_and_a_second_kills() {
    let service = |name: &str, more: &str| {
        format!(
            "  {name}:\n    image: bb\n    init: true\n    command: sh -c 'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'\n{more}"
        )
    };
    let file = format!("services:\n{}{}", service("db", ""), service("web", "    depends_on: [db]\n"));
    let shop = shop("int", &file);
    let (mut child, mut lines) = begin(&shop, &["up"]);
    for _ in 0..2 {
        assert!(lines.find(|line| line.ends_with("| up")).is_some());
    }
    signal(&child, Signal::SIGINT);
    let rest: Vec<_> = lines.collect();
    let at = |text: &str| rest.iter().position(|line| line.contains(text));
    assert!(at("web-1  | bye") < at("db-1   | bye") && at("db-1   | bye").is_some(), "{rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // One that does not want to stop.
    shop.describe(
        "services:\n  deaf:\n    image: bb\n    command: sh -c 'echo up; sleep 1000'\n    stop_grace_period: 1h\n",
    );
    let (mut child, mut lines) = begin(&shop, &["up", "--remove-orphans"]);
    assert!(lines.find(|line| line.ends_with("| up")).is_some());
    signal(&child, Signal::SIGINT);
    let events = || shop.engine.run(&["events", "--since", "1h", "--until", "0s", "--filter", "event=kill"]).ok();
    eventually("it is asked to stop", || events().contains(&shop.container("deaf")));
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(shop.engine.inspect(&shop.container("deaf"))["State"]["ExitCode"], 137);
}

#[test]
fn output_is_shown_while_others_wait_and_a_failed_start_ends_it() {
    let file = "services:\n  first:\n    image: bb\n    command: sh -c 'echo waiting; sleep 1000'\n    healthcheck: {test: 'test -e /go', interval: 50ms, start_period: 1h}\n  second:\n    image: bb\n    command: echo gone\n    depends_on: {first: {condition: service_healthy}}\n";
    let shop = shop("seen", file);
    let (mut child, mut lines) = begin(&shop, &["up"]);
    assert!(lines.find(|line| line.ends_with("| waiting")).is_some());
    // What it writes may be seen before it is known to run.
    eventually("it is told to go on", || shop.compose(&["exec", "first", "touch", "/go"]).code == 0);
    assert!(lines.find(|line| line.ends_with("| gone")).is_some());
    shop.compose(&["kill"]).ok();
    assert!(lines.find(|line| line.contains("exited with code 137")).is_some());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    shop.describe("services:\n  a:\n    image: bb\n    command: /nosuch\n");
    let said = shop.compose(&["up", "--remove-orphans"]);
    assert!(said.code == 1 && said.err.contains("/nosuch"), "{said:?}");
}

#[test]
fn logs_follow_who_starts_later() {
    let service = |name: &str| {
        format!("  {name}:\n    image: bb\n    command: sh -c 'echo {name}; sleep 1000'\n    init: true\n")
    };
    let shop = shop("late", &format!("services:\n{}{}", service("a"), service("b")));
    shop.compose(&["up", "-d", "a"]).ok();
    let (mut child, mut lines) = begin(&shop, &["logs", "-f", "--no-color"]);
    assert_eq!(lines.next().as_deref(), Some("a-1  | a"));
    shop.compose(&["up", "-d", "b"]).ok();
    assert_eq!(lines.next().as_deref(), Some("b-1  | b"));
    signal(&child, Signal::SIGTERM);
    child.wait().unwrap();
    shop.compose(&["down", "-t", "0"]).ok();
    assert!(shop.refused(&["events", "nosuch"]).contains("no such service: nosuch"));
}
