//! Flags before the command.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::{Args, ValueEnum};

use super::Arguments;
use crate::engine::{Error, Result, registry::credentials};

#[derive(Debug, Args)]
pub(super) struct Globals {
    /// Location of client config files: whose config.json has the credentials for registries, formats of lists, detach keys, prune filters and proxies (default DOCKER_CONFIG or ~/.docker)
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Say on the standard error what the command works on, and how long it took
    #[arg(short = 'D', long)]
    debug: bool,
    /// What is said there: debug, as -D, or, as all others, errors alone
    #[arg(short, long, value_enum, default_value = "info", value_name = "LEVEL")]
    log_level: Level,
    /// There is no daemon: refused, unless it is empty
    #[arg(short = 'H', long, value_name = "HOST")]
    host: Option<String>,
    /// There are no contexts: refused, unless it is default
    #[arg(short, long, value_name = "NAME")]
    context: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Debug,
    Info,
    Warn,
    Error,
    Fatal,
}

impl Globals {
    /// Puts them in place.
    ///
    /// # Errors
    /// For a daemon to talk to.
    pub(super) fn apply(&self) -> Result<()> {
        let invalid = |flag: &str, value: &str| {
            Err(Error::invalid(format!("invalid --{flag} {value:?}: there is no daemon to talk to; leave it out")))
        };
        match (self.host.as_deref(), self.context.as_deref()) {
            (Some(host), _) if !host.is_empty() => return invalid("host", host),
            (_, Some(name)) if !["", "default"].contains(&name) => return invalid("context", name),
            _ => {}
        }
        if let Some(directory) = &self.config {
            credentials::set_directory(directory.clone());
        }
        Ok(())
    }
}

/// What is said with `--debug`.
pub(super) struct Debug(Option<Instant>);

impl Debug {
    /// Whether anything is.
    pub(super) fn begin(arguments: &Arguments) -> Self {
        let globals = &arguments.globals;
        Self((globals.debug || globals.log_level == Level::Debug).then(Instant::now))
    }

    /// Says what the command works on.
    pub(super) fn works_on(&self, root: &Path) {
        if self.0.is_some() {
            tell!("mini-docker: debug: version {}, store {}", env!("CARGO_PKG_VERSION"), root.display());
        }
    }

    /// Says how it went.
    pub(super) fn end(self, code: u8) {
        if let Some(since) = self.0 {
            tell!("mini-docker: debug: exit code {code} after {:.1?}", since.elapsed());
        }
    }
}
