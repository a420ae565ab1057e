//! What kill -9 leaves, and what it does not.

use std::{fs, path::Path};

use tests::{engine::eventually, leaks, machine::read_from};

use crate::{engine, free_port, heard, server};

#[test]
fn a_killed_monitor_takes_neither_names_nor_ports_away() {
    let engine = engine();
    let port = free_port();
    engine.run(&["network", "create", "blue"]).ok();
    server(&engine, "web", &["--network", "blue", "-p", &format!("127.0.0.1:{port}:80")]);
    server(&engine, "asker", &["--network", "blue"]);
    let root = engine.root().canonicalize().unwrap();
    for monitor in leaks::monitors(&root) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(monitor), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    eventually("the monitors are gone", || leaks::monitors(&root).is_empty());
    engine.run(&["ps"]).ok();
    assert_eq!(leaks::monitors(&root).len(), 2);
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(heard(&engine, "blue", "web"), "web\n");
    let at = format!("127.0.0.1:{port}");
    eventually("the port leads there", || read_from(&at) == Ok("web\n".to_owned()));
    // Its own resolver answers again.
    let pid = engine.inspect("asker")["State"]["Pid"].to_string();
    let listening = fs::read_to_string(format!("/proc/{pid}/net/udp")).unwrap();
    assert!(listening.contains("0B00007F:0035"), "{listening}");
}

#[test]
fn what_is_killed_with_its_monitor_leaves_no_address_name_or_port() {
    let engine = engine();
    let port = free_port();
    engine.run(&["network", "create", "--subnet", "10.127.213.0/29", "blue"]).ok();
    let publish = format!("127.0.0.1:{port}:80");
    server(&engine, "web", &["--network", "blue", "--ip", "10.127.213.3", "-p", &publish]);
    let pid = engine.inspect("web")["State"]["Pid"].as_i64().unwrap() as i32;
    let root = engine.root().canonicalize().unwrap();
    for victim in leaks::monitors(&root).into_iter().chain([pid]) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    eventually("all are gone", || !Path::new(&format!("/proc/{pid}")).exists());
    // Without any repair in between: who wants its address and its port gets them.
    server(&engine, "next", &["--network", "blue", "--ip", "10.127.213.3", "-p", &publish]);
    let at = format!("127.0.0.1:{port}");
    eventually("the port leads to the next one", || read_from(&at) == Ok("next\n".to_owned()));
    engine.run(&["rm", "-f", "web", "next"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}
