//! What all measurements stand on: files on an ext4 with a journal and /run on a tmpfs, as most machines have them, and a
//! Docker daemon to be beside.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        signal::{Signal, kill},
        statfs::{TMPFS_MAGIC, statfs},
    },
    unistd::Pid,
};
use tempfile::TempDir;

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Bytes of the filesystem. Its file takes only what is written.
const SIZE: u64 = 40 << 30;
const RUN: &str = "/run";
/// How long a daemon may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Dropped, all of it goes.
#[derive(Debug)]
pub(crate) struct Ground {
    // In this order: the daemon's files are on the disk.
    daemon: Option<Daemon>,
    disk: Option<Disk>,
}

impl Ground {
    /// Makes what can be made here, and says what cannot.
    pub(crate) fn new() -> Self {
        // One that runs has its files in /run, which nothing may hide.
        let has_daemon = answers(None);
        if !has_daemon && let Err(e) = memory_as_run() {
            eprintln!("measured with /run as it is: {e}");
        }
        let disk =
            Disk::new().inspect_err(|e| eprintln!("measured on the filesystem of the temporary files: {e}")).ok();
        let daemon = if has_daemon {
            None
        } else {
            let directory = disk.as_ref().map_or_else(env::temp_dir, |disk| disk.path.clone());
            Daemon::new(&directory).inspect_err(|e| eprintln!("docker's rows stay empty: {e}")).ok()
        };
        Self { daemon, disk }
    }

    /// What a command needs to know, to stand on it.
    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        let disk = self.disk.as_ref().map(|disk| ("TMPDIR", disk.path.clone()));
        let daemon = self.daemon.as_ref().map(|daemon| ("DOCKER_HOST", PathBuf::from(&daemon.host)));
        disk.into_iter().chain(daemon)
    }
}

/// A tmpfs as /run, as systemd mounts it (file-hierarchy(7)), for what this thread starts from now on; nobody else sees it.
fn memory_as_run() -> Result<()> {
    if statfs(RUN)?.filesystem_type() == TMPFS_MAGIC {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    mount(Some("tmpfs"), RUN, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some("mode=755"))?;
    Ok(())
}

#[derive(Debug)]
struct Disk {
    path: PathBuf,
    _directory: TempDir,
}

impl Disk {
    fn new() -> Result<Self> {
        let directory = TempDir::with_prefix("benches.")?;
        let (image, path) = (directory.path().join("image"), directory.path().join("disk"));
        fs::File::create(&image)?.set_len(SIZE)?;
        fs::create_dir(&path)?;
        must(Command::new("mkfs.ext4").args(["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]).arg(&image))?;
        must(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&path))?;
        Ok(Self { path, _directory: directory })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // With what a measurement that was interrupted has mounted below.
        let _ = Command::new("umount").arg("--recursive").arg(&self.path).status();
    }
}

/// A dockerd with an empty store. The bridges and the tables of the machine's network that it and podman make go with it;
/// what they change in tables that were there stays, as everywhere.
#[derive(Debug)]
struct Daemon {
    child: Child,
    host: String,
    before: Traces,
}

impl Daemon {
    fn new(directory: &Path) -> Result<Self> {
        let at = |name: &str| directory.join("dockerd").join(name);
        fs::create_dir(directory.join("dockerd"))?;
        let host = format!("unix://{}", at("socket").display());
        let before = Traces::now();
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
        let log = fs::File::create(at("log"))?;
        let child = command.args(["--host", &host]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.map_err(|e| format!("dockerd: {e}: make bench-setup installs it"))?;
        let mut daemon = Self { child, host, before };
        let deadline = Instant::now() + PATIENCE;
        while !answers(Some(&daemon.host)) {
            if daemon.child.try_wait()?.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(at("log")).unwrap_or_default();
                return Err(format!("dockerd does not start: {}", log.lines().last().unwrap_or_default()).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It ends its containers and its containerd by itself.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
        self.before.restore();
    }
}

/// What is the machine's network's: a daemon leaves its own behind.
#[derive(Debug)]
struct Traces {
    /// As `nft list tables` prints them: `table ip nat`.
    tables: BTreeSet<String>,
    links: BTreeSet<String>,
}

impl Traces {
    fn now() -> Self {
        let listed = Command::new("nft").args(["list", "tables"]).output().map(|output| output.stdout);
        let tables = String::from_utf8_lossy(&listed.unwrap_or_default()).lines().map(str::to_owned).collect();
        let links = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
        let links = links.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        Self { tables, links }
    }

    fn restore(&self) {
        let now = Self::now();
        // Docker's and podman's are of these families, and ours of neither.
        let is_its = |table: &&String| table.starts_with("table ip ") || table.starts_with("table ip6 ");
        for table in now.tables.difference(&self.tables).filter(is_its) {
            let _ = Command::new("nft").arg(format!("delete {table}")).status();
        }
        // Docker's and podman's default networks.
        for bridge in ["docker0", "cni-podman0"].into_iter().filter(|&name| now.links.contains(name)) {
            if !self.links.contains(bridge) {
                let _ = Command::new("ip").args(["link", "delete", bridge]).status();
            }
        }
    }
}

/// Whether a daemon answers: at `host`, or where docker looks by itself.
fn answers(host: Option<&str>) -> bool {
    let mut command = Command::new("docker");
    command.arg("info").stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    command.status().is_ok_and(|status| status.success())
}

fn must(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{}: {}", command.get_program().display(), said.trim()).into())
}
