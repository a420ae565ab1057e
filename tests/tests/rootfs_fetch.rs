//! rootfs-fetch.sh: what it makes, what it refuses and what it leaves behind.
//!
//! Downloads are played by stubs put before the real programs in PATH; only
//! Debian's busybox-static is really fetched, through apt.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../rootfs-fetch.sh");
const DEFCONFIG: &str = "../stages/01-rootfs/buildroot/mini_docker_defconfig";

/// A directory to run the script in, with stubs that stand before PATH.
struct Place {
    dir: TempDir,
    stubs: TempDir,
}

impl Place {
    fn new() -> Place {
        let place = Place { dir: TempDir::new().unwrap(), stubs: TempDir::new().unwrap() };
        for dir in [&place.dir, &place.stubs] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        }
        place
    }

    fn stub(&self, name: &str, body: &str) {
        executable(&self.stubs.path().join(name), &format!("#!/bin/sh\n{body}\n"));
    }

    fn command(&self) -> Command {
        let mut command = Command::new(SCRIPT);
        command
            .current_dir(&self.dir)
            .env("PATH", self.path_with_stubs())
            .env("TMPDIR", self.dir.path())
            .env_remove("MINI_DOCKER")
            .env_remove("SOURCE_DATE_EPOCH")
            .stdin(Stdio::null());
        command
    }

    fn path_with_stubs(&self) -> String {
        format!("{}:{}", self.stubs.path().display(), std::env::var("PATH").unwrap())
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command().args(args).output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn entries(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(&self.dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.entries(), Vec::<String>::new());
    }
}

fn executable(path: &Path, text: &str) {
    tests::rootfs::write_program(path, text, 0o755);
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}: {}", output.status, stderr(output));
}

/// The script failed with this exit status and one line, which has these words.
fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{said}");
    assert_eq!(said.lines().count(), 1, "not one line: {said}");
    assert!(said.starts_with("rootfs-fetch: "), "{said}");
    for word in words {
        assert!(said.contains(word), "no '{word}' in: {said}");
    }
    assert_eq!(stdout(output), "");
}

fn tool(name: &str, args: &[&OsStr]) -> String {
    let output = Command::new(name).args(args).output().unwrap();
    assert_success(&output);
    stdout(&output)
}

fn sha256(file: &Path) -> String {
    tool("sha256sum", &[file.as_os_str()])[..64].to_string()
}

fn is_root() -> bool {
    tool("id", &["-u".as_ref()]).trim() == "0"
}

#[test]
fn shellcheck_has_nothing_to_say() {
    let output = Command::new("shellcheck")
        .args(["--shell=dash", SCRIPT])
        .output()
        .expect("shellcheck is missing: apt-get install shellcheck");
    assert!(output.status.success(), "{}", stdout(&output));
}

#[test]
fn help_names_every_kind_and_option() {
    let output = Place::new().run(&["--help"]);
    assert_success(&output);
    assert_eq!(stderr(&output), "");
    for word in [
        "busybox",
        "debian",
        "alpine",
        "buildroot",
        "--import",
        "--mini-docker",
        "--from",
        "--mirror",
        "--suite",
        "--buildroot",
        "SOURCE_DATE_EPOCH",
    ] {
        assert!(stdout(&output).contains(word), "{word}");
    }
}

#[test]
fn misuse_is_one_line_and_status_2() {
    let place = Place::new();
    for (args, word) in [
        (&["floppy"][..], "unknown root filesystem 'floppy'"),
        (&["--floppy"], "unknown option '--floppy'"),
        (&["busybox", "a", "b"], "unexpected argument 'b'"),
        (&["busybox", "--suite", "bookworm"], "--suite does not go with busybox"),
        (&["debian", "--from", "x"], "--from does not go with debian"),
        (&["--import"], "--import needs a value"),
        (&["busybox", "--import=x", "out"], "do not go together"),
    ] {
        assert_refused(&place.run(args), 2, &[word, "--help"]);
    }
    place.assert_nothing_left();
}

