//! A session, and a terminal of the container's own.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::Instant,
};

use mount::{Mounts, default_table};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::wait::{WaitPidFlag, waitpid},
};
use pid::PidNamespace;
use process::{Child, Container, Host, Journal, Process, spawn, sys};
use tests::container::{List, image, run, script_as_nobody, script_as_root, shell, start, with_init};
use tty::{Session, Terminal};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-10-tty");

fn list(root: &Path) -> List {
    vec![Box::new(PidNamespace), Box::new(Mounts::new(root, default_table(64 << 20)).unwrap())]
}

/// A container on its terminal, and this test on the other end.
struct OnTerminal {
    child: Child,
    controller: File,
    said: String,
}

impl OnTerminal {
    fn start(root: &Path, size: Option<(u16, u16)>, script: &str) -> Self {
        Self::start_process(root, size, shell(script))
    }

    fn start_process(root: &Path, size: Option<(u16, u16)>, process: Process) -> Self {
        let mut process = Process { primitives: vec![Box::new(Terminal { size, console: true })], ..process };
        let mut host = Host::new(Journal::in_memory());
        let mut child = spawn(&mut Container(list(root)), &mut process, &mut host).unwrap();
        let controller: OwnedFd = child.take_descriptor(process::TERMINAL).expect("a terminal");
        Self { child, controller: controller.into(), said: String::new() }
    }

    /// One more piece; false when the program's end is closed.
    fn read(&mut self, end: Instant) -> bool {
        let left = PollTimeout::try_from(end.saturating_duration_since(Instant::now())).unwrap();
        let ready = poll(&mut [PollFd::new(self.controller.as_fd(), PollFlags::POLLIN)], left).unwrap();
        assert_eq!(ready, 1, "it hangs after {:?}", self.said);
        let mut buffer = [0; 4096];
        match self.controller.read(&mut buffer) {
            Ok(length) => {
                self.said.push_str(&String::from_utf8_lossy(&buffer[..length]));
                length > 0
            }
            // EIO: nobody has the other end open.
            Err(e) if e.kind() == ErrorKind::Interrupted => true,
            Err(_) => false,
        }
    }

    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + tests::patience(20);
        while !self.said.contains(text) {
            assert!(self.read(end), "it ended without {text:?}: {:?}", self.said);
        }
    }

    /// What it said, with the terminal's line ends as newlines, and its exit code.
    fn finish(mut self) -> (String, i32) {
        let end = Instant::now() + tests::patience(20);
        while self.read(end) {}
        let code = sys::wait_exit(self.child.pidfd.as_fd()).unwrap();
        (self.said.replace("\r\n", "\n"), code)
    }
}

#[test]
fn the_program_has_the_container_s_first_terminal() {
    let image = image();
    let script = "tty; stty size; stty -F /dev/console size; stty -F /dev/tty size; ls -1 /dev/pts; exit 7";
    let ran = OnTerminal::start(image.path(), Some((33, 77)), script).finish();
    assert_eq!(ran, ("/dev/pts/0\n33 77\n33 77\n33 77\n0\nptmx\n".to_owned(), 7));
    let without = run(list(image.path()), shell("tty"));
    assert!(without.code != 0 && without.out == "not a tty\n", "{without:?}");
}

#[test]
fn a_new_size_arrives_with_sigwinch() {
    let image = image();
    let script = "trap 'stty size; exit' WINCH; echo ready; sleep 20 & wait";
    let mut running = OnTerminal::start(image.path(), Some((24, 80)), script);
    running.wait_for("ready");
    sys::set_window_size(running.controller.as_fd(), (10, 20)).unwrap();
    assert_eq!(running.finish().0, "ready\n10 20\n");
}

#[test]
fn the_interrupt_key_is_a_signal_inside() {
    let image = image();
    let mut running =
        OnTerminal::start(image.path(), None, "trap 'echo; echo caught; exit 5' INT; echo ready; sleep 20 & wait");
    running.wait_for("ready");
    running.controller.write_all(b"\x03").unwrap();
    let (said, code) = running.finish();
    assert!(code == 5 && said.ends_with("caught\n"), "{said:?} {code}");
}

