//! A file of the store is damaged: commands say which one, nothing panics, and `check` finds it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    sample::{report, sample},
    world::World,
};

#[derive(Debug, Clone, Copy)]
enum Damage {
    Flipped,
    Halved,
    Emptied,
    Removed,
}

impl Damage {
    const ALL: [Self; 4] = [Self::Flipped, Self::Halved, Self::Emptied, Self::Removed];

    fn apply(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::Removed => return fs::remove_file(path).unwrap(),
            Self::Emptied => bytes.clear(),
            Self::Halved => bytes.truncate(bytes.len() / 2),
            Self::Flipped => {
                // The first byte: what is only text has no other that counts.
                bytes[0] ^= 0x40;
            }
        }
        fs::write(path, bytes).unwrap();
    }
}

/// What `check` has to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finds {
    /// Each damage.
    All,
    /// What is damaged; nothing else tells that there was such a file.
    WhatIsThere,
    /// Nothing: it is made again, or goes on without.
    Nothing,
}

/// Kinds of files: below which directory, how they end, and what `check` has to find.
const KINDS: [(&str, &str, Finds); 15] = [
    ("images", ".json", Finds::All),
    ("images", ".manifest", Finds::WhatIsThere),
    ("images", ".notes", Finds::Nothing),
    ("refs", "small:1", Finds::WhatIsThere),
    ("layers", "layer.json", Finds::All),
    ("layers", "blob", Finds::All),
    ("layers", "fs/etc/word", Finds::All),
    ("containers", "config.json", Finds::All),
    // What became of it is as good as unknown then.
    ("containers", "status.json", Finds::Nothing),
    ("containers", "log.json", Finds::Nothing),
    ("names", "keeper", Finds::All),
    ("volumes", "volume.json", Finds::All),
    // Removed, it is of none.
    ("networks", ".json", Finds::All),
    // Without it the network is only found by its id.
    ("networks", "names/kept", Finds::Nothing),
    ("build", ".json", Finds::Nothing),
];

const COMMANDS: [&str; 14] = [
    "ps -a",
    "images",
    "volume ls",
    "network ls",
    "inspect keeper",
    "logs keeper",
    "image inspect bb:latest",
    "run --rm bb:latest true",
    "run --rm --network kept bb:latest true",
    "run --rm --pull never {registry}/small:1 /none",
    "save -o {dir}/out.tar {registry}/small:1",
    "system df",
    "create --name new bb:latest true",
    "rm -f new",
];

impl World {
    fn files(&self, directory: &str, end: &str) -> Option<PathBuf> {
        let found = Command::new("find").arg(self.engine.root().join(directory)).args(["-type", "f"]).output().unwrap();
        let text = String::from_utf8(found.stdout).unwrap();
        let mut paths: Vec<_> = text.lines().filter(|path| path.ends_with(end)).map(PathBuf::from).collect();
        paths.sort();
        paths.into_iter().next()
    }

    /// The store as it was.
    fn restore(&self, from: &Path) {
        let root = self.engine.root();
        fs::remove_dir_all(&root).unwrap();
        assert!(Command::new("cp").arg("-a").arg(from).arg(&root).status().unwrap().success());
    }

    fn survives_damage(&self, path: &Path, must_find: bool) -> Result<(), String> {
        for line in COMMANDS.iter().chain(&["check", "check --repair"]) {
            let said = self.run(line);
            let is_word = said.err.lines().any(|line| line.contains("mini-docker: "));
            let panics = said.err.contains("panicked") || said.code > 127;
            if panics || (said.code != 0 && !is_word && said.out.is_empty()) {
                return Err(format!("{line}: {said:?}"));
            }
            if *line == "check" && must_find && said.code == 0 {
                return Err(format!("check does not find {}: {said:?}", path.display()));
            }
        }
        Ok(())
    }
}

#[test]
fn a_damaged_file_is_named_and_found() {
    let world = World::new();
    world.ok("pull -q {registry}/small:1");
    world.ok("build -q -t made:1 {dir}/context");
    world.ok("rmi made:1");
    let backup = world.engine.path("backup");
    assert!(Command::new("cp").arg("-a").arg(world.engine.root()).arg(&backup).status().unwrap().success());
    let all: Vec<_> = KINDS.iter().flat_map(|kind| Damage::ALL.map(|damage| (kind, damage))).collect();
    let (mut tried, mut failures) = (0, Vec::new());
    for number in sample(all.len(), 15) {
        let ((directory, end, finds), damage) = all[number - 1];
        let must_find = *finds == Finds::All || *finds == Finds::WhatIsThere && !matches!(damage, Damage::Removed);
        let Some(path) = world.files(directory, end) else { panic!("there is no {directory}/…{end}") };
        tried += 1;
        damage.apply(&path);
        if let Err(why) = world.survives_damage(&path, must_find) {
            failures.push(format!("{directory}/…{end} {damage:?}: {why}"));
            println!("{}", failures.last().unwrap());
        }
        world.restore(&backup);
    }
    report("damaged file", tried - failures.len(), tried, all.len());
    assert!(failures.is_empty(), "{failures:#?}");
    world.kept().unwrap();
    world.whole().unwrap();
}
