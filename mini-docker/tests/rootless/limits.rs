//! What an ordinary user's containers may use, where a cgroup was delegated to him.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tests::{engine::eventually, ordinary_user::OrdinaryUser};

use crate::{RUN, START, user};

/// A user to whom these controllers were delegated, and the directory; `None` where v2 does not have them.
fn with(controllers: &[&str]) -> Option<(OrdinaryUser, PathBuf)> {
    let mut user = user();
    let directory = user.delegate(controllers);
    if directory.is_none() {
        eprintln!("skipped: cgroup v2 has not {controllers:?} here; make test-vm runs it where it has");
    }
    Some((user, directory?))
}

/// The directory of a process's cgroup, which is below `delegated`.
fn cgroup_of(pid: i32, delegated: &Path) -> PathBuf {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap();
    let slice = delegated.parent().unwrap();
    let (_, below) = path.split_once(slice.file_name().unwrap().to_str().unwrap()).unwrap_or_else(|| panic!("{text}"));
    slice.join(below.trim_start_matches('/'))
}

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap().trim().to_owned()
}

#[test]
fn limits_are_kept_below_what_was_delegated() {
    let Some((user, delegated)) = with(&["memory", "pids", "cpu"]) else { return };
    let limits = ["--memory=64m", "--memory-swap=64m", "--pids-limit=20", "--cpus=0.5"];
    user.run(&[&START[..], &limits, &["--name", "one", "bb:latest", "sleep", "1000"]].concat()).ok();
    let own = cgroup_of(user.pid("one"), &delegated);
    assert!(own.starts_with(delegated.join("mini-docker")), "{}", own.display());
    let written = ["memory.max", "memory.swap.max", "pids.max", "cpu.max"].map(|file| read(&own, file));
    assert_eq!(written, ["67108864", "0", "20", "50000 100000"]);
    user.run(&["update", "--memory=32m", "--memory-swap=32m", "--pids-limit=30", "one"]).ok();
    assert_eq!((read(&own, "memory.max"), read(&own, "pids.max")), ("33554432".to_owned(), "30".to_owned()));
    let stats = user.run(&["stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "one"]).ok();
    assert!(stats.contains("/ 32MiB 1"), "{stats}");
    // Whoever joins it is limited too.
    user.run(&["exec", "-d", "one", "sleep", "1001"]).ok();
    eventually("a second process", || read(&own, "cgroup.procs").lines().count() == 2);
    user.run(&["pause", "one"]).ok();
    assert!(read(&own, "cgroup.events").contains("frozen 1"));
    user.run(&["unpause", "one"]).ok();
    assert!(read(&own, "cgroup.events").contains("frozen 0"));
    let doctor = user.run(&["doctor"]).out;
    assert!(doctor.contains("is delegated, with memory, pids, cpu; limits of cpuset, io are refused"), "{doctor}");
    assert_eq!(user.run(&["info", "-f", "{{.CgroupDriver}}"]).ok(), "cgroupfs\n");
    user.run(&["rm", "-f", "one"]).ok();
    assert!(!own.exists());
}

#[test]
fn who_wants_more_meets_the_limit() {
    let Some((user, _)) = with(&["memory", "pids"]) else { return };
    let run = |flags: &[&str], command: &[&str]| user.run(&[&RUN[..], flags, &["bb:latest"], command].concat());
    let bomb = ["sh", "-c", "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done; echo all"];
    assert_eq!(run(&[], &bomb).ok(), "all\n");
    let bounded = run(&["--pids-limit=20"], &bomb);
    assert!(bounded.code != 0 && bounded.err.contains("fork"), "{bounded:?}");
    let hog = ["dd", "if=/dev/zero", "of=/dev/null", "bs=48M", "count=1"];
    assert_eq!(run(&[], &hog).code, 0);
    assert_eq!(run(&["--memory=16m", "--memory-swap=16m"], &hog).code, 137);
    let hogged = ["--memory=16m", "--memory-swap=16m", "--network", "none", "--name", "one", "bb:latest"];
    assert_eq!(user.run(&[&["run"], &hogged[..], &hog].concat()).code, 137);
    assert_eq!(user.run(&["inspect", "-f", "{{.State.OOMKilled}}", "one"]).ok(), "true\n");
}

#[test]
fn a_limit_whose_controller_was_not_delegated_is_refused() {
    let Some((user, _)) = with(&["pids"]) else { return };
    let run = |limit: &str| user.run(&[&RUN[..], &[limit, "bb:latest", "true"]].concat());
    run("--pids-limit=20").ok();
    for (limit, controller) in [("--memory=64m", "memory"), ("--cpus=1", "cpu"), ("--cpuset-cpus=0", "cpuset")] {
        let refused = run(limit).refused(125);
        assert!(refused.contains(&format!("the controller {controller}")), "{refused}");
        assert!(refused.contains("delegated") && refused.contains("Delegate=yes"), "{refused}");
    }
    let doctor = user.run(&["doctor"]).out;
    assert!(doctor.contains("warning  cgroup") && doctor.contains("with pids; limits of memory, cpu"), "{doctor}");
}

#[test]
fn commands_from_elsewhere_reach_a_container_that_is_limited() {
    let Some((mut user, delegated)) = with(&["memory", "pids"]) else { return };
    user.run(&[&START[..], &["--pids-limit=20", "--name", "one", "bb:latest", "sleep", "1000"]].concat()).ok();
    let own = cgroup_of(user.pid("one"), &delegated);
    // Another session of his, to which nothing was delegated.
    user.is_in_delegated = false;
    assert_eq!(user.run(&["exec", "one", "echo", "in"]).ok(), "in\n");
    user.run(&["pause", "one"]).ok();
    assert!(read(&own, "cgroup.events").contains("frozen 1"));
    user.run(&["unpause", "one"]).ok();
    user.run(&["stop", "-t", "0", "one"]).ok();
    assert!(!own.exists());
    let refused = user.run(&["start", "one"]);
    assert!(refused.code == 1 && refused.err.contains("systemd-run --user"), "{refused:?}");
    user.run(&["rm", "one"]).ok();
}
