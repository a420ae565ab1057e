//! No program brings new rights.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use chroot::Chroot;
use ids::Ids;
use no_new_privs::NoNewPrivs;
use process::Process;
use tempfile::TempDir;
use tests::container::{List, image, run, script_as_nobody, script_as_root, sh, shell, start, with_init};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-13-no-new-privs");

/// An image in which `su` is set-user-id, and root has no password.
fn hostile() -> TempDir {
    let image = image();
    fs::set_permissions(image.path().join("bin/busybox"), Permissions::from_mode(0o4755)).unwrap();
    fs::write(image.path().join("etc/passwd"), "root::0:0:root:/root:/bin/sh\nu:x:1000:1000::/:/bin/sh\n").unwrap();
    image
}

const ATTACK: &str = "su root -c 'id -u'";

#[test]
fn a_set_user_id_program_makes_nobody_root() {
    let image = hostile();
    let attack = |bit: bool| {
        let mut primitives: List = vec![Box::new(Ids { uid: 1000, gid: 1000, ..Ids::default() })];
        if bit {
            primitives.push(Box::new(NoNewPrivs));
        }
        run(vec![Box::new(Chroot::new(image.path()).unwrap())], Process { primitives, ..shell(ATTACK) })
    };
    let (before, after) = (attack(false), attack(true));
    assert_eq!((before.code, before.out.as_str()), (0, "0\n"), "without the bit");
    assert!(after.code != 0 && !after.out.contains('0'), "{after:?}");
}

#[test]
fn the_bit_is_set_and_inherited() {
    let script = "grep NoNewPrivs /proc/self/status; setsid sh -c 'grep NoNewPrivs /proc/self/status'";
    assert_eq!(sh(vec![Box::new(NoNewPrivs)], script), "NoNewPrivs:\t1\nNoNewPrivs:\t1\n");
    assert_eq!(sh(vec![], script), "NoNewPrivs:\t0\nNoNewPrivs:\t0\n");
}

#[test]
fn init_has_it_too() {
    let process = Process { primitives: vec![Box::new(NoNewPrivs)], ..shell("echo up; read x") };
    let mut running = start(vec![Box::new(pid::PidNamespace)], with_init(process)).unwrap();
    running.wait_for("up");
    let status = fs::read_to_string(format!("/proc/{}/status", running.child.pid)).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[test]
fn the_binary_keeps_its_user() {
    let image = hostile();
    let ran = script_as_root(STAGE, image.path(), &format!("id -u; {ATTACK} || exit 7"));
    assert!(ran.code == 7 && ran.out.starts_with("1000\r\n") && !ran.out.contains("\r\n0\r\n"), "{ran:?}");
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
