//! The stage's own program, and its primitive: what is made, what is removed, and what is not.

mod common;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use common::Maker;
use process::{Container, Host, Journal, Primitive, Process, Program, Undo};
use rootfs::Rootfs;
use tempfile::TempDir;

fn stage(folder: &Path, arguments: &[&str]) -> Output {
    // At run time: a shell between cargo and the compiler drops variables with a dash in their name.
    let program = std::env::var_os("CARGO_BIN_EXE_stage-01-rootfs").expect("set by cargo");
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).env("TMPDIR", folder.join("tmp")).output().expect("the program")
}

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary directory");
    fs::create_dir(folder.path().join("tmp")).expect("mkdir");
    let archive = Maker::default().file("etc/motd", b"hello from the root\n").end();
    fs::write(folder.path().join("rootfs.tar"), archive).expect("write");
    fs::write(folder.path().join("bad.tar"), Maker::default().file("../x", b"").end()).expect("write");
    folder
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn a_command_starts_in_the_tree_which_vanishes() {
    let folder = folder();
    let ran = stage(folder.path(), &["rootfs.tar", "cat", "etc/motd"]);
    assert_eq!((text(&ran.stdout), ran.status.code()), ("hello from the root\n", Some(0)), "{}", text(&ran.stderr));
    assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("readdir").count(), 0);
    // Not a root yet.
    let ran = stage(folder.path(), &["rootfs.tar", "test", "-e", "/etc/motd/../../proc"]);
    assert!(ran.status.success() || Path::new("/etc/motd").exists());
    assert_eq!(stage(folder.path(), &["rootfs.tar", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(stage(folder.path(), &["rootfs.tar", "no-such-program"]).status.code(), Some(127));
}

#[test]
fn nobody_else_enters_the_tree() {
    let folder = folder();
    let ran = stage(folder.path(), &["rootfs.tar", "stat", "-c", "%a", ".."]);
    assert_eq!(text(&ran.stdout), "700\n", "{}", text(&ran.stderr));
}

#[test]
fn an_attack_ends_before_the_command() {
    let folder = folder();
    let ran = stage(folder.path(), &["bad.tar", "echo", "running"]);
    assert_eq!((text(&ran.stdout), ran.status.code()), ("", Some(125)));
    assert!(text(&ran.stderr).contains("`..`"), "{}", text(&ran.stderr));
    assert_eq!(fs::read_dir(folder.path().join("tmp")).expect("readdir").count(), 0);
    let ran = stage(folder.path(), &["missing.tar", "true"]);
    assert!(text(&ran.stderr).contains("rootfs-fetch.sh"), "{}", text(&ran.stderr));
}

#[test]
fn only_a_directory_of_its_own_is_journaled() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let prepare = |directory: &str| {
        let mut host = Host::new(Journal::in_memory());
        let prepared = Rootfs::new(&path("rootfs.tar"), &path(directory)).prepare(&mut host);
        (prepared, host.journal.entries().to_vec())
    };
    let (prepared, undo) = prepare("new");
    prepared.expect("prepare");
    assert_eq!(undo, [Undo::RemoveTree(path("new"))]);
    assert!(path("new/etc/motd").is_file());

    let (prepared, undo) = prepare("new");
    let error = prepared.expect_err("not empty").to_string();
    assert!(error.contains("ENOTEMPTY") && error.contains("empty or not there"), "{error}");
    assert_eq!(undo, []);

    fs::create_dir(path("empty")).expect("mkdir");
    let (prepared, undo) = prepare("empty");
    prepared.expect("prepare");
    assert_eq!(undo, []);

    let (prepared, undo) = prepare("no/parent");
    prepared.expect_err("no parent");
    assert_eq!(undo, []);
}

#[test]
fn a_failed_start_takes_the_tree_back() {
    let folder = folder();
    let directory = folder.path().join("root");
    for archive in ["bad.tar", "rootfs.tar"] {
        let rootfs = Rootfs::new(&folder.path().join(archive), &directory);
        let mut host = Host::new(Journal::in_memory());
        let program = Program::new(["/no/such/program"], ["A=B"]).expect("a program");
        process::spawn(&mut Container(vec![Box::new(rootfs)]), &mut Process::new(program), &mut host)
            .expect_err("fails");
        assert!(!directory.exists(), "{archive}");
    }
}
