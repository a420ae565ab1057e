//! What is wrong is said in one line, and leaves nothing behind.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tests::{
    engine::{Engine, eventually},
    rootfs,
};

fn empty() -> Engine {
    Engine::empty(env!("CARGO_BIN_EXE_mini-docker"))
}

fn tar_of(fill: impl FnOnce(&Path)) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    fill(directory.path());
    let mut archive = tar::Builder::new(Vec::new());
    archive.follow_symlinks(false);
    archive.append_dir_all(".", directory.path()).unwrap();
    archive.into_inner().unwrap()
}

#[test]
fn archives_that_are_none_are_refused() {
    let engine = empty();
    let file = engine.path("x.tar");
    let name = file.to_str().unwrap();
    assert!(engine.run(&["import", name, "x"]).refused(1).contains("No such file"));
    for bytes in [&b"this is no archive at all"[..], &[0x1f, 0x8b, 8, 0, 1, 2, 3], &[0xff; 2048]] {
        fs::write(&file, bytes).unwrap();
        engine.run(&["import", name, "x"]).refused(1);
    }
    assert!(engine.run(&["import", "/", "x"]).refused(1).contains("is a directory"));
    engine.run_with(&["import", "-", "Bad/NAME"], b"").refused(1);
    for directory in ["layers", "images", "refs", "tmp"] {
        let left = fs::read_dir(engine.root().join(directory)).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{directory}");
    }
}

