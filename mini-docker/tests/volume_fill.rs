//! Volumes that are filled from the image: once, whole, and whatever interrupts it.

use std::{
    fs,
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    },
    path::Path,
    process::Command,
};

use process::sys;
use tests::{engine::Engine, rootfs};

/// An engine with an image `full`, which has something of everything in /hello.
fn engine() -> Engine {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    let tree = engine.path("tree");
    fs::create_dir(&tree).unwrap();
    rootfs::busybox(&tree);
    fs::write(tree.join("home/other"), "").unwrap();
    let hello = tree.join("hello");
    fs::create_dir_all(hello.join("local/deep")).unwrap();
    fs::write(hello.join("local/world"), "hello\n").unwrap();
    fs::write(hello.join("local/program"), "x").unwrap();
    mode(&hello.join("local/program"), 0o4751);
    fs::hard_link(hello.join("local/world"), hello.join("local/deep/again")).unwrap();
    symlink("/etc/passwd", hello.join("link")).unwrap();
    lchown(hello.join("link"), Some(3), Some(4)).unwrap();
    for (path, id) in [("", 7), ("local", 8), ("local/world", 9)] {
        chown(hello.join(path), Some(id), Some(id + 1)).unwrap();
    }
    mode(&hello, 0o2750);
    let world = fs::File::open(hello.join("local/world")).unwrap();
    sys::set_xattr(world.as_fd(), c"user.note", b"kept").unwrap();
    let archive = engine.path("full.tar");
    let tar = Command::new("tar").args(["--xattrs", "-C"]).arg(&tree).arg("-cf").arg(&archive).arg(".").status();
    assert!(tar.unwrap().success());
    engine.run(&["import", archive.to_str().unwrap(), "full"]).ok();
    engine
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn assert_filled(data: &Path) {
    let found = |path: &str| fs::symlink_metadata(data.join(path)).unwrap();
    let owner = |path: &str| (found(path).uid(), found(path).gid());
    assert_eq!(fs::read_to_string(data.join("local/world")).unwrap(), "hello\n");
    assert_eq!([owner(""), owner("local"), owner("local/world"), owner("link")], [(7, 8), (8, 9), (9, 10), (3, 4)]);
    assert_eq!((found("").mode() & 0o7777, found("local/program").mode() & 0o7777), (0o2750, 0o4751));
    assert_eq!(found("local/world").ino(), found("local/deep/again").ino());
    assert_eq!(fs::read_link(data.join("link")).unwrap(), Path::new("/etc/passwd"));
    let world = fs::File::open(data.join("local/world")).unwrap();
    let mut note = [0; 16];
    assert_eq!(sys::get_xattr(world.as_fd(), c"user.note", &mut note), Ok(4));
}

fn data(engine: &Engine, name: &str) -> std::path::PathBuf {
    engine.root().join("volumes").join(name).join("_data")
}

#[test]
fn an_empty_volume_gets_what_the_image_has_in_its_place() {
    let engine = engine();
    let said = engine.run(&[
        "run",
        "--rm",
        "-v",
        "vol:/hello",
        "full",
        "sh",
        "-c",
        "cat /hello/local/world; stat -c '%u:%g %a' /hello",
    ]);
    assert_eq!(said.ok(), "hello\n7:8 2750\n");
    assert_filled(&data(&engine, "vol"));
    assert!(!engine.root().join("volumes/vol/copying").exists());
    // Once: what a container removes stays away, and another image's files do not come in.
    engine.run(&["run", "--rm", "-v", "vol:/hello", "full", "rm", "-r", "/hello/local"]).ok();
    assert_eq!(engine.run(&["run", "--rm", "-v", "vol:/home", "full", "ls", "/home"]).ok(), "link\n");
    for flags in [
        ["-v", "no:/hello:nocopy"],
        ["--mount", "src=no2,dst=/hello,volume-nocopy"],
        ["--mount", "src=no3,dst=/hello,volume-nocopy=true"],
    ] {
        assert_eq!(engine.run(&[&["run", "--rm"], &flags[..], &["full", "ls", "-A", "/hello"]].concat()).ok(), "");
    }
    // Anonymous ones too, and those of --mount.
    assert_eq!(engine.run(&["run", "--rm", "-v", "/hello", "full", "cat", "/hello/local/world"]).ok(), "hello\n");
    assert_eq!(
        engine.run(&["run", "--rm", "--mount", "dst=/hello", "full", "cat", "/hello/local/world"]).ok(),
        "hello\n"
    );
    // Where the image has nothing, or no directory, there is nothing to copy.
    assert_eq!(engine.run(&["run", "--rm", "-v", "new:/nowhere", "full", "ls", "-A", "/nowhere"]).ok(), "");
}

#[test]
fn a_link_of_the_image_fills_a_volume_with_the_images_files_only() {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    let (tree, secret) = (engine.path("tree"), engine.path("secret"));
    fs::create_dir(&tree).unwrap();
    fs::create_dir(&secret).unwrap();
    fs::write(secret.join("of-the-host"), "").unwrap();
    rootfs::busybox(&tree);
    fs::create_dir(tree.join("opt")).unwrap();
    fs::write(tree.join("opt/of-the-image"), "").unwrap();
    let climbing = Path::new("../../../../../../../..").join(secret.strip_prefix("/").unwrap());
    for (name, to) in [("out", secret.as_path()), ("up", &climbing), ("in", Path::new("/opt"))] {
        symlink(to, tree.join(name)).unwrap();
    }
    let archive = engine.path("links.tar");
    assert!(Command::new("tar").arg("-C").arg(&tree).arg("-cf").arg(&archive).arg(".").status().unwrap().success());
    engine.run(&["import", archive.to_str().unwrap(), "links"]).ok();
    for (name, files) in [("out", ""), ("up", ""), ("in", "of-the-image\n")] {
        let said =
            engine.run(&["run", "--rm", "-v", &format!("v-{name}:/{name}"), "links", "ls", &format!("/{name}/")]);
        assert_eq!(said.ok(), files, "{name}");
    }
}

#[test]
fn what_was_interrupted_is_completed_and_nothing_is_replaced() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "-v", "vol:/hello", "full", "true"]).ok();
    let data = data(&engine, "vol");
    let mark = engine.root().join("volumes/vol/copying");
    let inspect = engine.inspect("c1");
    let lower = inspect["GraphDriver"]["Data"]["LowerDir"].as_str().unwrap();
    let layers: Vec<_> =
        lower.split(':').map(|path| Path::new(path).parent().unwrap().file_name().unwrap().to_str().unwrap()).collect();
    // As a command leaves it that is killed in the middle: some files, a directory without its owner, and the mark.
    fs::write(&mark, serde_json::json!({"layers": layers, "path": "/hello"}).to_string()).unwrap();
    fs::remove_file(data.join("local/world")).unwrap();
    fs::remove_file(data.join("local/deep/again")).unwrap();
    chown(data.join("local"), Some(0), Some(0)).unwrap();
    mode(&data, 0o755);
    fs::write(data.join("of-another"), "kept\n").unwrap();
    fs::write(data.join("local/program"), "of another container").unwrap();
    // Another image completes it from the first.
    engine.run(&["run", "--rm", "-v", "vol:/d", "full", "cat", "/d/of-another"]).ok();
    assert_filled(&data);
    assert!(!mark.exists());
    assert_eq!(fs::read_to_string(data.join("local/program")).unwrap(), "of another container");
    // Where its image is gone, what is there stays.
    fs::write(&mark, serde_json::json!({"layers": ["0".repeat(64)], "path": "/hello"}).to_string()).unwrap();
    assert_eq!(engine.run(&["run", "--rm", "-v", "vol:/hello", "full", "cat", "/hello/of-another"]).ok(), "kept\n");
    assert!(!mark.exists());
}

