//! The start-up report: the same static busybox is started as a process, in containers and in virtual machines, in turns.
//!
//! Three questions: when is the program's first word there, when does it answer its first HTTP request, and what memory does
//! that take beside the program's own? Who is not installed is left out, and named.

mod chart;
mod contestant;
mod guest;
mod memory;
mod microvm;
mod qemu;
mod report;
mod run;
mod sample;

use std::{os::unix::process::CommandExt, process::Command, thread::sleep, time::Duration};

use clap::Args;
use contestant::{Contestant, Place};
use indicatif::{ProgressBar, ProgressStyle};
use run::{Run, first_answer, first_word};

use crate::document::DRY;

/// What any of this may end with.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What the program says first.
pub(crate) const WORD: &str = "first-word";
/// Between spaced runs: long enough for what the kernel puts off.
const SPACE: Duration = Duration::from_millis(100);

/// How much is measured.
#[derive(Debug, Args)]
pub struct Options {
    /// Turns back to back, and as many 100 ms apart
    #[arg(long, default_value_t = 60)]
    pub runs: usize,
    /// Turns of virtual machines and of HTTP
    #[arg(long, default_value_t = 5)]
    pub slow_runs: usize,
    /// Ends in two minutes: 10 turns, and one of what is slow
    #[arg(long)]
    pub quick: bool,
    /// Only contestants whose name has this in it, and the process that all are compared with
    #[arg(long, value_name = "NAME")]
    pub only: Option<String>,
    /// Print the report, and write no file
    #[arg(long, env = DRY)]
    pub dry: bool,
}

/// What was measured of one contestant, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Until the first word, back to back.
    pub(crate) close: Vec<f64>,
    /// Until the first word, 100 ms apart.
    pub(crate) apart: Vec<f64>,
    /// Until all has ended, back to back.
    pub(crate) end: Vec<f64>,
    /// Until the first answer.
    pub(crate) http: Vec<f64>,
    /// Bytes that only this container's helpers have.
    pub(crate) memory: Option<u64>,
    /// It has failed, and is not asked again: each time might take as long as anything may.
    pub(crate) is_out: bool,
}

/// Measures, prints, and writes the report.
///
/// # Errors
/// Where even the process cannot be started. Who of the others fails is left out.
pub fn run(options: &Options) -> Result<()> {
    same_view()?;
    let (runs, slow_runs) = if options.quick { (10, 1) } else { (options.runs, options.slow_runs) };
    let place = Place::new()?;
    let (all, absent) = contestant::all(&place);
    let wanted =
        |one: &Contestant| options.only.as_ref().is_none_or(|part| one.name.contains(part.as_str()) || one.base);
    let mut all: Vec<(Contestant, Measured)> =
        all.into_iter().filter(wanted).map(|one| (one, Measured::default())).collect();
    let mut missing = absent;
    // Once each, so that caches are warm, and who cannot is out.
    all.retain(|(one, _)| match one.word.as_ref().map(|word| first_word(word)).transpose() {
        Ok(_) => true,
        Err(e) => {
            missing.push(format!("{}: {e}", one.name));
            false
        }
    });
    if !all.iter().any(|(one, _)| one.base) {
        return Err(missing.join("; ").into());
    }
    let steps = all.iter().map(|(one, _)| if one.slow { slow_runs * 2 } else { runs * 2 }).sum::<usize>()
        + all.len() * slow_runs;
    let bar = ProgressBar::new(steps as u64).with_style(ProgressStyle::with_template("{wide_bar} {msg} {eta}")?);
    let mut failed = Vec::new();
    for spaced in [false, true] {
        for turn in 0..runs {
            for index in order(all.len(), turn) {
                let (one, measured) = &mut all[index];
                let Some(word) = one.word.as_ref().filter(|_| !one.slow || turn < slow_runs) else { continue };
                bar.inc(1);
                if measured.is_out {
                    continue;
                }
                bar.set_message(one.name.clone());
                if spaced {
                    sleep(SPACE);
                }
                match first_word(word) {
                    Ok((first, _)) if spaced => measured.apart.push(first),
                    Ok((first, end)) => {
                        measured.close.push(first);
                        measured.end.push(end);
                    }
                    Err(e) => {
                        failed.push(format!("{}: {e}", one.name));
                        measured.is_out = true;
                    }
                }
            }
        }
    }
    for _ in 0..slow_runs {
        for (one, measured) in &mut all {
            bar.set_message(format!("{}, HTTP", one.name));
            bar.inc(1);
            let Some(server) = one.http.as_ref().filter(|_| !measured.is_out) else { continue };
            match first_answer(server) {
                Ok(took) => measured.http.push(took),
                Err(e) => {
                    failed.push(format!("{}, HTTP: {e}", one.name));
                    measured.is_out = true;
                }
            }
        }
    }
    for (one, measured) in &mut all {
        let Some(idle) = one.idle.as_ref().filter(|_| !measured.is_out) else { continue };
        let boot = measured.close.iter().copied().fold(0.0, f64::max) * 2.0;
        let took =
            if one.machine { memory::machine(idle, Duration::from_secs_f64(boot / 1e3)) } else { memory::beside(idle) };
        match took {
            Ok(bytes) => measured.memory = Some(bytes),
            Err(e) => failed.push(format!("{}, memory: {e}", one.name)),
        }
    }
    bar.finish_and_clear();
    report::write(&all, &missing, &failed, options, runs, slow_runs)
}

/// The indices below `count` for one turn, in another order for the next: the kernel goes on for a while with the end of a
/// container, and nobody is to come always after the same one. The first turn has them in order.
fn order(count: usize, turn: usize) -> impl Iterator<Item = usize> {
    let strides: Vec<_> = (1..count).filter(|stride| divisor(*stride, count) == 1).collect();
    let stride = strides.get(turn % strides.len().max(1)).copied().unwrap_or(1);
    (0..count).map(move |index| index * stride % count)
}

/// The greatest common one.
fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Goes on in a mount namespace where all contestants see the machine alike: without the v2 part of a hybrid layout of cgroups,
/// which crun refuses, and with a tmpfs at /run, as systemd has it.
fn same_view() -> Result<()> {
    const DONE: &str = "BENCHES_SAME_VIEW";
    if std::env::var_os(DONE).is_some() {
        return Ok(());
    }
    let script = "! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; \
        [ \"$(stat -f -c %T /run)\" = tmpfs ] || mount -t tmpfs -o mode=755 run /run; exec \"$@\"";
    let own = std::env::current_exe()?;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]).arg(own).args(std::env::args_os().skip(1)).env(DONE, "1");
    Err(format!("unshare: {}", command.exec()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_turn_has_all_of_them_after_others() {
        for count in [1, 2, 7, 12, 34] {
            for turn in 0..9 {
                let mut all: Vec<_> = order(count, turn).collect();
                all.sort_unstable();
                assert_eq!(all, (0..count).collect::<Vec<_>>(), "{count}, turn {turn}");
            }
        }
        let before = |turn| {
            let all: Vec<_> = order(34, turn).collect();
            all[all.iter().position(|&index| index == 20).unwrap() - 1]
        };
        assert_eq!((0..4).map(before).collect::<Vec<_>>(), [19, 17, 15, 13]);
    }
}
