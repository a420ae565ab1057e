//! What this engine is, and what it runs on: `version` and `info`, in the words of Docker's API.

use std::{fs, path::Path};

use nix::sys::utsname::uname;
use process::in_initial_user_namespace;
use serde_json::{Value, json};

use super::{Engine, container::State, error::Result};
use crate::runtime::user_mode;

/// This engine's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version of Docker's API whose words the documents use.
const API: &str = "1.43";

/// An architecture in Go's words.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The document of `version`: client and server are one program.
pub fn version() -> Value {
    let both = json!({
        "Version": VERSION,
        "ApiVersion": API,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture(),
        "BuildTime": "",
    });
    let with = |more: Value| {
        let parts = [more, both.clone()].into_iter().filter_map(|part| part.as_object().cloned());
        Value::Object(parts.flatten().collect())
    };
    let kernel = kernel();
    json!({
        "Client": with(json!({ "Platform": { "Name": "mini-docker" }, "DefaultAPIVersion": API, "Context": "default" })),
        "Server": with(json!({
            "Platform": { "Name": "mini-docker" },
            "Components": [{ "Name": "Engine", "Version": VERSION, "Details": { "KernelVersion": kernel } }],
            "MinAPIVersion": API,
            "KernelVersion": kernel,
        })),
    })
}

fn kernel() -> String {
    uname().map(|names| names.release().to_string_lossy().into_owned()).unwrap_or_default()
}

impl Engine {
    /// The document of `info`.
    pub fn info(&self) -> Result<Value> {
        let parts = [fixed(), self.counts()?, self.place(), machine(), self.security()?, self.rights()];
        Ok(Value::Object(parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect()))
    }

    /// What keeps containers in.
    fn security(&self) -> Result<Value> {
        if self.is_rootless() {
            return Ok(
                json!({ "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"] }),
            );
        }
        let userns = self.why_no_user_namespace()?.is_none().then_some("name=userns");
        let options = ["name=seccomp,profile=builtin", "name=cgroupns"].into_iter().chain(userns);
        Ok(json!({ "SecurityOptions": options.collect::<Vec<_>>() }))
    }

    fn counts(&self) -> Result<Value> {
        let containers = self.containers()?;
        let count = |states: &[State]| containers.iter().filter(|c| states.contains(&c.status.state)).count();
        Ok(json!({
            "ID": self.store.key(),
            "Containers": containers.len(),
            "ContainersRunning": count(&[State::Running, State::Restarting]),
            "ContainersPaused": count(&[State::Paused]),
            "ContainersStopped": count(&[State::Created, State::Exited]),
            "Images": self.images()?.len(),
        }))
    }

    fn place(&self) -> Value {
        json!({
            "Driver": "overlay2",
            "DriverStatus": [
                ["Backing Filesystem", filesystem(self.store.root())],
                ["Userxattr", if in_initial_user_namespace() { "false" } else { "true" }],
            ],
            "DockerRootDir": self.store.root().display().to_string(),
        })
    }
}

impl Engine {
    /// What is otherwise for an ordinary user.
    fn rights(&self) -> Value {
        if !self.is_rootless() {
            return json!({});
        }
        let networks: Vec<_> = user_mode::Kind::ALL.into_iter().filter(|kind| kind.find().is_some()).collect();
        let networks: Vec<_> = networks.iter().map(|kind| kind.name()).chain(["host", "none"]).collect();
        let mut plugins = fixed()["Plugins"].clone();
        plugins["Network"] = json!(networks);
        let mut warnings = Vec::new();
        let delegated = cgroup::delegated().is_some();
        if !delegated {
            warnings.push(
                "WARNING: Running in rootless-mode without cgroups: containers are not limited; see mini-docker doctor",
            );
        }
        if networks.len() == 2 {
            warnings
                .push("WARNING: Neither pasta nor slirp4netns is installed: containers have no network but loopback");
        }
        json!({
            "Plugins": plugins,
            "CgroupDriver": if delegated { "cgroupfs" } else { "none" },
            "Warnings": warnings,
        })
    }
}

/// What the machine is.
fn machine() -> Value {
    let (name, version) = operating_system();
    json!({
        "IPv4Forwarding": sysctl("net/ipv4/ip_forward") == "1",
        "SystemTime": jiff::Timestamp::now().to_string(),
        "CgroupVersion": cgroup_version(),
        "KernelVersion": kernel(),
        "OperatingSystem": name,
        "OSVersion": version,
        "OSType": "linux",
        "Architecture": std::env::consts::ARCH,
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": memory(),
        "Name": uname().map(|names| names.nodename().to_string_lossy().into_owned()).unwrap_or_default(),
    })
}

/// What the engine always is.
fn fixed() -> Value {
    json!({
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "none"],
            "Authorization": null,
            "Log": ["json-file", "local", "none"],
        },
        "Debug": false,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "Isolation": "",
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "IndexServerAddress": "https://index.docker.io/v1/",
        "Labels": [],
        "ExperimentalBuild": false,
        "ServerVersion": VERSION,
        "Runtimes": { "mini-docker": { "path": "mini-docker" } },
        "DefaultRuntime": "mini-docker",
        "Swarm": { "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false },
        // Containers go on without any command or daemon.
        "LiveRestoreEnabled": true,
        "InitBinary": "mini-docker",
        "Warnings": null,
        "ClientInfo": { "Debug": false, "Version": VERSION, "Context": "default", "Plugins": [], "Warnings": null },
    })
}

/// A file below /proc/sys, without its newline; empty where it is missing.
pub(super) fn sysctl(name: &str) -> String {
    fs::read_to_string(Path::new("/proc/sys").join(name)).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Its name and version, from os-release(5).
fn operating_system() -> (String, String) {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    (field("PRETTY_NAME"), field("VERSION_ID"))
}

/// Bytes of memory, from proc_meminfo(5).
fn memory() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// `2` where all controllers are in the unified hierarchy.
fn cgroup_version() -> &'static str {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { "2" } else { "1" }
}

/// The type of the filesystem of a path, from proc_pid_mountinfo(5): of the longest mount point above it.
fn filesystem(path: &Path) -> String {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = text.lines().filter_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let point = mount.split(' ').nth(4)?;
        path.starts_with(point).then(|| (point.len(), filesystem.split(' ').next().unwrap_or_default()))
    });
    // Of two at one place, the later one is on top.
    mounts.max_by_key(|(length, _)| *length).map(|(_, kind)| kind.to_owned()).unwrap_or_default()
}
