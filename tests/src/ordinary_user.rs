//! An ordinary user of a test's own, with an engine of his.
//!
//! He is in no file of the machine's: each of his commands runs in a mount namespace where /etc/passwd, /etc/subuid and
//! their like are others, and /dev/net/tun is open to all, as udev makes it. What he is to the kernel is real: his ids are
//! nobody else's, and he has no capability.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use crate::{
    engine::{Said, output, said},
    machine::Machine,
    rootfs,
};

/// An ordinary user. Dropped, he removes his containers and looks for leaks.
#[derive(Debug)]
pub struct OrdinaryUser {
    directory: tempfile::TempDir,
    /// His number, and his group's.
    pub uid: u32,
    /// The first of his subordinate ids: there are [`COUNT`].
    pub first: u32,
    /// Whether he has them.
    pub has_ids: bool,
    /// Whether a directory for volatile files is his, as of a session.
    pub has_runtime: bool,
    /// Programs that are not installed for him.
    pub hidden: Vec<PathBuf>,
    binary: PathBuf,
}

/// Subordinate ids of a user.
pub const COUNT: u32 = 65_536;

impl OrdinaryUser {
    /// One with an empty store.
    ///
    /// # Panics
    /// Without root, which makes him.
    pub fn new(binary: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "an ordinary user is made by root");
        let number = (std::process::id() * 16 + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let directory = tempfile::Builder::new().prefix("mini-docker-user-").tempdir().expect("make a directory");
        let user = Self {
            uid: 50_000 + number,
            first: 1_000_000_000 + number * COUNT,
            has_ids: true,
            has_runtime: true,
            hidden: Vec::new(),
            binary: binary.into(),
            directory,
        };
        fs::set_permissions(user.directory.path(), Permissions::from_mode(0o755)).expect("chmod");
        for name in ["home", "run"] {
            let path = user.path(name);
            fs::create_dir(&path).expect("mkdir");
            fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("chmod");
            chown(&path, Some(user.uid), Some(user.uid)).expect("chown");
        }
        let (all, mode) = (Mode::from_bits_truncate(0o666), SFlag::S_IFCHR);
        mknod(&user.path("tun"), mode, all, makedev(10, 200)).expect("mknod");
        fs::set_permissions(user.path("tun"), Permissions::from_mode(0o666)).expect("chmod");
        fs::write(user.path("mini-docker"), "").expect("write");
        user
    }

    /// One with the image `bb:latest`: busybox.
    pub fn with_busybox(binary: &str) -> Self {
        let user = Self::new(binary);
        let archive = user.path("bb.tar");
        rootfs::busybox_tar(&archive);
        user.run(&["import", archive.to_str().expect("a UTF-8 path"), "bb:latest"]).ok();
        user
    }

    /// A file beside his home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// His store, where nobody says otherwise.
    pub fn store(&self) -> PathBuf {
        self.path("home/.local/share/mini-docker")
    }

    /// His volatile directory.
    pub fn volatile(&self) -> PathBuf {
        if self.has_runtime { self.path("run/mini-docker") } else { format!("/tmp/mini-docker-{}", self.uid).into() }
    }

