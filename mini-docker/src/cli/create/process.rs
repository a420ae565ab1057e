//! Flags about the program itself.

use std::path::PathBuf;

use clap::Args;

use super::env;
use crate::engine::{Request, Result, docker_config::DockerConfig};

#[derive(Debug, Args)]
pub(super) struct ProcessFlags {
    /// Keep standard input open
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    pub(super) tty: bool,
    /// Set an environment variable; without a value, pass the caller's
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Username or UID
    #[arg(short, long, value_name = "NAME|UID[:GROUP|GID]")]
    user: Option<String>,
    /// Overwrite the image's entry point; empty takes it away
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Run an init inside the container that reaps processes and forwards signals
    #[arg(long)]
    init: bool,
    /// Signal to stop the container
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds that `stop` waits before it kills the container; -1: for ever
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    stop_timeout: Option<i64>,
}

impl ProcessFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        request.env = env::collect(&self.env_file, &self.env)?;
        request.env.extend(DockerConfig::read().proxy_variables(&request.env));
        request.entrypoint = self.entrypoint.clone().map(|program| vec![program]);
        request.working_dir.clone_from(&self.workdir);
        request.user.clone_from(&self.user);
        request.tty = self.tty;
        request.open_stdin = self.interactive;
        request.init = self.init;
        request.stop_signal.clone_from(&self.stop_signal);
        request.stop_timeout = self.stop_timeout;
        Ok(())
    }
}
