//! Every input of the corpus, every input that once failed, and some mutations of both go through their targets: what a
//! change breaks is seen without a fuzzer.

use std::{
    fs, panic,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use fuzz::{
    TARGETS, Target,
    mutate::{Random, mutate},
};

/// Mutations for each target.
const ROUNDS: usize = 500;
/// Bytes of an input that is repeated.
const LONG: usize = 128 << 10;
/// A target that takes longer with all its inputs hangs.
const LIMIT: Duration = Duration::from_secs(600);

/// The inputs of a target, by name.
fn inputs(folder: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(target);
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut all: Vec<_> = entries.map(|entry| (entry.path(), fs::read(entry.path()).unwrap())).collect();
    all.sort();
    all
}

/// Runs one input, and says which it was where it fails.
fn run(target: &Target, name: &dyn std::fmt::Display, data: &[u8]) {
    let (target, act) = target;
    if let Err(failure) = panic::catch_unwind(|| act(data)) {
        let path = std::env::temp_dir().join(format!("mini-docker-fuzz-{target}"));
        fs::write(&path, data).unwrap();
        eprintln!("{target} failed with {name}: the input is {}", path.display());
        panic::resume_unwind(failure);
    }
}

fn replay(target: &Target) {
    let (name, _) = target;
    let corpus = inputs("corpus", name);
    assert!(!corpus.is_empty(), "{name} has no corpus");
    let known = [corpus.clone(), inputs("regressions", name)].concat();
    for (path, data) in &known {
        run(target, &path.display(), data);
    }
    // What takes the square of its length, or more, ends in the limit of time.
    for (path, data) in corpus.iter().filter(|(_, data)| !data.is_empty()) {
        let long = data.repeat(LONG / data.len() + 1);
        run(target, &format_args!("{} again and again", path.display()), &long);
    }
    let mut random = Random::new(name);
    for round in 0..ROUNDS {
        let (path, data) = &corpus[random.below(corpus.len())];
        let (_, other) = &known[random.below(known.len())];
        let data = mutate(data, other, &mut random);
        run(target, &format_args!("mutation {round}, of {}", path.display()), &data);
    }
}

/// One test for each target, so that they run side by side and a failure has a name.
macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let target = TARGETS.iter().find(|(name, _)| *name == stringify!($name)).unwrap();
            let (done, ended) = mpsc::channel();
            let worker = thread::spawn(move || {
                replay(target);
                let _ = done.send(());
            });
            if ended.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                panic!("{} hangs", stringify!($name));
            }
            if let Err(failure) = worker.join() {
                panic::resume_unwind(failure);
            }
        })*

        #[test]
        fn no_target_is_left_out() {
            let replayed = [$(stringify!($name)),*];
            assert_eq!(TARGETS.map(|(name, _)| name).to_vec(), replayed.to_vec());
        }
    };
}

replays! {
    archive command_line compose dns dockerfile dotenv ignore image_archive log manifest reference registry seccomp template
}
