//! A machine with an engine, and with things on it that were acknowledged before anything went wrong.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tests::{
    engine::{Engine, Said, output, said},
    leaks,
    machine::Machine,
    registry::Registry,
};

use crate::cases::Case;

/// An engine on a machine of its own, with a registry. There is an image `bb`, and a volume, a container and a network
/// that are kept.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) host: Machine,
    registry: Registry,
}

const DOCKERFILE: &str = "FROM bb:latest AS one\nRUN echo one > /one\nCOPY tree.tar /tree.tar\nFROM bb:latest\nCOPY --from=one /one /one\nRUN echo two > /two\n";
const COMPOSE: &str = "services:\n  web:\n    image: bb:latest\n    command: sleep 1000\n    volumes: ['data:/data']\n    networks: [front]\nvolumes:\n  data:\nnetworks:\n  front:\n";

impl World {
    pub(crate) fn new() -> Self {
        Self::on(&std::env::temp_dir())
    }

    /// A world that has all its files below `directory`.
    pub(crate) fn on(directory: &Path) -> Self {
        let host = Machine::new();
        let engine = Engine::empty_in(env!("CARGO_BIN_EXE_mini-docker"), directory);
        engine.import_busybox();
        let world = Self { engine, registry: host.run(Registry::start), host };
        let context = world.engine.path("context");
        fs::create_dir(&context).unwrap();
        fs::write(context.join("Dockerfile"), DOCKERFILE).unwrap();
        fs::write(context.join("compose.yaml"), COMPOSE).unwrap();
        small_tar(&context.join("tree.tar"));
        world.ok("network create --label keep=yes kept");
        world.ok("import {dir}/context/tree.tar saved:1");
        world.ok("save -o {dir}/saved.tar saved:1");
        world.ok("rmi saved:1");
        world.ok("tag bb:latest {registry}/bb:1");
        world.ok("push -q {registry}/bb:1");
        world.ok("rmi {registry}/bb:1");
        world.ok("import {dir}/context/tree.tar {registry}/small:1");
        world.ok("push -q {registry}/small:1");
        world.ok("rmi {registry}/small:1");
        let keep = ["run", "--name", "keeper", "--label", "keep=yes", "-v", "kept:/kept", "bb", "sh", "-c"];
        let script = "echo word > /kept/word; echo word > /word; echo said; sync";
        world.engine.run_on(&world.host, &[&keep[..], &[script]].concat()).ok();
        world
    }

    /// From now on its commands are given there; returns where they were given until now.
    pub(crate) fn move_to(&mut self, host: Machine) -> Machine {
        std::mem::replace(&mut self.host, host)
    }

