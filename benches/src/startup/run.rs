//! One command, how long it takes, and how long it may.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use process::sys;

use super::{Result, WORD};

/// What any command may take, from its start to its end: who takes longer hangs. Machines, which are slow without an
/// accelerator, have their own limit within this one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(130);
/// What a container may take, of which the slowest here starts within a second.
const PATIENCE_OF_CONTAINERS: Duration = Duration::from_secs(20);

/// A command, what ends what it started, and what it needs around it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) command: Vec<String>,
    /// Run afterwards, without a look at how it ends.
    pub(crate) cleanup: Vec<String>,
    /// Where its server answers.
    pub(crate) address: String,
    /// How long it may take.
    pub(crate) patience: Duration,
}

impl Run {
    pub(crate) fn of<S: AsRef<str>>(command: &[S]) -> Self {
        let command = command.iter().map(|word| word.as_ref().to_owned()).collect();
        Self { command, cleanup: Vec::new(), address: String::new(), patience: PATIENCE_OF_CONTAINERS }
    }

    pub(crate) fn start(&self, output: Stdio) -> Result<Child> {
        let (program, arguments) = self.command.split_first().ok_or("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
        // A group of its own, so that it can be killed with what it has started: a program may be a script around another one.
        let child = command.process_group(0).spawn();
        child.map_err(|e| format!("{program}: {e}").into())
    }

    pub(crate) fn clean(&self) {
        if !self.cleanup.is_empty() {
            Self { patience: self.patience, ..Self::of(&self.cleanup) }.finish();
        }
    }

    /// Runs it, without a look at how it ends: what it leaves, if anything, the next run says.
    pub(crate) fn finish(&self) {
        let _ = self.start(Stdio::null()).and_then(|mut child| self.end(&mut child));
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Waits for a child, and kills one that takes longer than it may.
    fn end(&self, child: &mut Child) -> Result<ExitStatus> {
        end_by(child, self.deadline())
    }
}

fn pidfd(child: &Child) -> Result<OwnedFd> {
    Ok(sys::pidfd_open(Pid::from_raw(child.id().cast_signed()))?)
}

/// Whether there is something to read, or the end of it, before the deadline.
fn is_ready(what: &impl AsFd, deadline: Instant) -> Result<bool> {
    let mut polled = [PollFd::new(what.as_fd(), PollFlags::POLLIN)];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut polled, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(count) => return Ok(count > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Kills a child that [`Run::start`] has started, and its children.
pub(super) fn kill_group(child: &Child) {
    // It may have ended.
    let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
}

fn end_by(child: &mut Child, deadline: Instant) -> Result<ExitStatus> {
    if is_ready(&pidfd(child)?, deadline)? {
        return Ok(child.wait()?);
    }
    kill_group(child);
    child.wait()?;
    Err("it hangs, and was killed".into())
}

pub(super) fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Milliseconds until the first word, and until the end.
pub(crate) fn first_word(run: &Run) -> Result<(f64, f64)> {
    let deadline = run.deadline();
    let start = Instant::now();
    let mut child = run.start(Stdio::piped())?;
    let mut output = child.stdout.take().ok_or("no output")?;
    let (mut first, mut said, mut buffer) = (None, Vec::new(), [0; 4096]);
    // A console says more than the word. Who has the other end may outlive the command.
    while is_ready(&output, deadline)? {
        let count = output.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        said.extend_from_slice(&buffer[..count]);
        if first.is_none() && said.windows(WORD.len()).any(|part| part == WORD.as_bytes()) {
            first = Some(ms(start));
        }
    }
    let status = end_by(&mut child, deadline);
    let end = ms(start);
    run.clean();
    let status = status?;
    first.map(|first| (first, end)).ok_or_else(|| format!("it said nothing ({status})").into())
}

/// Milliseconds until a server of the command's answers.
pub(crate) fn first_answer(run: &Run) -> Result<f64> {
    let deadline = run.deadline();
    let start = Instant::now();
    let mut child = run.start(Stdio::null())?;
    let answered = loop {
        if let Ok(answer) = ask(&run.address, deadline)
            && answer.starts_with("HTTP/1.")
        {
            break Ok(ms(start));
        }
        if Instant::now() > deadline {
            break Err("no answer".into());
        }
        sleep(Duration::from_micros(200));
    };
    // Foreground commands end with what they started; others have ended.
    if run.cleanup.is_empty() {
        kill_group(&child);
    }
    run.clean();
    let ended = run.end(&mut child);
    answered.and_then(|took| ended.map(|_| took))
}

fn ask(address: &str, deadline: Instant) -> Result<String> {
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&address.parse()?, left)?;
    stream.set_read_timeout(Some(Duration::from_millis(250)))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: Duration) -> Run {
        Run { patience, ..Run::of(&["sh", "-c", script]) }
    }

    const SOON: Duration = Duration::from_millis(300);

    #[test]
    fn the_first_word_comes_before_the_end() {
        let run = shell(&format!("echo quiet; echo {WORD}; sleep 0.2"), PATIENCE);
        let (first, end) = first_word(&run).unwrap();
        assert!(first < end && end >= 200.0, "{first} {end}");
        let silent = first_word(&shell("exit 3", PATIENCE)).unwrap_err().to_string();
        assert!(silent.contains("said nothing") && silent.contains('3'), "{silent}");
    }

    #[test]
    fn who_is_killed_leaves_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", file.display());
        let mut child = shell(&script, PATIENCE).start(Stdio::null()).unwrap();
        while !file.exists() {
            sleep(Duration::from_millis(1));
        }
        let sleeper: i32 = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        let sleeper = sys::pidfd_open(Pid::from_raw(sleeper)).unwrap();
        kill_group(&child);
        child.wait().unwrap();
        assert!(is_ready(&sleeper, Instant::now() + PATIENCE).unwrap());
    }

    /// Whether it says nothing, has said all but stays, or has left somebody with its output.
    #[test]
    fn who_hangs_is_killed_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        for script in ["", "exec >&-;", &format!("echo {WORD};")] {
            let run = shell(&format!("echo $$ >{}; {script} exec sleep 1000", pid.display()), SOON);
            let start = Instant::now();
            assert!(first_word(&run).unwrap_err().to_string().contains("hangs"), "{script}");
            assert!(start.elapsed() < Duration::from_secs(20), "{script}");
            let pid = std::fs::read_to_string(&pid).unwrap();
            assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "{script}: {pid} lives");
        }
        assert!(first_answer(&Run { address: "127.0.0.1:1".to_owned(), ..shell("exec sleep 1000", SOON) }).is_err());
    }

    #[test]
    fn a_cleanup_that_hangs_is_no_end_of_all() {
        let run = Run { cleanup: vec!["sleep".to_owned(), "1000".to_owned()], ..shell(&format!("echo {WORD}"), SOON) };
        first_word(&run).unwrap();
    }
}
