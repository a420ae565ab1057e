//! An image that belongs to the container's ids.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use idmap::Idmap;
use mount::{Mounts, default_table};
use overlay::Overlay;
use pid::PidNamespace;
use process::{Errno, Primitive, sys::MountAttr};
use subids::SubIds;
use tempfile::TempDir;
use tests::container::{List, Ran, Running, image, run, script_as_nobody, script_as_root, sh, shell, start};

const STAGE: &str = env!("CARGO_BIN_EXE_stage-20-idmap");
const FIRST: u32 = 700_000;

/// How the layers come to the kernel: as it likes it best, or as kernels before 6.15 take them.
const WAYS: [bool; 2] = [false, true];

fn list(lower: Vec<PathBuf>, base: &Path, attach_layers: bool, idmap: bool) -> List {
    let mut overlay = Overlay::new(lower, base.to_owned());
    overlay.attach_layers = attach_layers;
    // As the stage's program: devices of the image do nothing.
    overlay.attr = MountAttr::NO_DEV;
    // As the engine's container of stage 11, but for the two.
    let at = if idmap { Path::new("/") } else { base };
    let idmap: Option<Box<dyn Primitive>> = idmap.then(|| -> Box<dyn Primitive> { Box::new(Idmap::default()) });
    let rest: List = vec![
        Box::new(PidNamespace),
        Box::new(ipc::Ipc),
        Box::new(network::Network),
        Box::new(overlay),
        Box::new(Mounts::new(at, default_table(1 << 20)).unwrap()),
    ];
    let user: Box<dyn Primitive> = Box::new(SubIds::own(FIRST));
    [user].into_iter().chain(idmap).chain(rest).collect()
}

/// A place that every user may enter.
fn place() -> TempDir {
    let place = TempDir::new().unwrap();
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
    place
}

fn over(image: &TempDir, base: &Path) -> List {
    list(vec![image.path().to_owned()], base, false, true)
}

#[test]
fn files_are_root_s_inside_and_on_disk_and_the_process_is_nobody_s() {
    for way in WAYS {
        let (image, place) = (image(), place());
        let base = place.path().join("base");
        let script = "stat -c '%u %g' / /bin /etc/passwd; echo x > /made; chown 1:2 /made; echo y >> /etc/passwd; \
                      rm /etc/group; mkdir /sub; mv /home /home2; stat -c '%u %g' /made /etc/passwd /sub; \
                      echo ready; exec sleep 20";
        let mut running: Running = start(list(vec![image.path().to_owned()], &base, way, true), shell(script)).unwrap();
        running.wait_for("0 0\n0 0\n0 0\n1 2\n0 0\n0 0\nready");
        let owner = |path: &Path| fs::symlink_metadata(path).map(|meta| (meta.uid(), meta.gid())).unwrap();
        let upper = base.join("upper");
        assert_eq!(owner(&upper.join("made")), (1, 2), "attached {way}");
        assert_eq!(owner(&upper.join("sub")), (0, 0));
        assert_eq!(owner(&upper.join("etc/passwd")), (0, 0));
        assert!(fs::symlink_metadata(upper.join("etc/group")).unwrap().file_type().is_char_device(), "a whiteout");
        assert_eq!(owner(&image.path().join("etc/passwd")), (0, 0), "the image is as it was");
        assert_eq!(owner(Path::new(&format!("/proc/{}", running.child.pid))), (FIRST, FIRST));
        drop(running);
        assert!(!base.exists());
    }
}

#[test]
fn without_the_primitive_the_image_is_nobody_s() {
    let (image, place) = (image(), place());
    let list = list(vec![image.path().to_owned()], &place.path().join("base"), false, false);
    let ran = run(list, shell("stat -c %u /bin; echo x >> /etc/passwd"));
    assert!(ran.code != 0 && ran.out.starts_with("65534\n"), "{ran:?}");
}

#[test]
fn what_was_written_is_there_for_a_container_with_other_ids() {
    let (image, place) = (image(), place());
    sh(over(&image, place.path()), "echo first > /file; chown 33 /file");
    let mut other = over(&image, place.path());
    other[0] = Box::new(SubIds::own(FIRST + 65_536));
    assert_eq!(sh(other, "cat /file; stat -c %u /file; echo second > /file"), "first\n33\n");
    assert_eq!(fs::metadata(place.path().join("upper/file")).unwrap().uid(), 33);
}