    /// A line as a command of its own.
    pub(crate) fn command(&self, line: &str) -> Command {
        let words = self.words(line);
        self.engine.command(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A line's words, with `{dir}` and `{registry}` in place.
    pub(crate) fn words(&self, line: &str) -> Vec<String> {
        let directory = self.engine.path("").display().to_string();
        let directory = directory.trim_end_matches('/');
        let fill = |word: &str| word.replace("{dir}", directory).replace("{registry}", &self.registry.address);
        line.split(' ').map(fill).collect()
    }

    pub(crate) fn run(&self, line: &str) -> Said {
        let command = self.command(line);
        said(&self.host.run(move || output(command, b"")))
    }

    #[track_caller]
    pub(crate) fn ok(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.code, 0, "{line}: {said:?}");
        said.out
    }

    /// As [`World::run`]; what it said is an error where it failed.
    pub(crate) fn try_run(&self, line: &str) -> Result<String, String> {
        let said = self.run(line);
        if said.code == 0 { Ok(said.out) } else { Err(format!("{line}: {said:?}")) }
    }

    /// Brings about what the case's command changes.
    pub(crate) fn before(&self, case: &Case) -> Result<(), String> {
        case.before.iter().try_for_each(|line| self.try_run(line).map(drop))
    }

    /// Takes everything of the case away, whatever there is.
    pub(crate) fn after(&self, case: &Case) -> Result<(), String> {
        case.after.iter().try_for_each(|line| {
            let said = self.run(line);
            let is_gone = ["no such", "not found", "No such"].iter().any(|words| said.err.contains(words));
            if said.code == 0 || is_gone { Ok(()) } else { Err(format!("{line}: {said:?}")) }
        })
    }

    /// Nothing is damaged, and nothing stands that nobody owns. `check` mends nothing here.
    pub(crate) fn whole(&self) -> Result<(), String> {
        self.try_run("leaks")?;
        self.try_run("check").map(drop)
    }

    /// What was acknowledged before is still there.
    pub(crate) fn kept(&self) -> Result<(), String> {
        let word = self.try_run("run --rm -v kept:/kept bb:latest cat /kept/word")?;
        self.try_run("cp keeper:/word {dir}/word")?;
        let copied = fs::read_to_string(self.engine.path("word")).map_err(|e| e.to_string())?;
        if (word.as_str(), copied.as_str()) != ("word\n", "word\n") {
            return Err(format!("the volume says {word:?}, the container {copied:?}"));
        }
        self.try_run("network inspect kept").map(drop)
    }

    /// After a fault the next command works, and nothing is left of it. `acknowledged`: the command has succeeded; `stands`:
    /// what it made has not ended since.
    pub(crate) fn next_command_works(&self, case: &Case, acknowledged: bool, stands: bool) -> Result<(), String> {
        self.try_run("ps -a")?;
        if acknowledged && stands {
            self.try_run(case.proof).map_err(|e| format!("it was done, but {e}"))?;
        } else if !acknowledged {
            let again = self.run(case.command);
            // Or it is just ending.
            let has_ended = |words| !stands && again.err.contains(words);
            let is_done = again.err.contains(case.done) || has_ended("is not running") || has_ended("No such process");
            if again.code != 0 && !is_done {
                return Err(format!("once more: {again:?}"));
            }
        }
        self.after(case)?;
        self.whole()
    }

    /// All goes that can go, and nothing of it is left: neither files, nor addresses, nor anything in the kernel.
    #[track_caller]
    pub(crate) fn assert_ends_empty(self, when: &str) {
        self.ok("rm -f keeper");
        self.ok("network rm kept");
        self.ok("system prune -af");
        self.ok("volume prune -af");
        self.ok("builder prune -af");
        let root = self.engine.root().canonicalize().unwrap();
        assert_eq!(self.engine.leaks(), Vec::<String>::new(), "{when}");
        let mut left: Vec<_> = ["layers", "images", "containers", "names", "volumes", "tmp"]
            .iter()
            .flat_map(|directory| fs::read_dir(root.join(directory)).unwrap().flatten().map(|entry| entry.path()))
            .collect();
        files(&root, &mut left);
        // Locks, what happened, the default network, and what stands below all layers.
        let stays = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_lock = path.extension().is_some_and(|end| end == "lock") || *path == root.join("lock");
            is_lock || name.starts_with("events.json") || path.starts_with(root.join("mountpoints"))
        };
        left.retain(|path| !stays(path));
        let default = left.extract_if(.., |path| path.starts_with(root.join("networks"))).count();
        assert!(left.is_empty() && matches!(default, 0 | 2), "{when}: {left:?}, {default} files of networks");
        let links = self.host.run(move || leaks::of_networks(&root));
        assert_eq!(links, Vec::<String>::new(), "{when}");
    }
}

/// All below a directory that is no directory itself.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

/// An image's files that take no time.
fn small_tar(path: &Path) {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("etc")).unwrap();
    fs::write(directory.path().join("etc/word"), "word\n").unwrap();
    let mut tar = tar::Builder::new(fs::File::create(path).unwrap());
    tar.append_dir_all(".", directory.path()).unwrap();
    tar.finish().unwrap();
}
