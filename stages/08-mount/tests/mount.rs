//! A root that has no outside, with /proc, /sys and /dev of its own.

use std::{
    ffi::CString,
    fs,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
};

use ipc::Ipc;
use mount::{Mount, Mounts, Source, Target, Tree, default_table};
use network::Network;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use pid::PidNamespace;
use process::{
    Errno,
    sys::{MountAttr, Propagation},
};
use tests::{
    breakout::Breakout,
    container::{List, image, namespace, own_namespace, run, script_as_nobody, sh, shell, start, with_init},
};
use user::User;

const STAGE: &str = env!("CARGO_BIN_EXE_stage-08-mount");

/// The stage and the namespaces that its /proc and /sys are of.
fn with(root: &Path, table: Vec<Mount>) -> List {
    vec![Box::new(PidNamespace), Box::new(Ipc), Box::new(Network), Box::new(Mounts::new(root, table).unwrap())]
}

fn list(root: &Path) -> List {
    with(root, default_table(64 << 20))
}

/// Mount points of a process.
fn mount_points(pid: impl std::fmt::Display) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    table.lines().map(|line| line.split(' ').nth(4).unwrap().to_owned()).collect()
}

#[test]
fn no_mount_of_the_host_is_left() {
    let image = image();
    let mut running = start(list(image.path()), shell("echo ready; exec sleep 20")).unwrap();
    running.wait_for("ready");
    let inside = mount_points(running.child.pid);
    assert_eq!(inside.iter().filter(|point| *point == "/").count(), 1);
    for point in &inside {
        let own = point == "/" || ["/proc", "/sys", "/dev"].iter().any(|root| Path::new(point).starts_with(root));
        assert!(own, "{point} among {inside:?}");
    }
    assert_ne!(namespace(running.child.pid, "mnt"), own_namespace("mnt"));
}

