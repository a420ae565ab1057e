//! What kill -9 leaves, and what it does not.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use nix::libc;
use process::netlink::{Socket, expression::interface, nftables, route};
use tests::{
    engine::{Engine, eventually, output},
    leaks,
    machine::{Machine, read_from},
    tracer::{Act, Call, trace},
};

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

/// The last network takes the table of nftables with it. Who starts on another one at that moment has walls all the same.
#[test]
fn a_network_that_goes_takes_nobody_s_walls_away() {
    let (engine, host) = (engine(), Machine::new());
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    let again = Machine::beside(&host);
    // Each of its requests to the kernel in turn is held up for so long that the other one has started.
    for request in 1..=14 {
        run(&["network", "create", "goes"]).ok();
        run(&["run", "--rm", "--network", "goes", "bb", "true"]).ok();
        run(&["network", "create", "stays"]).ok();
        let remove = engine.command(&["network", "rm", "goes"]);
        let mut slow = Command::new("strace");
        slow.args(["-qq", "-o", "/dev/null", "-e"]);
        slow.arg(format!("inject=sendto,sendmsg:delay_enter=300000:when={request}"));
        slow.arg(remove.get_program()).args(remove.get_args()).env("MINI_DOCKER_ROOT", engine.root());
        std::thread::scope(|scope| {
            let removal = scope.spawn(|| again.run(move || output(slow, b"")));
            run(&["run", "-d", "--name", "web", "--network", "stays", "bb", "sleep", "100"]).ok();
            let removed = removal.join().unwrap();
            assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
        });
        let bridge = run(&["network", "inspect", "-f", "br-{{slice .Id 0 12}}", "stays"]).ok().trim().to_owned();
        let table = format!("mini-docker-{}", crate::walls::table_key(&engine));
        let found = host.run(move || {
            let socket = Socket::netfilter().unwrap();
            nftables::get_element(&socket, &table, "bridges", &interface(&bridge)).is_ok_and(|found| found.is_some())
        });
        assert!(found, "request {request}: the bridge is in the table");
        run(&["rm", "-f", "web"]).ok();
        run(&["network", "rm", "stays"]).ok();
    }
    let table = format!("mini-docker-{}", crate::walls::table_key(&engine));
    let left = host.run(move || nftables::has_table(&Socket::netfilter().unwrap(), &table));
    assert_eq!(left, Ok(false), "the table goes with the last of them");
}

/// Each command, killed at each of its requests to the kernel in turn, with the processes that it has made.
#[test]
fn commands_can_be_killed_at_each_request_about_networks() {
    let (engine, host) = (engine(), Machine::new());
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    // What is tried once in a boot.
    run(&["info"]).ok();
    let killed = |request: usize, arguments: &[&str]| {
        let command = engine.command(arguments);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]);
        traced.arg(format!("inject=sendto,sendmsg:signal=SIGKILL:when={request}"));
        traced.arg(command.get_program()).args(command.get_args()).env("MINI_DOCKER_ROOT", engine.root());
        host.run(move || output(traced, b""));
    };
    let unless = |words: &str, arguments: &[&str]| {
        let said = run(arguments);
        assert!(said.code == 0 || said.err.contains(words), "{arguments:?}: {said:?}");
    };
    let box_on = ["--network", "blue", "-p", "8080:80", "bb"];
    for request in 1..=12 {
        killed(request, &["network", "create", "blue"]);
        unless("already exists", &["network", "create", "blue"]);
        killed(request, &[&["run", "--rm", "--name", "box"], &box_on[..], &["true"]].concat());
        run(&["rm", "-f", "box"]);
        run(&[&["run", "-d", "--name", "box"], &box_on[..], &["sleep", "100"]].concat()).ok();
        killed(request, &["network", "disconnect", "blue", "box"]);
        unless("is not connected", &["network", "disconnect", "blue", "box"]);
        killed(request, &["network", "connect", "blue", "box"]);
        unless("already exists", &["network", "connect", "blue", "box"]);
        run(&["rm", "-f", "box"]).ok();
        killed(request, &["network", "rm", "blue"]);
        unless("not found", &["network", "rm", "blue"]);
    }
    run(&["network", "prune", "-f"]).ok();
    let table = format!("mini-docker-{}", crate::walls::table_key(&engine));
    host.run(move || {
        assert_eq!(nftables::has_table(&Socket::netfilter().unwrap(), &table), Ok(false));
        eventually("all links are gone", || route::links(&Socket::route().unwrap()).unwrap().len() == 1);
    });
}

