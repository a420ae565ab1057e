//! What a container may do and use, by the kernel's own word.

use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// A line of /proc/self/status in a container.
fn status(engine: &Engine, flags: &[&str], name: &str) -> String {
    let pattern = format!("^{name}:");
    let arguments = [&["run", "--rm"], flags, &["bb", "grep", &pattern, "/proc/self/status"]].concat();
    let line = engine.run(&arguments).ok();
    line.split_once(':').unwrap().1.trim().to_owned()
}

fn bits(numbers: &[u32]) -> String {
    format!("{:016x}", numbers.iter().fold(0_u64, |bits, number| bits | 1 << number))
}

/// Docker's without MKNOD and AUDIT_WRITE; NET_RAW, 13, is for `ping` alone.
const DEFAULT: [u32; 12] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 31];

#[test]
fn root_has_few_capabilities_and_others_none() {
    let engine = engine();
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(status(&engine, &[], set), bits(&DEFAULT), "{set}");
        let with_init = status(&engine, &["--init"], set);
        assert_eq!(with_init, bits(&DEFAULT), "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status(&engine, &[], set), bits(&[]), "{set}");
    }
    for (set, expected) in [("CapEff", bits(&[])), ("CapPrm", bits(&[])), ("CapBnd", bits(&DEFAULT))] {
        assert_eq!(status(&engine, &["-u", "1000"], set), expected, "{set}");
    }
    assert_eq!(status(&engine, &["--cap-drop", "ALL"], "CapBnd"), bits(&[]));
    assert_eq!(status(&engine, &["--cap-drop=all", "--cap-add", "net_raw"], "CapEff"), bits(&[13]));
    assert_eq!(status(&engine, &["--cap-drop", "CAP_KILL", "--cap-drop=chown"], "CapEff"), {
        bits(&DEFAULT.into_iter().filter(|n| ![0, 5].contains(n)).collect::<Vec<_>>())
    });
    let unknown = engine.run(&["run", "--cap-add", "FLY", "bb", "true"]).refused(125);
    assert!(unknown.contains("FLY"), "{unknown}");
    assert_eq!(engine.run(&["ps", "-aq"]).ok(), "");
}

#[test]
fn no_program_brings_rights() {
    let engine = engine();
    assert_eq!(status(&engine, &[], "NoNewPrivs"), "1");
    assert_eq!(status(&engine, &["--security-opt", "no-new-privileges"], "NoNewPrivs"), "1");
    assert_eq!(status(&engine, &["--security-opt=no-new-privileges=false"], "NoNewPrivs"), "0");
    let unknown = engine.run(&["run", "--security-opt", "seclabel=x", "bb", "true"]).refused(125);
    assert!(unknown.contains("seclabel=x"), "{unknown}");
}

