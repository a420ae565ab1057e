//! A journal replays after its writer was killed with SIGKILL, wherever that was, and leaves nothing of the container.
//!
//! This program is both: without arguments the test, with some the writer that is killed. A harness would start
//! threads, and the writer clones: there is none.

mod full;

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use full::Users;
use nix::{
    mount::{MsFlags, mount},
    sys::signal::{Signal, kill},
    unistd::{alarm, dup, getpid, pause},
};
use process::{Child, Container, Errno, Host, Inside, Journal, Primitive, Process, Program, Undo, spawn, sys};
use tests::{cgroups, container::image};

/// In the environment of every process of one attempt, so that they can be found.
const MARK: &str = "MINI_DOCKER_TEST_KILLED";

/// Things on the host that outlive their maker: a directory, a mount and a file.
struct OnTheHost(PathBuf);

impl Primitive for OnTheHost {
    fn name(&self) -> &'static str {
        "host"
    }

    fn prepare(&mut self, host: &mut Host) -> process::Result<()> {
        let place = self.0.join("mounted");
        host.undo(Undo::RemoveTree(place.clone()))?;
        host.act(|| "mkdir".to_owned(), || fs::create_dir(&place).map_err(|_| Errno::EIO))?;
        host.undo(Undo::Unmount(place.clone()))?;
        let flags = MsFlags::empty();
        host.act(|| "mount".to_owned(), || mount(Some("none"), &place, Some("tmpfs"), flags, None::<&str>))
    }

    fn attach(&mut self, host: &mut Host, _: &Child) -> process::Result<()> {
        let file = self.0.join("file");
        host.undo(Undo::RemoveFile(file.clone()))?;
        host.act(|| "create".to_owned(), || fs::write(&file, "").map_err(|_| Errno::EIO))
    }
}

/// The test's pipe, kept after all others are closed and before the terminal takes its place.
static KEPT: OnceLock<BorrowedFd<'static>> = OnceLock::new();

struct Keeps;

impl Primitive for Keeps {
    fn name(&self) -> &'static str {
        "keeps"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        let _ = KEPT.set(sys::keep_until_exec(dup(std::io::stdout())?));
        Ok(())
    }
}

/// Says so and stops the child for good.
struct Halts(OwnedFd);

impl Primitive for Halts {
    fn name(&self) -> &'static str {
        "halts"
    }

    fn enter(&self, _: &Inside) -> Result<(), Errno> {
        nix::unistd::write(KEPT.get().map_or(self.0.as_fd(), BorrowedFd::as_fd), b"halted\n")?;
        loop {
            pause();
        }
    }
}

/// The writer: kills itself at an act of its own, or waits to be killed while its child stands at a primitive.
fn writer(image: &Path, base: &Path, users: Users, at: &str) {
    let mut container = full::container(users, image, &base.join("overlay"));
    container.insert(0, Box::new(OnTheHost(base.to_owned())));
    let program = ["sh", "-c", "echo program; while :; do sleep 20; done"];
    let environment = [format!("PATH={}", process::DEFAULT_PATH), format!("{MARK}={}", base.display())];
    // Not on its terminal: the test listens.
    let stdout = || std::io::stdout().as_fd().try_clone_to_owned().unwrap();
    let program = Program::new(program, environment).unwrap().stdio([None, Some(stdout()), None]);
    let mut process = full::process(Process { init: true, ..Process::new(program) });
    let mut host = Host::new(Journal::open(&base.join("undo")).unwrap());
    if let Some(position) = at.strip_prefix("inside-") {
        let position: usize = position.parse().unwrap();
        let inside: Box<dyn Primitive> = Box::new(Halts(stdout()));
        match position.checked_sub(container.len() + 1) {
            None => container.insert(position, inside),
            Some(rest) => {
                process.primitives.insert(rest + 1, inside);
                process.primitives.insert(0, Box::new(Keeps));
            }
        }
    } else {
        let (mut number, last): (usize, usize) = (0, at.parse().unwrap());
        host.observe(move |act| {
            if number == last {
                println!("{act}");
                std::io::stdout().flush().unwrap();
                kill(getpid(), Signal::SIGKILL).unwrap();
            }
            number += 1;
        });
    }
    spawn(&mut Container(container), &mut process, &mut host).unwrap();
    println!("spawned");
}

