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

/// What it is called where it is run as it is, and with `--userns host`.
pub(crate) const OURS: &str = "mini-docker";
pub(crate) const HARDER: &str = "mini-docker --userns host";

/// An engine with an image `bb`: busybox, and the attackers' programs in /attack.
pub(crate) struct Target {
    kind: Kind,
    /// What all of it is in: rootfs, its archive, the engine's own program.
    directory: tempfile::TempDir,
}

enum Kind {
    /// Whether containers have the host's ids, without a flag that says so: the harder case.
    Ours(Engine, bool),
    Docker,
    Runc,
}

impl Target {
    /// A copy of this program, which an attack may overwrite; with `--userns host` for all containers.
    pub(crate) fn ours(host_ids: bool) -> Self {
        let directory = prepare();
        let copy = directory.path().join("mini-docker");
        rootfs::copy_program(env!("CARGO_BIN_EXE_mini-docker"), &copy);
        let engine = Engine::empty(copy.to_str().expect("a UTF-8 path"));
        let target = Self { kind: Kind::Ours(engine, host_ids), directory };
        target.import();
        target
    }

    /// Docker where a daemon answers, and runc where it is installed.
    pub(crate) fn peers() -> Vec<Self> {
        let answers = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let mut peers = Vec::new();
        if answers(docker(), &["version"]) {
            let docker = Self { kind: Kind::Docker, directory: prepare() };
            docker.import();
            docker.must_build();
            peers.push(docker);
        }
        if answers("runc", &["--version"]) {
            peers.push(Self { kind: Kind::Runc, directory: prepare() });
        }
        peers
    }

    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Ours(_, false) => OURS,
            Kind::Ours(_, true) => HARDER,
            Kind::Docker => "docker",
            Kind::Runc => "runc",
        }
    }

    /// Whether a container's root is the host's without a flag that says so.
    pub(crate) fn has_host_ids(&self) -> bool {
        matches!(self.kind, Kind::Ours(_, true))
    }

    /// Whether it has images, volumes, networks and builds.
    pub(crate) fn is_engine(&self) -> bool {
        !matches!(self.kind, Kind::Runc)
    }

    /// Ours, for what looks at its store.
    pub(crate) fn own(&self) -> Option<&Engine> {
        if let Kind::Ours(engine, _) = &self.kind { Some(engine) } else { None }
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
            Kind::Ours(..) => self.directory.path().join("mini-docker"),
            Kind::Docker | Kind::Runc => "/usr/sbin/runc".into(),
        }
    }

    /// A command of Docker's command line.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        match &self.kind {
            Kind::Ours(engine, true) if matches!(arguments.first(), Some(&("run" | "create"))) => {
                engine.command(&[&arguments[..1], &["--userns", "host"], &arguments[1..]].concat())
            }
            Kind::Ours(engine, _) => engine.command(arguments),
            Kind::Docker => {
                let mut command = Command::new(docker());
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

    /// Or each attack on a build would look stopped.
    fn must_build(&self) {
        let context = self.directory.path().join("context");
        fs::create_dir(&context).expect("mkdir");
        fs::write(context.join("Dockerfile"), "FROM bb\nRUN true\n").expect("write");
        self.engine(&["build", "-q", context.to_str().expect("a UTF-8 path")]).ok();
    }

    fn import(&self) {
        self.engine(&["import", self.base().to_str().expect("a UTF-8 path"), "bb"]).ok();
    }
}

/// What is attacked, and on what.
pub(crate) fn versions() -> Vec<String> {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        text.lines().next().map(|line| line.replace("version ", "")).filter(|line| !line.is_empty())
    };
    let docker = said(docker(), &["version", "-f", "{{.Server.Version}}"]).map(|version| format!("docker {version}"));
    let kernel = said("uname", &["-sr"]).and_then(|text| Some(text.split('-').next()?.to_owned()));
    [docker, said("runc", &["--version"]), kernel].into_iter().flatten().collect()
}

/// Debian's, beside which another may be in `PATH`, for which its daemon is too old.
fn docker() -> &'static str {
    const DEBIAN: &str = "/usr/bin/docker";
    if Path::new(DEBIAN).exists() { DEBIAN } else { "docker" }
}

impl Drop for Target {
    fn drop(&mut self) {
        match self.kind {
            // What a build that was ended has left, whoever comes next gives back.
            Kind::Ours(..) => drop(self.engine(&["leaks"])),
            Kind::Docker => drop(self.engine(&["image", "rm", "-f", "bb"])),
            Kind::Runc => {}
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
