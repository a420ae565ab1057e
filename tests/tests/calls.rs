//! The map of system calls is whole: it has every call that the sources name, and every one that the kernel sees.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use tests::{
    calls::Calls,
    container::image,
    engine::Engine,
    rootfs,
    transcript::{WORKSPACE, name, stages},
};

fn map() -> Calls {
    Calls::read(&Path::new(WORKSPACE).canonicalize().unwrap()).expect("book/calls.txt")
}

#[test]
fn the_map_has_what_the_sources_name_and_nothing_else() {
    let problems = map().problems();
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn what_is_missing_and_what_nobody_makes_is_found() {
    let directory = TempDir::with_prefix("calls.").unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let problems = || Calls::read(directory.path()).unwrap().problems();
    write("stages/00-process/src/sys/mod.rs", "pub fn fork() { unsafe { libc::fork() } }\n");
    write("stages/02-chroot/src/lib.rs", "use nix::unistd::{Pid, chroot};\nfn enter() { chroot(c\"/\") }\n");
    write("book/calls.txt", "## Some\nclone | libc::fork( | makes\nchroot | chroot( | moves\n");
    assert_eq!(problems(), [""; 0]);
    let page = Calls::read(directory.path()).unwrap().page();
    assert!(page.contains("| `chroot` | moves | 02 |") && page.contains("| `clone` | makes | 00 |"), "{page}");

    write(
        "stages/02-chroot/src/lib.rs",
        "use nix::unistd::{chdir, chroot};\nfn enter() { chroot(\"/\"); chdir(\"/\") }\n",
    );
    assert_eq!(problems(), ["stages/02-chroot/src/lib.rs: book/calls.txt has no call chdir"]);
    write("stages/02-chroot/src/lib.rs", "// chroot(2)\nfn enter() { fchroot() }\n#[cfg(test)]\nfn t() { chroot() }\n");
    assert_eq!(problems(), ["book/calls.txt: nobody makes the call chroot"]);
    write("stages/02-chroot/src/lib.rs", "fn enter() { chroot() }\n");
    write(
        "stages/00-process/src/sys/mod.rs",
        "fn f() { libc::fork(); libc::syscall(libc::SYS_bpf, libc::AT_FDCWD) }\n",
    );
    assert_eq!(problems(), ["stages/00-process/src/sys/mod.rs: book/calls.txt has no call bpf"]);
}

/// The names of the calls that a command and all its children make.
fn traced(command: &Command, directory: &Path) -> BTreeSet<String> {
    let file = directory.join("trace");
    let mut strace = Command::new("unshare");
    // A network of its own: some make bridges.
    strace.args(["--net", "strace", "-f", "-qq", "-o"]).arg(&file).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        strace.env(key, value.unwrap_or_default());
    }
    let output = strace.stdin(Stdio::null()).output().expect("unshare (util-linux) and strace");
    let trace = fs::read_to_string(&file).unwrap_or_default();
    assert!(output.status.success(), "{command:?}: {output:?}");
    let name = |line: &str| {
        let rest = line.split_once(char::is_whitespace)?.1.trim_start();
        let rest = rest.strip_prefix("<... ").unwrap_or(rest);
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        name.starts_with(char::is_lowercase).then_some(name)
    };
    trace.lines().filter_map(name).collect()
}

#[test]
fn the_map_has_every_call_that_the_kernel_sees() {
    let map = map();
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap();
    let place = TempDir::with_prefix("calls.").unwrap();
    let image = image();
    let mut unknown = BTreeSet::new();
    let mut look = |command: &Command| {
        let called = traced(command, place.path());
        assert!(called.contains("execve"), "{command:?}: {called:?}");
        unknown.extend(called.into_iter().filter(|call| !map.has(call)).map(|call| format!("{call} ({command:?})")));
    };
    for stage in stages() {
        let program = built.join(format!("stage-{}", name(&stage)));
        assert!(program.exists(), "{} is missing: cargo build --workspace", program.display());
        let mut command = Command::new(program);
        // Stage 01 takes an archive.
        let archive = place.path().join("bb.tar");
        if name(&stage).starts_with("01") {
            rootfs::busybox_tar(&archive);
            command.arg(&archive);
        } else {
            command.arg(image.path());
        }
        command.args(["/bin/true"]).env("PUBLISH", "8080:80");
        look(&command);
    }
    let engine = Engine::new(built.join("mini-docker").to_str().unwrap());
    engine.run(&["run", "-d", "--name", "stays", "--network", "none", "bb", "sleep", "600"]).ok();
    // strace stays until the last of them has ended, the monitor too.
    let (copy, saved) = (engine.path("copy"), engine.path("saved.tar"));
    let [copy, saved] = [&copy, &saved].map(|path| path.to_str().unwrap());
    for arguments in [
        &["run", "--rm", "bb", "true"][..],
        &["run", "-d", "-p", "8080:80", "--memory", "32m", "bb", "true"],
        &["exec", "stays", "true"],
        &["cp", "stays:/etc/passwd", copy],
        &["commit", "stays", "other"],
        &["save", "-o", saved, "other"],
        &["rm", "-f", "stays"],
    ] {
        look(&engine.command(arguments));
    }
    assert!(unknown.is_empty(), "book/calls.txt lacks {unknown:#?}");
}