/// Processes of one attempt.
fn processes(mark: &str) -> Vec<String> {
    let of_it = |pid: &String| {
        pid.bytes().all(|b| b.is_ascii_digit())
            && fs::read(format!("/proc/{pid}/environ"))
                .is_ok_and(|environment| String::from_utf8_lossy(&environment).contains(mark))
    };
    let all = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    all.filter(of_it).collect()
}

/// One writer, its death, and the replay. Returns what the writer and its container said.
fn attempt(image: &Path, users: Users, at: &str) -> String {
    let base = tempfile::tempdir().unwrap();
    let mark = format!("{MARK}={}", base.path().display());
    let mut writer = Command::new(env::current_exe().unwrap())
        .args([image, base.path()])
        .args([format!("{users:?}").as_str(), at])
        .env_clear()
        .env(MARK, base.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(writer.stdout.take().unwrap());
    let mut said = String::new();
    out.read_line(&mut said).unwrap();
    if at.starts_with("inside-") {
        writer.kill().unwrap();
    }
    writer.wait().unwrap();

    let journal = base.path().join("undo");
    let replay = || Journal::open(&journal).unwrap().undo_all().unwrap_or_else(|e| panic!("replay after {said}: {e}"));
    replay();
    // A child that still stood at the gate goes by itself.
    let end = Instant::now() + Duration::from_secs(10);
    while !processes(&mark).is_empty() {
        assert!(Instant::now() < end, "a process stays after {said}: {:?}", processes(&mark));
        std::thread::yield_now();
    }
    assert!(!journal.exists(), "the journal stays after {said}");
    let cgroups: Vec<_> = (0..2).map(|n| format!("/mini-docker-test-{}-{n}", writer.id())).collect();
    let cgroups: Vec<_> = cgroups.iter().flat_map(|name| cgroups::directories(Path::new(name))).collect();
    assert!(cgroups.is_empty(), "{cgroups:?} stays after {said}");
    let left: Vec<_> = fs::read_dir(base.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?} stays after {said}");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(base.path().to_str().unwrap()), "a mount stays after {said}");
    replay();
    assert!(!journal.exists(), "a second replay finds nothing");
    out.read_to_string(&mut said).unwrap();
    said
}

fn the_journal_replays_after_a_death_before_any_act(image: &Path) {
    for users in Users::ALL {
        let mut acts = Vec::new();
        loop {
            let said = attempt(image, users, &acts.len().to_string());
            if said.starts_with("spawned") || said.starts_with("program") {
                assert_eq!(acts.last().map(String::as_str), Some("open the gate"), "all acts come before the program");
                break;
            }
            assert_eq!(said.lines().count(), 1, "the program never runs: {said:?}");
            acts.push(said.trim_end().to_owned());
        }
        for act in ["mkdir", "mount", "clone3(", "create", "open the gate"] {
            assert!(acts.iter().any(|said| said.starts_with(act)), "{act} is among {acts:?}");
        }
    }
}

fn the_journal_replays_after_a_death_while_the_child_stands_anywhere(image: &Path) {
    for users in Users::ALL {
        let all = 1 + full::container(users, image, Path::new("/")).len() + 3;
        for position in 0..=all {
            assert_eq!(attempt(image, users, &format!("inside-{position}")), "halted\n", "at {position}");
        }
    }
}

type Test = (&'static str, fn(&Path));

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [image, base, users, at] = arguments.as_slice()
        && env::var_os(MARK).is_some()
    {
        writer(Path::new(image), Path::new(base), Users::named(users), at);
        return ExitCode::SUCCESS;
    }
    // What hangs is an error too.
    alarm::set(240);
    let image = image();
    let all: [Test; 2] = [
        ("the_journal_replays_after_a_death_before_any_act", the_journal_replays_after_a_death_before_any_act),
        (
            "the_journal_replays_after_a_death_while_the_child_stands_anywhere",
            the_journal_replays_after_a_death_while_the_child_stands_anywhere,
        ),
    ];
    for (name, test) in all {
        test(image.path());
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}
