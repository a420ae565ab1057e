//! Namespaces that containers share, devices that they are given, and what else is asked for by flags.

use std::fs;

use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn run(engine: &Engine, flags: &[&str], command: &[&str]) -> String {
    engine.run(&[&["run", "--rm"], flags, &["bb"], command].concat()).ok()
}

fn refused(engine: &Engine, flags: &[&str]) -> String {
    engine.run(&[&["run", "--rm"], flags, &["bb", "true"]].concat()).refused(125)
}

#[test]
fn namespaces_of_the_host_and_of_others_are_joined() {
    let engine = engine();
    let link = |name: &str| format!("/proc/self/ns/{name}");
    for (flag, name) in [("--ipc", "ipc"), ("--uts", "uts"), ("--pid", "pid"), ("--cgroupns", "cgroup")] {
        let host = fs::read_link(link(name)).unwrap();
        let shared = run(&engine, &[flag, "host"], &["readlink", &link(name)]);
        assert_eq!(Some(shared.trim_end()), host.to_str(), "{flag}");
        assert_ne!(Some(run(&engine, &[], &["readlink", &link(name)]).trim_end()), host.to_str(), "{flag}");
        let unknown = refused(&engine, &[flag, "nosuch"]);
        assert!(unknown.contains("invalid") && unknown.contains("nosuch"), "{unknown}");
    }
    engine
        .run(&[
            "run",
            "-d",
            "--name",
            "c1",
            "--ipc",
            "shareable",
            "bb",
            "sh",
            "-c",
            "echo hi >/dev/shm/x; exec sleep 999",
        ])
        .ok();
    tests::engine::eventually("it has written", || engine.run(&["exec", "c1", "cat", "/dev/shm/x"]).out == "hi\n");
    let script = "tr '\\0' ' ' </proc/1/cmdline; echo; readlink /proc/self/ns/ipc; cat /dev/shm/x";
    let joined = run(&engine, &["--pid", "container:c1", "--ipc", "container:c1"], &["sh", "-c", script]);
    let ipc = engine.run(&["exec", "c1", "readlink", "/proc/self/ns/ipc"]).ok();
    assert_eq!(joined, format!("sleep 999 \n{ipc}hi\n"));
    // Its first process is not process 1 in there, and all of it ends all the same.
    let left = run(&engine, &["--pid", "container:c1"], &["sh", "-c", "sleep 888 & exec true"]);
    assert_eq!(left, "");
    assert!(!engine.run(&["exec", "c1", "sh", "-c", "cat /proc/*/cmdline"]).out.contains("888"));
    engine.run(&["run", "-d", "--name", "c2", "bb", "sleep", "999"]).ok();
    assert!(refused(&engine, &["--ipc", "container:c2"]).contains("non-shareable"));
    engine.run(&["kill", "c2"]).ok();
    engine.run(&["wait", "c2"]).ok();
    assert!(refused(&engine, &["--pid", "container:c2"]).contains("non running"));
    assert!(refused(&engine, &["--pid", "container:nosuch"]).contains("nosuch"));
    assert_eq!(run(&engine, &["--ipc", "none"], &["sh", "-c", "test -e /dev/shm || echo none"]), "none\n");
    assert!(refused(&engine, &["--uts", "host", "-h", "x"]).contains("conflicting"));
}

#[test]
fn devices_are_given_and_the_hosts_own_stay_as_they_are() {
    let engine = engine();
    let zero = run(&engine, &["--device", "/dev/zero:/dev/nulo"], &["sh", "-c", "head -c 2 /dev/nulo | wc -c"]);
    assert_eq!(zero, "2\n");
    assert_eq!(run(&engine, &["--device", "/dev/zero:rw"], &["ls", "/dev/zero"]), "/dev/zero\n");
    for device in ["/dev/zero:ro", "/dev/zero:/x:rwx", "/dev/nosuch", "/etc/passwd"] {
        refused(&engine, &["--device", device]);
    }
    // Root inside changes its own, and never the host's.
    let mode = || fs::metadata("/dev/full").map(|found| std::os::unix::fs::MetadataExt::mode(&found)).unwrap();
    let before = mode();
    run(&engine, &[], &["chmod", "600", "/dev/full"]);
    run(&engine, &["--device", "/dev/full"], &["chmod", "600", "/dev/full"]);
    assert_eq!(mode(), before);
    assert_eq!(run(&engine, &[], &["sh", "-c", "echo x >/dev/null; echo x 2>/dev/zero"]), "x\n");
}

