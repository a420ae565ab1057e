//! Drivers that are other programs, and the sample of one.

use std::{fs, path::Path, process::Command};

use process::netlink::{Socket, route};
use tests::{
    engine::{Engine, Said, eventually, output, said},
    machine::Machine,
    rootfs::write_program,
};

use crate::{engine, says};

/// Where the workspace's sample is.
fn samples() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/plugins")
}

fn with(engine: &Engine, machine: &Machine, path: &Path, arguments: &[&str]) -> Said {
    let mut command: Command = engine.command(arguments);
    command.env("MINI_DOCKER_NETWORK_PLUGINS", path);
    said(&machine.run(move || output(command, b"")))
}

/// The same, with drivers that may take a second.
fn impatient(engine: &Engine, machine: &Machine, path: &Path, arguments: &[&str]) -> Said {
    let mut command: Command = engine.command(arguments);
    command.env("MINI_DOCKER_NETWORK_PLUGINS", path).env("MINI_DOCKER_NETWORK_PLUGIN_SECONDS", "1");
    said(&machine.run(move || output(command, b"")))
}

/// A directory with a driver `bad` that does `script`.
fn driver(engine: &Engine, script: &str) -> std::path::PathBuf {
    let path = engine.path("plugins");
    fs::create_dir_all(&path).unwrap();
    write_program(&path.join("bad"), &format!("#!/bin/sh\n{script}\n"), 0o755);
    path
}

#[test]
fn a_vxlan_joins_containers_of_two_hosts() {
    let (here, there) = (engine(), engine());
    let (one, two) = (Machine::new(), Machine::new());
    one.connect("wire", "192.0.2.1/24", &two, "192.0.2.2/24");
    let samples = Path::new(samples());
    let create = |engine: &Engine, machine: &Machine, local: &str, remote: &str| {
        let (local, remote) = (format!("local={local}"), format!("remote={remote}"));
        let options = ["-d", "vxlan", "-o", "vni=7", "-o", &local, "-o", &remote, "--internal"];
        let all = [&["network", "create"], &options[..], &["--subnet", "10.127.217.0/24", "lan"]].concat();
        with(engine, machine, samples, &all).ok();
    };
    create(&here, &one, "192.0.2.1", "192.0.2.2");
    create(&there, &two, "192.0.2.2", "192.0.2.1");
    let program = says("far");
    let server =
        ["run", "-d", "--name", "far", "--network", "lan", "--ip", "10.127.217.10", "bb", "sh", "-c", &program];
    with(&here, &one, samples, &server).ok();
    let script = "nc -w 2 10.127.217.10 80 </dev/null; cat /sys/class/net/eth0/mtu";
    let client = ["run", "--rm", "--network", "lan", "--ip", "10.127.217.20", "bb", "sh", "-c", script];
    eventually("the other host's container answers", || with(&there, &two, samples, &client).ok() == "far\n1450\n");
    // Names are the host's own.
    let near = ["run", "--rm", "--network", "lan", "bb", "sh", "-c", "nc -w 2 far 80 </dev/null"];
    assert_eq!(with(&here, &one, samples, &near).ok(), "far\n");
    with(&here, &one, samples, &["network", "disconnect", "lan", "far"]).ok();
    with(&here, &one, samples, &["network", "connect", "--ip", "10.127.217.11", "lan", "far"]).ok();
    let moved = ["run", "--rm", "--network", "lan", "bb", "sh", "-c", "nc -w 2 10.127.217.11 80 </dev/null"];
    eventually("it answers again", || with(&there, &two, samples, &moved).out == "far\n");
    for (engine, machine) in [(&here, &one), (&there, &two)] {
        with(engine, machine, samples, &["rm", "-f", "far"]);
        with(engine, machine, samples, &["network", "rm", "lan"]).ok();
        let left = machine.run(|| route::links(&Socket::route().unwrap()).unwrap());
        assert!(left.iter().all(|link| ["lo", "wire"].contains(&link.name.as_str())), "{left:?}");
    }
    // What the driver does not know it refuses, through us.
    let wrong = ["network", "create", "-d", "vxlan", "-o", "nonsense=1", "n"];
    assert!(with(&here, &one, samples, &wrong).refused(1).contains("no such option"));
    let missing = ["network", "create", "-d", "vxlan", "n"];
    assert!(with(&here, &one, samples, &missing).refused(1).contains("vni"));
    assert_eq!(here.run(&["network", "ls", "-q", "-f", "driver=vxlan"]).ok(), "");
}