#[test]
fn busybox_makes_a_directory_with_all_applets() {
    let place = Place::new();
    let output = place.run(&[]);
    assert_success(&output);
    assert_eq!(stdout(&output), "rootfs-busybox\n");
    assert_eq!(place.entries(), ["rootfs-busybox"]);

    let root = place.path("rootfs-busybox");
    let applets = tool(root.join("bin/busybox").to_str().unwrap(), &["--list-full".as_ref()]);
    assert!(applets.lines().count() > 200);
    let busybox = root.join("bin/busybox").canonicalize().unwrap();
    for applet in applets.lines() {
        // Through canonicalize: from outside, too, a link must stay inside.
        assert_eq!(root.join(applet).canonicalize().unwrap(), busybox, "{applet}");
    }
    for (dir, mode) in
        [("", 0o755), ("dev", 0o755), ("proc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)]
    {
        let found = fs::metadata(root.join(dir)).unwrap().permissions().mode();
        assert_eq!(found & 0o7777, mode, "/{dir}");
    }
    for name in ["root:", "daemon:", "nobody:"] {
        assert!(fs::read_to_string(root.join("etc/passwd")).unwrap().contains(name));
    }
}

#[test]
fn busybox_archive_is_the_same_each_time_and_for_everyone() {
    let place = Place::new();
    assert_success(&place.run(&["busybox", "first.tar"]));
    assert_success(&place.run(&["busybox", "second.tar"]));
    let digest = sha256(&place.path("first.tar"));
    assert_eq!(sha256(&place.path("second.tar")), digest);

    assert_success(&place.run(&["busybox", "packed.tar.gz"]));
    tool("gunzip", &[place.path("packed.tar.gz").as_os_str()]);
    assert_eq!(sha256(&place.path("packed.tar")), digest);

    let mut dated = place.command();
    dated.args(["busybox", "dated.tar"]).env("SOURCE_DATE_EPOCH", "1000000000");
    assert_success(&dated.output().unwrap());
    let listing = tool("tar", &["-tvf".as_ref(), place.path("dated.tar").as_os_str()]);
    assert!(listing.lines().all(|line| line.contains(" 0/0 ") && line.contains("2001-09-")));

    // An ordinary user needs neither root nor the same umask.
    let user = Place::new();
    let script = user.stubs.path().join("rootfs-fetch.sh");
    tests::rootfs::copy_program(SCRIPT, &script);
    let mut command = Command::new("sh");
    command.args(["-c", "umask 077; exec \"$0\" busybox user.tar"]).arg(&script).current_dir(&user.dir);
    if is_root() {
        std::os::unix::fs::chown(user.dir.path(), Some(65534), Some(65534)).unwrap();
        command.uid(65534).gid(65534);
    }
    assert_success(&command.output().unwrap());
    assert_eq!(user.entries(), ["user.tar"]);
    assert_eq!(sha256(&user.path("user.tar")), digest);
}

/// Without dpkg-deb the package is taken apart by ar and tar.
#[test]
fn busybox_needs_no_dpkg_deb() {
    let place = Place::new();
    assert_success(&place.run(&["busybox", "dpkg.tar"]));
    for name in [
        "apt-get",
        "ar",
        "cat",
        "chmod",
        "cp",
        "dirname",
        "dpkg",
        "env",
        "gzip",
        "head",
        "id",
        "ln",
        "ls",
        "mkdir",
        "mktemp",
        "mv",
        "readlink",
        "rm",
        "sed",
        "setsid",
        "sh",
        "sha256sum",
        "stat",
        "tar",
        "xz",
    ] {
        let real = tool("sh", &["-c".as_ref(), format!("command -v {name}").as_ref()]);
        symlink(real.trim(), place.stubs.path().join(name)).unwrap();
    }
    let output = place.command().args(["busybox", "ar.tar"]).env("PATH", place.stubs.path()).output().unwrap();
    assert_success(&output);
    assert_eq!(sha256(&place.path("ar.tar")), sha256(&place.path("dpkg.tar")));
}

#[test]
fn busybox_takes_a_given_package_only_if_it_is_the_right_one() {
    let place = Place::new();
    fs::write(place.path("wrong.deb"), "not the package").unwrap();
    let output = place.run(&["busybox", "--from", "wrong.deb", "out.tar"]);
    assert_refused(&output, 1, &["wrong.deb has the wrong SHA-256", "expected", "got"]);
    assert_eq!(place.entries(), ["wrong.deb"]);
}

#[test]
fn offline_is_one_line() {
    let place = Place::new();
    place.stub("curl", "echo 'curl: (6) Could not resolve host: example.invalid' >&2; exit 6");
    place.stub(
        "apt-get",
        "case \"$*\" in *--print-uris*) echo \"'http://example.invalid/b.deb' b.deb 1 SHA256:00\"; exit ;; esac
         echo 'Err:1 http://example.invalid bookworm/main amd64 busybox-static'
         echo \"  Temporary failure resolving 'example.invalid'\"
         echo \"E: Failed to fetch http://example.invalid/b.deb  Temporary failure resolving 'example.invalid'\" >&2
         echo 'E: Some files failed to download' >&2
         exit 100",
    );
    for kind in ["busybox", "alpine", "buildroot"] {
        let words = [kind, "cannot reach", "resolv", "check the network"];
        assert_refused(&place.run(&[kind]), 1, &words);
        place.assert_nothing_left();
    }
}

#[test]
fn a_download_with_the_wrong_checksum_is_refused() {
    let place = Place::new();
    let served = place.stubs.path().join("served");
    fs::write(&served, "something else").unwrap();
    place.stub("curl", &format!("while [ \"$1\" != -o ]; do shift; done; cp '{}' \"$2\"", served.display()));
    let got = format!("got {}", sha256(&served));
    for kind in ["alpine", "buildroot"] {
        let output = place.run(&[kind, "out.tar"]);
        assert_refused(&output, 1, &[kind, ".tar.", "wrong SHA-256", "expected", &got]);
        place.assert_nothing_left();
    }
}

/// A TERM for the script alone, and one for its whole process group.
#[test]
fn an_interrupted_download_leaves_nothing() {
    for target in ["", "-"] {
        let place = Place::new();
        let started = place.stubs.path().join("started");
        tool("mkfifo", &[started.as_os_str()]);
        // Opened by the stub for as long as it runs: its end is the pipe's.
        place.stub("curl", &format!("exec 9>'{}'; echo $$ >&9; exec sleep 600", started.display()));
        let mut script = place.command();
        let mut child = script.args(["alpine", "out"]).process_group(0).stdout(Stdio::piped()).spawn().unwrap();

        let (sender, receiver) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut pipe = fs::File::open(started).unwrap();
            let mut first = [0];
            pipe.read_exact(&mut first).unwrap();
            sender.send("started").unwrap();
            pipe.read_to_end(&mut Vec::new()).unwrap();
            sender.send("ended").unwrap();
        });
        let limit = Duration::from_secs(60);
        assert_eq!(receiver.recv_timeout(limit), Ok("started"));
        assert_eq!(place.entries().len(), 1, "the work is done beside the output");

        let pid = format!("{target}{}", child.id());
        tool("kill", &["-TERM".as_ref(), "--".as_ref(), pid.as_ref()]);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(143), "signal {:?}", status.signal());
        assert_eq!(receiver.recv_timeout(limit), Ok("ended"), "the download still runs");
        reader.join().unwrap();
        place.assert_nothing_left();
    }
}