/// The terminal signals init and the program; init passes on only what it alone was sent.
#[test]
fn a_key_is_one_signal_with_an_init_too() {
    let image = image();
    let script = "n=0; trap 'n=$((n+1)); echo got $n' INT; trap 'echo $n in all; exit' USR1; echo ready; \
                  sleep 20 & while :; do wait; done";
    let mut running = OnTerminal::start_process(image.path(), None, with_init(shell(script)));
    running.wait_for("ready");
    // Until the program has taken the signal init stands still: two that wait are one.
    sys::pidfd_send_signal(running.child.pidfd.as_fd(), nix::libc::SIGSTOP).unwrap();
    waitpid(running.child.pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    running.controller.write_all(b"\x03").unwrap();
    running.wait_for("got 1");
    sys::pidfd_send_signal(running.child.pidfd.as_fd(), nix::libc::SIGCONT).unwrap();
    // Init takes signals in the order of their numbers: a key's comes before this one.
    sys::pidfd_send_signal(running.child.pidfd.as_fd(), nix::libc::SIGUSR1).unwrap();
    let (said, _) = running.finish();
    assert!(said.ends_with("1 in all\n"), "{said:?}");
}

#[test]
fn what_is_typed_is_the_program_s_input() {
    let image = image();
    let mut running = OnTerminal::start(image.path(), None, "stty -echo; echo ready; read line; echo \"<$line>\"");
    running.wait_for("ready");
    running.controller.write_all(b"typed\n").unwrap();
    assert_eq!(running.finish().0, "ready\n<typed>\n");
}

#[test]
fn the_end_of_its_keeper_hangs_the_terminal_up() {
    let image = image();
    let mut running =
        OnTerminal::start(image.path(), None, "trap 'exit 9' HUP; echo ready; sleep 20 >/dev/null & wait");
    running.wait_for("ready");
    let OnTerminal { child, controller, .. } = running;
    drop(controller);
    assert_eq!(sys::wait_exit(child.pidfd.as_fd()), Ok(9));
}

/// Session and controlling terminal (0: none) of a process: proc_pid_stat(5).
fn session(pid: impl std::fmt::Display) -> (i32, i32) {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<i32> =
        stat.rsplit_once(") ").unwrap().1.split(' ').skip(1).take(4).map(|n| n.parse().unwrap()).collect();
    (fields[2], fields[3])
}

#[test]
fn a_session_is_the_program_s_own_and_has_no_terminal() {
    let ready = || shell("echo ready; exec sleep 20");
    let mut inside = start(List::new(), Process { primitives: vec![Box::new(Session)], ..ready() }).unwrap();
    inside.wait_for("ready");
    assert_eq!(session(inside.child.pid), (inside.child.pid.as_raw(), 0));
    let mut without = start(List::new(), ready()).unwrap();
    without.wait_for("ready");
    assert_eq!(session(without.child.pid), session("self"));
}

#[test]
fn the_binary_works_without_root_and_without_a_terminal() {
    let image = image();
    let ran = script_as_nobody(STAGE, image.path(), "tty; exit 7");
    assert_eq!((ran.code, ran.out.as_str()), (7, "/dev/pts/0\r\n"));
}

#[test]
fn all_output_arrives_before_the_exit_code() {
    let image = image();
    let ran = script_as_root(STAGE, image.path(), "seq 20000; exit 3");
    assert_eq!(ran.code, 3);
    assert_eq!(ran.out.lines().count(), 20000);
    assert!(ran.out.ends_with("\n20000\r\n"));
}

#[test]
fn what_nobody_reads_holds_nothing_up() {
    let image = image();
    // More than a terminal keeps, and an end at once.
    let lines = image.path().join("lines");
    fs::write(&lines, "x\n".repeat(100_000)).unwrap();
    let much = File::open(&lines).unwrap();
    let mut command = std::process::Command::new("timeout");
    let status = command
        .args(["--kill-after=5", "60", STAGE])
        .arg(image.path())
        .args(["sh", "-c", "exit 5"])
        .stdin(much)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(5), "124: it hung");
}