#[test]
fn a_bad_driver_neither_hangs_nor_leaks() {
    let engine = engine();
    let host = Machine::new();
    let info = r#"case "$(cat)" in *'"verb":"info"'*) echo '{"version":1}'; exit;; esac"#;
    for (script, words) in [
        ("sleep 1000", "took longer than 1 s"),
        ("sleep 1000 & exit 1", "it said nothing"),
        ("exec yes", "said more than 64 KiB"),
        ("exec yes >&2", "said more than 64 KiB"),
        ("echo no", "answered with no JSON object"),
        ("echo '[1]'", "answered with no JSON object"),
        ("echo '{\"version\":2}'", "does not speak version 1"),
        ("echo '{\"error\":\"out of \\u001b[31mwires\"}'", "out of [31mwires"),
        ("kill -9 $$", "it said nothing"),
        (&format!("{info}; echo no more wires >&2; exit 3"), "no more wires"),
        (&format!("{info}; sleep 1000"), "took longer"),
    ] {
        let path = driver(&engine, script);
        let run = if words.starts_with("took") { impatient } else { with };
        let refused = run(&engine, &host, &path, &["network", "create", "-d", "bad", "n"]).refused(1);
        assert!(refused.contains(words), "{script}: {refused}");
        assert_eq!(refused.trim_end().lines().count(), 1, "{refused}");
        assert_eq!(engine.run(&["network", "ls", "-q", "-f", "driver=bad"]).ok(), "", "{script}");
    }
    // One that makes networks and fails containers: nothing of them stays, and they can still be removed.
    let both = r#"case "$(cat)" in *'"verb":"setup"'*) sleep 1000;; *'"verb":"teardown"'*) exit 1;; *) echo '{"version":1}';; esac"#;
    let path = driver(&engine, both);
    with(&engine, &host, &path, &["network", "create", "-d", "bad", "n"]).ok();
    let run = impatient(&engine, &host, &path, &["run", "--network", "n", "bb", "true"]).refused(125);
    assert!(run.contains("took longer than 1 s"), "{run}");
    // One that says yes and does nothing.
    let path = driver(&engine, "echo '{\"version\":1}'");
    let run = with(&engine, &host, &path, &["run", "--network", "n", "bb", "true"]).refused(125);
    assert!(run.contains("has put no interface"), "{run}");
    let used = with(&engine, &host, &path, &["network", "inspect", "-f", "{{len .Containers}}", "n"]).ok();
    assert_eq!(used, "0\n");
    // A driver that is gone says where it was looked for; one that others may change is not run.
    let gone = with(&engine, &host, Path::new("/nonexistent"), &["network", "rm", "n"]).refused(1);
    assert!(gone.contains("plugin not found"), "{gone}");
    fs::set_permissions(path.join("bad"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    assert!(with(&engine, &host, &path, &["network", "rm", "n"]).refused(1).contains("could be changed by others"));
    for name in ["../bad", ".bad", "a/b", ""] {
        let create = ["network", "create", "-d", name, "m"];
        let said = with(&engine, &host, &path, &create);
        assert!(name.is_empty() || said.code == 1, "{name}");
    }
    let path = driver(&engine, "echo '{\"version\":1}'");
    with(&engine, &host, &path, &["network", "rm", "n"]).ok();
}