#[test]
fn an_output_in_the_way_is_refused() {
    let place = Place::new();
    fs::create_dir(place.path("full")).unwrap();
    fs::write(place.path("full/kept"), "").unwrap();
    assert_refused(&place.run(&["busybox", "full"]), 1, &["full is not empty"]);
    assert_refused(&place.run(&["busybox", "full/kept"]), 1, &["no directory"]);
    assert_refused(&place.run(&["busybox", "none/out"]), 1, &["does not exist"]);
    assert_eq!(place.entries(), ["full"]);

    fs::create_dir(place.path("empty")).unwrap();
    assert_success(&place.run(&["busybox", "empty"]));
    assert!(place.path("empty/bin/sh").exists());
}

#[test]
fn import_hands_the_archive_to_mini_docker() {
    let place = Place::new();
    place.stub("importer", "echo \"$@\" >\"$TMPDIR/args\"; cat >\"$TMPDIR/stdin.tar\"; echo sha256:1234");
    let importer = place.stubs.path().join("importer");
    let output = place.command().args(["busybox", "--import", "bb:1"]).env("MINI_DOCKER", &importer).output().unwrap();
    assert_success(&output);
    assert_eq!(stdout(&output), "");
    assert_eq!(stderr(&output), "rootfs-fetch: busybox: imported as bb:1 sha256:1234\n");
    assert_eq!(fs::read_to_string(place.path("args")).unwrap(), "import - bb:1\n");
    assert_eq!(place.entries(), ["args", "stdin.tar"]);
    assert_success(&place.run(&["busybox", "direct.tar"]));
    assert_eq!(sha256(&place.path("stdin.tar")), sha256(&place.path("direct.tar")));

    let failing = place.run(&["busybox", "--import", "bb", "--mini-docker", "/bin/false"]);
    assert_refused(&failing, 1, &["mini-docker import failed"]);
    let missing = place.run(&["busybox", "--import", "bb", "--mini-docker", "/none"]);
    assert_refused(&missing, 1, &["no /none to import with"]);
}

