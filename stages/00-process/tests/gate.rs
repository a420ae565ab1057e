//! The child does nothing before the parent is ready, and does not outlive a parent that nobody could replace.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::fd::AsFd,
    path::PathBuf,
    process::{Command, Stdio},
};

use nix::{
    fcntl::{OFlag, open},
    poll::{PollFd, PollFlags, poll},
    sys::stat::Mode,
    unistd::Pid,
};
use process::{Child, Errno, Host, Inside, Primitive, Result, sys};
use tests::container::{command, run};

/// Makes a file in `enter`; `attach` looks whether it is there too early.
struct Marker {
    file: PathBuf,
}

fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

impl Primitive for Marker {
    fn name(&self) -> &'static str {
        "marker"
    }

    fn attach(&mut self, _: &mut Host, child: &Child) -> Result<()> {
        // It sleeps at the gate, or runs on and ends as a zombie: one of the two comes.
        while !matches!(state(child.pid), 'S' | 'Z') {
            std::thread::yield_now();
        }
        assert_eq!(state(child.pid), 'S', "the child waits");
        assert!(!self.file.exists(), "the child has not entered anything");
        Ok(())
    }

    fn enter(&self, _: &Inside) -> std::result::Result<(), Errno> {
        open(&self.file, OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::S_IRUSR).map(drop)
    }
}

#[test]
fn the_child_enters_nothing_before_every_attach_has_returned() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("entered");
    let list: Vec<Box<dyn Primitive>> =
        vec![Box::new(Marker { file: file.clone() }), Box::new(Marker { file: dir.path().join("second") })];
    assert_eq!(run(list, command(&["true"])).code, 0);
    assert!(file.exists(), "the child has entered in the end");
}

#[test]
fn a_program_of_the_foreground_dies_with_its_parent() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_stage-00-process"))
        .args(["/", "sh", "-c", "echo $$; exec sleep 20"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let child = sys::pidfd_open(Pid::from_raw(line.trim().parse().unwrap())).unwrap();
    parent.kill().unwrap();
    parent.wait().unwrap();
    let ended = poll(&mut [PollFd::new(child.as_fd(), PollFlags::POLLIN)], 10_000_u16);
    assert_eq!(ended, Ok(1), "the program ends, long before its 20 seconds are over");
}

#[test]
fn signals_to_the_foreground_reach_the_program() {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_stage-00-process"))
        .args(["/", "sh", "-c", "trap 'echo caught; exit 9' USR1; echo ready; sleep 20 >/dev/null & wait"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    assert_eq!(lines.next().as_deref(), Some("ready"));
    nix::sys::signal::kill(Pid::from_raw(parent.id().cast_signed()), nix::sys::signal::SIGUSR1).unwrap();
    assert_eq!(lines.next().as_deref(), Some("caught"));
    assert_eq!(parent.wait().unwrap().code(), Some(9));
}
