//! A writable layer that keeps the image as it is.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::{
        fd::AsRawFd,
        unix::fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use mount::Mounts;
use nix::sys::stat::{Mode, SFlag, mknod};
use overlay::Overlay;
use pid::PidNamespace;
use process::Primitive;
use tempfile::{TempDir, tempdir};
use tests::container::{List, Running, image, run, script_as_nobody, sh, shell, start};
use user::{IdRange, User};

/// A container over `lower`, whose own directory is `base`.
fn list(lower: Vec<PathBuf>, base: &Path) -> List {
    with(Overlay::new(lower, base.to_owned()), base)
}

fn with(overlay: Overlay, base: &Path) -> List {
    vec![Box::new(PidNamespace), Box::new(overlay), Box::new(Mounts::new(base, vec![]).unwrap())]
}

/// The same in a user namespace, where the child makes the mount.
fn unprivileged(mut list: List) -> List {
    let all = vec![IdRange { inside: 0, outside: 0, count: 65536 }];
    list.insert(0, Box::new(User::ranges(all.clone(), all)));
    list
}

/// Every path below `dir` with its kind, mode and content.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = path.symlink_metadata().unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap().len() } else { 0 };
        all.insert(path.clone(), format!("{:?} {:o} {content}", meta.file_type(), meta.permissions().mode()));
        if meta.is_dir() {
            all.extend(snapshot(&path));
        }
    }
    all
}

#[test]
fn what_is_written_and_deleted_leaves_the_image_as_it_is() {
    for user in [false, true] {
        let (image, place) = (image(), tempdir().unwrap());
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let base = place.path().join("base");
        let before = snapshot(image.path());
        let list = list(vec![image.path().to_owned()], &base);
        let list = if user { unprivileged(list) } else { list };
        let script = "rm /etc/group; rm -r /home; echo new >> /etc/passwd; mkdir /made; chmod 700 /tmp; ls /; \
                      cat /etc/group; tail -n 1 /etc/passwd; echo ready; exec sleep 20";
        let mut running: Running = start(list, shell(script)).unwrap();
        running.wait_for("new\nready");
        let upper = base.join("upper");
        assert_eq!(fs::read_to_string(upper.join("etc/passwd")).unwrap().lines().last(), Some("new"));
        assert!(upper.join("made").is_dir());
        assert!(!upper.join("bin").exists(), "what was not written is not copied");
        assert_eq!(snapshot(image.path()), before);
        drop(running);
        assert_eq!(snapshot(image.path()), before);
        assert!(!base.exists(), "the layer goes with the container");
    }
}

#[test]
fn a_directory_that_was_there_stays_with_its_layer() {
    let (image, place) = (image(), tempdir().unwrap());
    let lower = || vec![image.path().to_owned()];
    sh(list(lower(), place.path()), "echo first > /file");
    assert_eq!(fs::read_to_string(place.path().join("upper/file")).unwrap(), "first\n");
    assert_eq!(sh(list(lower(), place.path()), "cat /file"), "first\n", "the next container goes on with it");
}

#[test]
fn the_root_directory_keeps_mode_and_owner() {
    let (image, place) = (image(), tempdir().unwrap());
    fs::set_permissions(image.path(), Permissions::from_mode(0o711)).unwrap();
    chown(image.path(), Some(3), Some(4)).unwrap();
    let lower = vec![image.path().to_owned()];
    assert_eq!(sh(list(lower, &place.path().join("base")), "stat -c '%a %u %g' /"), "711 3 4\n");
}

#[test]
fn volatile_is_what_was_asked_for() {
    for volatile in [false, true] {
        let (image, place) = (image(), tempdir().unwrap());
        let base = place.path().join("base");
        let mut overlay = Overlay::new(vec![image.path().to_owned()], base.clone());
        overlay.volatile = volatile;
        let mut running = start(with(overlay, &base), shell("echo ready; exec sleep 20")).unwrap();
        running.wait_for("ready");
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", running.child.pid)).unwrap();
        let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(" - overlay "), "{root}");
        assert_eq!(root.contains("volatile"), volatile, "{root}");
    }
}

