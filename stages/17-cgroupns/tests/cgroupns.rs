//! What a container sees of cgroups, and what it may do to its own.

use std::{fs, path::Path};

use cgroup::{Cgroup, Controller, Limits, Version};
use cgroupns::CgroupNamespace;
use ipc::Ipc;
use mount::{Mounts, cgroup_table, default_table};
use network::Network;
use pid::PidNamespace;
use process::Primitive;
use tests::{
    cgroups,
    container::{List, image, namespace, own_namespace, run, script_as_nobody, script_as_root, sh, shell, start},
};
use user::User;

const STAGE: &str = env!("CARGO_BIN_EXE_stage-17-cgroupns");
const ACCOUNTING: [Controller; 4] = [Controller::Pids, Controller::Memory, Controller::Cpu, Controller::CpuAccounting];

/// A container with a cgroup at `path` and its mounts, with the namespace or without.
fn list(path: &Path, root: &Path, user: bool, own: bool) -> List {
    let limits = Limits { pids: Some(40), ..Limits::default() };
    let cgroup = Cgroup::new(path, limits, &ACCOUNTING).unwrap();
    let of_v1 = |version| version == Version::V1;
    let v1: Vec<_> = cgroup.hierarchies().filter(|h| of_v1(h.version)).map(|h| h.controllers.clone()).collect();
    let v2 = cgroup.hierarchies().any(|h| !of_v1(h.version));
    let mut table = default_table(64 << 20);
    table.extend(cgroup_table(&v1, v2));
    let mut list: List = Vec::new();
    if user {
        list.push(Box::new(User::single()));
    }
    list.push(Box::new(cgroup));
    if own {
        list.push(Box::new(CgroupNamespace));
    }
    let mounts: Box<dyn Primitive> = Box::new(Mounts::new(root, table).unwrap());
    list.extend([Box::new(PidNamespace) as Box<dyn Primitive>, Box::new(Ipc), Box::new(Network), mounts]);
    list
}

#[test]
fn the_container_s_cgroup_is_the_root_of_what_it_sees() {
    let image = image();
    let script = "cut -d: -f3 /proc/self/cgroup | sort -u; grep cgroup /proc/self/mountinfo | cut -d' ' -f4 | sort -u";
    for user in [false, true] {
        let path = cgroups::name();
        assert_eq!(sh(list(&path, image.path(), user, true), script), "/\n/\n", "user namespace: {user}");
    }
    // The attack succeeds without the stage: the name of the host's cgroup is read.
    let path = cgroups::name();
    let seen = sh(list(&path, image.path(), false, false), script);
    assert!(seen.contains(&*path.to_string_lossy()), "{seen}");
}

#[test]
fn its_own_limits_and_use_are_at_sys_fs_cgroup_and_those_of_nobody_else() {
    let image = image();
    for user in [false, true] {
        let script = "cd /sys/fs/cgroup; [ -e pids ] && cd pids; cat pids.max; grep -cx $$ cgroup.procs; \
                      find /sys/fs/cgroup -name 'mini-docker*' | wc -l";
        assert_eq!(sh(list(&cgroups::name(), image.path(), user, true), script), "40\n1\n0\n");
    }
}

#[test]
fn limits_cannot_be_written_from_inside() {
    let image = image();
    let attack = "for f in $(find /sys/fs/cgroup -name pids.max -o -name cgroup.procs -o -name memory.max -o \
                  -name memory.limit_in_bytes -o -name release_agent); do (echo 1 > $f) && echo written $f; done; \
                  mkdir $(find /sys/fs/cgroup -type d) 2>&1 | grep -v exists; mkdir /sys/fs/cgroup/new; true";
    for user in [false, true] {
        let ran = run(list(&cgroups::name(), image.path(), user, true), shell(attack));
        assert!(ran.out.contains("Read-only file system") && !ran.out.contains("written"), "{ran:?}");
        assert!(ran.out.lines().all(|line| line.contains("Read-only file system")), "{ran:?}");
    }
}

#[test]
fn the_namespace_is_another_one() {
    let path = cgroups::name();
    let cgroup = Cgroup::new(&path, Limits::default(), &ACCOUNTING).unwrap();
    let mut own = start(vec![Box::new(cgroup), Box::new(CgroupNamespace)], shell("echo ready; sleep 100")).unwrap();
    own.wait_for("ready");
    assert_ne!(namespace(own.child.pid, "cgroup"), own_namespace("cgroup"));
    // From outside its place has its full name.
    let seen = fs::read_to_string(format!("/proc/{}/cgroup", own.child.pid)).unwrap();
    assert!(seen.contains(&*path.to_string_lossy()), "{seen}");
    let mut shared = start(vec![], shell("echo ready; sleep 100")).unwrap();
    shared.wait_for("ready");
    assert_eq!(namespace(shared.child.pid, "cgroup"), own_namespace("cgroup"));
}

#[test]
fn controllers_that_share_a_hierarchy_share_a_directory() {
    let names = |all: &[&str]| -> Vec<String> { all.iter().map(|name| (*name).to_owned()).collect() };
    let table = cgroup_table(&[names(&["cpu", "cpuacct"]), names(&["pids"])], true);
    let paths: Vec<_> = table.iter().map(|mount| mount.path.to_str().unwrap()).collect();
    let at = "/sys/fs/cgroup";
    let expected = ["", "/cpu,cpuacct", "/cpu", "/cpuacct", "/pids", "/unified", ""].map(|name| format!("{at}{name}"));
    assert_eq!(paths, expected);
    assert_eq!(cgroup_table(&[], true).len(), 1);
    assert_eq!(cgroup_table(&[], false).len(), 0);
}

#[test]
fn links_are_made_before_the_directory_is_sealed() {
    use mount::{Mount, Source, Target};
    use process::sys::MountAttr;
    let image = image();
    let entry = |path: &str, source, attr| Mount::new(Path::new(path), Target::Directory, source, attr).unwrap();
    let tmpfs = || Source::Filesystem(c"tmpfs", vec![]);
    let table = vec![
        entry("/mnt", tmpfs(), MountAttr::default()),
        entry("/mnt/below", tmpfs(), MountAttr::default()),
        entry("/mnt/link", Source::Link(c"below".to_owned()), MountAttr::default()),
        entry("/mnt", Source::Seal, MountAttr::READ_ONLY),
    ];
    let list: List = vec![Box::new(Mounts::new(image.path(), table).unwrap())];
    let ran = run(list, shell("readlink /mnt/link; echo x > /mnt/link/file && echo below; touch /mnt/new"));
    assert!(ran.code != 0 && ran.out.starts_with("below\nbelow\n") && ran.out.contains("Read-only"), "{ran:?}");
}

#[test]
fn the_binary_shows_its_cgroup_only() {
    let image = image();
    let ran = script_as_root(STAGE, image.path(), "cut -d: -f3 /proc/self/cgroup | sort -u; ls /sys/fs/cgroup");
    assert!(ran.code == 0 && ran.out.starts_with("/\r\n") && !ran.out.contains("stage-"), "{ran:?}");
    let refused = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(refused.code == 125 && refused.out.contains("delegated"), "{refused:?}");
}