/// Who comes to a network that is just being removed is told so, and does not bring its bridge back.
#[test]
fn a_network_that_is_removed_meanwhile_leaves_no_bridge() {
    let (engine, host) = (engine(), Machine::new());
    let again = Machine::beside(&host);
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    run(&["network", "create", "blue"]).ok();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..25 {
                engine.run_on(&again, &["network", "prune", "-f"]).ok();
                engine.run_on(&again, &["network", "create", "blue"]);
            }
        });
        for _ in 0..25 {
            let said = run(&["run", "--rm", "--network", "blue", "bb", "true"]);
            assert!(said.code == 0 || said.err.contains("network blue not found"), "{said:?}");
            run(&["run", "--rm", "bb", "true"]).ok();
        }
    });
    run(&["network", "prune", "-f"]).ok();
    host.run(|| eventually("all bridges are gone", || route::links(&Socket::route().unwrap()).unwrap().len() == 1));
}

/// The next command has mended all, and nothing is left of what was killed.
#[track_caller]
fn healed(engine: &Engine, host: &Machine, when: &str) {
    engine.run_on(host, &["ps", "-a"]).ok();
    engine.run_on(host, &["rm", "-f", "box"]);
    let said = engine.run_on(host, &["leaks"]);
    assert_eq!(said.code, 0, "{when}: {said:?}");
    let places = leaks::run_directories(&engine.root().canonicalize().unwrap())
        .flat_map(|run| fs::read_dir(run.join("networks")).into_iter().flatten().flatten())
        .filter(|entry| entry.path().is_dir())
        .flat_map(|entry| fs::read_dir(entry.path()).into_iter().flatten().flatten())
        .count();
    assert_eq!(places, 0, "{when}: addresses, names or ports are left");
}

/// A start and an end, with all processes that are made, each killed at calls that others can see the effect of.
#[test]
fn a_start_can_be_killed_at_any_change_that_it_makes() {
    const CHANGES: &str = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,write,pwrite64,bind,\
        sendto,sendmsg,connect,flock,clone3,setns,openat,close,statx";
    let (engine, host) = (engine(), Machine::new());
    engine.run_on(&host, &["network", "create", "blue"]).ok();
    let run = ["run", "--rm", "--name", "box", "--network", "blue", "-p", "8080:80", "bb", "true"];
    let mut killed = 0;
    for call in 1..=75 {
        let command = engine.command(&run);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e"]).arg(format!("inject={CHANGES}:signal=SIGKILL:when={call}"));
        traced.arg(command.get_program()).args(command.get_args()).env("MINI_DOCKER_ROOT", engine.root());
        killed += u32::from(!host.run(move || output(traced, b"")).status.success());
        healed(&engine, &host, &format!("call {call}"));
    }
    assert!(killed > 30, "{killed} of them were killed");
    // As if nothing had been.
    engine.run_on(&host, &run).ok();
    engine.run_on(&host, &["network", "rm", "blue"]).ok();
    engine.run_on(&host, &["network", "prune", "-f"]).ok();
}

/// The monitor, and the resolver and the relay with it, at moments of what others do to its container.
#[test]
fn a_monitor_can_be_killed_at_any_moment() {
    let (engine, host) = (engine(), Machine::new());
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    run(&["network", "create", "blue"]).ok();
    run(&["network", "create", "green"]).ok();
    let commands: [&[&str]; 5] = [
        &["rm", "-f", "box"],
        &["stop", "-t", "0", "box"],
        &["restart", "-t", "0", "box"],
        &["network", "connect", "green", "box"],
        &["network", "disconnect", "blue", "box"],
    ];
    for moment in 0..50 {
        run(&["run", "-d", "--name", "box", "--network", "blue", "-p", "8080:80", "bb", "sleep", "1000"]).ok();
        let pid = engine.inspect("box")["State"]["Pid"].to_string();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
        let command = engine.command(commands[moment % commands.len()]);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| host.run(move || output(command, b"")));
            // Whatever the moment is: none of them may do harm.
            std::thread::sleep(std::time::Duration::from_micros(400 * moment as u64));
            // It may have ended.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(monitor), nix::sys::signal::Signal::SIGKILL);
            other.join().unwrap();
        });
        healed(&engine, &host, &format!("moment {moment}, {:?}", commands[moment % commands.len()]));
    }
    run(&["network", "rm", "blue", "green"]).ok();
    run(&["network", "prune", "-f"]).ok();
}

