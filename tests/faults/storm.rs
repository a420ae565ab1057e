//! All commands beside each other, killed at any moment: what no single death shows.
//!
//! `MINI_DOCKER_STORM=600` has it last so many seconds instead of few; `MINI_DOCKER_STORM_SEED` repeats the choices of one (not
//! the kernel's), which it prints.

use std::{
    collections::BTreeMap,
    env,
    io::Read,
    process::{Command, Stdio},
    sync::{Mutex, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{leaks, machine::Machine};

use crate::{sample::report, world::World};

/// At a time.
const WORKERS: u64 = 4;

/// They share names, so that they meet: `{n}` is 1, 2 or 3.
const LINES: [&str; 33] = [
    "run -d --name box{n} --network kept -v data{n}:/data bb:latest sleep 1000",
    "run -d --name box{n} -p 808{n}:80 --restart always bb:latest sleep 0.2",
    "run --rm --name box{n} --network net{n} bb:latest true",
    "run --rm -v data{n}:/data bb:latest touch /data/file",
    "create --name box{n} bb:latest true",
    "start box{n}",
    "stop -t 0 box{n}",
    "restart -t 0 box{n}",
    "kill box{n}",
    "rm -f box{n}",
    "rm -f -v box{n}",
    "exec box{n} true",
    "exec -d box{n} sleep 1000",
    "pause box{n}",
    "unpause box{n}",
    "rename box{n} box1",
    "cp {dir}/saved.tar box{n}:/there",
    "cp box{n}:/bin/busybox {dir}/out{n}",
    "commit box{n} made:{n}",
    "tag bb:latest made:{n}",
    "rmi -f made:{n}",
    "pull -q {registry}/small:1",
    "rmi -f {registry}/small:1",
    "load -q -i {dir}/saved.tar",
    "build -q -t made:{n} {dir}/context",
    "builder prune -af",
    "network create net{n}",
    "network connect net{n} box{n}",
    "network rm net{n}",
    "volume rm data{n}",
    "compose -p shop --project-directory {dir}/context up -d -t 0",
    "compose -p shop --project-directory {dir}/context down -v -t 0",
    "system prune -f --filter label!=keep",
];

/// What takes all of it away.
const END: [&str; 9] = [
    "compose -p shop --project-directory {dir}/context down -v -t 0",
    "rm -f -v box1 box2 box3",
    // Of a `run` that was killed before it could start what it had made, under a name that nobody chose.
    "container prune -f --filter label!=keep",
    "network rm net1 net2 net3",
    "volume rm data1 data2 data3",
    "rmi -f made:1 made:2 made:3",
    "rmi -f {registry}/small:1",
    "rmi -f saved:1",
    "builder prune -af",
];

/// xorshift64: the same numbers for the same seed.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// How often each command was given, killed, and refused with which words.
#[derive(Default)]
struct Seen {
    given: usize,
    killed: usize,
    errors: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// One error of the same kind as another: without names, numbers and paths of its own.
fn kind(line: &str, error: &str) -> String {
    let words = error.lines().last().unwrap_or_default().split(' ');
    let plain = |word: &str| word.chars().any(|c| c.is_ascii_digit() || c == '/');
    let words: Vec<_> = words.map(|word| if plain(word) { "…" } else { word }).collect();
    format!("{}: {}", line.split(' ').take(2).collect::<Vec<_>>().join(" "), words.join(" "))
}

/// Whether no user should read that, whoever else does what at the same time.
fn is_wrong(error: &str) -> bool {
    ["panicked", "damaged", "corrupt", "expected value", "EOF while parsing", "mini-docker check"]
        .iter()
        .any(|word| error.contains(word))
}

impl World {
    /// One command of the storm, which may be killed.
    fn blow(&self, host: &Machine, choices: &mut Choices, seen: &Mutex<Seen>) {
        let line = LINES[choices.below(LINES.len() as u64) as usize];
        let command = self.command(&line.replace("{n}", &(1 + choices.below(3)).to_string()));
        // Half of them, at moments of which more are early.
        let death = (choices.below(2) == 0).then(|| Duration::from_micros(1 << (8 + choices.below(11))));
        // Seldom, one who looks after a container.
        let monitor = choices.below(20) == 0;
        let mut child = host.run(move || start(command));
        if let Some(after) = death {
            thread::sleep(after);
            let _ = child.kill();
        }
        if monitor {
            let all = leaks::monitors(&self.engine.root().canonicalize().unwrap());
            if let Some(pid) = all.get(choices.below(all.len().max(1) as u64) as usize) {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
        }
        let mut error = String::new();
        let mut stderr = child.stderr.take().unwrap();
        let (told, reader) = channel();
        thread::spawn(move || {
            let _ = stderr.read_to_string(&mut error);
            let _ = told.send(error);
        });
        let deadline = Instant::now() + tests::patience(60);
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => thread::sleep(Duration::from_millis(2)),
            }
        };
        let mut seen = seen.lock().unwrap();
        seen.given += 1;
        let Some(status) = status else {
            seen.wrong.push(format!("{line}: it hangs"));
            let _ = child.kill();
            let _ = child.wait();
            return;
        };
        let Ok(error) = reader.recv_timeout(tests::patience(60)) else {
            seen.wrong.push(format!("{line}: somebody has its errors still open"));
            return;
        };
        if status.code().is_none() {
            seen.killed += 1;
        } else if !status.success() {
            *seen.errors.entry(kind(line, &error)).or_default() += 1;
        }
        if is_wrong(&error) {
            seen.wrong.push(format!("{line}: {error}"));
        }
    }
}

fn start(mut command: Command) -> std::process::Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_storm_of_commands_and_deaths_leaves_nothing_broken() {
    let (seconds, first) =
        (number("MINI_DOCKER_STORM", 5), number("MINI_DOCKER_STORM_SEED", std::process::id().into()));
    println!("a storm of {seconds} s with the seed {first}");
    let world = World::new();
    let seen = Mutex::new(Seen::default());
    let end = Instant::now() + Duration::from_secs(seconds);
    thread::scope(|scope| {
        for worker in 0..WORKERS {
            let (world, seen) = (&world, &seen);
            scope.spawn(move || {
                let host = Machine::beside(&world.host);
                let mut choices = Choices(1 + first * WORKERS + worker);
                while Instant::now() < end {
                    world.blow(&host, &mut choices, seen);
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    for (error, times) in &seen.errors {
        println!("{times:5} {error}");
    }
    world.ok("ps -a");
    for line in END {
        let said = world.run(line);
        let is_gone = |line: &str| ["no such", "No such", "not found"].iter().any(|words| line.contains(words));
        assert!(said.err.lines().all(is_gone) || said.code == 0, "{line}: {said:?}");
    }
    world.whole().unwrap();
    world.kept().unwrap();
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    report("storm", seen.killed, seen.killed, seen.given);
    world.assert_ends_empty("after the storm");
}
