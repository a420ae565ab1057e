//! A container's root is nobody on the host, and finds its files to be its own all the same.

use std::{
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, chown},
    },
    path::Path,
};

use tests::engine::Engine;

/// `None` where the kernel or the filesystem of the store lets no container have one.
fn engine() -> Option<Engine> {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    if engine.run(&["info", "--format", "{{.SecurityOptions}}"]).ok().contains("name=userns") {
        return Some(engine);
    }
    eprintln!("skipped: {}", engine.run(&["run", "--rm", OWN, "bb:latest", "true"]).err);
    None
}

/// Starts a container that sleeps, and returns its first process.
fn sleeper(engine: &Engine, name: &str, flags: &[&str]) -> i64 {
    engine.run(&[&["run", "-d", "--name", name], flags, &["bb:latest", "sleep", "1000"]].concat()).ok();
    engine.inspect(name)["State"]["Pid"].as_i64().unwrap()
}

/// The host's ids of a process's root, and how many there are.
fn range(pid: i64) -> (u32, u32) {
    let map = fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
    assert_eq!(map, fs::read_to_string(format!("/proc/{pid}/gid_map")).unwrap());
    let numbers: Vec<u32> = map.split_whitespace().map(|number| number.parse().unwrap()).collect();
    assert_eq!((numbers.len(), numbers[0]), (3, 0), "{map}");
    (numbers[1], numbers[2])
}

/// Real, effective, saved and filesystem's user of a process.
fn users(pid: i64) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
    line.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// How many ranges of ids the engine's containers have.
fn written_down(engine: &Engine) -> usize {
    tests::leaks::id_ranges(&engine.root().canonicalize().unwrap()).count()
}

const OWN: &str = "--userns=private";

#[test]
fn it_is_the_default() {
    let Some(engine) = engine() else { return };
    let pid = sleeper(&engine, "one", &[]);
    let (first, _) = range(pid);
    assert_eq!(users(pid), [first; 4]);
    assert_eq!(engine.inspect("one")["HostConfig"]["UsernsMode"], "");
    assert!(engine.run(&["info", "--format", "{{.SecurityOptions}}"]).ok().contains("name=userns"));
    let processes = engine.run(&["top", "one", "-o", "user,pid"]).ok();
    assert!(processes.lines().nth(1).is_some_and(|line| line.starts_with("root")), "{processes}");
    engine.run(&["rm", "-f", "one"]).ok();
    // A step of a build too.
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    let file = "FROM bb:latest\nRUN cat /proc/self/uid_map > /map && touch /made && chown 5:6 /made\n";
    fs::write(context.join("Dockerfile"), file).unwrap();
    engine.run(&["build", "-q", "-t", "built:latest", context.to_str().unwrap()]).ok();
    let script = "cat /map; stat -c '%u %g' /map /made";
    let seen = engine.run(&["run", "--rm", "--userns=host", "built:latest", "sh", "-c", script]).ok();
    let words: Vec<_> = seen.split_whitespace().collect();
    assert!(words[1] != "0" && words[2..] == ["65536", "0", "0", "5", "6"], "{seen}");
}

#[test]
fn what_is_copied_has_the_container_s_owners() {
    let Some(engine) = engine() else { return };
    sleeper(&engine, "one", &["-v", "kept:/kept"]);
    let from = engine.path("from");
    fs::create_dir(&from).unwrap();
    for (name, id) in [("mine", 0), ("theirs", 33)] {
        fs::write(from.join(name), name).unwrap();
        chown(from.join(name), Some(id), Some(id)).unwrap();
    }
    let source = format!("{}/.", from.display());
    let owners = |place: &str| {
        let script = format!("stat -c '%u %g' {place}/mine {place}/theirs");
        engine.run(&["exec", "one", "sh", "-c", &script]).ok()
    };
    engine.run(&["exec", "one", "mkdir", "/plain", "/whole"]).ok();
    engine.run(&["cp", &source, "one:/plain"]).ok();
    assert_eq!(owners("/plain"), "0 0\n0 0\n");
    for place in ["/whole", "/kept"] {
        engine.run(&["cp", "-a", &source, &format!("one:{place}")]).ok();
        assert_eq!(owners(place), "0 0\n33 33\n");
    }
    let back = engine.path("back");
    engine.run(&["cp", "-a", "one:/whole", back.to_str().unwrap()]).ok();
    let owner = |name: &str| fs::metadata(back.join(name)).map(|found| (found.uid(), found.gid())).unwrap();
    assert_eq!((owner("mine"), owner("theirs")), ((0, 0), (33, 33)));
    assert_eq!(fs::read_to_string(back.join("theirs")).unwrap(), "theirs");
    // As an archive on either side.
    let archive = engine.command(&["cp", "one:/whole", "-"]).output().unwrap().stdout;
    engine.run(&["exec", "one", "mkdir", "/again"]).ok();
    assert_eq!(engine.run_with(&["cp", "-", "one:/again"], &archive).code, 0);
    assert_eq!(owners("/again/whole"), "0 0\n33 33\n");
    let refused = engine.run(&["cp", "one:/nothing", back.to_str().unwrap()]);
    assert!(refused.code == 1 && refused.err.contains("/nothing"), "{refused:?}");
    engine.run(&["rm", "-f", "one"]).ok();
}

