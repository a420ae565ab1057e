//! What a container wrote, and what of that `logs` shows.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    engine::{Engine, eventually, output},
    leaks,
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn follow(engine: &Engine, arguments: &[&str]) -> Child {
    let mut command: Command = engine.command(&[&["logs", "-f"], arguments].concat());
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn one_who_follows_sees_all_to_the_end() {
    let engine = engine();
    let script = "echo one; while ! test -e /go; do sleep 0.01; done; seq 1 20000; printf end";
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", script]).ok();
    let mut child = follow(&engine, &["c1"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    assert_eq!(first, "one\n");
    engine.run(&["exec", "c1", "touch", "/go"]).ok();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 20_001);
    assert!(rest.ends_with("20000\nend"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(engine.run(&["logs", "-f", "-n", "1", "c1"]).ok(), "end", "what has ended is not followed");
}

#[test]
fn one_who_follows_outlives_restarts_monitors_and_removal() {
    let engine = engine();
    let script = "echo again; sleep 0.1; exit 1";
    engine.run(&["run", "-d", "--name", "c1", "--restart", "on-failure:3", "bb", "sh", "-c", script]).ok();
    let followed = follow(&engine, &["c1"]).wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&followed.stdout), "again\n".repeat(4));

    engine.run(&["run", "-d", "--name", "c2", "--rm", "bb", "sh", "-c", "echo x; sleep 1000"]).ok();
    let mut child = follow(&engine, &["c2"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "x");
    let root = engine.root().canonicalize().unwrap();
    let monitor = leaks::monitors(&root).into_iter().find(|pid| *pid != child.id() as i32).unwrap();
    kill(Pid::from_raw(monitor), Signal::SIGKILL).unwrap();
    engine.run(&["kill", "c2"]).ok();
    assert!(lines.next().is_none());
    child.wait().unwrap();
}

#[test]
fn times_choose_lines() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "echo one; sleep 0.3; echo two"]);
    let stamped = engine.run(&["logs", "-t", "c1"]).ok();
    let times: Vec<&str> = stamped.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(times.iter().all(|time| time.len() == "2026-01-02T03:04:05.123456789Z".len()), "{stamped}");
    assert_eq!(engine.run(&["logs", "--since", times[1], "c1"]).ok(), "two\n");
    assert_eq!(engine.run(&["logs", "--until", times[0], "c1"]).ok(), "one\n");
    assert_eq!(engine.run(&["logs", "--since", "1h", "c1"]).ok(), "one\ntwo\n");
    assert_eq!(engine.run(&["logs", "--since", "2100-01-01", "c1"]).ok(), "");
    assert_eq!(engine.run(&["logs", "--until", "1h", "c1"]).ok(), "");
    assert_eq!(engine.run(&["logs", "-f", "--until", "0s", "c1"]).ok(), "one\ntwo\n");
    assert!(engine.run(&["logs", "--since", "x", "c1"]).refused(1).contains("invalid time"));
}

#[test]
fn long_lines_and_bytes_come_back_whole() {
    let engine = engine();
    let script = "head -c 50000 /dev/zero | tr '\\0' =; echo; head -c 100000 /dev/urandom >/r; cat /r";
    let Output { stdout, .. } = output(engine.command(&["run", "--name", "c1", "bb", "sh", "-c", script]), b"");
    let logged = output(engine.command(&["logs", "c1"]), b"").stdout;
    assert!(stdout == logged, "{} bytes and {}", stdout.len(), logged.len());
    let stamped = output(engine.command(&["logs", "-t", "c1"]), b"").stdout;
    let line = stamped.split(|&byte| byte == b'\n').next().unwrap();
    assert_eq!(line.len(), 50_000 + "2026-01-02T03:04:05.123456789Z ".len(), "one time a line");
}

#[test]
fn logs_take_no_more_room_than_they_may() {
    let engine = engine();
    let id = engine
        .run(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--log-opt",
            "max-size=100k",
            "--log-opt",
            "max-file=2",
            "bb",
            "seq",
            "1",
            "100000",
        ])
        .ok();
    engine.run(&["wait", "c1"]).ok();
    let directory = engine.root().join("containers").join(id.trim_end());
    let sizes: Vec<u64> = ["log.json", "log.json.1", "log.json.2"]
        .iter()
        .filter_map(|name| Some(fs::metadata(directory.join(name)).ok()?.len()))
        .collect();
    assert_eq!(sizes.len(), 2);
    // Never more at once than what a pipe holds.
    assert!(sizes.iter().sum::<u64>() <= 2 * 102_400 + (64 << 10), "{sizes:?}");
    assert_eq!(engine.run(&["logs", "--tail", "2", "c1"]).ok(), "99999\n100000\n");
    assert!(engine.run(&["run", "--log-opt", "nosuch=x", "bb", "true"]).refused(125).contains("max-size"));
    assert!(engine.run(&["run", "--log-driver", "syslog", "bb", "true"]).refused(125).contains("syslog"));
}

