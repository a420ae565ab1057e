//! Stages beside each other: what goes on at once, and what becomes of it when one fails.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::{
    build::build,
    engine::{Engine, eventually},
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn independent_stages_are_built_side_by_side() {
    let engine = engine();
    // Each waits for the other, over a directory that both have.
    let meet = "RUN --mount=type=cache,target=/m touch /m/MINE && i=0; until test -e /m/THEIRS; do i=$((i+1)); test $i -lt 2000 || exit 7; usleep 10000; done; echo MINE > /MINE\n";
    let half = |name: &str, mine: &str, theirs: &str| {
        format!("FROM bb AS {name}\n{}", meet.replace("MINE", mine).replace("THEIRS", theirs))
    };
    let both = half("one", "a", "b") + &half("two", "b", "a");
    let dockerfile =
        format!("{both}FROM bb AS unused\nRUN exit 9\nFROM bb\nCOPY --from=one /a /\nCOPY --from=two /b /\n");
    let said = build(&engine, &["-t", "t"], &dockerfile);
    assert_eq!(said.code, 0, "{said:?}");
    let numbers = said.err.lines().filter(|line| line.contains("] RUN ") || line.contains("] COPY "));
    let numbers: Vec<_> = numbers.map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["#1", "#2", "#3", "#4"], "{}", said.err);
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/a", "/b"]).ok(), "a\nb\n");
    let again = build(&engine, &["-t", "t"], &dockerfile);
    assert_eq!(again.err.matches(" CACHED").count(), 4, "{}", again.err);
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

/// Each but the last ends when it sees that the next has begun.
#[test]
fn there_is_always_a_stage_beside_another() {
    const STAGES: usize = 20;
    let engine = engine();
    let wait = format!(
        "RUN --mount=type=cache,target=/m n=1; until mkdir /m/$n 2>/dev/null; do n=$((n+1)); done; \
         i=0; until test -e /m/$((n+1)) -o $n = {STAGES}; do i=$((i+1)); test $i -lt 6000 || exit 7; usleep 10000; done; echo $n > /n\n"
    );
    let stage = |number: usize| format!("FROM bb AS s{number}\nENV S={number}\n{wait}");
    let copy = |number: usize| format!("COPY --from=s{number} /n /n{number}\n");
    let (stages, copies): (String, String) = ((1..=STAGES).map(stage).collect(), (1..=STAGES).map(copy).collect());
    let said = build(&engine, &["-t", "t"], &format!("{stages}FROM bb\n{copies}"));
    assert_eq!(said.code, 0, "{}", said.err);
    let order = engine.run(&["run", "--rm", "t", "sh", "-c", "cat /n* | sort -n"]).ok();
    assert!(order.lines().eq((1..=STAGES).map(|number| number.to_string())), "{order}");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_stage_that_fails_ends_those_beside_it() {
    let engine = engine();
    let dockerfile = "FROM bb AS slow\nRUN --mount=type=cache,target=/m touch /m/f; sleep 1000\nFROM bb AS bad\nRUN --mount=type=cache,target=/m until test -e /m/f; do usleep 10000; done; echo why; exit 3\nFROM bb\nCOPY --from=slow / /s\nCOPY --from=bad / /b\n";
    let said = build(&engine, &["-t", "t"], dockerfile);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("why\n------\n") && said.err.contains("   4 | >>> RUN"), "{}", said.err);
    assert!(said.err.ends_with("did not complete successfully: exit code: 3\n"), "{}", said.err);
    eventually("nothing is left", || {
        build(&engine, &["-q"], "FROM bb\nRUN true\n").ok();
        engine.leaks().is_empty()
    });
}

#[test]
fn a_build_that_is_killed_takes_its_stages_with_it() {
    let engine = engine();
    let dockerfile = "FROM bb AS one\nRUN echo step; sleep 1000\nFROM bb AS two\nRUN echo step; sleep 1000; true\nFROM bb\nCOPY --from=one / /s\nCOPY --from=two / /b\n";
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    let mut child = engine.command(&["build", directory.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.filter(|line| line.as_ref().unwrap().ends_with(" step")).take(2).count(), 2);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    eventually("the next build clears up", || {
        build(&engine, &["-q"], "FROM bb\nRUN true\n").ok();
        engine.leaks().is_empty()
    });
}

#[test]
fn some_stages_are_built_anew() {
    let engine = engine();
    let steps = "FROM bb AS one\nRUN touch /1\nFROM bb AS two\nRUN touch /2\nFROM two\nCOPY --from=one /1 /\n";
    build(&engine, &["-q"], steps).ok();
    for (flags, cached) in [(&[][..], 3), (&["--no-cache-filter", "one"], 2), (&["--no-cache-filter", "One,two"], 1)] {
        let said = build(&engine, flags, steps);
        assert_eq!(said.err.matches(" CACHED").count(), cached, "{flags:?}: {}", said.err);
    }
}
