//! What the machine has too little of: descriptors and processes. Commands say so, or do with what there is.

use std::{fs, path::PathBuf};

use tests::{
    cgroups,
    engine::{Said, output, said},
};

use crate::{
    cases::{self, Case},
    sample::{report, sample},
    world::World,
};

/// As many of each as a command could want.
const MOST: usize = 24;

fn all_cases() -> impl Iterator<Item = &'static Case> {
    [cases::CONTAINERS, cases::IMAGES, cases::OTHERS].into_iter().flatten()
}

impl World {
    /// The command, by a program that gives it less than it has.
    fn run_by(&self, program: &[&str], line: &str) -> Said {
        let command = self.command(line);
        let mut limited = std::process::Command::new(program[0]);
        limited.args(&program[1..]).arg(command.get_program()).args(command.get_args());
        limited.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        said(&self.host.run(move || output(limited, b"")))
    }

    fn survives_with_less(&self, case: &Case, program: &[&str]) -> Result<(), String> {
        self.before(case)?;
        let said = self.run_by(program, case.command);
        if said.err.contains("panicked") || said.code > 128 {
            return Err(format!("it dies of it: {said:?}"));
        }
        if said.code != 0 && !said.err.contains("mini-docker: ") {
            return Err(format!("it does not say why: {said:?}"));
        }
        self.next_command_works(case, said.code == 0, false)
    }
}

/// `few` of the numbers of something for each case; `program` is what leaves a command so many.
fn with_less(what: &str, few: usize, program: impl Fn(usize) -> Vec<String>) {
    let world = World::new();
    let mut failures = Vec::new();
    for case in all_cases() {
        let numbers = sample(MOST, few);
        let before = failures.len();
        for &number in &numbers {
            let words = program(number);
            let words: Vec<_> = words.iter().map(String::as_str).collect();
            if let Err(why) = world.survives_with_less(case, &words) {
                failures.push(format!("{}: {number} {what}: {why}", case.command));
                println!("{}", failures.last().unwrap());
                let _ = world.after(case);
            }
        }
        let survived = numbers.len() - (failures.len() - before);
        report(&format!("too few {what}: {}", case.command), survived, numbers.len(), MOST);
    }
    assert!(failures.is_empty(), "{failures:#?}");
    world.kept().unwrap();
    world.assert_ends_empty("at the end");
}

#[test]
fn too_few_descriptors_are_an_error() {
    with_less("descriptors", 1, |number| {
        ["prlimit", &format!("--nofile={0}:{0}", 3 + number), "--"].map(str::to_owned).to_vec()
    });
}

/// A cgroup that has room for so many processes. Dropped, it is gone.
struct Room(PathBuf);

impl Room {
    fn new() -> Option<Self> {
        let place = |mount: PathBuf| mount.join(cgroups::name().strip_prefix("/").unwrap());
        let room = cgroups::mounts().into_iter().map(place).find(|path| {
            fs::create_dir(path).is_ok() && (path.join("pids.max").exists() || fs::remove_dir(path).is_err())
        })?;
        Some(Self(room))
    }

    fn limit(&self, number: usize) {
        fs::write(self.0.join("pids.max"), number.to_string()).unwrap();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_process_table_is_an_error() {
    let Some(room) = Room::new() else {
        println!("skipped: no cgroup counts processes here");
        return;
    };
    let procs = room.0.join("cgroup.procs").display().to_string();
    // One is the command itself.
    with_less("processes", 1, |number| {
        room.limit(1 + (number - 1) % 6);
        let script = format!("echo 0 >{procs} && exec \"$@\"");
        ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec()
    });
}