#[test]
fn the_way_out_of_chroot_leads_nowhere() {
    let (image, outside) = (image(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let mut list = list(image.path());
    list.push(Box::new(Breakout));
    // The same attack succeeds in stage 02.
    let ran = run(list, shell(&format!("pwd; cat {}", secret.display())));
    assert_ne!(ran.code, 0);
    assert!(ran.out.contains("No such file"), "{}", ran.out);
}

#[test]
fn a_mount_inside_is_not_seen_outside_nor_the_other_way_round() {
    // A shared mount, as systemd makes them all: without the stage's first step the namespaces would tell each other.
    let shared = tempfile::tempdir().unwrap();
    let tmpfs = |at: &Path, flags| mount(Some("none"), at, Some("tmpfs"), flags, None::<&str>).unwrap();
    tmpfs(shared.path(), MsFlags::empty());
    mount(None::<&str>, shared.path(), None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
    let root = shared.path().join("root");
    fs::create_dir(&root).unwrap();
    tests::rootfs::busybox(&root);
    let before = mount_points("self");
    let of_this = |points: Vec<String>| -> Vec<String> {
        points.into_iter().filter(|point| Path::new(point).starts_with(shared.path())).collect()
    };
    let mut running = start(list(&root), shell("mount -t tmpfs none /tmp && echo ready; exec sleep 20")).unwrap();
    running.wait_for("ready");
    let inside = mount_points(running.child.pid);
    let outside = of_this(mount_points("self"));
    let late = root.join("var");
    tmpfs(&late, MsFlags::empty());
    let inside_later = mount_points(running.child.pid);
    umount2(&late, MntFlags::MNT_DETACH).unwrap();
    drop(running);
    umount2(shared.path(), MntFlags::MNT_DETACH).unwrap();
    assert!(inside.contains(&"/tmp".to_owned()));
    assert_eq!(outside, of_this(before));
    assert_eq!(inside_later, inside);
}

#[test]
fn what_speaks_of_the_whole_machine_is_masked() {
    let image = image();
    let files = ["/proc/kcore", "/proc/keys", "/proc/interrupts", "/proc/timer_list", "/proc/sched_debug"];
    // Not every kernel has each of them.
    let files: Vec<_> = files.into_iter().filter(|file| Path::new(file).exists()).collect();
    let sizes = sh(list(image.path()), &format!("cat {} | wc -c; ls -A /sys/firmware | wc -l", files.join(" ")));
    assert_eq!(sizes, "0\n0\n");
    assert!(!fs::read("/proc/interrupts").unwrap().is_empty(), "the host's is not");
}

#[test]
fn settings_of_the_kernel_are_read_only() {
    let image = image();
    let mut attacks = vec!["echo 1 > /proc/sys/kernel/panic", "mkdir /sys/made"];
    for (file, attack) in [
        ("/proc/sysrq-trigger", "echo h > /proc/sysrq-trigger"),
        ("/proc/irq/default_smp_affinity", "echo 1 > /proc/irq/default_smp_affinity"),
    ] {
        // Not every kernel has each of them.
        attacks.extend(Path::new(file).exists().then_some(attack));
    }
    for attack in attacks {
        let ran = run(list(image.path()), shell(attack));
        assert!(ran.code != 0 && ran.out.contains("Read-only file system"), "{attack}: {ran:?}");
    }
}

#[test]
fn proc_shows_the_container_s_processes_only() {
    let image = image();
    let ran = run(list(image.path()), with_init(shell("echo /proc/[0-9]*")));
    assert_eq!(ran.out, "/proc/1 /proc/2\n");
}

#[test]
fn devices_are_those_that_every_program_may_expect() {
    let image = image();
    let names = sh(list(image.path()), "ls -1 /dev | xargs");
    assert_eq!(names, "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero\n");
    let works =
        "echo x > /dev/null && head -c 3 /dev/zero | wc -c && head -c 5 /dev/urandom | wc -c && echo x > /dev/full";
    let ran = run(list(image.path()), shell(works));
    assert!(ran.code != 0 && ran.out.starts_with("3\n5\n") && ran.out.contains("No space left"), "{ran:?}");
    let size = "stat -f -c '%b %S' /dev/shm; touch /dev/shm/x";
    let (blocks, block) = sh(list(image.path()), size).trim().split_once(' ').map(numbers).unwrap();
    assert_eq!(blocks * block, 64 << 20);
}

#[test]
fn root_inside_changes_the_devices_of_nobody_else() {
    let image = image();
    let mode = || fs::metadata("/dev/zero").unwrap().permissions();
    let before = mode();
    let own = sh(
        list(image.path()),
        "chmod 0600 /dev/zero && stat -c %a /dev/zero; grep -c /dev/zero /proc/self/mountinfo; true",
    );
    assert_eq!((own.as_str(), mode()), ("600\n0\n", before), "a file of its own, which no mount puts there");
}

fn numbers((one, other): (&str, &str)) -> (u64, u64) {
    (one.parse().unwrap(), other.parse().unwrap())
}

/// An image whose `name` is a link to `target`, and a host directory beside it that must stay empty.
fn hostile(name: &str, target: impl Fn(&Path) -> PathBuf) {
    let (image, victim) = (image(), tempfile::tempdir().unwrap());
    let path = image.path().join(name);
    fs::remove_dir(&path).unwrap();
    symlink(target(victim.path()), &path).unwrap();
    match start(list(image.path()), shell("true")) {
        Err(e) => {
            assert_eq!(e.primitive, "mount", "{e}");
            assert!(e.doing.contains(&format!("\"/{name}")) && e.hint.is_some(), "{e}");
        }
        Ok(running) => {
            let ran = running.finish();
            panic!("mounted through a link: {ran:?}");
        }
    }
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0, "nothing is made on the host");
    let around = |point: &String| [victim.path(), image.path()].iter().any(|dir| Path::new(point).starts_with(dir));
    assert!(!mount_points("self").iter().any(around), "nothing is mounted on the host");
}

#[test]
fn an_image_with_a_link_for_a_directory_is_refused() {
    for name in ["proc", "sys", "dev"] {
        hostile(name, Path::to_owned);
        hostile(name, |victim| Path::new("../../../../../..").join(victim.strip_prefix("/").unwrap()));
        hostile(name, |_| PathBuf::from("/tmp"));
        hostile(name, |_| PathBuf::from("/missing"));
    }
}

#[test]
fn a_link_on_the_way_stays_in_the_container() {
    let (image, victim) = (image(), tempfile::tempdir().unwrap());
    symlink(victim.path(), image.path().join("way")).unwrap();
    let source = Source::Filesystem(c"tmpfs", vec![]);
    let below = Mount::new(Path::new("/way/made/here"), Target::Directory, source, MountAttr::default()).unwrap();
    // Inside, the link leads to a directory that is not there.
    assert!(start(with(image.path(), vec![below]), shell("true")).is_err());
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
}

#[test]
fn a_bind_shows_a_directory_of_the_host_with_the_rights_asked_for() {
    let (image, shared) = (image(), tempfile::tempdir().unwrap());
    fs::write(shared.path().join("file"), "of the host").unwrap();
    let source = CString::new(shared.path().to_str().unwrap()).unwrap();
    let bind = |attr| {
        let path = Path::new("/made/on/the/way");
        vec![Mount::new(path, Target::Directory, Source::Bind(source.clone()), attr).unwrap()]
    };
    let script = "cat /made/on/the/way/file; echo x > /made/on/the/way/new";
    let ran = run(with(image.path(), bind(MountAttr::READ_ONLY)), shell(script));
    assert!(ran.code != 0 && ran.out.starts_with("of the host") && ran.out.contains("Read-only"), "{ran:?}");
    assert!(!shared.path().join("new").exists());
    assert_eq!(sh(with(image.path(), bind(MountAttr::default())), script), "of the host");
    assert!(shared.path().join("new").exists());
}

/// A directory of the host with a file `mark`, bound at `path` in the way of a user's volume.
fn volume(path: &str) -> (tempfile::TempDir, Mount) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("mark"), "").unwrap();
    let mount = volume_of(dir.path(), path, Target::Directory);
    (dir, mount)
}