/// As linux/capability.h has them: `CAP_NET_RAW`, effective.
const NET_RAW: [u8; 20] = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn capabilities_of_files_count_inside_and_are_plain_on_disk() {
    let Some(engine) = engine() else { return };
    let program = engine.path("capable");
    engine.run(&["run", "--name", "one", "bb:latest", "true"]).ok();
    engine.run(&["cp", "one:/bin/busybox", program.to_str().unwrap()]).ok();
    let opened = fs::File::open(&program).unwrap();
    process::sys::set_xattr(opened.as_fd(), c"security.capability", &NET_RAW).unwrap();
    sleeper(&engine, "two", &["--security-opt=no-new-privileges=false", "--cap-add=NET_RAW"]);
    engine.run(&["exec", "two", "mkdir", "/capable"]).ok();
    engine.run(&["cp", program.to_str().unwrap(), "two:/capable/busybox"]).ok();
    let effective = |name: &str| {
        let script = format!("exec {name} grep CapEff /proc/self/status");
        let said = engine.run(&["exec", "-u", "33", "two", "sh", "-c", &script]).ok();
        u64::from_str_radix(said.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    assert_eq!((effective("/bin/busybox"), effective("/capable/busybox")), (0, 1 << 13));
    let id = engine.inspect("two")["Id"].as_str().unwrap().to_owned();
    let on_disk = fs::File::open(engine.root().join("containers").join(id).join("upper/capable/busybox")).unwrap();
    let mut bytes = [0; 32];
    let length = process::sys::get_xattr(on_disk.as_fd(), c"security.capability", &mut bytes).unwrap();
    assert_eq!(bytes[..length], NET_RAW);
    engine.run(&["commit", "two", "capable:latest"]).ok();
    engine.run(&["rm", "-f", "one", "two"]).ok();
    let run =
        ["run", "--rm", "-u", "33", "--security-opt=no-new-privileges=false", "--cap-add=NET_RAW", "capable:latest"];
    let said = engine.run(&[&run[..], &["/capable/busybox", "grep", "CapEff", "/proc/self/status"]].concat()).ok();
    assert!(said.contains("0000000000002000"), "{said}");
}

#[test]
fn each_container_has_ids_that_nobody_else_has() {
    let Some(engine) = engine() else { return };
    let (one, two) = (sleeper(&engine, "one", &[OWN]), sleeper(&engine, "two", &[OWN]));
    let ((first, count), (second, _)) = (range(one), range(two));
    assert!(first >= 65_536 && count == 65_536 && first.abs_diff(second) >= 65_536, "{first} {second}");
    assert_eq!(users(one), [first; 4]);
    let user = engine.run(&["exec", "-u", "33", "one", "sh", "-c", "id -u; exec sleep 0"]).ok();
    assert_eq!(user, "33\n");
    // One who gets into the other's processes is nobody there either.
    assert_ne!(fs::read_link(format!("/proc/{one}/ns/user")).unwrap(), fs::read_link("/proc/self/ns/user").unwrap());
    engine.run(&["rm", "-f", "one", "two"]).ok();
}

#[test]
fn files_are_its_root_s_inside_and_root_s_on_disk() {
    let Some(engine) = engine() else { return };
    let shared = engine.path("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("old"), "").unwrap();
    chown(shared.join("old"), Some(7), Some(8)).unwrap();
    let bind = format!("{}:/bound", shared.display());
    let script = "stat -c '%u %g %n' / /etc/passwd /etc/hosts /dev/null /bound /bound/old /kept; \
                  touch /made /kept/a /bound/new && chown 1:2 /kept/a /bound/new && echo x >> /etc/hosts && \
                  mkdir /dev/mine && rm /etc/group";
    let seen = engine
        .run(&["run", "--name", "one", OWN, "-v", &bind, "-v", "kept:/kept", "bb:latest", "sh", "-c", script])
        .ok();
    let owners: Vec<_> = seen.lines().collect();
    assert_eq!(
        owners,
        ["0 0 /", "0 0 /etc/passwd", "0 0 /etc/hosts", "0 0 /dev/null", "0 0 /bound", "7 8 /bound/old", "0 0 /kept"]
    );
    let owner = |path: &Path| fs::metadata(path).map(|found| (found.uid(), found.gid())).unwrap();
    assert_eq!(owner(&shared.join("new")), (1, 2));
    // Another container, of other ids, with the host's for one.
    for namespace in [OWN, "--userns=host"] {
        let look = ["run", "--rm", namespace, "-v", "kept:/kept", "bb:latest", "stat", "-c", "%u %g", "/kept/a"];
        assert_eq!(engine.run(&look).ok(), "1 2\n", "{namespace}");
    }
    let id = engine.inspect("one")["Id"].as_str().unwrap().to_owned();
    assert_eq!(owner(&engine.root().join("containers").join(id).join("upper/made")), (0, 0));
    let changes = engine.run(&["diff", "one"]).ok();
    assert!(changes.contains("A /made") && changes.contains("D /etc/group"), "{changes}");
    engine.run(&["commit", "one", "other:latest"]).ok();
    let owner = ["run", "--rm", "--userns=host", "other:latest", "stat", "-c", "%u %g", "/made"];
    assert_eq!(engine.run(&owner).ok(), "0 0\n");
    engine.run(&["rm", "one"]).ok();
}

#[test]
fn programs_that_set_the_user_work_inside_where_they_may() {
    let Some(engine) = engine() else { return };
    // `su` is set-user-id, and root has no password.
    let script = "chmod 4755 /bin/busybox; echo root::0:0:root:/root:/bin/sh > /etc/passwd; echo u:x:33:33::/:/bin/sh >> /etc/passwd";
    engine.run(&["run", "--name", "one", OWN, "bb:latest", "sh", "-c", script]).ok();
    engine.run(&["commit", "one", "setuid:latest"]).ok();
    let become_root = |option: &str| {
        let command = ["setuid:latest", "su", "root", "-c", "id -u; cat /proc/self/uid_map"];
        engine.run(&[&["run", "--rm", "-u", "33", OWN, "--security-opt", option], &command[..]].concat())
    };
    let free = become_root("no-new-privileges=false").ok();
    let numbers: Vec<_> = free.split_whitespace().collect();
    assert!(numbers[0] == "0" && numbers[2] != "0", "root of the container alone: {free}");
    assert_ne!(become_root("no-new-privileges").code, 0);
    engine.run(&["rm", "one"]).ok();
}

#[test]
fn who_joins_a_container_is_in_its_user_namespace() {
    let Some(engine) = engine() else { return };
    let pid = sleeper(&engine, "one", &[OWN, "--init", "--ipc", "shareable"]);
    let (first, _) = range(pid);
    for joined in ["--network=container:one", "--pid=container:one", "--ipc=container:one"] {
        let script = "cat /proc/self/uid_map; touch /x /dev/shm/x && stat -c '%u %g' /x; cat /etc/hosts > /dev/null";
        let seen = engine.run(&["run", "--rm", joined, "bb:latest", "sh", "-c", script]).ok();
        assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["0", &first.to_string(), "65536", "0", "0"]);
    }
    // Its capabilities are over the namespaces that it shares.
    let add = ["run", "--rm", "--network=container:one", "--cap-add=NET_ADMIN", "bb:latest"];
    engine.run(&[&add[..], &["ip", "link", "add", "name", "br5", "type", "bridge"]].concat()).ok();
    assert!(engine.run(&["exec", "one", "ip", "link"]).ok().contains("br5"));
    sleeper(&engine, "two", &[OWN, "--ipc", "shareable"]);
    let both = ["run", "--rm", "--network=container:one", "--ipc=container:two", "bb:latest", "true"];
    let refused = engine.run(&both).refused(125);
    assert!(refused.contains("different user namespaces"), "{refused}");
    // Who outlives it keeps its ids.
    sleeper(&engine, "heir", &["--network=container:one"]);
    engine.run(&["rm", "-f", "one"]).ok();
    assert_eq!(written_down(&engine), 2);
    engine.run(&["rm", "-f", "two", "heir"]).ok();
    assert_eq!(written_down(&engine), 0);
}

#[test]
fn what_contradicts_is_refused_and_host_leaves_it_out() {
    let Some(engine) = engine() else { return };
    for flag in ["--privileged", "--network=host", "--pid=host", "--ipc=host"] {
        let refused = engine.run(&["run", "--rm", OWN, flag, "bb:latest", "true"]).refused(125);
        assert!(refused.contains("conflicting options: --userns private"), "{refused}");
        let map = engine.run(&["run", "--rm", flag, "bb:latest", "cat", "/proc/self/uid_map"]).ok();
        assert_eq!(map, fs::read_to_string("/proc/self/uid_map").unwrap(), "{flag}");
    }
    let refused = engine.run(&["run", "--rm", "--userns=mine", "bb:latest", "true"]).refused(125);
    assert!(refused.contains("invalid USER mode: mine"), "{refused}");
    let refused = engine.run(&["run", "--rm", OWN, "-u", "100000", "bb:latest", "true"]).refused(125);
    assert!(refused.contains("user 100000") && refused.contains("--userns=host"), "{refused}");
    let host = ["run", "--name", "one", "--userns=host", "-u", "100000", "bb:latest", "id", "-u"];
    assert_eq!(engine.run(&host).ok(), "100000\n");
    assert_eq!(engine.inspect("one")["HostConfig"]["UsernsMode"], "host");
    engine.run(&["rm", "one"]).ok();
}

#[test]
fn ids_come_back_when_a_container_ends_however_that_is() {
    let Some(engine) = engine() else { return };
    let pid = sleeper(&engine, "one", &[OWN]);
    let (first, _) = range(pid);
    assert_eq!(written_down(&engine), 1);
    engine.run(&["restart", "-t", "0", "one"]).ok();
    let again = range(engine.inspect("one")["State"]["Pid"].as_i64().unwrap()).0;
    assert_ne!(first, again, "whoever left something of the first meets nobody with it");
    assert_eq!(written_down(&engine), 1);
    // The monitor and the program are killed; the next command puts things in order.
    let pid = engine.inspect("one")["State"]["Pid"].as_i64().unwrap();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let monitor: i32 = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
    for process in [monitor, i32::try_from(pid).unwrap()] {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    while engine.inspect("one")["State"]["Running"] == true {}
    engine.run(&["rm", "one"]).ok();
    assert_eq!(written_down(&engine), 0);
}

#[test]
fn devices_that_are_given_are_its_root_s() {
    let Some(engine) = engine() else { return };
    let zero = engine.path("zero");
    let node = nix::sys::stat::Mode::from_bits_truncate(0o600);
    let device = nix::sys::stat::makedev(1, 5);
    nix::sys::stat::mknod(&zero, nix::sys::stat::SFlag::S_IFCHR, node, device).unwrap();
    fs::set_permissions(&zero, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&zero, Some(0), Some(6)).unwrap();
    let (in_dev, outside) = (format!("{}:/dev/d/zero", zero.display()), format!("{}:/x/zero", zero.display()));
    let script =
        "stat -c '%u %g %a' /dev/d/zero /x/zero; head -c 2 /dev/d/zero | od -An -tx1; head -c 1 /x/zero | wc -c";
    let given = ["run", "--rm", OWN, "--device", &in_dev, "--device", &outside, "bb:latest", "sh", "-c", script];
    assert_eq!(
        engine.run(&given).ok().split_whitespace().collect::<Vec<_>>(),
        "0 6 600 0 6 600 00 00 1".split(' ').collect::<Vec<_>>()
    );
    let made = engine.run(&["run", "--rm", OWN, "--cap-add=ALL", "bb:latest", "mknod", "/d", "c", "1", "5"]);
    assert!(made.code != 0 && made.err.contains("not permitted"), "{made:?}");
}

#[test]
fn a_tree_with_filesystems_that_cannot_be_idmapped_is_bound_with_a_word() {
    let Some(engine) = engine() else { return };
    let tree = engine.path("tree");
    for name in ["proc", "layered", "lower", "lower2", "plain"] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    let mount = |kind: &str, at: &str, options: &str| {
        let (none, at) = (None::<&str>, tree.join(at));
        nix::mount::mount(none, &at, Some(kind), nix::mount::MsFlags::empty(), Some(options)).unwrap();
    };
    mount("proc", "proc", "");
    mount("tmpfs", "plain", "");
    mount("overlay", "layered", &format!("lowerdir={0}/lower:{0}/lower2", tree.display()));
    let bind = format!("{}:/tree", tree.display());
    let look = ["sh", "-c", "stat -c '%u' /tree /tree/proc /tree/layered; touch /tree/made"];
    let said = engine.run(&[&["run", "--rm", OWN, "-v", &bind, "bb:latest"], &look[..]].concat());
    let plain = engine.run(&["run", "--rm", OWN, "-v", &format!("{bind}:ro"), "bb:latest", "touch", "/tree/plain/x"]);
    for at in ["proc", "layered", "plain"] {
        nix::mount::umount2(&tree.join(at), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
    assert_eq!(said.out, "0\n65534\n65534\n", "{said:?}");
    assert_eq!(fs::metadata(tree.join("made")).unwrap().uid(), 0);
    let warnings: Vec<_> = said.err.lines().collect();
    let [warning] = warnings[..] else { panic!("one warning: {said:?}") };
    assert!(warning.contains("/layered (overlay)") && !warning.contains("/proc ("), "{warning}");
    assert!(plain.code != 0 && plain.err.contains("Read-only file system"), "{plain:?}");
}
