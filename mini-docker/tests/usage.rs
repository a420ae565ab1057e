//! What containers are seen to do: `top` and `stats`.

use tests::engine::{Engine, eventually};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// Lines of cells, the heading first.
fn cells(table: &str) -> Vec<Vec<&str>> {
    table.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn top_shows_the_containers_processes_by_their_pids_on_the_host() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", "sleep 777 & exec sleep 888"]).ok();
    engine.run(&["run", "-d", "--name", "other", "bb", "sleep", "999"]).ok();
    let pid = engine.inspect("c1")["State"]["Pid"].to_string();
    eventually("both run", || engine.run(&["top", "c1"]).ok().matches("sleep").count() == 2);
    let top = engine.run(&["top", "c1"]).ok();
    let lines = cells(&top);
    assert_eq!(lines[0], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert_eq!((lines[1][0], lines[1][1], &lines[1][7..]), ("root", pid.as_str(), &["sleep", "888"][..]));
    assert_eq!((lines[2][2], &lines[2][7..]), (pid.as_str(), &["sleep", "777"][..]));
    assert_eq!(lines.len(), 3, "{top}");
    let columns = engine.run(&["top", "c1", "-o", "pid,user,args"]).ok();
    assert_eq!(cells(&columns)[1], [&pid, "root", "sleep", "888"]);
    assert!(engine.run(&["container", "top", "c1", "aux"]).ok().starts_with("USER"));
    engine.run(&["top", "c1", "-o", "user"]).refused(1);
    engine.run(&["pause", "c1"]).ok();
    assert_eq!(cells(&engine.run(&["top", "c1"]).ok()).len(), 3, "who stands still is there");
    engine.run(&["unpause", "c1"]).ok();
    engine.run(&["kill", "c1"]).ok();
    engine.run(&["wait", "c1"]).ok();
    assert!(engine.run(&["top", "c1"]).refused(1).contains("not running"));
    engine.run(&["top", "nosuch"]).refused(1);
}

#[test]
fn stats_shows_what_is_used_and_what_of() {
    let engine = engine();
    engine.run(&["run", "-d", "--name", "c1", "-m", "64m", "bb", "sh", "-c", "while :; do :; done"]).ok();
    engine.run(&["run", "-d", "--name", "c2", "bb", "sleep", "999"]).ok();
    let format = "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}";
    let stats = engine.run(&["stats", "--no-stream", "--format", format]).ok();
    let lines = cells(&stats);
    assert_eq!((lines.len(), lines[0][0], lines[1][0]), (2, "c2", "c1"), "{stats}");
    assert_eq!((lines[1][4], lines[1][5], lines[0][5]), ("64MiB", "1", "1"), "{stats}");
    let percent = |line: &[&str]| line[1].trim_end_matches('%').parse::<f64>().unwrap();
    assert!(percent(&lines[1]) > percent(&lines[0]), "{stats}");
    let table = engine.run(&["stats", "--no-stream", "c2"]).ok();
    assert!(table.starts_with("CONTAINER ID   NAME      CPU %     MEM USAGE / LIMIT"), "{table}");
    engine.run(&["kill", "c2"]).ok();
    engine.run(&["wait", "c2"]).ok();
    // By name: an id may have a c and a 2 in it.
    let format = "{{.Name}} {{.MemUsage}}";
    assert!(!engine.run(&["stats", "--no-stream", "--format", format]).ok().contains("c2"));
    let all = engine.run(&["stats", "-a", "--no-stream", "--format", format]).ok();
    assert!(all.lines().any(|line| line == "c2 0B / 0B"), "{all}");
    engine.run(&["stats", "--no-stream", "nosuch"]).refused(1);
}