/// Its console, and what makes interfaces: an image may bring their files in a volume, which is no part of the layers.
#[test]
fn no_file_of_an_image_opens_what_is_the_machines() {
    let engine = engine();
    let script = "for n in '5 1' '10 200' '1 3'; do mknod /n c $n; (: </n) 2>&1 | grep -o 'not permitted'; rm /n; done";
    let said = run(&engine, &["--userns=host", "--cap-add", "MKNOD"], &["sh", "-c", script]);
    assert_eq!(said, "not permitted\nnot permitted\n");
}

/// A device that no driver has: whoever may open it is told so, by ENXIO.
const NOBODY: &str = "mknod /n c 240 77; for how in '<' '>'; do eval \"(: $how \\$DEVICE)\" 2>&1; done | grep -o 'not permitted\\|No such device'";

#[test]
fn devices_are_opened_as_far_as_they_are_allowed() {
    let engine = engine();
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("node");
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&node, nix::sys::stat::SFlag::S_IFCHR, mode, libc::makedev(240, 77)).unwrap();
    let tried = |flags: &[&str], device: &str| {
        let variable = format!("DEVICE={device}");
        let said = run(
            &engine,
            &[&["--userns=host", "--cap-add", "MKNOD", "-e", &variable], flags].concat(),
            &["sh", "-c", NOBODY],
        );
        said.lines().map(|line| line == "No such device").collect::<Vec<_>>()
    };
    // To read, and to write.
    for (permissions, expected) in [
        ("", [true, true]),
        (":r", [true, false]),
        (":w", [false, true]),
        (":rw", [true, true]),
        (":m", [false, false]),
    ] {
        let device = format!("{}:/dev/x{permissions}", node.display());
        assert_eq!(tried(&["--device", &device], "/dev/x"), expected, "{permissions}");
    }
    // Made inside, or bound: what is in no list is nobody's, by whatever name.
    let bound = format!("{}:/dev/x", node.display());
    assert_eq!(tried(&[], "/n"), [false, false]);
    assert_eq!(tried(&["-v", &bound], "/dev/x"), [false, false]);
    assert_eq!(tried(&["-v", &bound, "--device-cgroup-rule", "c 240:* r"], "/dev/x"), [true, false]);
    assert_eq!(tried(&["--device-cgroup-rule", "b 240:* rw"], "/n"), [false, false]);
    assert_eq!(tried(&["--device-cgroup-rule", "a *:* rwm"], "/n"), [true, true]);
    assert_eq!(tried(&["--privileged"], "/n"), [true, true]);
    // Without any of that no program is asked, and what an image brings does nothing.
    let maker = ["create", "--name", "maker", "--userns=host", "--cap-add", "MKNOD", "bb"];
    engine.run(&[&maker[..], &["mknod", "/null", "c", "1", "3"]].concat()).ok();
    engine.run(&["start", "-a", "maker"]).ok();
    engine.run(&["commit", "maker", "with-null"]).ok();
    let opens = ["sh", "-c", "echo x > /null && echo opened; echo x > /dev/null && echo own"];
    let said = engine.run(&[&["run", "--rm", "with-null"], &opens[..]].concat());
    assert!(said.out == "own\n" && said.err.contains("ermission denied"), "{said:?}");
    assert_eq!(
        engine.run(&[&["run", "--rm", "--cap-add", "MKNOD", "with-null"], &opens[..]].concat()).out,
        "opened\nown\n"
    );
    engine.run(&["rm", "maker"]).ok();
    // Who comes later is no freer.
    engine.run(&["run", "-d", "--name", "c1", "-v", &bound, "bb", "sleep", "999"]).ok();
    let later = engine.run(&["exec", "--privileged", "c1", "sh", "-c", ": < /dev/x"]);
    assert!(later.err.contains("not permitted"), "{later:?}");
    engine.run(&["create", "--name", "c2", "--device-cgroup-rule", "c 1:3 mr", "bb", "true"]).ok();
    let rules = engine.run(&["inspect", "-f", "{{json .HostConfig.DeviceCgroupRules}}", "c1", "c2"]).ok();
    assert_eq!(rules, "null\n[\"c 1:3 mr\"]\n");
    for rule in ["c 1:3", "d 1:3 r", "c 1:3 x", "c 1:x r", ""] {
        let said = refused(&engine, &["--device-cgroup-rule", rule]);
        assert!(said.contains(&format!("invalid device cgroup format '{rule}'")), "{said}");
    }
}

