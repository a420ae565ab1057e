//! `cp`, `diff` and `export`: a container's files from outside, and never the host's in their place.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use nix::{
    fcntl::{OFlag, open, openat},
    libc,
    sys::stat::{Mode, mkdirat},
};
use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn files_go_both_ways_into_containers_that_run_and_that_do_not() {
    let engine = engine();
    let file = engine.path("file");
    fs::write(&file, "of the host\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let (file, back) = (file.to_str().unwrap(), engine.path("back"));
    engine.run(&["create", "--name", "still", "bb", "true"]).ok();
    engine.run(&["run", "-d", "--name", "busy", "-v", "data:/data", "--tmpfs", "/mem", "bb", "sleep", "1000"]).ok();
    for (name, path) in [("still", "/etc/new"), ("busy", "/root/new"), ("busy", "/data/new"), ("busy", "/mem/new")] {
        let place = format!("{name}:{path}");
        engine.run(&["cp", "-q", file, &place]).ok();
        engine.run(&["cp", "-q", &place, back.to_str().unwrap()]).ok();
        assert_eq!(fs::read_to_string(&back).unwrap(), "of the host\n", "{place}");
        assert_eq!(fs::metadata(&back).unwrap().permissions().mode() & 0o7777, 0o640, "{place}");
        fs::remove_file(&back).unwrap();
    }
    let seen = engine.run(&["exec", "busy", "cat", "/root/new", "/data/new", "/mem/new"]).ok();
    assert_eq!(seen, "of the host\n".repeat(3));
    assert!(engine.root().join("volumes/data/_data/new").exists());
    let missing = engine.run(&["cp", "busy:/nosuch", back.to_str().unwrap()]).refused(1);
    assert!(missing.contains("could not find the file"), "{missing}");
    assert!(!back.exists());
}

#[test]
fn a_device_of_the_hosts_is_not_replaced_by_a_file() {
    use std::os::unix::fs::FileTypeExt;
    let engine = engine();
    engine.run(&["create", "--name", "c1", "bb", "true"]).ok();
    let null = engine.path("null");
    let made = Command::new("mknod").arg(&null).args(["c", "1", "3"]).status().unwrap();
    assert!(made.success());
    let said = engine.run(&["cp", "c1:/etc/passwd", null.to_str().unwrap()]).refused(1);
    assert!(said.contains("must be a directory or a regular file: got a device"), "{said}");
    assert!(fs::metadata(&null).unwrap().file_type().is_char_device());
}

#[test]
fn a_directory_is_not_replaced_by_a_file_nor_a_file_by_a_directory() {
    let engine = engine();
    let script = "mkdir /tmp/dir && echo inside > /tmp/dir/keep && echo file > /tmp/file && sleep 1000";
    engine.run(&["run", "-d", "--name", "c1", "bb", "sh", "-c", script]).ok();
    let here = engine.path("here");
    fs::create_dir_all(here.join("file")).unwrap();
    fs::write(here.join("file/keep"), "of the host\n").unwrap();
    fs::write(here.join("dir"), "a file\n").unwrap();
    let at = |name: &str| here.join(name).to_str().unwrap().to_owned();
    let (over, under) = ("cannot overwrite directory", "cannot overwrite non-directory");
    let here = here.to_str().unwrap().to_owned();
    for (from, to, why) in [
        (at("dir"), "c1:/tmp".to_owned(), over),
        (at("file"), "c1:/tmp".to_owned(), under),
        ("c1:/tmp/file".to_owned(), here.clone(), over),
        ("c1:/tmp/dir".to_owned(), here, under),
    ] {
        let refused = engine.run(&["cp", &from, &to]).refused(1);
        assert!(refused.contains(why), "{from} {to}: {refused}");
    }
    assert_eq!(engine.run(&["exec", "c1", "cat", "/tmp/dir/keep", "/tmp/file"]).ok(), "inside\nfile\n");
    assert_eq!(fs::read_to_string(at("file/keep")).unwrap(), "of the host\n");
    assert_eq!(fs::read_to_string(at("dir")).unwrap(), "a file\n");
    // What is alike is replaced, and merged; an archive may be compressed.
    engine.run(&["cp", &at("dir"), "c1:/tmp/file"]).ok();
    let archive = Command::new("tar").args(["-C", &at("file"), "-czf", "-", "keep"]).output().unwrap();
    let said = engine.run_with(&["cp", "-", "c1:/tmp/dir"], &archive.stdout);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(engine.run(&["exec", "c1", "cat", "/tmp/dir/keep", "/tmp/file"]).ok(), "of the host\na file\n");
}

#[test]
fn changes_are_told_and_all_is_exported() {
    let engine = engine();
    let script = "echo x > /new; rm /bin/true; mkdir -p /d/e; echo y > /d/e/f; echo 1.2.3.4 x >> /etc/hosts";
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", script]).ok();
    let changes = engine.run(&["diff", "c1"]).ok();
    assert_eq!(changes, "C /bin\nD /bin/true\nA /d\nA /d/e\nA /d/e/f\nA /new\n");
    let archive = engine.path("all.tar");
    engine.run(&["export", "-o", archive.to_str().unwrap(), "c1"]).ok();
    let listed = Command::new("tar").arg("-tf").arg(&archive).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.lines().any(|name| name == "d/e/f") && listed.lines().any(|name| name == "bin/busybox"), "{listed}");
    assert!(!listed.lines().any(|name| name == "bin/true"), "{listed}");
}