#[test]
fn fifty_layers_are_one_directory() {
    for way in WAYS {
        let (image, place) = (image(), place());
        let layer = |number| {
            let dir = place.path().join(format!("layer-{number}"));
            fs::create_dir_all(dir.join("layers")).unwrap();
            fs::write(dir.join(format!("layers/{number}")), "").unwrap();
            dir
        };
        let lower = (0..50).map(layer).chain([image.path().to_owned()]).collect();
        let list = list(lower, &place.path().join("base"), way, true);
        assert_eq!(
            sh(list, "ls /layers | wc -l; stat -c %u /layers/7; rm /layers/7; ls /layers | wc -l"),
            "50\n0\n49\n"
        );
    }
}

#[test]
fn layers_may_be_on_several_filesystems() {
    let (image, place) = (image(), place());
    let other = TempDir::new_in("/dev/shm").unwrap();
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    let version = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = version.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    if device(other.path()) == device(place.path()) || (numbers.next(), numbers.next()) < (Some(6), Some(3)) {
        println!("skipped: /dev/shm is no tmpfs of its own, or the kernel is older than 6.3 and cannot idmap one");
        return;
    }
    fs::set_permissions(other.path(), Permissions::from_mode(0o755)).unwrap();
    fs::write(other.path().join("elsewhere"), "here\n").unwrap();
    for way in WAYS {
        let lower = vec![other.path().to_owned(), image.path().to_owned()];
        let list = list(lower, &place.path().join("base"), way, true);
        assert_eq!(sh(list, "cat /elsewhere; stat -c %u /elsewhere /bin; rm /elsewhere"), "here\n0\n0\n");
    }
}

/// Makes a set-user-id shell in a container whose own directory is `base`, and runs it as a user of the host.
fn shell_of_the_container(base: &Path) -> Ran {
    let image = image();
    // A program of the host's, which says who runs it: busybox would give the rights up.
    tests::rootfs::copy_program("/usr/bin/id", image.path().join("id"));
    let make = "cp /id /shell; chmod 4755 /shell; stat -c '%u %a' /shell; echo ready; exec sleep 20";
    let mut running = start(over(&image, base), shell(make)).unwrap();
    running.wait_for("0 4755\nready");
    let output = Command::new("setpriv")
        // A shell between: setpriv keeps its capabilities until it executes something, and would open every way.
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "sh", "-c", "exec \"$0\" -u"])
        .arg(base.join("upper/shell"))
        .output();
    match output {
        Ok(output) => Ran {
            code: output.status.code().unwrap(),
            out: String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        },
        Err(e) => panic!("setpriv (util-linux): {e}"),
    }
}

#[test]
fn attack_a_set_user_id_shell_in_the_upper_directory() {
    let place = place();
    let open = place.path().join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(shell_of_the_container(&open).out, "0\n", "where every user may enter, he becomes root by it");
    let ran = shell_of_the_container(&place.path().join("closed"));
    assert!(ran.code != 0 && ran.out.contains("Permission denied"), "{ran:?}");
}

#[test]
fn attack_a_device_in_the_image() {
    let (image, place) = (image(), place());
    let null = nix::sys::stat::makedev(1, 3);
    let (kind, all) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::from_bits_truncate(0o666));
    nix::sys::stat::mknod(&image.path().join("disk"), kind, all, null).unwrap();
    for way in WAYS {
        let lower = vec![image.path().to_owned()];
        let ran =
            run(list(lower, &place.path().join("base"), way, true), shell("echo x > /dev/null && echo x > /disk"));
        assert!(ran.code != 0 && ran.out.contains("/disk: Permission denied"), "{ran:?}");
        let made = run(over(&image, &place.path().join("base")), shell("mknod /disk2 b 8 0"));
        assert!(made.code != 0 && made.out.contains("Operation not permitted"), "{made:?}");
    }
}

#[test]
fn it_needs_maps_and_a_filesystem_that_can() {
    let error = start(vec![Box::new(Idmap::default())], shell("true")).err().expect("no maps");
    assert_eq!((error.primitive, error.errno), ("idmap", Errno::EINVAL));
    // /proc cannot be idmapped.
    let place = place();
    let list = list(vec![PathBuf::from("/proc/sys")], &place.path().join("base"), false, true);
    let error = start(list, shell("true")).err().expect("not /proc");
    assert_eq!((error.primitive, error.errno), ("overlay", Errno::EINVAL));
    assert!(error.to_string().contains("cannot be idmapped"), "{error}");
    assert!(!place.path().join("base").exists(), "undone");
}

#[test]
fn the_binary_runs_with_a_terminal_that_belongs_to_the_container() {
    let image = image();
    let ran = script_as_root(STAGE, image.path(), "stat -c '%u %g' /bin /dev/console; cat /proc/self/uid_map");
    let lines: Vec<_> = ran.out.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!((ran.code, &lines[..2]), (0, &["0 0".to_owned(), "0 5".to_owned()][..]));
    assert!(lines[2].ends_with(" 65536") && lines[2] != "0 0 65536", "{ran:?}");
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(STAGE, Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