#[test]
fn inspect_says_what_is_masked_from_whom() {
    let engine = engine();
    let masked = |name: &str, arguments: &[&str]| {
        engine.run(&[&["create", "--name", name], arguments, &["bb", "true"]].concat()).ok();
        engine.run(&["inspect", "-f", "{{json .HostConfig.MaskedPaths}}", name]).ok()
    };
    for (name, arguments, is_host_root) in
        [("own", &[][..], false), ("host", &["--userns=host"], true), ("net", &["--network=host"], true)]
    {
        let masked = masked(name, arguments);
        assert!(masked.contains("/proc/kcore"), "{name}: {masked}");
        for path in ["/proc/kpagecount", "/proc/vmallocinfo"] {
            assert_eq!(masked.contains(path), is_host_root, "{name}: {masked}");
        }
    }
    assert_eq!(masked("all", &["--privileged"]), "null\n");
}

#[test]
fn privileged_is_what_root_of_this_machine_is() {
    let engine = engine();
    let script = "grep CapEff /proc/self/status; grep Seccomp: /proc/self/status; mkdir /m; mount -t tmpfs none /m && echo mounted; \
        grep -c ' /proc/sys ' /proc/self/mountinfo; true; grep ' /sys ' /proc/self/mountinfo | cut -d' ' -f6";
    let all = capabilities::CapabilitySet::available().unwrap().bits();
    let said = run(&engine, &["--privileged"], &["sh", "-c", script]);
    let expected = format!("CapEff:\t{all:016x}\nSeccomp:\t0\nmounted\n0\nrw,");
    assert!(said.starts_with(&expected), "{said}");
    let unmasked = "grep -c ' /proc/sys ' /proc/self/mountinfo";
    assert_eq!(
        run(&engine, &["--security-opt", "systempaths=unconfined"], &["sh", "-c", &format!("{unmasked}; true")]),
        "0\n"
    );
    // More than one line: the mask itself stands for one.
    assert_ne!(run(&engine, &[], &["sh", "-c", &format!("{unmasked}; true")]), "0\n");
}

#[test]
fn settings_are_the_containers_own() {
    let engine = engine();
    for value in ["0", "1"] {
        let flag = format!("net.ipv4.ip_forward={value}");
        assert_eq!(run(&engine, &["--sysctl", &flag], &["cat", "/proc/sys/net/ipv4/ip_forward"]), format!("{value}\n"));
    }
    assert_eq!(run(&engine, &["--sysctl", "kernel.msgmax=9999"], &["cat", "/proc/sys/kernel/msgmax"]), "9999\n");
    for setting in ["kernel.hostname=x", "vm.swappiness=1", "net.ipv4.ip_forward", "net/../kernel/panic=1", "net..x=1"]
    {
        assert!(refused(&engine, &["--sysctl", setting]).contains("not allowed"), "{setting}");
    }
    assert!(refused(&engine, &["--sysctl", "net.nosuch=1"]).contains("nosuch"));
    // The host's own, with the value that it has, should it be set after all.
    for (namespace, path) in [("network", "/proc/sys/net/core/somaxconn"), ("ipc", "/proc/sys/kernel/msgmax")] {
        let now = fs::read_to_string(path).unwrap();
        let setting = format!("{}={}", path.trim_start_matches("/proc/sys/").replace('/', "."), now.trim());
        let said = refused(&engine, &[&format!("--{namespace}=host"), "--sysctl", &setting]);
        assert!(said.contains(&format!("not allowed in host {namespace} namespace")), "{said}");
    }
    assert_eq!(run(&engine, &["--oom-score-adj", "642"], &["cat", "/proc/self/oom_score_adj"]), "642\n");
    refused(&engine, &["--oom-score-adj", "1001"]);
    let groups = run(&engine, &["-u", "7:8", "--group-add", "77", "--group-add", "0"], &["id", "-G"]);
    assert_eq!(groups, "8 0 77\n");
    assert!(refused(&engine, &["--group-add", "nosuch"]).contains("nosuch"));
    engine
        .run(&["run", "-d", "--name", "c1", "--group-add", "77", "--oom-score-adj", "642", "bb", "sleep", "999"])
        .ok();
    let joined = engine.run(&["exec", "c1", "sh", "-c", "id -G; cat /proc/self/oom_score_adj"]).ok();
    assert_eq!(joined, "0 77\n642\n");
    for flags in [
        ["--memory-swappiness", "101"],
        ["--kernel-memory", "50m"],
        ["--runtime", "kata"],
        ["--isolation", "hyperv"],
        ["--gpus", "all"],
        ["--userns", "nosuch"],
    ] {
        refused(&engine, &flags);
    }
}
