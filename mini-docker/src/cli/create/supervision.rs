//! Flags about what the monitor does: restarts, health checks, logs.

use clap::Args;

use crate::engine::{
    Error, Request, Result,
    container::supervision::{HealthCheck, LogConfig, RestartPolicy},
    moment::duration,
    monitor::frame::{INPUT, STDERR, STDOUT},
};

#[derive(Debug, Args)]
pub(super) struct SupervisionFlags {
    /// Remove the container when it exits
    #[arg(long)]
    pub(super) rm: bool,
    /// When to start the container again after it exits: no, on-failure[:N], always, unless-stopped. There is no daemon
    /// to start it after a reboot
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: String,
    /// Attach to STDIN, STDOUT or STDERR alone
    #[arg(short, long, value_name = "STREAM", value_parser = stream)]
    attach: Vec<u8>,
    /// Command to run to check health
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Time between running the check, such as 1m30s; 30s by default
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds, allow_hyphen_values = true)]
    health_interval: Option<u64>,
    /// Maximum time to allow one check to run; 30s by default
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds, allow_hyphen_values = true)]
    health_timeout: Option<u64>,
    /// Consecutive failures needed to report unhealthy; 3 by default
    #[arg(long, value_name = "NUMBER")]
    health_retries: Option<u32>,
    /// Start period for the container to initialize before failures count
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds, allow_hyphen_values = true)]
    health_start_period: Option<u64>,
    /// Time between running the check during the start period; at most 5s by default
    #[arg(long, value_name = "DURATION", value_parser = nanoseconds, allow_hyphen_values = true)]
    health_start_interval: Option<u64>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)]
    no_healthcheck: bool,
    /// Where the output goes: json-file (by default 3 files of 10m), local (5 of 20m), none
    #[arg(long, value_name = "DRIVER", default_value = "json-file")]
    log_driver: String,
    /// Options of the log driver: max-size=BYTES, max-file=NUMBER, compress=BOOL, mode=non-blocking and max-buffer-size=BYTES (as without: nothing waits, and nothing is dropped), labels=NAMES, env=NAMES, tag=TEMPLATE (for `logs --details`)
    #[arg(long, value_name = "NAME=VALUE")]
    log_opt: Vec<String>,
}

impl SupervisionFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        let supervision = &mut request.supervision;
        supervision.restart = RestartPolicy::parse(&self.restart)?;
        if self.rm && supervision.restart != RestartPolicy::No {
            return Err(Error::invalid("conflicting options: cannot specify both --restart and --rm"));
        }
        supervision.log = LogConfig::parse(&self.log_driver, &self.log_opt)?;
        supervision.attach = self.attach.iter().fold(0, |all, stream| all | stream);
        supervision.health = self.health()?;
        request.auto_remove = self.rm;
        Ok(())
    }

    /// What is asked for over the image's.
    fn health(&self) -> Result<Option<HealthCheck>> {
        let times = [self.health_interval, self.health_timeout, self.health_start_period, self.health_start_interval];
        let any = self.health_cmd.is_some() || self.health_retries.is_some() || times.iter().any(Option::is_some);
        if self.no_healthcheck {
            if any {
                return Err(Error::invalid("--no-healthcheck conflicts with --health-* options").usage());
            }
            return Ok(Some(HealthCheck { test: vec!["NONE".to_owned()], ..HealthCheck::default() }));
        }
        let [interval, timeout, start_period, start_interval] = times.map(Option::unwrap_or_default);
        let test = self.health_cmd.iter().filter(|line| !line.is_empty());
        let test: Vec<_> = test.flat_map(|line| ["CMD-SHELL".to_owned(), line.clone()]).collect();
        let retries = self.health_retries.unwrap_or(0);
        Ok(any.then_some(HealthCheck { test, interval, timeout, start_period, start_interval, retries }))
    }
}

/// A duration for a health check: Docker's rule is nothing, or at least a millisecond.
fn nanoseconds(text: &str) -> Result<u64, String> {
    let nanoseconds = duration(text).ok_or_else(|| format!("invalid duration {text:?}: write it as 1m30s"))?;
    match u64::try_from(nanoseconds.as_nanos()) {
        Err(_) => Err("it cannot be negative".to_owned()),
        Ok(1..1_000_000) => Err("it cannot be less than 1ms".to_owned()),
        Ok(nanoseconds) => Ok(nanoseconds),
    }
}

fn stream(text: &str) -> Result<u8, String> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" => Ok(INPUT),
        "stdout" => Ok(STDOUT),
        "stderr" => Ok(STDERR),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}
