//! Commands in a service's containers after their start and before their end.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::AsFd,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use serde_json::{Value, json};

use super::Service;
use crate::{
    compose::tree::text_of,
    engine::{
        Engine,
        container::Container,
        error::{Error, Result},
        exec::Exec,
    },
};

impl Service<'_> {
    /// Runs the commands of `post_start` or `pre_stop` in a container, one after the other.
    ///
    /// # Errors
    /// Where one of them fails.
    pub fn run_hooks(&self, kind: &str, engine: &Engine, container: &Container) -> Result<()> {
        self.list(kind).try_for_each(|hook| self.run_hook(kind, hook, engine, container))
    }

    /// Runs one command; `key` is where it stands.
    ///
    /// # Errors
    /// Where it fails.
    pub fn run_hook(&self, key: &str, hook: &Value, engine: &Engine, container: &Container) -> Result<()> {
        let list = |key: &str| hook.get(key).and_then(Value::as_array).into_iter().flatten();
        let pairs = hook.get("environment").and_then(Value::as_object).into_iter().flatten();
        let pairs = pairs.filter(|(_, value)| !value.is_null());
        let request = Exec {
            command: list("command").map(text_of).collect(),
            env: pairs.map(|(key, value)| format!("{key}={}", text_of(value))).collect(),
            working_dir: hook.get("working_dir").map(text_of),
            user: hook.get("user").map(text_of),
            privileged: hook.get("privileged") == Some(&json!(true)),
            ..Exec::default()
        };
        // As it is now: it has been started since it was listed.
        let container = engine.load(&container.config.id)?;
        match run(engine, &container, &request)? {
            0 => Ok(()),
            code => {
                let why = format!("{} hook exited with status {code}: {}", self.name, request.command.join(" "));
                Err(self.wrong(key, &why))
            }
        }
    }
}

/// Runs a command to its end; what it writes goes to standard error.
fn run(engine: &Engine, container: &Container, request: &Exec) -> Result<i32> {
    let failed = |e: io::Error| Error::system("read what a hook writes", &e);
    let mut executed = engine.exec(container, request)?;
    let mut outputs: Vec<File> =
        [executed.stdout.take(), executed.stderr.take()].into_iter().flatten().map(File::from).collect();
    let mut buffer = [0; 4096];
    loop {
        let ended = executed.has_ended();
        outputs.retain_mut(|output| {
            loop {
                match output.read(&mut buffer) {
                    Ok(0) => break false,
                    // Nobody may want to know.
                    Ok(length) => drop(io::stderr().write_all(&buffer[..length])),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => break true,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break false,
                }
            }
        });
        // Whatever it left running may keep the pipes.
        if ended {
            return engine.await_executed(&container.config, &executed);
        }
        let mut fds: Vec<_> = outputs.iter().map(|output| PollFd::new(output.as_fd(), PollFlags::POLLIN)).collect();
        fds.push(PollFd::new(executed.pidfd(), PollFlags::POLLIN));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(e.into())),
        }
    }
}