#[test]
fn a_directory_that_is_there_to_mount_on_is_changed_and_not_new() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "bb", "true"]).ok();
    let archive = engine.path("no-etc.tar");
    let root = engine.path("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    engine.run(&["cp", "c1:/bin/busybox", root.join("bin/sh").to_str().unwrap()]).ok();
    let tar = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(&root).arg("bin").status();
    assert!(tar.unwrap().success());
    engine.run(&["import", archive.to_str().unwrap(), "no-etc"]).ok();
    engine.run(&["run", "--name", "c2", "no-etc", "sh", "-c", "echo > /etc/new"]).ok();
    assert_eq!(engine.run(&["diff", "c2"]).ok(), "C /etc\nA /etc/new\n");
}

#[test]
fn directories_deeper_than_any_path_name_are_measured_listed_and_removed() {
    let engine = engine();
    let deep = |top: &std::path::Path| {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut at = open(top, flags, Mode::empty()).unwrap();
        for _ in 0..1000 {
            mkdirat(&at, "directory", Mode::S_IRWXU).unwrap();
            at = openat(&at, "directory", flags, Mode::empty()).unwrap();
        }
        let file = openat(&at, "file", OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_CLOEXEC, Mode::S_IRUSR).unwrap();
        fs::File::from(file).set_len(7).unwrap();
    };
    let few = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mini-docker")]);
        command.args(arguments).env("MINI_DOCKER_ROOT", engine.root());
        tests::engine::said(&tests::engine::output(command, b""))
    };
    engine.run(&["run", "--name", "c1", "-v", "v1:/data", "bb", "mkdir", "/d"]).ok();
    let id = engine.run(&["ps", "-aq", "--no-trunc"]).ok();
    deep(&engine.root().join("containers").join(id.trim()).join("upper/d"));
    deep(&engine.root().join("volumes/v1/_data"));
    let sizes = few(&["ps", "-as", "--format", "{{.Size}}"]).ok();
    assert!(sizes.starts_with("7B "), "{sizes}");
    few(&["system", "df", "-v"]).ok();
    assert!(few(&["inspect", "-s", "c1"]).ok().contains("\"SizeRw\": 7,"));
    let changes = few(&["diff", "c1"]);
    assert!(changes.out.starts_with("A /d\nA /d/directory\nA /d/directory/directory\n"), "{changes:?}");
    assert!(changes.out.lines().all(|line| line.len() <= 4097) && changes.out.lines().count() > 400, "{changes:?}");
    assert_eq!(changes.code, 0, "{changes:?}");
    assert!(changes.err.contains("deeper than a path name can be long"), "{changes:?}");
    few(&["rm", "-f", "c1"]).ok();
    few(&["volume", "rm", "v1"]).ok();
    assert_eq!(fs::read_dir(engine.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_container_that_cannot_be_measured_does_not_hide_the_others() {
    let engine = engine();
    for name in ["c1", "c2"] {
        engine.run(&["run", "--name", name, "bb", "true"]).ok();
    }
    let id = engine.run(&["ps", "-aq", "--no-trunc", "--filter", "name=c1"]).ok();
    let upper = engine.root().join("containers").join(id.trim()).join("upper");
    fs::remove_dir_all(&upper).unwrap();
    fs::write(&upper, "").unwrap();
    let said = engine.run(&["ps", "-as", "--format", "{{.Names}} {{.Size}}"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("c1 N/A\n") && said.out.contains("c2 0B (virtual "), "{said:?}");
    assert!(said.err.contains("Not a directory") && said.err.contains("upper"), "{said:?}");
}

#[test]
fn no_device_and_no_set_user_id_bit_comes_to_the_host_unasked() {
    let engine = engine();
    let make = "mkdir /d && cp /bin/busybox /d/su && chmod 6755 /d/su && mknod /d/disk b 254 0 && ln /d/disk /d/more \
        && mkdir /d/shared && chmod 2755 /d/shared && mkfifo /d/fifo";
    engine.run(&["run", "--userns=host", "--cap-add", "MKNOD", "--name", "c1", "bb", "sh", "-c", make]).ok();
    engine.run(&["commit", "c1", "made"]).ok();
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), "FROM made\n").unwrap();
    let (copied, built, all) = (engine.path("copied"), engine.path("built"), engine.path("all"));
    let mode = |path: &std::path::Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777;
    let words = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    for (command, directory) in [
        (vec!["cp".to_owned(), "c1:/d".to_owned(), words(&copied)], copied),
        (vec!["build".to_owned(), "-q".to_owned(), "-o".to_owned(), words(&built), words(&context)], built.join("d")),
    ] {
        let said = engine.run(&command.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(said.code, 0, "{said:?}");
        assert!(said.err.contains("2 device node(s)") && said.err.contains("1 file(s) lost"), "{said:?}");
        assert_eq!((mode(&directory.join("su")), mode(&directory.join("shared"))), (0o755, 0o2755));
        assert!(
            directory.join("fifo").exists() && !directory.join("disk").exists() && !directory.join("more").exists()
        );
    }
    let said = engine.run(&["cp", "-a", "c1:/d", all.to_str().unwrap()]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(mode(&all.join("su")), 0o6755);
    assert_eq!(fs::symlink_metadata(all.join("more")).unwrap().rdev(), libc::makedev(254, 0));
    // A container has what it is given.
    engine.run(&["create", "--name", "c2", "bb", "true"]).ok();
    engine.run(&["cp", all.to_str().unwrap(), "c2:/d"]).ok();
    let back = engine.path("back");
    engine.run(&["cp", "-a", "c2:/d", back.to_str().unwrap()]).ok();
    assert_eq!(mode(&back.join("su")), 0o6755);
}