#[test]
fn a_root_filesystem_without_a_shell_is_no_mystery() {
    let engine = empty();
    let bare = tar_of(|root| fs::write(root.join("hello"), "x").unwrap());
    engine.run_with(&["import", "-", "bare"], &bare).ok();
    let said = engine.run(&["run", "--rm", "bare", "sh"]).refused(127);
    assert!(said.contains("not found in $PATH"), "{said}");
    let said = engine.run(&["run", "--rm", "bare", "/hello"]).refused(126);
    assert!(said.contains("no execute permission"), "{said}");
    let script = tar_of(|root| {
        fs::write(root.join("script"), "#!/bin/nosuch\n").unwrap();
        fs::set_permissions(root.join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    });
    engine.run_with(&["import", "-", "script"], &script).ok();
    let said = engine.run(&["run", "--rm", "script", "/script"]).refused(127);
    assert!(said.contains("interpreter"), "{said}");
}

#[test]
fn a_pipe_for_a_passwd_file_hangs_nobody() {
    let engine = empty();
    let hostile = tar_of(|root| {
        rootfs::busybox(root);
        fs::remove_file(root.join("etc/passwd")).unwrap();
        nix::unistd::mkfifo(&root.join("etc/passwd"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    });
    engine.run_with(&["import", "-", "pipe"], &hostile).ok();
    assert!(engine.run(&["run", "--rm", "pipe", "true"]).refused(125).contains("no regular file"));
}

#[test]
fn wrong_command_lines_are_one_line() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    for (arguments, says) in [
        (&["run"][..], "IMAGE"),
        (&["run", "--nosuch", "bb"], "--nosuch"),
        (&["nosuch"], "nosuch"),
        (&["run", "--pull", "never", "nosuch:1", "true"], "No such image"),
        (&["run", "UPPER", "true"], "lowercase"),
        (&["run", "--network", "nosuch", "bb", "true"], "network nosuch not found"),
        (&["run", "-e", "=x", "bb", "true"], "has no name"),
        (&["run", "--stop-signal", "NOSUCH", "bb", "true"], "invalid signal"),
        (&["run", "--env-file", "/nosuch", "bb", "true"], "/nosuch"),
        (&["run", "--rm", "-u", "2147483648", "bb", "true"], "uids and gids must be in range"),
        (&["run", "--rm", "--device", "/etc", "bb", "true"], "\"/etc\": not a device node"),
        (
            &["run", "--network", "none", "--network-alias", "a", "bb", "true"],
            "network-scoped aliases are only supported",
        ),
        (&["run", "--network", "container:", "bb", "true"], "invalid container format container:<name|id>"),
        (&["rm"], "CONTAINER"),
    ] {
        // As Docker's: of a flag 125, of a word 1.
        let code = if arguments.len() == 1 { 1 } else { 125 };
        let said = engine.run(arguments).refused(code);
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
    // What Docker's command line finds out, and what its daemon does.
    for (flags, code, says) in [
        (&["-e", "=x"][..], 125, "invalid environment variable"),
        (&["--label", "=x"], 125, "empty name"),
        (&["--env-file", "/nosuch"], 125, "/nosuch"),
        (&["--link", "a:b:c"], 125, "bad format for links: a:b:c"),
        (&["--cpus", "1", "--cpu-quota", "2000"], 1, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        (&["--name", "a/b"], 1, "Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (&["--restart", "never"], 1, "restart policy"),
        (&["--memory", "1k"], 1, "Minimum memory limit allowed is 6MB"),
        (&["--link", "nosuch:alias"], 1, "No such container: nosuch"),
    ] {
        let said = engine.run(&[&["create"], flags, &["bb", "true"]].concat()).refused(code);
        assert!(said.contains(says), "{flags:?}: {said}");
    }
    for command in ["logs", "stop", "kill", "wait", "rm"] {
        assert!(engine.run(&[command, "nosuch"]).refused(1).contains("No such container: nosuch"));
    }
    assert!(engine.run(&["rmi", "nosuch"]).refused(1).contains("No such image"));
    assert!(engine.run(&["rmi", " "]).refused(1).contains("image name cannot be blank"));
    assert!(engine.run(&["tag", "bb", "sha256:a"]).refused(1).contains("refusing to create an ambiguous tag"));
    assert_eq!(engine.run(&["ps", "-aq"]).ok(), "");
}

#[test]
fn a_cidfile_of_no_container_is_not_left() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let path = engine.path("cid");
    let flags = ["run", "--rm", "--cidfile", path.to_str().unwrap()];
    engine.run(&[&flags[..], &["--network", "nosuch", "bb", "true"]].concat()).refused(125);
    engine.run(&[&flags[..], &["bb", "true"]].concat()).ok();
}

#[test]
fn an_existing_cidfile_is_kept() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let file = engine.path("cid");
    let name = file.to_str().unwrap();
    engine.run(&["run", "--rm", "--cidfile", name, "bb", "true"]).ok();
    let id = fs::read_to_string(&file).unwrap();
    assert_eq!(id.len(), 64);
    assert!(
        engine.run(&["run", "--rm", "--cidfile", name, "bb", "true"]).refused(125).contains("container ID file found")
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), id);
}

/// A filesystem of a few megabytes for a store.
struct Small(std::path::PathBuf);

impl Small {
    fn new(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some("size=6m")).unwrap();
        Self(path.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        umount2(&self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let engine = empty();
    let small = Small::new(&engine.root());
    let archive = engine.path("bb.tar");
    rootfs::busybox_tar(&archive);
    engine.run(&["import", archive.to_str().unwrap(), "bb"]).ok();

    let mut large = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 20);
    header.set_mode(0o644);
    large.append_data(&mut header, "large", std::io::repeat(7).take(8 << 20)).unwrap();
    let said = engine.run_with(&["import", "-", "large"], &large.into_inner().unwrap()).refused(1);
    assert!(said.contains("No space left on device"), "{said}");

    // To the last byte: not even a small file fits.
    let mut filler = fs::File::create(engine.root().join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let said = engine.run(&["run", "--rm", "bb", "true"]).refused(125);
    assert!(said.contains("No space left on device"), "{said}");
    drop(filler);
    fs::remove_file(engine.root().join("filler")).unwrap();
    assert_eq!(engine.run(&["run", "--rm", "bb", "echo", "again"]).ok(), "again\n");
    // A container's files go after the answer.
    for directory in ["containers", "names", "tmp"] {
        let path = engine.root().join(directory);
        eventually(directory, || fs::read_dir(&path).unwrap().count() == 0);
    }
    drop(small);
}
