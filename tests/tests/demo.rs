//! The README's first command shows what it promises, wherever cargo puts its programs.

use std::{env, fs, os::unix::fs::symlink, path::Path, process::Command};

use tempfile::TempDir;

#[test]
fn the_demonstration_ends_with_nothing_left() {
    let test = env::current_exe().expect("the test's own path");
    let built = test.parent().and_then(Path::parent).expect("cargo puts tests into a directory of target/PROFILE");
    let target = TempDir::new().expect("make a temporary directory");
    fs::create_dir(target.path().join("release")).expect("mkdir");
    symlink(built.join("mini-docker"), target.path().join("release/mini-docker")).expect("symlink");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/demo.sh");
    let shown = Command::new("bash").arg(script).env("CARGO_TARGET_DIR", target.path()).output().expect("run bash");
    let (said, complaints) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    assert!(shown.status.success(), "{said}\n{complaints}");
    for line in ["hello from the web", "nothing stands that no container owns", "hello from a container"] {
        assert!(said.lines().any(|said| said == line), "no line {line:?} in:\n{said}\n{complaints}");
    }
}
