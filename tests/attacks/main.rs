//! Attacks on a container engine, each shown to succeed where its defence is off.
//!
//! `cargo test -p mini-docker --test attacks` runs all of them against mini-docker and fails where one gets through, or where
//! one does not even without the defence: then it tests nothing. With words behind `--` only the attacks are run whose family
//! or name has one of them; with `--verbose` it prints what each was told. `--beside` runs them against docker and runc too, and writes what was seen to table.md.

mod attack;
mod files;
mod program;
mod report;
mod target;

mod builds;
mod calls;
mod copy;
mod descriptors;
mod fences;
mod host;
mod ids;
mod images;
mod layers;
mod mounts;
mod networks;
mod users;
mod volumes;

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use attack::{Attack, Defence, Scene};
use report::{Row, Seen};
use target::Target;

/// What runs at the same time: containers wait more than they work.
const AT_ONCE: usize = 4;

fn all() -> Vec<Attack> {
    [
        calls::attacks(),
        fences::attacks(),
        descriptors::attacks(),
        mounts::attacks(),
        layers::attacks(),
        images::attacks(),
        users::attacks(),
        copy::attacks(),
        volumes::attacks(),
        builds::attacks(),
        networks::attacks(),
        host::attacks(),
        ids::attacks(),
    ]
    .concat()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        // What cargo and editors ask.
        return ExitCode::SUCCESS;
    }
    let words: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |attack: &Attack| {
        words.is_empty() || words.iter().any(|word| attack.name.contains(*word) || attack.family.contains(*word))
    };
    let attacks: Vec<Attack> = all().into_iter().filter(chosen).collect();
    let (ours, harder) = (Target::ours(false), Target::ours(true));
    let mut rows = run(&attacks, &[(&ours, Defence::On), (&harder, Defence::On), (&ours, Defence::Off)]);
    drop((ours, harder));
    if arguments.iter().any(|argument| argument == "--beside") {
        for peer in Target::peers() {
            for (row, seen) in rows.iter_mut().zip(run(&attacks, &[(&peer, Defence::On)])) {
                row.seen.extend(seen.seen);
            }
        }
        report::write(&rows);
    }
    report::print(&rows, arguments.iter().any(|argument| argument == "--verbose"))
}

/// Runs every attack against each of `against`, in the order of `attacks`.
fn run(attacks: &[Attack], against: &[(&Target, Defence)]) -> Vec<Row> {
    let rows: Mutex<Vec<Row>> = Mutex::new(attacks.iter().map(Row::new).collect());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((at, attack)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    attacks.get(at).map(|attack| (at, attack))
                } {
                    for (target, defence) in against {
                        let outcome = attack.run(&Scene::new(target, *defence));
                        let seen = Seen { engine: target.name(), defence: *defence, outcome };
                        if let Ok(mut rows) = rows.lock() {
                            rows[at].seen.push(seen);
                        }
                    }
                }
            });
        }
    });
    rows.into_inner().expect("no thread panicked with the lock")
}
