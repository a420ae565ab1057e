//! Ids that are nobody's outside.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use mount::{Mount, Mounts, Source, Target};
use process::{Errno, IdMaps, IdRange, Primitive, sys::MountAttr};
use subids::{Owner, RANGE, SubIds};
use tempfile::TempDir;
use tests::container::{List, image, namespace, own_namespace, run, script_as_root, shell, start};
use user::User;

const STAGE: &str = env!("CARGO_BIN_EXE_stage-19-subids");
const FIRST: u32 = 700_000;

fn range(inside: u32, outside: u32, count: u32) -> IdRange {
    IdRange { inside, outside, count }
}

fn both(map: &[IdRange]) -> IdMaps {
    IdMaps { uids: map.to_vec(), gids: map.to_vec() }
}

/// What stage 11 has: all ids onto the same numbers.
fn same_numbers() -> Box<dyn Primitive> {
    let map = both(&[range(0, 0, RANGE)]);
    Box::new(User::ranges(map.uids, map.gids))
}

#[test]
fn the_maps_are_those_asked_for() {
    let maps = IdMaps { uids: vec![range(0, 5000, 10), range(10, 7000, 1)], gids: vec![range(0, 6000, 3)] };
    let script = "id -u; id -g; id -G; echo ready; exec sleep 20";
    let mut running = start(vec![Box::new(SubIds::new(maps))], shell(script)).unwrap();
    running.wait_for("0\n0\n0\nready");
    let pid = running.child.pid;
    let map = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>().join(" ");
    assert_eq!(words(map("uid_map")), "0 5000 10 10 7000 1");
    assert_eq!(words(map("gid_map")), "0 6000 3");
    assert_ne!(namespace(pid, "user"), own_namespace("user"));
    let outside = fs::metadata(format!("/proc/{pid}")).unwrap();
    assert_eq!((outside.uid(), outside.gid()), (5000, 6000));
}

/// Writes as root of the container into a directory of the host that everybody may write to.
fn owner_of_what_root_writes(user: Box<dyn Primitive>) -> u32 {
    let (image, shared) = (image(), TempDir::new().unwrap());
    fs::set_permissions(shared.path(), Permissions::from_mode(0o777)).unwrap();
    let source = Source::Bind(std::ffi::CString::new(shared.path().to_str().unwrap()).unwrap());
    let bind = Mount::new(Path::new("/tmp"), Target::Directory, source, MountAttr::default()).unwrap();
    // The image's own /dev is none that the container could make links in.
    let tmpfs = Source::Filesystem(c"tmpfs", vec![]);
    let dev = Mount::new(Path::new("/dev"), Target::Directory, tmpfs, MountAttr::default()).unwrap();
    let list: List = vec![user, Box::new(Mounts::new(image.path(), vec![dev, bind]).unwrap())];
    let ran = run(list, shell("cp /bin/busybox /tmp/shell && chmod 4755 /tmp/shell"));
    assert_eq!(ran.code, 0, "{ran:?}");
    let made = fs::metadata(shared.path().join("shell")).unwrap();
    assert_eq!(made.mode() & 0o7777, 0o4755);
    made.uid()
}

#[test]
fn attack_a_set_user_id_shell_for_the_host_through_a_shared_directory() {
    assert_eq!(owner_of_what_root_writes(same_numbers()), 0, "any user of the host becomes root by it");
    assert_eq!(owner_of_what_root_writes(Box::new(SubIds::own(FIRST))), FIRST, "he becomes nobody");
}

/// Whether root of the container, without a pid namespace, kills a process of the host's root.
fn kills(user: Box<dyn Primitive>) -> bool {
    let mut victim = Command::new("sleep").arg("20").stdin(Stdio::null()).spawn().unwrap();
    let ran = run(vec![user], shell(&format!("kill -9 {}", victim.id())));
    let killed = ran.code == 0;
    assert!(killed || victim.try_wait().unwrap().is_none(), "it lives where the kernel said no");
    victim.kill().unwrap();
    victim.wait().unwrap();
    killed
}

#[test]
fn attack_a_process_of_root() {
    assert!(kills(same_numbers()));
    assert!(!kills(Box::new(SubIds::own(FIRST))));
}

#[test]
fn attack_a_file_of_root() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let file = dir.path().join("secret");
    fs::write(&file, "secret").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let read = format!("cat {}", file.display());
    assert_eq!(run(vec![same_numbers()], shell(&read)).out, "secret");
    let ran = run(vec![Box::new(SubIds::own(FIRST))], shell(&read));
    assert!(ran.code != 0 && ran.out.contains("Permission denied"), "{ran:?}");
}

