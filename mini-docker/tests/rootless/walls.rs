//! That others on the machine reach nothing of an ordinary user's.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
};

use tests::{
    engine::{output, said},
    ordinary_user::OrdinaryUser,
};

use crate::{BINARY, RUN, user};

#[test]
fn attack_a_set_user_id_file_in_a_layer() {
    let user = user();
    let script = "cp /bin/busybox /tmp/shell && chmod 4755 /tmp/shell";
    user.run(&["run", "--network", "none", "--name", "one", "bb:latest", "sh", "-c", script]).ok();
    let container = user.run(&["inspect", "-f", "{{.Id}}", "one"]).ok();
    let shell = user.store().join("containers").join(container.trim()).join("upper/tmp/shell");
    let found = fs::metadata(&shell).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o7777), (user.uid, 0o4755), "it would make its caller the user");
    // His home may be open: the store is not.
    fs::set_permissions(user.path("home"), Permissions::from_mode(0o755)).unwrap();
    for path in [".local", ".local/share"] {
        fs::set_permissions(user.path("home").join(path), Permissions::from_mode(0o755)).unwrap();
    }
    let neighbour = OrdinaryUser::new(BINARY);
    // Executed by a shell: until then his rights were root's.
    let script = format!("exec {} id", shell.display());
    let tried = said(&output(neighbour.shell(&["sh", "-c", &script]), b""));
    assert!(tried.code != 0 && tried.err.contains("Permission denied"), "{tried:?}");
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&user.store()), mode(&user.volatile())), (0o700, 0o700));
}

#[test]
fn attack_a_volatile_directory_that_somebody_else_has_made() {
    let mut user = user();
    user.has_runtime = false;
    let there = user.volatile();
    // As after a restart of the machine: nothing is known of another one.
    fs::remove_file(user.store().join("volatile")).unwrap();
    let asked = || user.run(&[&RUN[..], &["bb:latest", "echo", "in"]].concat());
    // Open to all, with his own name on it.
    fs::DirBuilder::new().mode(0o777).create(&there).unwrap();
    fs::set_permissions(&there, Permissions::from_mode(0o777)).unwrap();
    chown(&there, Some(user.uid), Some(user.uid)).unwrap();
    assert!(asked().refused(125).contains("refusing to use /tmp/mini-docker-"));
    // Another's.
    fs::set_permissions(&there, Permissions::from_mode(0o700)).unwrap();
    chown(&there, Some(user.uid + 1), None).unwrap();
    assert!(asked().refused(125).contains("refusing to use /tmp/mini-docker-"));
    fs::remove_dir(&there).unwrap();
    // A link to a good one.
    std::os::unix::fs::symlink(user.path("run"), &there).unwrap();
    assert!(asked().refused(125).contains("refusing to use /tmp/mini-docker-"));
    fs::remove_file(&there).unwrap();
    assert_eq!(asked().ok(), "in\n");
    assert_eq!(fs::metadata(&there).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn a_neighbour_s_containers_are_none_of_ours() {
    let (user, neighbour) = (user(), OrdinaryUser::new(BINARY));
    user.run(&["run", "-d", "--network", "none", "--name", "one", "bb:latest", "sleep", "100"]).ok();
    assert_eq!(neighbour.run(&["ps", "-aq"]).ok(), "");
    let store = user.store();
    let tried = neighbour.run(&["--root", store.to_str().unwrap(), "ps"]);
    assert!(tried.code != 0 && tried.err.contains("Permission denied"), "{tried:?}");
    let root = format!("/proc/{}/root/etc/passwd", user.pid("one"));
    let tried = said(&output(neighbour.shell(&["cat", &root]), b""));
    assert!(tried.code != 0 && tried.err.contains("Permission denied"), "{tried:?}");
}
