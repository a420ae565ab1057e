//! System V IPC of the container's own.

use std::process::Command;

use ipc::Ipc;
use tests::container::{List, image, namespace, own_namespace, script_as_nobody, sh, shell, start};

/// A segment of shared memory of the host.
struct Segment(String);

impl Segment {
    fn new() -> Self {
        let made = Command::new("ipcmk").args(["-M", "4096"]).output().expect("ipcmk (util-linux)");
        let text = String::from_utf8(made.stdout).unwrap();
        Self(text.rsplit(' ').next().unwrap().trim().to_owned())
    }

    /// Whether the container sees it.
    fn is_seen_in(&self, list: List) -> bool {
        let table = sh(list, "cat /proc/sysvipc/shm");
        table.lines().any(|line| line.split_whitespace().nth(1) == Some(&self.0))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Says that it has gone, where a test has removed it.
        let _ = Command::new("ipcrm").args(["-m", &self.0]).output();
    }
}

#[test]
fn shared_memory_of_the_host_is_not_there() {
    let segment = Segment::new();
    assert!(segment.is_seen_in(List::new()), "without the stage it is");
    assert!(!segment.is_seen_in(vec![Box::new(Ipc)]));
}

#[test]
fn root_inside_cannot_remove_it() {
    let segment = Segment::new();
    let attack = format!("ipcrm -m {} 2>/dev/null; true", segment.0);
    sh(vec![Box::new(Ipc)], &attack);
    assert!(segment.is_seen_in(List::new()), "the attack failed");
    sh(List::new(), &attack);
    assert!(!segment.is_seen_in(List::new()), "without the stage it succeeds");
}

#[test]
fn the_namespace_is_another() {
    let mut running = start(vec![Box::new(Ipc)], shell("echo ready; exec sleep 20")).unwrap();
    running.wait_for("ready");
    assert_ne!(namespace(running.child.pid, "ipc"), own_namespace("ipc"));
}

#[test]
fn the_binary_works_without_root() {
    let image = image();
    assert_eq!(script_as_nobody(env!("CARGO_BIN_EXE_stage-06-ipc"), image.path(), "exit 7").code, 7);
}
