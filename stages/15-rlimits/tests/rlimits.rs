//! What a process may use up.

use std::{fs, path::Path};

use process::{Errno, Process, sys};
use rlimits::{Limit, Limits};
use tests::container::{List, Ran, image, run, script_as_nobody, script_as_root, shell, start, with_init};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-15-rlimits");

fn limits(all: &[&str]) -> List {
    vec![Box::new(Limits(all.iter().map(|limit| limit.parse().unwrap()).collect()))]
}

fn limited(all: &[&str], script: &str) -> Ran {
    run(vec![], Process { primitives: limits(all), ..shell(script) })
}

/// Soft and hard limit of a line of /proc/PID/limits.
fn line(text: &str, name: &str) -> [String; 2] {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    let mut fields = line.split_whitespace().map(str::to_owned);
    [fields.next().unwrap(), fields.next().unwrap()]
}

#[test]
fn limits_are_those_asked_for_and_no_others() {
    let own = fs::read_to_string("/proc/self/limits").unwrap();
    let theirs = limited(&["nofile=40:50", "core=0", "cpu=100:-1"], "exec cat /proc/self/limits").out;
    assert_eq!(line(&theirs, "Max open files"), ["40", "50"]);
    assert_eq!(line(&theirs, "Max core file size"), ["0", "0"]);
    assert_eq!(line(&theirs, "Max cpu time"), ["100", "unlimited"]);
    for same in ["Max processes", "Max stack size", "Max locked memory", "Max file size", "Max pending signals"] {
        assert_eq!(line(&theirs, same), line(&own, same), "{same}");
    }
    assert_eq!(limited(&["nofile=42"], "ulimit -n; ulimit -Hn").out, "42\n42\n");
}

#[test]
fn init_has_them_too() {
    let process = Process { primitives: limits(&["nofile=40:50"]), ..shell("echo up; read x") };
    let mut running = start(vec![Box::new(pid::PidNamespace)], with_init(process)).unwrap();
    running.wait_for("up");
    let theirs = fs::read_to_string(format!("/proc/{}/limits", running.child.pid)).unwrap();
    assert_eq!(line(&theirs, "Max open files"), ["40", "50"]);
}

#[test]
fn files_run_out() {
    let script = "for i in 3 4 5 6 7 8 9; do eval \"exec $i</dev/null\" || exit 7; done; echo all";
    assert_eq!(limited(&[], script).out, "all\n");
    assert_ne!(limited(&["nofile=8"], script).code, 0);
}

#[test]
fn a_file_cannot_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("head -c 100000 /dev/zero > {0}/f; wc -c < {0}/f", dir.path().display());
    assert_eq!(limited(&[], &script).out.trim(), "100000");
    let after = limited(&["fsize=4096"], &script).out;
    assert!(after.trim().ends_with("4096"), "{after}");
}

/// A hard limit that can be raised by nobody here: a user namespace has no right to it.
#[test]
fn what_may_not_be_raised_is_refused_with_advice() {
    let range = vec![user::IdRange { inside: 0, outside: 0, count: 65536 }];
    let (_, hard) = sys::limit(nofile()).unwrap();
    let mut primitives = limits(&["nofile=10"]);
    primitives.append(&mut limits(&["nofile=11"]));
    let namespace = user::User::ranges(range.clone(), range);
    let error = start(vec![Box::new(namespace)], Process { primitives, ..shell("exit 0") }).err().expect("an error");
    assert_eq!((error.primitive, error.errno), ("rlimits", Errno::EPERM));
    let text = error.to_string();
    assert!(text.contains("prlimit(nofile=11:11)") && text.contains("CAP_SYS_RESOURCE"), "{text}");
    assert!(text.contains(&format!("the hard limit is {hard}")), "{text}");
}

fn nofile() -> u32 {
    "nofile=1".parse::<Limit>().unwrap().resource.number()
}

#[test]
fn more_files_than_the_system_has_are_refused() {
    let most: u64 = fs::read_to_string("/proc/sys/fs/nr_open").unwrap().trim().parse().unwrap();
    let primitives = limits(&[&format!("nofile={}", most + 1)]);
    let error = start(vec![], Process { primitives, ..shell("exit 0") }).err().expect("an error").to_string();
    assert!(error.contains("/proc/sys/fs/nr_open"), "{error}");
}

const FORKS: &str = "i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo all; kill $(jobs -p) 2>/dev/null";

#[test]
fn the_binary_limits_processes_files_and_bytes() {
    let image = image();
    let ran =
        script_as_root(STAGE, image.path(), "ulimit -n; ulimit -c; head -c 2000000 /dev/zero > /tmp/f; wc -c < /tmp/f");
    assert!(ran.out.starts_with("64\r\n0\r\n") && ran.out.contains("1048576"), "{ran:?}");
    let ran = script_as_root(STAGE, image.path(), FORKS);
    assert!(!ran.out.contains("all"), "{ran:?}");
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