/// A connection, which edits /etc/hosts of a running container, killed at each call that changes a file, and a rename.
#[test]
fn who_names_a_running_container_can_be_killed_at_each_change() {
    // Of the file whose name ends in this.
    let changes = |call: &Call, file: &str| match call.which() {
        Some(libc::SYS_write | libc::SYS_pwrite64 | libc::SYS_ftruncate) => {
            call.file().is_some_and(|path| path.to_string_lossy().ends_with(file))
        }
        Some(libc::SYS_rename | libc::SYS_unlink | libc::SYS_openat) => file.is_empty(),
        _ => false,
    };
    let engine = engine();
    for network in ["blue", "green"] {
        engine.run(&["network", "create", network]).ok();
    }
    server(&engine, "box", &["--network", "blue"]);
    engine.run(&["run", "-d", "--name", "asks", "--network", "blue", "bb", "sleep", "1000"]).ok();
    let killed_at = |number: usize, file: &str, arguments: &[&str]| {
        let mut seen = 0;
        trace(&engine.command(arguments), |call| {
            let counts = changes(&call, file);
            seen += usize::from(counts);
            if counts && seen == number { Act::Kill(call.process) } else { Act::Go }
        });
        seen == number
    };
    let finds = |name: &str| engine.run(&["exec", "asks", "nslookup", name]).code == 0;
    let mut edits = 0;
    for number in 1.. {
        edits = number;
        if !killed_at(number, "/hosts", &["network", "connect", "green", "box"]) {
            break;
        }
        let hosts = engine.run(&["exec", "box", "cat", "/etc/hosts"]).ok();
        assert!(hosts.contains("127.0.0.1\tlocalhost"), "killed at {number}: {hosts:?}");
        // Whether it had come or not.
        engine.run(&["network", "connect", "green", "box"]);
        engine.run(&["network", "disconnect", "green", "box"]).ok();
    }
    assert!(edits > 1, "it changes the file");
    for number in 1.. {
        if !killed_at(number, "", &["rename", "box", "half"]) {
            break;
        }
        let now = if engine.run(&["inspect", "half"]).code == 0 { "half" } else { "box" };
        engine.run(&["rename", now, "whole"]).ok();
        assert!(finds("whole") && !finds("half") && !finds("box"), "killed at {number}, as {now}");
        engine.run(&["rename", "whole", "box"]).ok();
    }
    engine.run(&["rm", "-f", "box", "half", "asks"]);
    for network in ["blue", "green"] {
        engine.run(&["network", "rm", network]).ok();
    }
}

/// The only file of a network that is called so, beside its name.
fn only_network(engine: &Engine, name: &str) -> PathBuf {
    let directory = engine.root().canonicalize().unwrap().join("networks");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|network| network["name"] == name)
    };
    let found: Vec<_> = files.filter(is_it).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[test]
fn a_network_that_a_killed_command_left_without_a_name_goes() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    let file = only_network(&engine, "blue");
    let nameless = fs::read(&file).unwrap();
    engine.run(&["network", "rm", "blue"]).ok();
    fs::write(&file, &nameless).unwrap();
    engine.run(&["leaks"]).ok();
    assert!(!file.exists());
    fs::write(&file, &nameless).unwrap();
    engine.run(&["network", "create", "blue"]).ok();
    assert_ne!(only_network(&engine, "blue"), file);
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn who_comes_to_a_network_that_just_went_makes_no_file_for_it() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    let file = only_network(&engine, "blue");
    let mut has_gone = false;
    let is_to_write = |flags| flags & libc::O_ACCMODE as u64 != libc::O_RDONLY as u64;
    let traced = trace(&engine.command(&["network", "rm", "blue"]), |call| match call.which() {
        // To lock it, after it was read.
        Some(libc::SYS_openat) if call.argument(3).is_some_and(is_to_write) && call.path().as_ref() == Some(&file) => {
            fs::remove_file(&file).unwrap();
            has_gone = true;
            Act::Go
        }
        // It has a file of its own making.
        Some(libc::SYS_flock) if has_gone && call.file().as_ref() == Some(&file) => Act::Kill(call.process),
        _ => Act::Go,
    });
    assert!(has_gone && !file.exists() && traced.said.err.contains("just been removed"), "{:?}", traced.said);
    fs::hard_link(engine.root().join("networks/names/blue"), &file).unwrap();
    engine.run(&["network", "rm", "blue"]).ok();
}
