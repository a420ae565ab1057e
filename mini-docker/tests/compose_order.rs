//! The order in which services start and stop: what nothing orders does not wait.

use std::process::Child;

use tests::{compose::Shop, engine::eventually};

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

fn begin(shop: &Shop, arguments: &[&str]) -> Child {
    let all = shop.arguments(arguments);
    shop.engine.command(&all.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap()
}

fn state(shop: &Shop, service: &str) -> String {
    shop.engine.inspect(&shop.container(service))["State"]["Status"].as_str().unwrap().to_owned()
}

const SLEEPS: &str = "image: bb, command: sleep 1000, stop_signal: KILL";

#[test]
fn one_that_waits_keeps_no_other_from_starting() {
    let file = format!(
        "services:\n  a: {{{SLEEPS}, depends_on: {{slow: {{condition: service_healthy}}}}}}\n  b: {{{SLEEPS}}}\n  c: {{{SLEEPS}, depends_on: [b]}}\n  slow: {{{SLEEPS}, healthcheck: {{test: 'test -e /go', interval: 50ms, start_period: 1h}}}}\n"
    );
    let shop = shop("beside", &file);
    let mut up = begin(&shop, &["up", "-d"]);
    eventually("those that wait for nothing run", || {
        shop.compose(&["ps", "-q"]).ok().lines().count() == 3 && state(&shop, "c") == "running"
    });
    assert_eq!(state(&shop, "a"), "created");
    shop.compose(&["exec", "slow", "touch", "/go"]).ok();
    assert!(up.wait().unwrap().success());
    assert_eq!(state(&shop, "a"), "running");
    // What runs is not started again, and one at a time is as good.
    shop.compose(&["--parallel", "1", "up", "-d", "--wait"]).ok();
}

#[test]
fn the_first_check_of_health_comes_after_the_start_interval() {
    let check = "healthcheck: {test: 'true', interval: 1h, start_period: 1h, start_interval: 20ms}";
    let shop = shop(
        "soon",
        &format!(
            "services:\n  a: {{{SLEEPS}, {check}}}\n  never: {{{SLEEPS}, healthcheck: {{test: 'true', interval: 1h}}}}\n"
        ),
    );
    shop.compose(&["up", "-d", "--wait", "a"]).ok();
    let error = shop.refused(&["up", "-d", "--wait", "--wait-timeout", "0"]);
    assert!(error.contains(&shop.container("never")), "{error}");
}

#[test]
fn to_wait_is_for_the_end_of_those_whose_end_is_needed() {
    let file = format!(
        "services:\n  job: {{image: bb, command: 'true'}}\n  a: {{{SLEEPS}, depends_on: {{job: {{condition: service_completed_successfully}}}}}}\n"
    );
    let shop = shop("done", &file);
    shop.compose(&["up", "-d", "--wait"]).ok();
    shop.describe("services:\n  a: {image: bb, command: sh -c 'exit 3', healthcheck: {test: 'true', interval: 1h}}\n");
    let error = shop.refused(&["up", "-d", "--wait", "--remove-orphans"]);
    assert!(error.contains(&format!("container {} exited (3)", shop.container("a"))), "{error}");
}

#[test]
fn one_that_does_not_stop_keeps_no_other_from_stopping() {
    let file = format!(
        "services:\n  db: {{{SLEEPS}}}\n  web: {{{SLEEPS}, depends_on: [db]}}\n  deaf: {{image: bb, command: sleep 1000, stop_grace_period: 1h}}\n"
    );
    let shop = shop("deaf", &file);
    shop.compose(&["up", "-d"]).ok();
    let mut stopping = begin(&shop, &["stop"]);
    eventually("what nobody needs any more stops", || state(&shop, "db") == "exited");
    assert_eq!((state(&shop, "web").as_str(), state(&shop, "deaf").as_str()), ("exited", "running"));
    shop.compose(&["kill", "deaf"]).ok();
    assert!(stopping.wait().unwrap().success());
}

#[test]
fn what_lives_in_a_container_that_goes_is_made_anew_and_others_are_restarted_with_it() {
    let file = |seconds: &str| {
        format!(
            "services:\n  db: {{image: bb, command: sleep {seconds}, stop_signal: KILL}}\n  inside: {{{SLEEPS}, network_mode: 'service:db'}}\n  with: {{{SLEEPS}, depends_on: {{db: {{condition: service_started, restart: true}}}}}}\n  other: {{{SLEEPS}, depends_on: [db]}}\n"
        )
    };
    let shop = shop("joined", &file("1000"));
    let seen = || {
        shop.compose(&["up", "-d"]).ok();
        ["inside", "with", "other"].map(|service| {
            let container = shop.engine.inspect(&shop.container(service));
            (container["Id"].to_string(), container["State"]["StartedAt"].to_string())
        })
    };
    let before = seen();
    assert_eq!(seen(), before);
    shop.describe(&file("2000"));
    let after = seen();
    assert_ne!(after[0].0, before[0].0);
    assert_eq!(after[1].0, before[1].0);
    assert_ne!(after[1].1, before[1].1);
    assert_eq!(after[2], before[2]);
}