fn volume_of(source: &Path, path: &str, target: Target) -> Mount {
    let fd = fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_PATH).open(source).unwrap();
    let tree = Tree {
        path: CString::new(source.to_str().unwrap()).unwrap(),
        fd: Arc::new(fd.into()),
        recursive: true,
        attr_recursive: true,
        propagation: Propagation::Private,
        propagation_recursive: true,
    };
    Mount::new(Path::new(path), target, Source::Open(tree), MountAttr::default()).unwrap().following()
}

#[test]
fn a_volume_is_where_the_links_of_the_image_lead_to() {
    let image = image();
    fs::create_dir(image.path().join("run")).unwrap();
    for (link, to) in [("var/run", "/run"), ("var/deep", "../../../../run"), ("var/new", "../not/yet/there")] {
        symlink(to, image.path().join(link)).unwrap();
    }
    let paths = [
        ("/var/run/a", "/run/a"),
        ("/var/deep/b/c", "/run/b/c"),
        ("/var/new", "/not/yet/there"),
        ("/var/new/sub", "/not/yet/there/sub"),
        ("/made/on/the/way", "/made/on/the/way"),
        ("//tmp/./x/../y/", "/tmp/y"),
    ];
    for (path, is) in paths {
        let (_dir, mount) = volume(path);
        let script = format!("ls {is}; grep -c ' {is} ' /proc/self/mountinfo");
        assert_eq!(
            sh(with(image.path(), [default_table(1 << 20), vec![mount]].concat()), &script),
            "mark\n1\n",
            "{path}"
        );
    }
}

#[test]
fn a_file_is_mounted_on_a_file() {
    let (image, dir) = (image(), tempfile::tempdir().unwrap());
    let file = dir.path().join("file");
    fs::write(&file, "of the host\n").unwrap();
    symlink("real", image.path().join("etc/link")).unwrap();
    for (path, is) in [("/etc/passwd", "/etc/passwd"), ("/new/file", "/new/file"), ("/etc/link", "/etc/real")] {
        let list = with(image.path(), vec![volume_of(&file, path, Target::File)]);
        assert_eq!(sh(list, &format!("cat {is}")), "of the host\n", "{path}");
    }
    for (source, path) in [(file.as_path(), "/tmp"), (dir.path(), "/etc/passwd")] {
        let mount = volume_of(source, path, Target::Directory);
        let error = start(with(image.path(), vec![mount]), shell("true")).map(drop).unwrap_err();
        assert!(error.to_string().contains("vice-versa"), "{error}");
    }
}

#[test]
fn no_link_leads_a_volume_out_of_the_container_or_into_proc() {
    let (image, victim) = (image(), tempfile::tempdir().unwrap());
    let out = |name: &str, to: &Path| symlink(to, image.path().join(name)).unwrap();
    out("absolute", victim.path());
    out("climbing", &Path::new("../../../../../../..").join(victim.path().strip_prefix("/").unwrap()));
    for name in ["absolute", "climbing"] {
        let (_dir, mount) = volume(&format!("/{name}/below"));
        // Inside there is a directory of the same name, which has nothing to do with the host's.
        let script = format!("ls {}/below", victim.path().display());
        assert_eq!(sh(with(image.path(), vec![mount]), &script), "mark\n");
    }
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0, "nothing is made on the host");
    out("magic", Path::new("/proc/self/root"));
    out("magic-fd", Path::new("/proc/self/fd/0"));
    out("attr", Path::new("/proc/self/attr"));
    out("whole", Path::new("/proc"));
    out("circle", Path::new("circle"));
    let paths = ["/magic", "/magic-fd/x", "/attr", "/whole", "/whole/sys", "/proc", "/proc/sys", "/proc/1", "/circle"];
    for path in paths {
        let (_dir, mount) = volume(path);
        let list = with(image.path(), [default_table(1 << 20), vec![mount]].concat());
        let error = start(list, shell("true")).map(drop).unwrap_err();
        assert!(matches!(error.errno, Errno::EACCES | Errno::ELOOP) && error.hint.is_some(), "{path}: {error}");
    }
    // What a container's own view of the machine replaces is no such thing.
    let file = image.path().join("etc/passwd");
    let list =
        with(image.path(), [default_table(1 << 20), vec![volume_of(&file, "/proc/uptime", Target::File)]].concat());
    assert!(sh(list, "cat /proc/uptime").starts_with("root:"));
}

#[test]
fn init_s_program_file_cannot_be_opened_from_inside() {
    let image = image();
    let mut list = list(image.path());
    list.insert(0, Box::new(User::single()));
    let ran = run(list, with_init(shell("readlink /proc/2/exe; readlink /proc/1/exe || echo denied")));
    assert_eq!(ran.out, "/bin/busybox\ndenied\n");
}

#[test]
fn the_binary_works_without_root() {
    let image = image();
    let script = "id -u; echo /proc/[0-9]*; ls /dev/null; ls /etc/passwd";
    let ran = script_as_nobody(STAGE, image.path(), script);
    assert_eq!((ran.code, ran.out.as_str()), (0, "0\n/proc/1 /proc/2\n/dev/null\n/etc/passwd\n"));
    let missing = script_as_nobody(STAGE, Path::new("/nonexistent"), "true");
    assert!(missing.code == 125 && missing.out.contains("rootfs-fetch.sh"), "{missing:?}");
}
