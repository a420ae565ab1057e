//! A Docker daemon of a test's own.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::engine::{Said, output, said};

/// Debian's dockerd, which changes no rules, bridges or containers of the host's: containers have the host's network, or
/// none. Dropped, it ends, and takes away what it had.
#[derive(Debug)]
pub struct Dockerd {
    child: Child,
    directory: tempfile::TempDir,
    /// The cgroup above its containers', by a name of its own.
    cgroup: String,
}

impl Dockerd {
    /// Starts one with an empty store.
    ///
    /// # Panics
    /// Where there is none, or it ends by itself.
    pub fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("mini-docker-dockerd-").tempdir().expect("make a directory");
        let at = |name: &str| directory.path().join(name);
        let mut command = Command::new("dockerd");
        command.arg("--data-root").arg(at("data")).arg("--exec-root").arg(at("exec")).arg("--pidfile").arg(at("pid"));
        command.arg("--host").arg(format!("unix://{}", at("socket").display()));
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        let log = fs::File::create(at("log")).expect("make the log");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let child = child.expect("start dockerd (apt-get install docker.io)");
        let cgroup = format!("mini-docker-dockerd-{}", child.id());
        let mut daemon = Self { child, directory, cgroup };
        // It tries a containerd first, which takes longer than what others wait for.
        while daemon.docker(&["version"]).code != 0 {
            let log = || fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default();
            assert!(daemon.child.try_wait().expect("wait").is_none(), "dockerd: {}", log());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        daemon
    }

    /// A command of the daemon's.
    pub fn docker(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new("docker");
        command.env("DOCKER_HOST", format!("unix://{}", self.directory.path().join("socket").display()));
        command.env("DOCKER_CONFIG", self.directory.path()).args(arguments).stdin(Stdio::null());
        said(&output(command, b""))
    }

    /// `docker run` with these arguments.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.docker(&[&["run", "--network", "host", "--cgroup-parent", &self.cgroup], arguments].concat())
    }
}

impl Drop for Dockerd {
    fn drop(&mut self) {
        // It ends its containers and its containerd by itself.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let _ = self.child.wait();
        // But the host's network namespace, which it has for containers that ask for that.
        let namespace = self.directory.path().join("exec/netns/default");
        let _ = Command::new("umount").arg("-q").arg(namespace).status();
        // One hierarchy with v2, one a controller with v1.
        let above = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for path in above.chain(["/sys/fs/cgroup".into()]) {
            let _ = fs::remove_dir(path.join(&self.cgroup));
        }
    }
}