/// A tree that only acts as Buildroot does: a .config, then images/rootfs.tar.
fn buildroot_tree(place: &Place, defconfig: &str) -> String {
    let tree = place.stubs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let build = "mkdir -p $(O)/images && echo hello >$(O)/hello \
                 && tar -C $(O) -cf $(O)/images/rootfs.tar ./hello";
    fs::write(tree.join("Makefile"), format!("all:\n\t@{build}\ndefconfig:\n\t@mkdir -p $(O) && {defconfig}\n"))
        .unwrap();
    tree.to_str().unwrap().to_string()
}

#[test]
fn buildroot_builds_outside_the_tree_it_is_given() {
    let place = Place::new();
    let tree = buildroot_tree(&place, "cp $(BR2_DEFCONFIG) $(O)/.config");
    let output = place.run(&["buildroot", "--buildroot", &tree, "out"]);
    assert_success(&output);
    assert_eq!(stdout(&output), "out\n");
    assert_eq!(fs::read_to_string(place.path("out/hello")).unwrap(), "hello\n");
    assert_eq!(place.entries(), ["out"]);
    assert_eq!(fs::read_dir(tree).unwrap().count(), 1, "the tree is as it was");

    let none = place.run(&["buildroot", "--buildroot", "out", "out2"]);
    assert_refused(&none, 1, &["no Buildroot tree"]);
}

/// kconfig says nothing about a symbol that it drops; the script does.
#[test]
fn buildroot_must_take_the_whole_defconfig() {
    let place = Place::new();
    let tree = buildroot_tree(&place, "grep -v INIT_NONE $(BR2_DEFCONFIG) >$(O)/.config");
    let output = place.run(&["buildroot", "--buildroot", &tree, "out"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not take 'BR2_INIT_NONE=y'"), "{}", stderr(&output));
    place.assert_nothing_left();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFCONFIG);
    assert!(fs::read_to_string(kept).unwrap().contains("BR2_INIT_NONE=y"));
}
