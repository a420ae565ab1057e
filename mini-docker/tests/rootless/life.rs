//! What containers of an ordinary user are, and that all that he does meets them.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{engine::eventually, ordinary_user::COUNT};

use crate::{RUN, START, user};

fn words(path: String) -> String {
    fs::read_to_string(path).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn its_root_is_the_user_and_nobody_is_more() {
    let user = user();
    user.run(&[&START[..], &["--name", "one", "bb:latest", "sleep", "100"]].concat()).ok();
    let pid = user.pid("one");
    for map in ["uid_map", "gid_map"] {
        let expected = format!("0 {} 1 1 {} {COUNT}", user.uid, user.first);
        assert_eq!(words(format!("/proc/{pid}/{map}")), expected);
    }
    assert_eq!(fs::metadata(format!("/proc/{pid}")).unwrap().uid(), user.uid);
    // The monitor and the program, and nobody of root's among them.
    let names: Vec<_> = user.processes().into_iter().map(|(_, command)| command).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    let root = format!("/proc/{pid}/root");
    let seen: Vec<_> = fs::read_to_string("/proc/mounts").unwrap().lines().map(str::to_owned).collect();
    assert!(!seen.iter().any(|line| line.contains(&root) || line.contains("containers/")), "mounted on the host");
    let info = user.run(&["info", "-f", "{{json .SecurityOptions}}"]).ok();
    assert!(info.contains("name=rootless"), "{info}");
}

/// As `su -` has no XDG_RUNTIME_DIR, and the session where it was started had one.
#[test]
fn a_command_with_other_variables_finds_what_runs() {
    let mut user = user();
    user.run(&[&START[..], &["--name", "one", "bb:latest", "sleep", "100"]].concat()).ok();
    user.has_runtime = false;
    assert_eq!(user.run(&["exec", "one", "echo", "here"]).ok(), "here\n");
    assert_eq!(user.processes().len(), 2, "{:?}", user.processes());
    assert_eq!(user.run(&["rm", "-f", "one"]).code, 0);
    assert!(!user.volatile().exists(), "commands make no second one");
    user.has_runtime = true;
}

#[test]
fn files_of_its_users_are_the_user_s_and_his_subordinates() {
    let user = user();
    let home = user.path("home");
    let bind = format!("{}:/host", home.display());
    let script = "touch /host/root && touch /host/web && chown 33:34 /host/web && id -u";
    assert_eq!(user.run(&[&RUN[..], &["-v", &bind, "bb:latest", "sh", "-c", script]].concat()).ok(), "0\n");
    let owner = |name: &str| fs::metadata(home.join(name)).map(|found| (found.uid(), found.gid())).unwrap();
    assert_eq!(owner("root"), (user.uid, user.uid));
    assert_eq!(owner("web"), (user.first + 32, user.first + 33));
    let as_web = user.run(&[&RUN[..], &["-u", "web", "bb:latest", "id"]].concat()).ok();
    assert!(as_web.starts_with("uid=33(web) gid=34(www)"), "{as_web}");
}

#[test]
fn a_life_from_create_to_rm() {
    let user = user();
    let command = ["--name", "one", "bb:latest", "sh", "-c", "echo begun; touch /made; exec sleep 100"];
    user.run(&[&START[..], &command].concat()).ok();
    eventually("it has begun", || user.run(&["logs", "one"]).out == "begun\n");
    assert_eq!(user.run(&["exec", "one", "ls", "/made"]).ok(), "/made\n");
    assert_eq!(user.run(&["exec", "-u", "33", "one", "id", "-u"]).ok(), "33\n");
    user.run(&["exec", "-d", "one", "sleep", "101"]).ok();
    eventually("a second process", || user.run(&["exec", "one", "ps"]).ok().contains("sleep 101"));
    assert!(user.run(&["top", "one"]).ok().contains("sleep 101"));
    assert!(user.run(&["stats", "--no-stream", "--format", "{{.PIDs}}", "one"]).ok().starts_with('2'));
    assert!(user.run(&["diff", "one"]).ok().contains("A /made"));
    user.run(&["cp", "one:/made", "-"]).ok();
    user.run(&["commit", "one", "two:latest"]).ok();
    assert_eq!(user.run(&["stop", "-t", "0", "one"]).ok(), "one\n");
    assert_eq!(user.run(&["start", "one"]).ok(), "one\n");
    assert_eq!(user.run(&["restart", "-t", "0", "one"]).ok(), "one\n");
    assert_eq!(user.run(&[&RUN[..], &["two:latest", "ls", "/made"]].concat()).ok(), "/made\n");
    user.run(&["rm", "-f", "one"]).ok();
    assert_eq!(user.run(&["ps", "-aq"]).ok(), "");
    assert_eq!(user.run(&["leaks"]).ok(), "nothing stands that no container owns\n");
}

#[test]
fn what_lower_layers_hold_is_hidden_by_an_overlay_of_the_user_s() {
    let user = user();
    let context = user.path("context");
    fs::create_dir(&context).unwrap();
    let dockerfile = "FROM bb:latest\nRUN --network=none mkdir /d && touch /d/old /gone\n\
        RUN --network=none rm -r /d /gone && mkdir /d && touch /d/new\n";
    fs::write(context.join("Dockerfile"), dockerfile).unwrap();
    user.run(&["build", "-q", "-t", "built:latest", context.to_str().unwrap()]).ok();
    let look = |image| user.run(&[&RUN[..], &[image, "sh", "-c", "ls /d; ls /gone 2>/dev/null"]].concat()).out;
    assert_eq!(look("built:latest"), "new\n");
    let archive = user.path("home/built.tar");
    let id = user.run(&["inspect", "-f", "{{.Id}}", "built:latest"]).ok();
    user.run(&["save", "-o", archive.to_str().unwrap(), "built:latest"]).ok();
    // As root has it: the layers say the same.
    let engine = tests::engine::Engine::empty(crate::BINARY);
    engine.run(&["load", "-i", archive.to_str().unwrap()]).ok();
    assert_eq!(engine.inspect("built:latest")["Id"], id.trim());
    assert_eq!(engine.run(&[&RUN[..], &["built:latest", "ls", "/d"]].concat()).ok(), "new\n");
    user.run(&["rmi", "built:latest"]).ok();
    user.run(&["load", "-i", archive.to_str().unwrap()]).ok();
    assert_eq!(look("built:latest"), "new\n");
}

#[test]
fn volumes_are_filled_and_stay() {
    let user = user();
    user.run(&[&RUN[..], &["-v", "data:/etc", "bb:latest", "sh", "-c", "chown 33 /etc/passwd"]].concat()).ok();
    let seen = user.run(&[&RUN[..], &["-v", "data:/mnt", "bb:latest", "stat", "-c", "%u", "/mnt/passwd"]].concat());
    assert_eq!(seen.ok(), "33\n");
    let on_host = user.store().join("volumes/data/_data/passwd");
    assert_eq!(fs::metadata(on_host).unwrap().uid(), user.first + 32);
}

#[test]
fn commands_find_containers_whose_monitors_were_killed() {
    let user = user();
    for name in ["one", "two"] {
        user.run(&[&START[..], &["--name", name, "--restart", "always", "bb:latest", "sleep", "100"]].concat()).ok();
    }
    let namespace = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    let (one, two) = (user.pid("one"), user.pid("two"));
    assert_eq!(namespace(one), namespace(two), "of one user");
    for (pid, command) in user.processes() {
        if command.contains("mini-docker") {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }
    eventually("no monitor", || user.processes().len() == 2);
    assert_eq!(user.run(&["exec", "one", "echo", "still"]).ok(), "still\n");
    assert_eq!(namespace(user.pid("one")), namespace(two));
    assert_eq!(user.pid("two"), two);
    kill(Pid::from_raw(one), Signal::SIGKILL).unwrap();
    eventually("its new monitor starts it again", || {
        let state = user.run(&["inspect", "-f", "{{.State.Running}} {{.State.Pid}}", "one"]).ok();
        state.starts_with("true") && !state.ends_with(" 0\n") && !state.contains(&one.to_string())
    });
    assert_eq!(namespace(user.pid("one")), namespace(two));
}

#[test]
fn health_checks_leave_a_monitor_that_others_can_join_by() {
    let user = user();
    let check = ["--health-cmd", "true", "--health-interval", "100ms", "--name", "one", "--init"];
    user.run(&[&START[..], &check, &["bb:latest", "sleep", "100"]].concat()).ok();
    eventually("it is healthy", || user.run(&["inspect", "-f", "{{.State.Health.Status}}", "one"]).ok() == "healthy\n");
    let before = fs::read_link(format!("/proc/{}/ns/user", user.pid("one"))).unwrap();
    assert_eq!(user.run(&["exec", "one", "echo", "in"]).ok(), "in\n");
    user.run(&["restart", "-t", "0", "one"]).ok();
    assert_eq!(fs::read_link(format!("/proc/{}/ns/user", user.pid("one"))).unwrap(), before);
}

#[test]
fn namespaces_of_the_machine_s_are_shown_as_they_are() {
    let user = user();
    let run = |flags: &[&str], script: &str| {
        user.run(&[&["run", "--rm"], flags, &["bb:latest", "sh", "-c", script]].concat()).ok()
    };
    assert!(run(&["--network", "host"], "ls /sys/class/net").lines().count() >= 1);
    assert_eq!(run(&["--network", "none", "--ipc", "host"], "echo x"), "x\n");
    assert_eq!(run(&["--network", "none", "--device", "/dev/zero:/dev/nil"], "head -c 1 /dev/nil | wc -c"), "1\n");
}

#[test]
fn files_are_copied_into_a_directory_that_is_anybody_s_such_as_tmp() {
    let user = user();
    user.run(&["create", "--network", "none", "--name", "one", "bb:latest", "true"]).ok();
    let shared = user.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    let place = shared.to_str().unwrap();
    user.run(&["cp", "one:/etc/passwd", place]).ok();
    user.run(&["cp", "one:/etc", place]).ok();
    let context = user.path("context");
    fs::create_dir(&context).unwrap();
    // What the image does not describe is made on the way.
    fs::write(
        context.join("Dockerfile"),
        "FROM bb:latest AS all\nFROM scratch\nCOPY --from=all /etc/group /new/group\n",
    )
    .unwrap();
    user.run(&["build", "-q", "-o", place, context.to_str().unwrap()]).ok();
    for name in ["passwd", "etc/passwd", "new/group"] {
        assert_eq!(fs::metadata(shared.join(name)).unwrap().uid(), user.uid, "{name}");
    }
}
