//! What a start costs in system calls, which unlike its time are the same on every machine.

use std::{fs, process::Command};

use tests::engine::Engine;

/// Calls of command, monitor, the container's first process and its program together, from start to end. There were 784
/// when this was written; what comes on top of each start has to be worth it.
const MOST: u64 = 900;

#[test]
fn a_start_makes_no_more_system_calls_than_it_did() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    // The first one makes what stays.
    engine.run(&["run", "--rm", "--network", "none", "bb", "true"]).ok();
    let (table, run) = (engine.path("calls"), engine.command(&["run", "--rm", "--network", "none", "bb", "true"]));
    let mut traced = Command::new("strace");
    traced.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(&table).arg(run.get_program()).args(run.get_args());
    traced.env("MINI_DOCKER_ROOT", engine.root());
    assert!(traced.status().expect("strace of the package strace").success());
    let table = fs::read_to_string(&table).expect("strace's table");
    let counts = table.lines().filter_map(|line| {
        let (calls, name) = line.trim().split_once(' ')?;
        Some((calls.parse::<u64>().ok()?, name.trim()))
    });
    // Unoptimised, the standard library asks of each descriptor whether it is open.
    let sum: u64 = counts.filter(|(_, name)| !matches!(*name, "total" | "fcntl")).map(|(calls, _)| calls).sum();
    println!("{sum} system calls");
    assert!((100..=MOST).contains(&sum), "{sum} system calls, at most {MOST} are allowed:\n{table}");
}