#[test]
fn without_a_driver_there_is_no_log() {
    let engine = engine();
    assert_eq!(engine.run(&["run", "--name", "c1", "--log-driver", "none", "bb", "echo", "hi"]).ok(), "hi\n");
    assert!(engine.run(&["logs", "c1"]).refused(1).contains("does not support reading"));
}

#[test]
fn a_reader_who_stalls_holds_up_the_others_for_a_while_only() {
    let engine = engine();
    let script = "read x; head -c 8000000 /dev/zero; echo; echo done";
    engine.run(&["run", "-d", "-i", "--name", "c1", "bb", "sh", "-c", script]).ok();
    let mut stalled = engine.command(&["attach", "--no-stdin", "c1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut reads = engine.command(&["attach", "c1"]);
    let mut reads = reads.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let root = engine.root().canonicalize().unwrap();
    eventually("both are there", || leaks::monitors(&root).len() == 3);
    std::thread::sleep(std::time::Duration::from_millis(300));
    std::io::Write::write_all(&mut reads.stdin.take().unwrap(), b"go\n").unwrap();
    let output = reads.wait_with_output().unwrap();
    assert!(output.stdout.ends_with(b"\ndone\n"), "{} bytes", output.stdout.len());
    assert_eq!(engine.run(&["wait", "c1"]).ok(), "0\n");
    stalled.kill().unwrap();
    stalled.wait().unwrap();
}

#[test]
fn details_are_what_the_options_name() {
    let engine = engine();
    let options = ["labels=a,b", "labels-regex=^x", "env=E", "env-regex=F$", "tag={{.Name}}/{{ .ImageName }}"];
    let options: Vec<_> = options.iter().flat_map(|option| ["--log-opt", option]).collect();
    let own = ["--label", "a=1,2", "--label", "xy=3", "--label", "no=4", "-e", "E=5", "-e", "DF=6", "-e", "G=7"];
    engine.run(&[&["run", "--name", "c1"][..], &options, &own, &["bb", "echo", "hello"]].concat()).ok();
    assert_eq!(engine.run(&["logs", "c1"]).ok(), "hello\n");
    assert_eq!(engine.run(&["logs", "--details", "c1"]).ok(), "DF=6,E=5,a=1%2C2,tag=c1%2Fbb,xy=3 hello\n");
    for (option, why) in
        [("tag={{.Nope}}", "its fields are ID"), ("tag={{.ID", "no end"), ("env-regex=(", "env-regex=(: ")]
    {
        let error = engine.run(&["create", "--log-opt", option, "bb"]).refused(1);
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn turned_files_are_compressed_and_read_all_the_same() {
    let engine = engine();
    let options = ["--log-opt", "max-size=8k", "--log-opt", "max-file=3", "--log-opt", "compress=true"];
    let script = "echo first; while ! test -e /go; do sleep 0.01; done; seq 1 5000; sleep 1000";
    engine.run(&[&["run", "-d", "--name", "c1"], &options[..], &["bb", "sh", "-c", script]].concat()).ok();
    let mut child = follow(&engine, &["c1"]);
    engine.run(&["exec", "c1", "touch", "/go"]).ok();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let seen: Vec<_> = lines.by_ref().take(5001).collect();
    assert_eq!(
        (seen[0].as_str(), seen[200].as_str()),
        ("first", "200"),
        "who follows misses nothing, and sees nothing twice"
    );
    let path = engine.run(&["inspect", "-f", "{{.LogPath}}", "c1"]).ok();
    let packed = |turns| fs::read(format!("{}.{turns}.gz", path.trim_end())).unwrap();
    assert!([1, 2].iter().all(|turns| packed(*turns).starts_with(&[0x1f, 0x8b])));
    let kept = engine.run(&["logs", "c1"]).ok();
    let numbers: Vec<u32> = kept.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.len() > 100 && numbers.windows(2).all(|pair| pair[1] == pair[0] + 1) && numbers.ends_with(&[5000]));
    let last: Vec<_> = numbers[numbers.len() - 100..].iter().map(|number| format!("{number}\n")).collect();
    assert_eq!(engine.run(&["logs", "-n", "100", "c1"]).ok(), last.concat());
    engine.run(&["rm", "-f", "c1"]).ok();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn attach_needs_a_terminal_where_the_container_has_one() {
    let engine = engine();
    engine.run(&["run", "-dt", "--name", "c1", "bb", "sh", "-c", "read line; sleep 1000"]).ok();
    assert!(engine.run(&["attach", "c1"]).refused(1).contains("the input device is not a TTY"));
    assert_eq!(engine.run(&["run", "--rm", "-t", "bb", "echo", "x"]).ok(), "x\r\n");
}