/// `count` layers over a busybox, the topmost first; each has a file of its own and one of the same name.
fn layers(place: &TempDir, image: &Path, count: usize, prefix: &str) -> Vec<PathBuf> {
    let layer = |number| {
        let dir = place.path().join(format!("{prefix}{number}"));
        fs::create_dir_all(dir.join("layers")).unwrap();
        fs::write(dir.join(format!("layers/{number}")), "").unwrap();
        fs::write(dir.join("topmost"), format!("{number}\n")).unwrap();
        dir
    };
    (0..count).map(layer).chain([image.to_owned()]).collect()
}

#[test]
fn many_layers_show_as_one_directory() {
    // Before Linux 6.7 all are one option, of 255 bytes.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut version = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let count = if (version.next(), version.next()) >= (Some(6), Some(7)) { 200 } else { 60 };
    for user in [false, true] {
        let (image, place) = (image(), tempdir().unwrap());
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let list = list(layers(&place, image.path(), count, "layer-"), &place.path().join("base"));
        let list = if user { unprivileged(list) } else { list };
        assert_eq!(sh(list, "ls /layers | wc -l; cat /topmost"), format!("{count}\n0\n"));
    }
}

#[test]
fn a_layer_s_path_may_be_longer_than_the_kernel_takes() {
    for user in [false, true] {
        let (image, place) = (image(), tempdir().unwrap());
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let prefix = format!("{0}/{0}/layer-", "long".repeat(50));
        let lower = layers(&place, image.path(), 3, &prefix);
        assert!(lower[0].as_os_str().len() > 255);
        let base = place.path().join("long".repeat(50)).join("base".repeat(50));
        let list = list(lower, &base);
        let list = if user { unprivileged(list) } else { list };
        assert_eq!(sh(list, "ls /layers | wc -l; cat /topmost; echo x > /written; cat /written"), "3\n0\nx\n");
    }
}

#[test]
fn a_path_with_the_separators_of_mount_options_is_one_path() {
    let (image, place) = (image(), tempdir().unwrap());
    let odd = place.path().join("a:b,c\\d e");
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("odd"), "").unwrap();
    let lower = vec![odd, image.path().to_owned()];
    assert_eq!(sh(list(lower, &place.path().join("ba:se,x")), "ls /odd; echo x > /w; cat /w"), "/odd\nx\n");
}

#[test]
fn without_the_stage_the_image_changes() {
    let image = image();
    let mounts: Box<dyn Primitive> = Box::new(Mounts::new(image.path(), vec![]).unwrap());
    assert_eq!(run(vec![mounts], shell("rm /etc/group")).code, 0);
    assert!(!image.path().join("etc/group").exists());
}

#[test]
fn the_binary_works_without_root_and_leaves_the_image_as_it_is() {
    let image = image();
    // An ordinary user's image is his own: what is somebody else's could not be copied up.
    let owned = std::process::Command::new("chown").args(["-R", "65534:65534"]).arg(image.path()).status();
    assert!(owned.unwrap().success());
    let before = snapshot(image.path());
    let script = "echo mine > /tmp/mine; cat /tmp/mine; mkdir /made; ls -d /made; exit 7";
    let ran = script_as_nobody(env!("CARGO_BIN_EXE_stage-09-overlay"), image.path(), script);
    assert_eq!((ran.code, ran.out.as_str()), (7, "mine\n/made\n"));
    assert_eq!(snapshot(image.path()), before);
}

#[test]
fn a_view_shows_all_layers_and_cannot_be_written() {
    let layers: Vec<_> = (0..3).map(|_| tempdir().unwrap()).collect();
    for (number, layer) in layers.iter().enumerate() {
        fs::write(layer.path().join("same"), number.to_string()).unwrap();
        fs::write(layer.path().join(format!("own-{number}")), "").unwrap();
    }
    // A whiteout, which hides what is below.
    mknod(&layers[0].path().join("own-2"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
    for count in 1..=3 {
        let lower: Vec<_> = layers.iter().take(count).map(|layer| layer.path().to_owned()).collect();
        let view = overlay::merged(&lower).unwrap();
        let path = format!("/proc/self/fd/{}", view.as_raw_fd());
        assert_eq!(fs::read_to_string(format!("{path}/same")).unwrap(), "0");
        let own = (0..3).filter(|number| Path::new(&format!("{path}/own-{number}")).is_file());
        assert_eq!(own.collect::<Vec<_>>(), (0..count.min(2)).collect::<Vec<_>>());
        assert!(count == 1 || fs::write(format!("{path}/new"), "").is_err());
    }
    assert!(overlay::merged(&["/nonexistent".into()]).is_err());
}
