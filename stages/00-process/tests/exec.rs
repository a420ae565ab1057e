//! What the program starts with, and what is said where it cannot start.

use std::{
    ffi::OsStr,
    fs,
    os::{fd::AsRawFd, unix::fs::symlink},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::signal::{SigSet, Signal},
};
use process::{EXEC, Process, Program};
use tempfile::TempDir;
use tests::{
    container::{List, Running, command, run, shell, start, with_init},
    rootfs::write_program,
};

/// The error of a program that does not start: the same with and without an init before it.
fn refusal(process: impl Fn() -> Process) -> (&'static str, String, Errno) {
    let refused = |process| match start(List::new(), process) {
        Ok(running) => panic!("it started: {:?}", Running::finish(running)),
        Err(e) => (e.primitive, e.doing, e.errno),
    };
    let (plain, behind_init) = (refused(process()), refused(with_init(process())));
    assert_eq!(plain, behind_init);
    plain
}

fn found_in(path: &[&Path], name: &str) -> Process {
    let path = path.iter().map(|p| p.to_str().unwrap()).collect::<Vec<_>>().join(":");
    Process::new(Program::new([name], [format!("PATH={path}")]).unwrap())
}

#[test]
fn a_missing_program_is_enoent() {
    let expected = |name: &str| (EXEC, format!("execve({name:?})"), Errno::ENOENT);
    assert_eq!(refusal(|| command(&["/nonexistent/program"])), expected("/nonexistent/program"));
    assert_eq!(refusal(|| command(&["no-such-program-anywhere"])), expected("no-such-program-anywhere"));
    assert_eq!(refusal(|| command(&[""])), expected(""));
    assert_eq!(refusal(|| command(&[] as &[&str])), expected(""));
}

#[test]
fn a_program_without_the_right_to_execute_is_eacces() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("data");
    write_program(&file, "#!/bin/sh\n", 0o644);
    assert_eq!(refusal(|| command(&[file.as_os_str()])).2, Errno::EACCES);
    assert_eq!(refusal(|| command(&[dir.path().as_os_str()])).2, Errno::EACCES);
    assert_eq!(refusal(|| found_in(&[dir.path()], "data")).2, Errno::EACCES);
    // EACCES also where the search goes on: there was one, and that is what the user wants to know.
    let empty = TempDir::new().unwrap();
    assert_eq!(refusal(|| found_in(&[dir.path(), empty.path()], "data")).2, Errno::EACCES);
}

#[test]
fn other_refusals_keep_their_errno() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("program");
    write_program(&file, "not a program", 0o755);
    assert_eq!(refusal(|| command(&[file.as_os_str()])).2, Errno::ENOEXEC);
    assert_eq!(refusal(|| command(&[file.join("below").as_os_str()])).2, Errno::ENOTDIR);
    let circle = dir.path().join("circle");
    symlink(&circle, &circle).unwrap();
    assert_eq!(refusal(|| command(&[circle.as_os_str()])).2, Errno::ELOOP);
}

#[test]
fn the_search_takes_the_first_that_can_be_executed() {
    let dirs = [(); 3].map(|()| TempDir::new().unwrap());
    let [denied, first, second] = dirs.each_ref().map(TempDir::path);
    write_program(&denied.join("which-one"), "#!/bin/sh\necho denied\n", 0o644);
    write_program(&first.join("which-one"), "#!/bin/sh\necho first\n", 0o755);
    write_program(&second.join("which-one"), "#!/bin/sh\necho second\n", 0o755);
    let missing = Path::new("/nonexistent");
    assert_eq!(run(List::new(), found_in(&[missing, denied, first, second], "which-one")).out, "first\n");
    assert_eq!(run(List::new(), found_in(&[second, first], "which-one")).out, "second\n");
}

#[test]
fn a_name_with_a_slash_is_not_searched_for() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    write_program(&dir.path().join("sub/program"), "#!/bin/sh\n", 0o755);
    assert_eq!(refusal(|| found_in(&[dir.path()], "sub/program")).2, Errno::ENOENT);
}

#[test]
fn arguments_and_environment_arrive_as_given() {
    let long = "x".repeat(100_000);
    let environment = ["A=1".to_owned(), "EMPTY=".to_owned(), format!("LONG={long}")];
    let arguments = ["/usr/bin/env", "-0"].map(OsStr::new);
    let program = Program::new(arguments, &environment).unwrap();
    let ran = run(List::new(), Process::new(program));
    assert_eq!(ran.out.split_terminator('\0').collect::<Vec<_>>(), environment);
    let ran = run(List::new(), command(&["printf", "<%s>", "", "a b", "*", "ü"]));
    assert_eq!(ran.out, "<><a b><*><ü>");
}

#[test]
fn a_null_byte_is_refused_before_anything_happens() {
    assert!(Program::new(["a\0b"], [""; 0]).is_err());
    assert!(Program::new(["a"], ["A=\0"]).is_err());
}

#[test]
fn no_descriptor_beyond_the_standard_streams_gets_in() {
    let leak = fs::File::open("/").unwrap();
    fcntl(&leak, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    assert!(leak.as_raw_fd() >= 3);
    for process in [command(&["ls", "/proc/self/fd"]), with_init(command(&["ls", "/proc/self/fd"]))] {
        // The fourth is ls's own, of the directory that it reads.
        assert_eq!(run(List::new(), process).out, "0\n1\n2\n3\n");
    }
}

#[test]
fn an_init_keeps_no_descriptor_of_its_makers() {
    let leak = fs::File::open("/").unwrap();
    fcntl(&leak, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut running = start(List::new(), with_init(shell("echo ready; sleep 20"))).unwrap();
    running.wait_for("ready");
    let fds = fs::read_dir(format!("/proc/{}/fd", running.child.pid)).unwrap();
    let mut fds: Vec<_> = fds.map(|fd| fd.unwrap().file_name().into_string().unwrap()).collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2"]);
}

#[test]
fn signals_are_as_a_program_expects_them() {
    // Rust's runtime ignores SIGPIPE; the mask is this thread's, which makes the clone.
    let mut blocked = SigSet::empty();
    blocked.add(Signal::SIGUSR1);
    blocked.add(Signal::SIGTERM);
    blocked.thread_block().unwrap();
    let own = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_ne!(field(&own, "SigBlk"), 0, "the test has blocked signals");
    assert_ne!(field(&own, "SigIgn"), 0, "the test ignores SIGPIPE");
    for process in [command(&["cat", "/proc/self/status"]), with_init(command(&["cat", "/proc/self/status"]))] {
        let status = run(List::new(), process).out;
        assert_eq!(field(&status, "SigBlk"), 0);
        assert_eq!(field(&status, "SigIgn"), 0);
    }
}

#[test]
fn an_ignored_real_time_signal_is_reset_too() {
    let ignoring = std::process::Command::new("timeout")
        .args(["20", "env", "--ignore-signal=PIPE,RTMIN,RTMAX", env!("CARGO_BIN_EXE_stage-00-process"), "/"])
        .args(["cat", "/proc/self/status"])
        .output()
        .unwrap();
    assert_eq!(field(&String::from_utf8(ignoring.stdout).unwrap(), "SigIgn"), 0);
}

fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}
