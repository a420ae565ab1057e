//! Programs of others that make interfaces: drivers of networks that the engine does not have.
//!
//! A call is one run of the program: a JSON object on its standard input, one on its standard output, and its exit code.
//! It has a time limit, a limit on what it says, and its process group ends with the call.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Child as Program, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        memfd::{MFdFlags, memfd_create},
        signal::{Signal, killpg},
    },
    unistd::Pid,
};
use serde_json::Value;

/// What a plug-in may say, in bytes, on each of its two outputs.
const LONGEST_ANSWER: usize = 64 << 10;

/// A program that answers requests.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The executable file.
    pub program: PathBuf,
    /// How long a call may take.
    pub limit: Duration,
}

impl Plugin {
    /// Calls the plug-in. Its answer is a JSON object; nothing at all is an empty one.
    ///
    /// # Errors
    /// What it said on its standard error where it failed; or what was wrong with it, in words.
    pub fn call(&self, request: &Value) -> Result<Value, String> {
        let failed = |what: &str, e: io::Error| format!("{what} {}: {e}", self.program.display());
        let input = input(request).map_err(|e| failed("write the request for", e))?;
        let mut command = Command::new(&self.program);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).current_dir("/").process_group(0);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        let mut program = command.spawn().map_err(|e| failed("execute", e))?;
        let heard = self.hear(&mut program);
        // Also what it has left running: else that would outlive us, and nobody would know whose it is.
        let _ = killpg(Pid::from_raw(program.id().cast_signed()), Signal::SIGKILL);
        let status = program.wait().map_err(|e| failed("wait for", e))?;
        let (output, errors) = heard.map_err(|e| format!("{} {e}", self.program.display()))?;
        let answer = if output.trim_ascii().is_empty() {
            Ok(Value::Object(serde_json::Map::new()))
        } else {
            serde_json::from_slice(&output)
        };
        let said = answer.as_ref().ok().and_then(|answer| answer["error"].as_str().map(printable));
        if !status.success() || said.is_some() {
            let last = || String::from_utf8_lossy(&errors).lines().rfind(|line| !line.trim().is_empty()).map(printable);
            let words = said.or_else(last).unwrap_or_else(|| "it said nothing".to_owned());
            return Err(format!("{}: {words} ({status})", self.program.display()));
        }
        match answer {
            Ok(answer) if answer.is_object() => Ok(answer),
            _ => Err(format!("{} answered with no JSON object", self.program.display())),
        }
    }

    /// What it says until it ends.
    fn hear(&self, program: &mut Program) -> Result<(Vec<u8>, Vec<u8>), String> {
        let deadline = Instant::now() + self.limit;
        let error = |e: Errno| format!("cannot be heard: {}", e.desc());
        let pidfd = process::sys::pidfd_open(Pid::from_raw(program.id().cast_signed())).map_err(error)?;
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let (mut out, mut err) = (program.stdout.take(), program.stderr.take());
        let fds = [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
        for fd in fds.into_iter().flatten() {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(error)?;
        }
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("took longer than {} s: it was ended", self.limit.as_secs()));
            }
            let ended = {
                let mut fds = vec![PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
                fds.extend(out.iter().map(|out| PollFd::new(out.as_fd(), PollFlags::POLLIN)));
                fds.extend(err.iter().map(|err| PollFd::new(err.as_fd(), PollFlags::POLLIN)));
                let timeout = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
                match poll(&mut fds, timeout) {
                    Err(Errno::EINTR) => continue,
                    polled => polled.map_err(error)?,
                };
                fds[0].any().unwrap_or(false)
            };
            drain(&mut out, &mut output)?;
            drain(&mut err, &mut errors)?;
            // Whoever else has its outputs open is not waited for.
            if ended {
                return Ok((output, errors));
            }
        }
    }
}

/// Reads what is there; forgets a stream at its end.
fn drain(stream: &mut Option<impl Read>, into: &mut Vec<u8>) -> Result<(), String> {
    let mut buffer = [0; 4096];
    while let Some(open) = stream {
        match open.read(&mut buffer) {
            Ok(0) => *stream = None,
            Ok(count) => into.extend_from_slice(&buffer[..count]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(format!("cannot be heard: {e}")),
        }
        if into.len() > LONGEST_ANSWER {
            return Err(format!("said more than {} KiB: it was ended", LONGEST_ANSWER >> 10));
        }
    }
    Ok(())
}

/// In memory, so that nobody waits for a program that does not read.
fn input(request: &Value) -> io::Result<File> {
    let mut file = File::from(memfd_create("request", MFdFlags::MFD_CLOEXEC)?);
    writeln!(file, "{request}")?;
    file.rewind()?;
    Ok(file)
}

/// What a program says, fit for a terminal and one line.
fn printable(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}