#[test]
fn a_fork_bomb_ends_at_its_limit() {
    let engine = engine();
    let bomb = "i=0; while [ $i -lt 60 ]; do sleep 1000 & i=$((i+1)); done; echo all";
    let free = engine.run(&["run", "--rm", "bb", "sh", "-c", bomb]);
    assert_eq!(free.ok(), "all\n");
    let bounded = engine.run(&["run", "--rm", "--pids-limit", "20", "bb", "sh", "-c", bomb]);
    assert_ne!(bounded.code, 0);
    assert!(bounded.err.contains("fork"), "{bounded:?}");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn limits_are_set_in_the_cgroup() {
    let engine = engine();
    let limited = [
        "run",
        "-d",
        "--name",
        "c1",
        "-m",
        "64m",
        "--memory-swap",
        "64m",
        "--cpus",
        "0.5",
        "--cpuset-cpus",
        "0",
        "bb",
        "sleep",
        "1000",
    ];
    engine.run(&limited).ok();
    let inspected = engine.inspect("c1");
    let host = &inspected["HostConfig"];
    assert_eq!((&host["Memory"], &host["NanoCpus"]), (&(64 << 20).into(), &500_000_000.into()));
    assert_eq!(host["PidsLimit"], 2048);
    let pid = inspected["State"]["Pid"].as_i64().unwrap();
    let id = inspected["Id"].as_str().unwrap();
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = cgroups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find(|path| path.ends_with(id)).unwrap();
    let stats = cgroup::Handle::open(path.as_ref()).unwrap().stats();
    assert_eq!(stats.memory.unwrap().limit, Some(64 << 20));
    assert_eq!(stats.pids.unwrap().limit, Some(2048));
    let seen = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(seen.contains("Cpus_allowed_list:\t0\n"), "{seen}");
    engine.run(&["rm", "-f", "c1"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
    for (flag, value) in [("-m", "1m"), ("--cpus", "9999"), ("--cpuset-cpus", "9999"), ("--cpus", "x"), ("-m", "x")] {
        let refused = engine.run(&["run", "--rm", flag, value, "bb", "true"]).refused(125);
        assert!(refused.contains(value) || refused.contains("memory"), "{flag} {value}: {refused}");
    }
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_memory_hog_is_killed() {
    let engine = engine();
    let hog = ["bb", "dd", "if=/dev/zero", "of=/dev/null", "bs=48M", "count=1"];
    assert_eq!(engine.run(&[&["run", "--rm"], &hog[..]].concat()).code, 0);
    let limited = ["run", "--rm", "-m", "16m", "--memory-swap", "16m"];
    assert_eq!(engine.run(&[&limited[..], &hog].concat()).code, 137);
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn capabilities_are_shown_by_their_whole_names() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let flags = ["--cap-add", "net_admin", "--cap-add", "CAP_SYS_TIME", "--cap-drop", "all", "--label", "a"];
    engine.run(&[&["create", "--name", "c1"], &flags[..], &["bb", "true"]].concat()).ok();
    let shown = engine.run(&["inspect", "-f", "{{json .HostConfig.CapAdd}} {{json .HostConfig.CapDrop}}", "c1"]).ok();
    assert_eq!(shown, "[\"CAP_NET_ADMIN\",\"CAP_SYS_TIME\"] [\"ALL\"]\n");
    for label in ["=x", ""] {
        let said = engine.run(&["run", "--label", label, "bb", "true"]).refused(125);
        assert!(said.contains(&format!("invalid label '{label}': empty name")), "{said}");
    }
}

#[test]
fn system_calls_are_filtered() {
    let engine = engine();
    assert_eq!(status(&engine, &[], "Seccomp"), "2");
    assert_eq!(status(&engine, &["--security-opt", "seccomp=unconfined"], "Seccomp"), "0");
    // Loaded before the user changes, where programs may gain rights.
    assert_eq!(status(&engine, &["-u", "1000", "--security-opt", "no-new-privileges=false"], "Seccomp"), "2");
    let unshare = ["bb", "unshare", "-r", "true"];
    assert_ne!(engine.run(&[&["run", "--rm"], &unshare[..]].concat()).code, 0);
    engine.run(&[&["run", "--rm", "--security-opt", "seccomp=unconfined"], &unshare[..]].concat()).ok();

    let profile = engine.path("profile.json");
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    std::fs::write(&profile, json).unwrap();
    let option = format!("seccomp={}", profile.display());
    let made = engine.run(&["run", "--rm", "--security-opt", &option, "bb", "mkdir", "/tmp/x"]);
    assert!(made.code == 1 && made.err.contains("No space left"), "{made:?}");
    std::fs::write(&profile, "{").unwrap();
    let refused = engine.run(&["run", "--rm", "--security-opt", &option, "bb", "true"]).refused(125);
    assert!(refused.contains("seccomp profile"), "{refused}");
}

#[test]
fn each_process_has_its_limits() {
    let engine = engine();
    let limits = ["run", "--rm", "--ulimit", "nofile=123:456", "--ulimit", "core=0", "bb", "cat", "/proc/self/limits"];
    let limits = engine.run(&limits).ok();
    let line = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("Max open files"), ["123", "456"]);
    assert_eq!(line("Max core file size"), ["0", "0"]);
    let refused = engine.run(&["run", "--ulimit", "nofile=2:1", "bb", "true"]).refused(125);
    assert!(refused.contains("soft") && refused.contains("hard"), "{refused}");
}

#[test]
fn it_sees_its_own_cgroup_and_cannot_write_it() {
    let engine = engine();
    let own = engine.run(&["run", "--rm", "bb", "cat", "/proc/self/cgroup"]).ok();
    assert!(own.lines().any(|line| line.ends_with(":/")) && !own.contains("mini-docker"), "{own}");
    let find = "find /sys/fs/cgroup -name pids.max | head -1";
    let limit = engine.run(&["run", "--rm", "--pids-limit", "77", "bb", "sh", "-c", &format!("cat $({find})")]).ok();
    assert_eq!(limit, "77\n");
    let write = format!("echo max >$({find})");
    let written = engine.run(&["run", "--rm", "bb", "sh", "-c", &write]);
    assert!(written.code != 0 && written.err.contains("Read-only"), "{written:?}");
}
