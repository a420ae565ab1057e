//! `leaks` finds what stands and nobody owns: what the tests' own oracle finds, which was written without it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    engine::{Engine, eventually},
    leaks,
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn root(engine: &Engine) -> PathBuf {
    engine.root().canonicalize().unwrap()
}

/// Both say that there is nothing.
#[track_caller]
fn clean(engine: &Engine) {
    assert_eq!(engine.run(&["leaks", "-q"]).ok(), "");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

/// Both name `what`, and `leaks` says what kind it is.
#[track_caller]
fn leaky(engine: &Engine, kind: &str, what: &str) {
    let said = engine.run(&["leaks"]);
    assert_eq!(said.code, 3, "{said:?}");
    let mut lines = said.out.lines();
    assert!(lines.any(|line| line.starts_with(kind) && line.contains(what)), "{said:?}");
    let oracle = leaks::of(&root(engine));
    assert!(oracle.iter().any(|line| line.starts_with(kind) && line.contains(what)), "{oracle:?}");
}

#[test]
fn what_runs_is_no_leak() {
    let engine = engine();
    clean(&engine);
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory"]).ok();
    let arguments = [
        "run",
        "-d",
        "--name",
        "c1",
        "--network",
        "blue",
        "-P",
        "--expose",
        "80",
        "--ipc",
        "shareable",
        "-v",
        "memory:/m",
    ];
    engine.run(&[&arguments[..], &["bb", "sleep", "1000"]].concat()).ok();
    engine.run(&["create", "--name", "c2", "bb", "true"]).ok();
    assert_eq!(engine.run(&["leaks"]).ok(), "nothing stands that no container owns\n");
    engine.run(&["rm", "-f", "c1", "c2"]).ok();
    clean(&engine);
    engine.run(&["network", "rm", "blue"]).ok();
    engine.run(&["volume", "rm", "memory"]).ok();
    clean(&engine);
}

#[test]
fn what_the_next_command_mends_is_no_leak() {
    let engine = engine();
    engine.run(&["run", "-d", "--rm", "--name", "c1", "-p", "80", "bb", "sleep", "1000"]).ok();
    let pid = engine.inspect("c1")["State"]["Pid"].as_i64().unwrap();
    let monitor = leaks::monitors(&root(&engine))[0];
    kill(Pid::from_raw(monitor), Signal::SIGKILL).unwrap();
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
    eventually("both are gone", || !Path::new(&format!("/proc/{monitor}")).exists());
    clean(&engine);
}

#[test]
fn a_mount_without_a_container_is_a_leak() {
    let engine = engine();
    let place = root(&engine).join("volumes/left");
    fs::create_dir(&place).unwrap();
    mount(Some("left"), &place, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    leaky(&engine, "mount", place.to_str().unwrap());
    umount2(&place, MntFlags::empty()).unwrap();
    fs::remove_dir(&place).unwrap();
    clean(&engine);
}

#[test]
fn a_cgroup_without_a_container_is_a_leak() {
    let engine = engine();
    engine.run(&["run", "--rm", "bb", "true"]).ok();
    let run = leaks::run_directories(&root(&engine)).next().unwrap();
    let key = run.file_name().unwrap().to_str().unwrap()[..8].to_owned();
    let parent = tests::cgroups::mounts().into_iter().map(|mount| mount.join("mini-docker")).find(|at| at.exists());
    let left = parent.unwrap().join(format!("{key}.{}", "a".repeat(64)));
    fs::create_dir(&left).unwrap();
    leaky(&engine, "cgroup", left.to_str().unwrap());
    fs::remove_dir(&left).unwrap();
    clean(&engine);
}

/// A process that stays in a container's mount namespace after its end, as somebody outside can.
fn inside(engine: &Engine, name: &str) -> Child {
    let pid = engine.inspect(name)["State"]["Pid"].as_i64().unwrap().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--target", &pid, "--mount", "/bin/sleep", "1000"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("start nsenter")
}

#[test]
fn a_process_of_a_container_that_has_ended_is_a_leak() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sleep", "1000"]).ok();
    let mut child = inside(&engine, "c1");
    let pid = child.id().to_string();
    eventually("it is inside", || {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|text| text.starts_with(b"/bin/sleep"))
    });
    engine.run(&["rm", "-f", "c1"]).ok();
    leaky(&engine, "process", &pid);
    child.kill().unwrap();
    child.wait().unwrap();
    clean(&engine);
}

#[test]
fn a_volatile_file_without_a_container_is_a_leak() {
    let engine = engine();
    engine.run(&["run", "--rm", "bb", "true"]).ok();
    let left = leaks::run_directories(&root(&engine)).next().unwrap().join("nobody's");
    fs::create_dir(&left).unwrap();
    leaky(&engine, "file", left.to_str().unwrap());
    fs::remove_dir(&left).unwrap();
    clean(&engine);
}

#[test]
fn a_bridge_without_a_network_is_a_leak() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["run", "--rm", "--network", "blue", "bb", "true"]).ok();
    clean(&engine);
    let id = engine.run(&["network", "inspect", "-f", "{{.Id}}", "blue"]).ok();
    let networks = root(&engine).join("networks");
    fs::remove_file(networks.join(format!("{}.json", id.trim()))).unwrap();
    fs::remove_file(networks.join("names/blue")).unwrap();
    let said = engine.run(&["leaks"]);
    assert_eq!(said.code, 3, "{said:?}");
    let oracle = leaks::of_networks(&root(&engine));
    for line in oracle.iter().filter(|line| line.starts_with("link")) {
        let name = line.rsplit('/').next().unwrap();
        assert!(said.out.contains(&format!("link     {name}; ip link delete {name}\n")), "{said:?} {oracle:?}");
        assert!(Command::new("ip").args(["link", "delete", name]).status().unwrap().success());
    }
    assert!(oracle.iter().any(|line| line.starts_with("link")), "{oracle:?}");
    let table = oracle.iter().find_map(|line| line.strip_prefix("nftables ")).expect("a table");
    let said = engine.run(&["leaks"]);
    assert!(said.out.starts_with("nftables the table"), "{said:?}");
    assert!(Command::new("nft").args(["delete", "table", "inet", table]).status().unwrap().success());
    clean(&engine);
}

#[test]
fn an_element_that_leads_to_nobody_is_a_leak() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "-p", "80", "bb", "sleep", "1000"]).ok();
    let oracle = leaks::of_networks(&root(&engine));
    let table = oracle.iter().find_map(|line| line.strip_prefix("nftables ")).expect("a table").to_owned();
    let element = "{ 6 . 1 comment \"cccccccccccc-1\" : 203.0.113.2 . 1 }";
    let add = |verb: &str| Command::new("nft").args([verb, "element", "inet", &table, "ports4", element]).status();
    assert!(add("add").unwrap().success());
    let said = engine.run(&["leaks"]);
    assert_eq!((said.code, said.out.lines().count()), (3, 1), "{said:?}");
    assert!(said.out.contains("cccccccccccc-1"), "{said:?}");
    assert!(add("delete").unwrap().success());
    assert_eq!(engine.run(&["leaks", "-q"]).ok(), "");
}
