//! What a user may do in a part of the v2 tree that was given to him, and what the tree's rules forbid everybody.

use std::{
    env, fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cgroup::{Cgroup, Controller, Hierarchies, Limits, Version};
use process::{Errno, cgroupfs};
use tests::{
    cgroups,
    container::{run, shell, start},
};

const NOBODY: u32 = 65534;
const PLACE: &str = "MINI_DOCKER_TEST_DELEGATED";

/// The v2 mount, where it has the controller; it gives it to cgroups below.
fn v2() -> Option<PathBuf> {
    let hierarchies = Hierarchies::find().unwrap();
    let Some(found) = hierarchies.of(Controller::Pids).filter(|found| found.version == Version::V2) else {
        eprintln!("skipped: the controller pids is not one of v2 here; make test-vm runs it where it is");
        return None;
    };
    fs::write(found.mount.join("cgroup.subtree_control"), "+pids").unwrap();
    Some(found.mount.clone())
}

fn limits() -> Limits {
    Limits { pids: Some(10), ..Limits::default() }
}

fn directory(mount: &Path, path: &Path) -> PathBuf {
    mount.join(path.strip_prefix("/").unwrap())
}

#[test]
fn a_parent_with_processes_of_its_own_is_refused_with_the_rule() {
    let Some(mount) = v2() else { return };
    let parent = cgroups::name();
    let parent_directory = directory(&mount, &parent);
    fs::create_dir(&parent_directory).unwrap();
    let mut sleeper = Command::new("sleep").arg("20").spawn().unwrap();
    fs::write(parent_directory.join("cgroup.procs"), sleeper.id().to_string()).unwrap();
    let cgroup = Cgroup::new(&parent.join("x"), limits(), &[]).unwrap();
    let error = start(vec![Box::new(cgroup)], shell("true")).err().expect("the kernel refuses");
    // For mere accounting it is no obstacle.
    let accounting = Cgroup::new(&parent.join("y"), Limits::default(), &[Controller::Pids]).unwrap();
    let ran = run(vec![Box::new(accounting)], shell("exit 3"));
    cgroupfs::remove(&parent_directory).unwrap();
    sleeper.wait().unwrap();
    assert_eq!(error.errno, Errno::EBUSY);
    assert!(error.to_string().contains("1 processes of its own") && error.to_string().contains("internal"), "{error}");
    assert_eq!(ran.code, 3);
}

/// The test below runs this as another user.
#[test]
fn as_a_user() {
    let Some(place) = env::var_os(PLACE) else { return };
    let inside = Path::new(&place).join("container");
    let cgroup = Cgroup::new(&inside, limits(), &[]).unwrap();
    let script = "for i in $(seq 20); do sleep 5 > /dev/null 2>&1 & done";
    let ran = run(vec![Box::new(cgroup)], shell(script));
    assert!(ran.code != 0 && ran.out.contains("fork"), "{ran:?}");
    assert!(cgroups::directories(&inside).is_empty());
    let elsewhere = Cgroup::new(&cgroups::name(), limits(), &[]).unwrap();
    let error = start(vec![Box::new(elsewhere)], shell("true")).err().expect("the root is not his");
    assert!(error.errno == Errno::EACCES && error.to_string().contains("Delegate=yes"), "{error}");
    println!("as a user: done");
}

#[test]
fn a_user_limits_his_containers_where_he_was_given_a_part_of_the_tree() {
    let Some(mount) = v2() else { return };
    let place = cgroups::name();
    let top = directory(&mount, &place);
    // His own processes stand in a cgroup below, or the rule of the test above would hold.
    let own = top.join("own");
    fs::create_dir_all(&own).unwrap();
    for directory in [&top, &own] {
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(directory.join(file), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let copy = tempfile::tempdir().unwrap();
    let program = copy.path().join("test");
    tests::rootfs::copy_program(env::current_exe().unwrap(), &program);
    for path in [copy.path(), &program] {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let said = as_nobody(&own, &program, &place);
    cgroupfs::remove(&top).unwrap();
    let said = said.unwrap();
    assert!(said.contains("as a user: done"), "{said}");
}

/// In the cgroup `own`, which root puts it into: it cannot come from outside by itself.
fn as_nobody(own: &Path, program: &Path, place: &Path) -> std::io::Result<String> {
    let mut child = Command::new("sh")
        .args(["-c", "read go; exec \"$0\" --exact as_a_user --nocapture"])
        .arg(program)
        .env(PLACE, place)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    fs::write(own.join("cgroup.procs"), child.id().to_string())?;
    drop(child.stdin.take());
    let output = child.wait_with_output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}
