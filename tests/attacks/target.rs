//! The engines that are attacked.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tests::{
    engine::{Engine, Said, output, said},
    rootfs,
};

use crate::program;

/// An engine with an image `bb`: busybox, and the attackers' programs in /attack.
pub(crate) struct Target {
    kind: Kind,
    /// What all of it is in: rootfs, its archive, the engine's own program.
    directory: tempfile::TempDir,
}

enum Kind {
    Ours(Engine),
    Docker,
    Runc,
}

impl Target {
    /// A copy of this program, which an attack may overwrite.
    pub(crate) fn ours() -> Self {
        let directory = prepare();
        let copy = directory.path().join("mini-docker");
        rootfs::copy_program(env!("CARGO_BIN_EXE_mini-docker"), &copy);
        let engine = Engine::empty(copy.to_str().expect("a UTF-8 path"));
        let target = Self { kind: Kind::Ours(engine), directory };
        target.import();
        target
    }

    /// Docker where a daemon answers, and runc where it is installed.
    pub(crate) fn peers() -> Vec<Self> {
        let answers = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let mut peers = Vec::new();
        if answers("docker", &["version"]) {
            let docker = Self { kind: Kind::Docker, directory: prepare() };
            docker.import();
            peers.push(docker);
        }
        if answers("runc", &["--version"]) {
            peers.push(Self { kind: Kind::Runc, directory: prepare() });
        }
        peers
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ours(_) => "mini-docker",
            Kind::Docker => "docker",
            Kind::Runc => "runc",
        }
    }

    /// Whether it has images, volumes, networks and builds.
    pub(crate) fn is_engine(&self) -> bool {
        !matches!(self.kind, Kind::Runc)
    }

    /// Ours, for what looks at its store.
    pub(crate) fn own(&self) -> Option<&Engine> {
        if let Kind::Ours(engine) = &self.kind { Some(engine) } else { None }
    }

    /// The directory with the base image's files.
    pub(crate) fn rootfs(&self) -> PathBuf {
        self.directory.path().join("rootfs")
    }

    /// The archive of the base image.
    pub(crate) fn base(&self) -> PathBuf {
        self.directory.path().join("bb.tar")
    }

    /// The program that the engine is.
    pub(crate) fn program(&self) -> PathBuf {
        match self.kind {
            Kind::Ours(_) => self.directory.path().join("mini-docker"),
            Kind::Docker | Kind::Runc => "/usr/sbin/runc".into(),
        }
    }

    /// A command of Docker's command line.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        match &self.kind {
            Kind::Ours(engine) => engine.command(arguments),
            Kind::Docker => {
                let mut command = Command::new("docker");
                command.args(arguments).env("DOCKER_BUILDKIT", "1").stdin(Stdio::null());
                command
            }
            Kind::Runc => panic!("runc has no {arguments:?}"),
        }
    }

    /// Runs it to its end.
    pub(crate) fn engine(&self, arguments: &[&str]) -> Said {
        said(&output(self.command(arguments), b""))
    }

    /// Runs a program in a container of the base image; `None` where there are no such flags. `bundle` is for runc.
    pub(crate) fn run(&self, flags: &[&str], command: &[&str], bundle: &Path) -> Option<Said> {
        if self.is_engine() {
            return Some(self.engine(&[&["run", "--rm"], flags, &["bb"], command].concat()));
        }
        flags.is_empty().then(|| self.runc(command, bundle))
    }

    /// As `runc spec` has it, without a terminal, and with a root that can be written.
    fn runc(&self, command: &[&str], bundle: &Path) -> Said {
        fs::create_dir_all(bundle).expect("mkdir");
        let _ = fs::remove_file(bundle.join("config.json"));
        let copied = Command::new("cp").arg("-a").arg(self.rootfs()).arg(bundle.join("rootfs")).status();
        assert!(copied.is_ok_and(|status| status.success()), "copy the root filesystem");
        assert!(Command::new("runc").arg("spec").current_dir(bundle).status().is_ok_and(|status| status.success()));
        let text = fs::read_to_string(bundle.join("config.json")).expect("runc spec wrote it");
        let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        config["process"]["terminal"] = false.into();
        config["process"]["args"] = serde_json::json!(command);
        config["root"]["readonly"] = false.into();
        fs::write(bundle.join("config.json"), config.to_string()).expect("write the configuration");
        let mut run = Command::new("runc");
        let id = bundle.parent().and_then(Path::file_name).expect("a scene's directory");
        run.args(["run", "-b"]).arg(bundle).arg(id).stdin(Stdio::null());
        said(&output(run, b""))
    }

    fn import(&self) {
        self.engine(&["import", self.base().to_str().expect("a UTF-8 path"), "bb"]).ok();
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if matches!(self.kind, Kind::Docker) {
            self.engine(&["image", "rm", "-f", "bb"]);
        }
    }
}

fn prepare() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("mini-docker-attacks-").tempdir().expect("make a directory");
    // Others may go through, as to an engine that is installed.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(directory.path(), open).expect("chmod");
    let root = directory.path().join("rootfs");
    fs::create_dir(&root).expect("mkdir");
    rootfs::busybox(&root);
    fs::create_dir(root.join("attack")).expect("mkdir");
    program::compile(&root.join("attack"));
    let archive = directory.path().join("bb.tar");
    let packed = Command::new("tar").args(["-C"]).arg(&root).arg("-cf").arg(archive).arg(".").status();
    assert!(packed.is_ok_and(|status| status.success()), "pack the base image");
    directory
}