#[test]
fn many_at_once_fill_a_volume_once() {
    let engine = engine();
    let all: Vec<_> = (0..8)
        .map(|_| {
            let mut command =
                engine.command(&["run", "--rm", "-v", "vol:/hello", "full", "cat", "/hello/local/deep/again"]);
            command.stdout(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in all {
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"hello\n"[..]));
    }
    assert_filled(&data(&engine, "vol"));
}

#[test]
fn a_command_that_is_killed_leaves_a_volume_that_the_next_completes() {
    let engine = engine();
    // At every moment of it, in steps of which each takes longer than the one before.
    for round in 0..24_u32 {
        let name = format!("vol{round}");
        let mut child = engine
            .command(&["create", "--name", "c1", "-v", &format!("{name}:/hello"), "full", "true"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_micros(u64::from(round) * 400));
        child.kill().unwrap();
        child.wait().unwrap();
        engine.run(&["run", "--rm", "-v", &format!("{name}:/hello"), "full", "true"]).ok();
        assert_filled(&data(&engine, &name));
        assert!(!engine.root().join("volumes").join(&name).join("copying").exists());
        engine.run(&["rm", "-f", "c1"]);
    }
    // Takes the name, wherever the last one was killed, and sweeps.
    engine.run(&["create", "--name", "c1", "full", "true"]).ok();
    engine.run(&["import", engine.path("full.tar").to_str().unwrap(), "full"]).ok();
}
