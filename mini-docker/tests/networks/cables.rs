//! The end of a container's cable: nobody waits for the kernel to take one apart, and nothing comes through it meanwhile.

use std::{fs, path::PathBuf, process::Command};

use tests::{
    engine::{Engine, eventually, output},
    machine::Machine,
};

use crate::{engine, heard, server};

/// The host's ends of a container's cables.
fn cables(id: &str) -> Vec<PathBuf> {
    let begins = format!("ve{}", &id[..6]);
    let links = fs::read_dir("/sys/class/net").unwrap().map(|entry| entry.unwrap().path());
    links.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(&begins)).collect()
}

fn id(engine: &Engine, name: &str) -> String {
    engine.inspect(name)["Id"].as_str().unwrap().to_owned()
}

#[test]
fn a_cable_that_outlives_its_container_is_cut_off() {
    let engine = engine();
    engine.run(&["network", "create", "--subnet", "10.127.214.0/29", "blue"]).ok();
    server(&engine, "web", &["--network", "blue", "--ip", "10.127.214.3"]);
    let id = id(&engine, "web");
    // Somebody looks at its network, and goes on looking.
    let onlooker = Machine::of_process(engine.inspect("web")["State"]["Pid"].as_i64().unwrap());
    assert_eq!(cables(&id).len(), 1);
    engine.run(&["stop", "-t", "0", "web"]).ok();
    // Or unplugged already.
    let ways = ["learning", "unicast_flood", "multicast_flood", "broadcast_flood"];
    let is_closed =
        |cable: &PathBuf, way| fs::read_to_string(cable.join("brport").join(way)).map_or(true, |on| on == "0\n");
    let is_off = |cable: &PathBuf| ways.iter().all(|way| is_closed(cable, way));
    let left = cables(&id);
    assert!(left.iter().all(is_off), "{left:?}");
    // Its address is where it is now, not where it was.
    engine.run(&["start", "web"]).ok();
    assert_eq!(heard(&engine, "blue", "10.127.214.3"), "web\n");
    eventually("the old cable is gone", || cables(&id).len() == 1);
    onlooker.run(|| ());
    engine.run(&["rm", "-f", "web"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn a_network_that_others_live_in_loses_its_cable_with_its_container() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    server(&engine, "web", &["--network", "blue"]);
    engine.run(&["run", "-d", "--name", "guest", "--network", "container:web", "bb", "sleep", "100"]).ok();
    let id = id(&engine, "web");
    engine.run(&["stop", "-t", "0", "web"]).ok();
    assert_eq!(cables(&id), Vec::<PathBuf>::new());
    engine.run(&["rm", "-f", "web", "guest"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn who_waits_for_the_end_does_not_wait_for_a_cable_s() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    let run = engine.command(&["run", "--rm", "--network", "blue", "-p", "80", "bb", "true"]);
    let trace = engine.path("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=sendto", "-o"]).arg(&trace);
    traced.arg(run.get_program()).args(run.get_args()).env("MINI_DOCKER_ROOT", engine.root());
    assert!(output(traced, b"").status.success());
    let trace = fs::read_to_string(&trace).unwrap();
    // The frame that has the exit code in it: see `engine::monitor::frame`.
    let told: Vec<&str> = trace.lines().take_while(|line| !line.contains(r#""\5\0\0\0\0\0\0\4"#)).collect();
    assert!(told.len() < trace.lines().count() && told.iter().any(|line| line.contains("RTM_")), "{trace}");
    assert!(!told.iter().any(|line| line.contains("RTM_DELLINK")), "{trace}");
    engine.run(&["network", "rm", "blue"]).ok();
}
