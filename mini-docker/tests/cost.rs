//! What a start costs in system calls and bytes, which unlike its time are the same on every machine.

use std::{fs, process::Command};

use tests::engine::Engine;

/// Calls of command, monitor, the container's first process and its program together, from start to end. There were 784
/// when this was written; what comes on top of each start has to be worth it.
const MOST: u64 = 900;
/// Bytes that a start may read and write more for each neighbour that runs: lists of names alone, 112 bytes each.
const EACH: u64 = 400;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// What strace says of a command and all its processes.
fn traced(engine: &Engine, options: &[&str], arguments: &[&str]) -> String {
    let (trace, command) = (engine.path("trace"), engine.command(arguments));
    let mut traced = Command::new("strace");
    traced.arg("-f").args(options).arg("-o").arg(&trace).arg(command.get_program()).args(command.get_args());
    traced.env("MINI_DOCKER_ROOT", engine.root());
    assert!(traced.status().expect("strace of the package strace").success());
    fs::read_to_string(&trace).expect("what strace has written")
}

#[test]
fn a_start_makes_no_more_system_calls_than_it_did() {
    let engine = engine();
    let run = ["run", "--rm", "--network", "none", "bb", "true"];
    // The first one makes what stays.
    engine.run(&run).ok();
    let table = traced(&engine, &["-c", "-U", "calls,name"], &run);
    let counts = table.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        Some((calls.parse::<u64>().ok()?, name.trim()))
    });
    // Unoptimised, the standard library asks of each descriptor whether it is open.
    let sum: u64 = counts.filter(|(_, name)| !matches!(*name, "total" | "fcntl")).map(|(calls, _)| calls).sum();
    println!("{sum} system calls");
    assert!((100..=MOST).contains(&sum), "{sum} system calls, at most {MOST} are allowed:\n{table}");
}

/// The neighbours' addresses, names and ports are nothing that a start reads or writes.
#[test]
fn a_start_reads_and_writes_no_more_beside_many_neighbours() {
    const NEIGHBOURS: u64 = 25;
    const CALLS: &str = "trace=read,write,pread64,pwrite64,sendto,recvfrom,sendmsg,recvmsg,getdents64";
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    let bytes = || {
        let run = ["run", "--rm", "--network", "blue", "-p", "80", "bb", "true"];
        // This one sweeps up after those before.
        engine.run(&run).ok();
        let trace = traced(&engine, &["-e", CALLS], &run);
        // A call that failed says -1 and why.
        trace.lines().filter_map(|line| line.rsplit_once(" = ")?.1.parse::<u64>().ok()).sum::<u64>()
    };
    let alone = bytes();
    for _ in 0..NEIGHBOURS {
        engine.run(&["run", "-d", "--network", "blue", "-p", "80", "bb", "sleep", "1000"]).ok();
    }
    let among = bytes();
    println!("{alone} bytes alone, {among} bytes beside {NEIGHBOURS} neighbours");
    assert!(alone > 1000 && among <= alone + NEIGHBOURS * EACH, "{alone} bytes, beside {NEIGHBOURS} others {among}");
    let ids = engine.run(&["ps", "-q"]).ok();
    engine.run(&[&["rm", "-f"], &ids.lines().collect::<Vec<_>>()[..]].concat()).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}