    /// A command of his engine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let binary = self.path("mini-docker");
        let binary = binary.to_str().expect("a UTF-8 path");
        self.shell(&[&[binary], arguments].concat())
    }

    /// Any command of his.
    pub fn shell(&self, words: &[&str]) -> Command {
        let bind = |from: &Path, to: &str| format!("mount --bind {} {to}", from.display());
        let own = |name: &str, line: &str| {
            let before = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
            let (path, text) = (self.path(name), format!("{before}{line}\n"));
            // Another command of his may be reading it.
            if fs::read_to_string(&path).ok() != Some(text.clone()) {
                fs::write(&path, text).expect("write");
            }
            bind(&path, &format!("/etc/{name}"))
        };
        let (uid, home) = (self.uid, self.path("home"));
        let ids = if self.has_ids { format!("ordinary:{}:{COUNT}", self.first) } else { String::new() };
        let mut script = vec![
            // Where the machine has none.
            "touch -a /etc/subuid /etc/subgid && mkdir -p /dev/net".to_owned(),
            own("passwd", &format!("ordinary:x:{uid}:{uid}::{}:/bin/sh", home.display())),
            own("group", &format!("ordinary:x:{uid}:")),
            own("subuid", &ids),
            own("subgid", &ids),
            "mount -t tmpfs none /dev/net && touch /dev/net/tun".to_owned(),
            bind(&self.path("tun"), "/dev/net/tun"),
            bind(&self.binary, &self.path("mini-docker").display().to_string()),
        ];
        let hidden = self.hidden.iter().filter_map(|program| program.canonicalize().ok());
        script.extend(hidden.map(|program| bind(Path::new("/dev/null"), &program.display().to_string())));
        script.push("cd \"$HOME\"".to_owned());
        script.push("exec setpriv --reuid \"$USER_ID\" --regid \"$USER_ID\" --clear-groups -- \"$@\"".to_owned());
        let script = script.join(" && ");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "slave", "--", "sh", "-c", &script, "sh"]).args(words);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home).env("USER_ID", uid.to_string()).stdin(Stdio::null());
        if self.has_runtime {
            command.env("XDG_RUNTIME_DIR", self.path("run"));
        }
        command
    }

    /// Runs a command of his engine to its end.
    pub fn run(&self, arguments: &[&str]) -> Said {
        said(&output(self.command(arguments), b""))
    }

    /// The same on that machine.
    pub fn run_on(&self, machine: &Machine, arguments: &[&str]) -> Said {
        let command = self.command(arguments);
        said(&machine.run(move || output(command, b"")))
    }

    /// The first process of a container.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn pid(&self, container: &str) -> i32 {
        let text = self.run(&["inspect", "-f", "{{.State.Pid}}", container]).ok();
        text.trim().parse().expect("a pid")
    }

    /// All that run as him or one of his subordinate ids: pid and command.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let ours = |uid: u32| uid == self.uid || (self.first..self.first + COUNT).contains(&uid);
        let entries = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let found = pids.filter_map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
            let uid = field("Uid:")?.split_whitespace().next()?.parse().ok()?;
            // Who waits to be reaped has ended.
            let ended = field("State:").is_some_and(|state| state.trim().starts_with('Z'));
            let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (ours(uid) && !ended).then(|| (pid, String::from_utf8_lossy(&command).replace('\0', " ")))
        });
        found.collect()
    }

    /// What he left behind.
    fn leaks(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.processes().is_empty() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
        }
        let mut leaks: Vec<String> = self.processes().into_iter().map(|process| format!("{process:?}")).collect();
        let files =
            |directory: &Path| fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
        for name in ["containers", "names", "tmp"] {
            leaks.extend(files(&self.store().join(name)).map(|path| path.display().to_string()));
        }
        // Each store's directory, and those of the members, stay.
        let volatile =
            files(&self.volatile()).filter(|path| path.is_dir()).flat_map(|path| files(&path).collect::<Vec<_>>());
        leaks.extend(volatile.map(|path| path.display().to_string()));
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let own = self.directory.path().display().to_string();
        leaks.extend(table.lines().filter(|line| line.contains(&own)).map(str::to_owned));
        leaks
    }
}

impl Drop for OrdinaryUser {
    fn drop(&mut self) {
        if self.store().exists() && self.has_ids {
            let ids = self.run(&["ps", "-aq"]).out;
            let ids: Vec<_> = ids.lines().collect();
            if !ids.is_empty() {
                self.run(&[&["rm", "-f"], &ids[..]].concat());
            }
        }
        let leaks = self.leaks();
        if !self.has_runtime && self.volatile().metadata().is_ok_and(|found| found.uid() == self.uid) {
            let _ = fs::remove_dir_all(self.volatile());
        }
        if !thread::panicking() {
            assert!(leaks.is_empty(), "left behind: {leaks:#?}");
        }
    }
}
