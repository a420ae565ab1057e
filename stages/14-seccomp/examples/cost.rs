//! What a filter costs: to make, to load, and at each call. `cargo run --release -p stage-14-seccomp --example cost`
#![forbid(unsafe_code)]

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use capabilities::CapabilitySet;
use nix::{
    sched::{CloneFlags, unshare},
    sys::prctl,
    unistd::getppid,
};
use seccomp::{Context, DEFAULT_PROFILE, Profile, Seccomp};

const ROUNDS: u32 = 201;
const CALLS: u32 = 200_000;

/// The median of many.
fn median(mut once: impl FnMut() -> Duration) -> f64 {
    let mut all: Vec<Duration> = (0..ROUNDS).map(|_| once()).collect();
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e6
}

fn time<T>(act: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(act());
    start.elapsed()
}

/// In a thread of its own, which takes its filter away with it.
fn apart<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join().expect("the thread ends"))
}

fn per_call(filter: Option<&Seccomp>, call: impl Fn() + Send + Sync) -> f64 {
    let mut rounds: Vec<f64> = (0..7)
        .map(|_| {
            apart(|| {
                if let Some(filter) = filter {
                    filter.load().expect("load");
                }
                time(|| (0..CALLS).for_each(|_| call())).as_secs_f64() * 1e9 / f64::from(CALLS)
            })
        })
        .collect();
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn main() {
    prctl::set_no_new_privs().expect("no_new_privs");
    let names: Vec<&str> = CapabilitySet::DEFAULT.names().collect();
    let context = Context::here(&names).expect("a table for this machine");
    let profile = Profile::parse(DEFAULT_PROFILE).expect("the default parses");
    println!("parse            {:8.1} µs", median(|| time(|| Profile::parse(DEFAULT_PROFILE))));
    println!("compile          {:8.1} µs", median(|| time(|| Seccomp::new(&profile, &context))));
    let tree = Seccomp::new(&profile, &context).expect("compile");
    let list = Seccomp::new_linear(&profile, &context).expect("compile");
    let least = Seccomp::profile(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#, &[]).expect("compile");
    for (name, filter) in [("all allowed", &least), ("tree", &tree), ("list", &list)] {
        println!("{name}: {} instructions", filter.len());
        println!("  load           {:8.1} µs", median(|| apart(|| time(|| filter.load().expect("load")))));
        println!(
            "  allowed call   {:8.1} ns",
            per_call(Some(filter), || {
                _ = black_box(getppid());
            })
        );
        println!(
            "  refused call   {:8.1} ns",
            per_call(Some(filter), || {
                _ = black_box(unshare(CloneFlags::empty()));
            })
        );
    }
    println!("without a filter");
    println!(
        "  allowed call   {:8.1} ns",
        per_call(None, || {
            _ = black_box(getppid());
        })
    );
    println!(
        "  refused call   {:8.1} ns",
        per_call(None, || {
            _ = black_box(unshare(CloneFlags::empty()));
        })
    );
}
