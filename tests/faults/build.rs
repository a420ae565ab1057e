//! Builds that are interrupted: nothing is left of them but what their steps made, and the next one goes on from there.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    libc,
    sys::{
        signal::{Signal, kill},
        statvfs::statvfs,
    },
    unistd::Pid,
};
use tests::{
    disk::Disk,
    engine::{Engine, Said, eventually},
    tracer::{Act, trace},
};

use crate::sample::{report, sample};

/// Steps of all kinds, in stages side by side and one after the other.
const STEPS: &str = "FROM bb AS one\nRUN head -c 100000 /dev/urandom > /one\nCOPY many /many\nADD many.tar /unpacked/\nWORKDIR /w/o/r/k\nFROM bb AS two\nRUN --mount=type=cache,target=/c head -c 100000 /dev/urandom > /c/f; cp /c/f /two\nCOPY --link many /many\nFROM bb\nCOPY --from=one / /one\nCOPY --from=two /two /two\nRUN --mount=from=one,target=/m cat /m/one /two > /sum\n";
const COUNT: usize = 9;

fn write_context(directory: &Path) {
    fs::create_dir_all(directory.join("many")).unwrap();
    for number in 0..200 {
        fs::write(directory.join("many").join(number.to_string()), [b'x'; 500]).unwrap();
    }
    let mut archive = tar::Builder::new(fs::File::create(directory.join("many.tar")).unwrap());
    archive.append_dir_all("many", directory.join("many")).unwrap();
    archive.finish().unwrap();
    fs::write(directory.join("Dockerfile"), STEPS).unwrap();
}

fn cached(said: &Said) -> usize {
    said.err.matches(" CACHED\n").count()
}

#[track_caller]
fn assert_clean(engine: &Engine, when: &str) {
    engine.run(&["check"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new(), "{when}");
    let left: Vec<_> = fs::read_dir(engine.root().join("tmp")).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{when}: {left:?}");
}

#[test]
fn a_build_that_is_killed_in_a_step_goes_on_from_the_cache() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let context = engine.path("context");
    write_context(&context);
    let words = ["build", "-t", "t", context.to_str().unwrap()];
    let steps = sample(COUNT, 4);
    for &step in &steps {
        let mut command = engine.command(&words);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut done = 0;
        for line in BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap) {
            done += usize::from(line.contains(" DONE "));
            if line.starts_with(&format!("#{step} [")) {
                break;
            }
        }
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        let said = engine.run(&words);
        assert_eq!(said.code, 0, "killed in step {step}: {said:?}");
        assert!(cached(&said) >= done, "killed in step {step}, {done} were done: {}", said.err);
        eventually("its processes are gone, and what they had is given back", || {
            engine.run(&["build", "-q", context.to_str().unwrap()]).ok();
            engine.leaks().is_empty()
        });
        assert_clean(&engine, &format!("killed in step {step}"));
        assert_eq!(engine.run(&["run", "--rm", "t", "stat", "-c", "%s", "/sum"]).ok(), "200000\n");
        engine.run(&["rmi", "t"]).ok();
        engine.run(&["builder", "prune", "-af"]).ok();
    }
    report("build killed in a step", steps.len(), steps.len(), COUNT);
}

/// Stages side by side, and one after them.
const STAGES: &str = "FROM bb AS one\nRUN echo one > /one\nCOPY word /word\nFROM bb AS two\nCOPY word /word\nRUN echo two > /two\nFROM bb\nCOPY --from=one /one /one\nCOPY --from=two /two /two\n";

/// A context for [`STAGES`].
fn stages(engine: &Engine) -> PathBuf {
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("word"), "word").unwrap();
    fs::write(context.join("Dockerfile"), STAGES).unwrap();
    context
}

#[test]
fn who_builds_a_stage_can_be_killed_at_every_call() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let context = stages(&engine);
    let words = ["build", "-q", "--no-cache", "-t", "t", context.to_str().unwrap()];
    let build = |generation, number| {
        trace(&engine.command(&words), |call| {
            let is_it = call.generation == generation && call.number == number;
            if is_it { Act::Kill(call.process) } else { Act::Go }
        })
    };
    let whole = build(0, 0);
    assert_eq!(whole.said.code, 0, "{:?}", whole.said);
    for (generation, who) in [(1, "who builds a stage"), (2, "its step")] {
        let total = whole.calls[generation];
        let (numbers, mut struck) = (sample(total, 4), 0);
        for number in numbers {
            let traced = build(generation, number);
            let when = format!("{who} killed at call {number} of {total}: {:?}", traced.said);
            // The build has outlived it, and has cleared up, after others too, whom it has killed itself wherever they were.
            assert_eq!(engine.leaks(), Vec::<String>::new(), "{when}");
            assert_clean(&engine, &when);
            engine.run(&words).ok();
            struck += usize::from(traced.struck);
        }
        report(&format!("build: {who} killed"), struck, struck, total);
    }
}

