//! The start-up report: the same static busybox is started as a process, in containers and in virtual machines, in turns.
//!
//! Three questions: when is the program's first word there, when does it answer its first HTTP request, and what memory does
//! that take beside the program's own? Who is not installed is left out, and named.

mod chart;
mod contestant;
mod memory;
mod report;
mod sample;
mod vm;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Args;
use contestant::{Contestant, Place};
use indicatif::{ProgressBar, ProgressStyle};

/// What any of this may end with.
pub type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// What the program says first.
pub(crate) const WORD: &str = "first-word";
/// Nothing that is measured takes longer, but a virtual machine without an accelerator.
const PATIENCE: Duration = Duration::from_secs(120);
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
    #[arg(long)]
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
            for (one, measured) in &mut all {
                let Some(word) = one.word.as_ref().filter(|_| !one.slow || turn < slow_runs) else { continue };
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
                    Err(e) => failed.push(format!("{}: {e}", one.name)),
                }
                bar.inc(1);
            }
        }
    }
    for _ in 0..slow_runs {
        for (one, measured) in &mut all {
            bar.set_message(format!("{}, HTTP", one.name));
            bar.inc(1);
            let Some(server) = &one.http else { continue };
            match first_answer(server) {
                Ok(took) => measured.http.push(took),
                Err(e) => failed.push(format!("{}, HTTP: {e}", one.name)),
            }
        }
    }
    for (one, measured) in &mut all {
        let Some(idle) = &one.idle else { continue };
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

/// A command, what ends what it started, and what it needs around it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) command: Vec<String>,
    /// Run afterwards, without a look at how it ends.
    pub(crate) cleanup: Vec<String>,
    /// Where its server answers.
    pub(crate) address: String,
}

impl Run {
    pub(crate) fn of<S: AsRef<str>>(command: &[S]) -> Self {
        Self { command: command.iter().map(|word| word.as_ref().to_owned()).collect(), ..Self::default() }
    }

    pub(crate) fn start(&self, output: Stdio) -> Result<Child> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let child =
            Command::new(program).args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn();
        child.map_err(|e| format!("{program}: {e}").into())
    }

    pub(crate) fn clean(&self) {
        if let Some((program, arguments)) = self.cleanup.split_first() {
            let quiet = || Stdio::null();
            let _ = Command::new(program).args(arguments).stdin(quiet()).stdout(quiet()).stderr(quiet()).status();
        }
    }
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Milliseconds until the first word, and until the end.
fn first_word(run: &Run) -> Result<(f64, f64)> {
    let start = Instant::now();
    let mut child = run.start(Stdio::piped())?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut first = None;
    let mut line = Vec::new();
    // A console says more than the word.
    while output.read_until(b'\n', &mut line)? > 0 {
        if first.is_none() && String::from_utf8_lossy(&line).contains(WORD) {
            first = Some(ms(start));
        }
        line.clear();
    }
    let status = child.wait()?;
    let end = ms(start);
    run.clean();
    first.map(|first| (first, end)).ok_or_else(|| format!("it said nothing ({status})").into())
}

/// Milliseconds until a server of the command's answers.
fn first_answer(run: &Run) -> Result<f64> {
    let start = Instant::now();
    let mut child = run.start(Stdio::null())?;
    let answered = loop {
        if let Ok(answer) = ask(&run.address)
            && answer.starts_with("HTTP/1.")
        {
            break Ok(ms(start));
        }
        if start.elapsed() > PATIENCE {
            break Err("no answer".into());
        }
        sleep(Duration::from_micros(200));
    };
    // Foreground commands end with what they started; others have ended.
    if run.cleanup.is_empty() {
        let _ = child.kill();
    }
    run.clean();
    let _ = child.wait();
    answered
}

fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(250)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
