//! How an ordinary user's containers are connected.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{engine::eventually, machine::Machine};

use crate::user;

/// A machine that goes out by a link, as those programs want it, and one behind that link.
fn machines() -> (Machine, Machine) {
    let (machine, outside) = (Machine::new(), Machine::new());
    machine.connect("eth0", "192.0.2.2/24", &outside, "192.0.2.1/24");
    machine.route("0.0.0.0/0", "192.0.2.1");
    (machine, outside)
}

fn is_connected_by(program: &str) {
    let user = user();
    let (machine, outside) = machines();
    outside.tell_the_source_at("192.0.2.1:8000");
    let run = ["run", "--rm", "--network", program, "bb:latest", "sh", "-c"];
    // What comes from the container comes from the machine.
    // Of one that both sides end, that pasta may keep the end to itself.
    let script = "timeout 3 nc 192.0.2.1 8000; ip -o -4 addr show eth0 && cat /etc/resolv.conf";
    let said = user.run_on(&machine, &[&run[..], &[script]].concat()).ok();
    assert!(said.starts_with("192.0.2.2"), "{said}");
    assert!(said.contains("10.0.2.100/24") && said.contains("nameserver 127.0.0.11"), "{said}");
    // Services on the machine's loopback stay its own.
    machine.tell_the_source_at("127.0.0.1:9000");
    let reached =
        user.run_on(&machine, &[&run[..], &["timeout 1 nc 10.0.2.2 9000; timeout 1 nc 127.0.0.1 9000"]].concat());
    assert_eq!(reached.out, "", "{reached:?}");
    let ports = ["-p", "8080:80", "-p", "127.0.0.1:8081:80", "-p", "80"];
    let serve = ["--name", "web", "bb:latest", "sh", "-c", "while :; do echo hello | nc -l -p 80; done"];
    user.run_on(&machine, &[&["run", "-d", "--network", program], &ports[..], &serve].concat()).ok();
    for (from, address) in [(&outside, "192.0.2.2:8080"), (&machine, "127.0.0.1:8080"), (&machine, "127.0.0.1:8081")] {
        // The server takes one at a time.
        eventually(address, || from.run(|| greet(address)).is_ok_and(|said| said == "hello\n"));
    }
    assert_eq!(outside.read_from("192.0.2.2:8081"), Err(std::io::ErrorKind::ConnectionRefused));
    let listed = user.run(&["port", "web"]).ok();
    assert!(listed.contains("80/tcp -> 0.0.0.0:8080") && listed.contains("80/tcp -> 127.0.0.1:8081"), "{listed}");
    assert_eq!(listed.lines().filter(|line| line.contains("0.0.0.0:")).count(), 2, "{listed}");
    let taken = user.run_on(&machine, &["run", "--rm", "--network", program, "-p", "8080:80", "bb:latest", "true"]);
    assert!(taken.code == 125 && taken.err.contains("port 8080 is already allocated"), "{taken:?}");
    // With the container its program goes.
    assert!(user.processes().iter().any(|(_, command)| command.contains(program)));
    user.run(&["rm", "-f", "web"]).ok();
    assert!(!user.processes().iter().any(|(_, command)| command.contains(program)));
}

/// What a server says to who speaks first: pasta of 2023, Debian 12's, passes on what it says before as late as that.
fn greet(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said).map(|_| said)
}

fn is_installed(program: &str) -> bool {
    let there = Path::new("/usr/bin").join(program).exists();
    if !there {
        eprintln!("skipped: {program} is not installed");
    }
    there
}

#[test]
fn pasta_connects_a_container() {
    if is_installed("pasta") {
        is_connected_by("pasta");
    }
}

#[test]
fn slirp4netns_connects_a_container() {
    if is_installed("slirp4netns") {
        is_connected_by("slirp4netns");
    }
}

#[test]
fn names_are_answered_after_the_monitor_was_killed() {
    if !is_installed("pasta") {
        return;
    }
    let user = user();
    let (machine, _outside) = machines();
    user.run_on(&machine, &["run", "-d", "--network", "pasta", "--name", "one", "bb:latest", "sleep", "100"]).ok();
    let monitors = user.processes().into_iter().filter(|(_, command)| command.contains("mini-docker run"));
    for (pid, _) in monitors {
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    // There is nobody to ask, but somebody who says so.
    let asked = user.run_on(&machine, &["exec", "one", "sh", "-c", "nslookup one.nowhere 127.0.0.11; true"]).ok();
    assert!(asked.contains("Address:\t127.0.0.11:53") && !asked.contains("no servers"), "{asked}");
}

#[test]
fn services_of_a_project_share_a_network() {
    let mut user = user();
    // Nothing has to be installed for that.
    user.hidden = ["/usr/bin/pasta", "/usr/bin/slirp4netns"].map(Into::into).into();
    let file = user.path("compose.yaml");
    let text = "services:\n  web:\n    image: bb:latest\n    network_mode: none\n    command: sh -c 'while :; do echo hello | nc -l -p 80; done'\n  \
        other:\n    image: bb:latest\n    network_mode: service:web\n    command: sleep 100\n";
    std::fs::write(&file, text).unwrap();
    let compose = ["compose", "-f", file.to_str().unwrap()];
    user.run(&[&compose[..], &["up", "-d"]].concat()).ok();
    eventually("one reaches the other", || {
        user.run(&[&compose[..], &["exec", "-T", "other", "nc", "127.0.0.1", "80"]].concat()).out == "hello\n"
    });
    user.run(&[&compose[..], &["down", "-t", "0"]].concat()).ok();
    std::fs::write(&file, "services:\n  web:\n    image: bb:latest\n").unwrap();
    let refused = user.run(&[&compose[..], &["up", "-d"]].concat());
    assert!(refused.code != 0 && refused.err.contains("network_mode: pasta"), "{refused:?}");
}

#[test]
fn without_both_there_is_loopback_and_a_word() {
    let mut user = user();
    user.hidden = ["/usr/bin/pasta", "/usr/bin/slirp4netns"].map(Into::into).into();
    let said = user.run(&["run", "--rm", "bb:latest", "ls", "/sys/class/net"]);
    assert_eq!((said.code, said.out.as_str()), (0, "lo\n"), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
    assert!(said.err.contains("neither pasta nor slirp4netns is installed"), "{said:?}");
    let refused = user.run(&["run", "--rm", "-p", "80", "bb:latest", "true"]).refused(125);
    assert!(refused.contains("publish ports: neither pasta nor slirp4netns"), "{refused}");
    let refused = user.run(&["run", "--rm", "--network", "pasta", "bb:latest", "true"]).refused(125);
    assert!(refused.contains("pasta is not installed"), "{refused}");
}