#[test]
fn what_a_step_still_holds_is_waited_for_when_another_stage_was_killed() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let context = stages(&engine);
    let words = ["build", "-q", "--no-cache", context.to_str().unwrap()];
    // From its clone to its program a step has its maker's descriptors, and so his locks.
    for number in [1, 4, 20] {
        let mut workers = BTreeSet::new();
        let traced = trace(&engine.command(&words), |call| {
            match call.generation {
                1 => drop(workers.insert(call.process)),
                2 if call.number >= number => {
                    let maker = parent(call.process).map(Pid::from_raw);
                    let other = workers.iter().find(|&&worker| Some(worker) != maker && parent(worker).is_some());
                    return other.map_or(Act::Go, |&other| Act::KillAndHold(other));
                }
                _ => {}
            }
            Act::Go
        });
        assert!(traced.struck && traced.said.code == 1, "{:?}", traced.said);
        assert_clean(&engine, &format!("held at call {number}: {:?}", traced.said));
    }
}

/// A worker that is killed half-way through taking a step's directories away leaves nothing either.
#[test]
fn a_step_s_removal_can_be_killed_anywhere() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let context = stages(&engine);
    let words = ["build", "-q", "--no-cache", context.to_str().unwrap()];
    let removes = [libc::SYS_unlink, libc::SYS_unlinkat, libc::SYS_rmdir, libc::SYS_renameat2, libc::SYS_rename];
    let mut survived = 0;
    loop {
        let (mut count, mut first) = (0, None);
        let traced = trace(&engine.command(&words), |call| {
            let is_first = call.generation == 1 && *first.get_or_insert(call.process) == call.process;
            let is_one = is_first && call.which().is_some_and(|which| removes.contains(&which));
            count += usize::from(is_one);
            if is_one && count > survived { Act::Kill(call.process) } else { Act::Go }
        });
        assert_clean(&engine, &format!("killed at removal {survived}: {:?}", traced.said));
        if !traced.struck {
            break;
        }
        survived += 1;
    }
    report("build: a worker killed as it removes", survived, survived, survived);
}

/// Of a process that nobody has waited for.
fn parent(pid: Pid) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:\t")?.parse().ok())
}

#[test]
fn a_build_that_fills_the_disk_goes_on_from_the_cache() {
    let Some(disk) = Disk::new(64) else { return };
    let engine = Engine::empty_in(env!("CARGO_BIN_EXE_mini-docker"), &disk.path());
    engine.import_busybox();
    let context = tempfile::tempdir().unwrap();
    fs::File::create(context.path().join("big")).and_then(|file| file.set_len(200 << 20)).unwrap();
    let build = |last: &str| {
        let steps = format!("FROM bb\nRUN head -c 1000000 /dev/urandom > /one\n{last}");
        fs::write(context.path().join("Dockerfile"), steps).unwrap();
        engine.run(&["build", "-t", "t", context.path().to_str().unwrap()])
    };
    assert_eq!(build("").code, 0);
    let free = || statvfs(&disk.path()).map(|found| found.blocks_available() * found.fragment_size()).unwrap();
    let before = free();
    for last in [
        "RUN head -c 200000000 /dev/zero > /big\n",
        "RUN head -c 200000000 /dev/zero > /big || true\nRUN true\n",
        "COPY big /big\n",
        "COPY --link big /big\n",
        "RUN --mount=source=big,target=/big true\n",
        "RUN --mount=type=cache,target=/c head -c 200000000 /dev/zero > /c/big\n",
    ] {
        let said = build(last);
        assert!(said.err.contains("No space left on device"), "{last}: {said:?}");
        assert!(!said.err.contains("panicked"), "{last}: {said:?}");
        // Who does not care may even get his layer into what is left.
        assert!(said.code == 1 || last.contains("|| true"), "{last}: {said:?}");
        assert_eq!(cached(&said), 1, "{last}: {said:?}");
        if said.code == 0 {
            engine.run(&["rmi", "t"]).ok();
            engine.run(&["builder", "prune", "-af", "--filter", "description=zero"]).ok();
        }
        if last.contains("type=cache") {
            engine.run(&["builder", "prune", "-f", "--filter", "type=exec.cachemount"]).ok();
        }
        let said = build("RUN echo again\n");
        assert!(said.code == 0 && cached(&said) >= 1, "after {last}: {said:?}");
        assert_clean(&engine, last);
        assert!(free() + (1 << 20) > before, "{last}: {} of {before} bytes are free again", free());
    }
    report("build that fills the disk", 6, 6, 6);
}
