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
    cgroups,
    engine::{Said, output, said},
    machine::Machine,
    patience, rootfs,
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
    /// A directory of v2's that was given to him, with one below it for his commands: [`OrdinaryUser::delegate`].
    delegated: Option<PathBuf>,
    /// Whether his commands are in it, as those of a session that it was given to; otherwise they are elsewhere.
    pub is_in_delegated: bool,
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
            delegated: None,
            is_in_delegated: false,
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

    /// Gives him a cgroup with these controllers, as systemd does for a unit with `Delegate=`, and returns its directory.
    /// `None` where v2 does not have them, on a machine with v1.
    pub fn delegate(&mut self, controllers: &[&str]) -> Option<PathBuf> {
        let mount = cgroups::mounts().into_iter().find(|mount| mount.join("cgroup.controllers").exists())?;
        let text = fs::read_to_string(mount.join("cgroup.controllers")).expect("read");
        if !controllers.iter().all(|name| text.split_whitespace().any(|has| has == *name)) {
            return None;
        }
        // A slice, which gives what it has; what is below it is his.
        let slice = mount.join(cgroups::name().strip_prefix("/").expect("below the root"));
        let directory = slice.join("session");
        fs::create_dir(&slice).expect("mkdir");
        for giver in [&mount, &slice] {
            for name in controllers {
                fs::write(giver.join("cgroup.subtree_control"), format!("+{name}")).expect("enable a controller");
            }
        }
        let own = directory.join("commands");
        fs::create_dir_all(&own).expect("mkdir");
        for given in [&directory, &own] {
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
                chown(given.join(file), Some(self.uid), Some(self.uid)).expect("chown");
            }
        }
        self.delegated = Some(directory.clone());
        self.is_in_delegated = true;
        Some(directory)
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
        if let Some(directory) = self.delegated.as_ref().filter(|_| self.is_in_delegated) {
            script.push(format!("echo $$ > {}/commands/cgroup.procs", directory.display()));
        }
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
        let deadline = Instant::now() + patience(5);
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

fn cgroups_of(parent: &Path) -> Vec<String> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).map(|path| format!("cgroup {}", path.display())).collect()
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
        let mut leaks = self.leaks();
        if let Some(directory) = &self.delegated {
            leaks.extend(cgroups_of(&directory.join("mini-docker")));
            let slice = directory.parent().expect("a slice");
            process::cgroupfs::remove(slice).expect("remove his cgroups");
        }
        if !self.has_runtime && self.volatile().metadata().is_ok_and(|found| found.uid() == self.uid) {
            let _ = fs::remove_dir_all(self.volatile());
        }
        if !thread::panicking() {
            assert!(leaks.is_empty(), "left behind: {leaks:#?}");
        }
    }
}
