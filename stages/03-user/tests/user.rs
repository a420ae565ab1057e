//! Root inside, nobody special outside.

use std::{fs, os::unix::fs::MetadataExt};

use nix::unistd::{gethostname, sethostname};
use process::{Errno, Inside, Primitive};
use tests::container::{List, image, namespace, own_namespace, run, script_as_nobody, sh, shell, start};
use user::{IdRange, User};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-03-user");

fn range(inside: u32, outside: u32, count: u32) -> IdRange {
    IdRange { inside, outside, count }
}

fn map(pid: nix::unistd::Pid, file: &str) -> Vec<Vec<u32>> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    text.lines().map(|line| line.split_whitespace().map(|n| n.parse().unwrap()).collect()).collect()
}

#[test]
fn the_maps_are_those_asked_for() {
    let user = User::ranges(vec![range(0, 5000, 10), range(10, 7000, 1)], vec![range(0, 6000, 3)]);
    let mut running = start(vec![Box::new(user)], shell("id -u; id -g; id -G; echo ready; exec sleep 20")).unwrap();
    running.wait_for("0\n0\n0\nready");
    let pid = running.child.pid;
    assert_eq!(map(pid, "uid_map"), [[0, 5000, 10], [10, 7000, 1]]);
    assert_eq!(map(pid, "gid_map"), [[0, 6000, 3]]);
    assert_ne!(namespace(pid, "user"), own_namespace("user"));
    let outside = fs::metadata(format!("/proc/{pid}")).unwrap();
    assert_eq!((outside.uid(), outside.gid()), (5000, 6000));
}

#[test]
fn one_user_alone_may_not_change_groups() {
    let mut running = start(vec![Box::new(User::single())], shell("echo ready; exec sleep 20")).unwrap();
    running.wait_for("ready");
    let pid = running.child.pid;
    assert_eq!(map(pid, "uid_map"), [[0, 0, 1]]);
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/setgroups")).unwrap(), "deny\n");
}

#[test]
fn an_id_that_is_not_mapped_is_nobody_inside() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(5), Some(5)).unwrap();
    let ask = format!("stat -c '%u %g' {}", file.display());
    assert_eq!(sh(List::new(), &ask), "5 5\n");
    assert_eq!(sh(vec![Box::new(User::single())], &ask), "65534 65534\n");
}

/// Sets the host's name to what it is: harmless, and only root of the host may.
struct SetsHostName(std::ffi::OsString);

impl Primitive for SetsHostName {
    fn name(&self) -> &'static str {
        "attack"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        sethostname(&self.0)
    }
}

#[test]
fn root_inside_has_no_power_over_the_host() {
    let attack = || -> Box<dyn Primitive> { Box::new(SetsHostName(gethostname().unwrap())) };
    assert_eq!(run(vec![attack()], shell("true")).code, 0, "root of the host may");
    let error = start(vec![Box::new(User::single()), attack()], shell("true")).err().expect("root inside may not");
    assert_eq!((error.primitive, error.errno), ("attack", Errno::EPERM));
}

#[test]
fn the_binary_makes_an_ordinary_user_root_of_its_own_files_only() {
    let image = image();
    let ran =
        script_as_nobody(STAGE, image.path(), "id -u; id -g; touch /tmp/made; stat -c '%u %g' /tmp/made /etc/passwd");
    assert_eq!((ran.code, ran.out.as_str()), (0, "0\n0\n0 0\n65534 65534\n"));
    let made = fs::metadata(image.path().join("tmp/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (65534, 65534));
    assert_ne!(script_as_nobody(STAGE, image.path(), "echo x >> /etc/passwd").code, 0);
}