#[test]
fn a_map_that_the_kernel_would_refuse_is_refused_with_its_reason() {
    let many: Vec<IdRange> = (0..341).map(|n| range(n, n + 1000, 1)).collect();
    for (map, reason) in [
        (&[range(0, 5, 1), range(1, 100, 0)][..], "empty"),
        (&[range(0, u32::MAX - 1, 2)], "beyond 4294967294"),
        (&[range(0, 5, 1), range(u32::MAX, 10, 1)], "beyond 4294967294"),
        (&[range(0, 1000, 10), range(9, 5000, 10)], "overlaps 0 1000 10"),
        (&[range(0, 1000, 10), range(10, 1009, 10)], "overlaps 0 1000 10"),
        (&[range(1, 1000, 10)], "map 0"),
        (&[], "map 0"),
        (&many, "the kernel takes 340"),
    ] {
        let error = start(vec![Box::new(SubIds::new(both(map)))], shell("true")).err().expect("no such map");
        assert_eq!((error.primitive, error.errno), ("subids", Errno::EINVAL));
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert_eq!(run(vec![Box::new(SubIds::new(both(&many[..340])))], shell("true")).code, 0, "340 are taken");
}

#[test]
fn root_may_ask_for_what_a_user_may() {
    let nobody = Owner { uid: 65_534, gid: 65_534, names: vec!["no-such-user".to_owned()] };
    let only = |map: &[IdRange]| SubIds::new(both(map)).permitted(nobody.clone());
    assert_eq!(run(vec![Box::new(only(&[range(0, 65_534, 1)]))], shell("true")).code, 0, "everybody may map himself");
    for map in [&[range(0, 65_534, 2)][..], &[range(0, 0, 1)], &[range(0, 65_534, 1), range(1, 100_000, 1)]] {
        let error = start(vec![Box::new(only(map))], shell("true")).err().expect("not his");
        assert_eq!((error.primitive, error.errno), ("subids", Errno::EPERM));
        assert!(error.to_string().contains("/etc/subuid"), "{error}");
    }
}

#[test]
fn the_binary_gives_a_container_65536_ids() {
    let image = image();
    let ran = script_as_root(STAGE, image.path(), "cat /proc/self/uid_map; touch /made; stat -c %u /made /bin");
    assert_eq!(ran.code, 0, "{ran:?}");
    let words: Vec<&str> = ran.out.split_whitespace().collect();
    assert_eq!((words[0], words[2]), ("0", "65536"));
    assert!(words[1].parse::<u32>().unwrap() >= 1000, "{ran:?}");
    // What it makes is its root's; the image is nobody's: stage 20 mends that.
    assert_eq!(words[3..], ["0", "65534"]);
}

/// Runs a script by the binary as user 4242, `alice`, with these texts as /etc/subuid and /etc/subgid: in a mount
/// namespace, so that the machine's own stay as they are.
fn as_alice(entries: [&str; 2], path: &str, script: &str) -> (i32, String) {
    let place = TempDir::new().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    tests::rootfs::copy_program(STAGE, at("stage"));
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(at("passwd"), passwd + "alice:x:4242:4242::/:/bin/sh\n").unwrap();
    for (name, text) in [("subuid", entries[0]), ("subgid", entries[1])] {
        fs::write(at(name), text).unwrap();
    }
    fs::create_dir(at("root")).unwrap();
    tests::rootfs::busybox(&at("root"));
    fs::create_dir(at("tmp")).unwrap();
    fs::set_permissions(at("tmp"), Permissions::from_mode(0o1777)).unwrap();
    // Without the helpers in it, but with what else there is.
    fs::create_dir(at("empty")).unwrap();
    symlink("/bin/true", at("empty/true")).unwrap();
    let set_up = "set -e; cd \"$1\"; for f in passwd subuid subgid; do [ -e /etc/$f ] || exit 77; \
                  mount --bind $f /etc/$f; done; \
                  exec setpriv --reuid=4242 --regid=4242 --clear-groups env PATH=\"$2\" TMPDIR=\"$1/tmp\" \
                  \"$1/stage\" \"$1/root\" sh -c \"$3\"";
    let output = Command::new("timeout")
        .args(["--foreground", "20", "unshare", "-m", "--propagation", "private", "sh", "-c", set_up, "sh"])
        .args([place.path().to_str().unwrap(), path, script])
        .stdin(Stdio::null())
        .output()
        .expect("unshare (util-linux)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let left: Vec<_> = fs::read_dir(at("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?} is left; {text}");
    (output.status.code().unwrap(), text.replace('\r', ""))
}

const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

#[test]
fn an_ordinary_user_gets_his_subordinate_ids() {
    assert!(Path::new("/usr/bin/newuidmap").exists(), "no newuidmap: apt-get install uidmap");
    let entries = ["# ids\nalice:300000:1000\ngarbage\n4242:400000:65536\n", "alice:500000:65536\n"];
    let script = "cat /proc/self/uid_map /proc/self/gid_map; mkdir -p /a/b; touch /a/b/c; chown -R 1000:1000 /a; \
                  chmod 700 /a; stat -c '%u %g' /a/b/c";
    let (code, out) = as_alice(entries, PATH, script);
    let words: Vec<_> = out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(code, 0, "{out}");
    assert_eq!(words, ["0 4242 1", "1 300000 1000", "1001 400000 65536", "0 4242 1", "1 500000 65536", "1000 1000"]);
}

#[test]
fn a_user_without_subordinate_ids_is_told_the_line() {
    let line = |out: &str, text: &str| assert!(out.contains(text), "{out}");
    let (code, out) = as_alice(["bob:100000:65536\n", ""], PATH, "true");
    line(&out, "find ids of alice in /etc/subuid");
    line(&out, "alice:165536:65536");
    assert_eq!(code, 125);
    let (_, out) = as_alice(["alice:100000:65536\n", "bob:1:1\nalice:100000:65536 \n"], PATH, "true");
    line(&out, "in /etc/subgid");
    line(&out, "line 2 is not NAME:FIRST:COUNT");
}

#[test]
fn a_missing_helper_is_named_with_its_package() {
    let entries = ["alice:300000:65536\n", "alice:300000:65536\n"];
    let (code, out) = as_alice(entries, "/nonexistent", "true");
    assert!(code == 125 && out.contains("newuidmap") && out.contains("package uidmap"), "{out}");
}
