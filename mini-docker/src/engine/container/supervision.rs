//! What a container's monitor does for it: restarts, health checks, its log.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::log_details;
use crate::engine::{
    error::{Error, Result},
    go,
    image::Healthcheck,
    log::Policy,
};

/// The monitor's orders.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Supervision {
    /// When to start it again.
    pub restart: RestartPolicy,
    /// Where its output goes.
    pub log: LogConfig,
    /// How to ask whether it does its work.
    pub health: Option<HealthCheck>,
    /// What the one who made it attaches to: [`STDOUT`](crate::engine::monitor::frame::STDOUT) and its like.
    pub attach: u8,
}

/// When a container that has ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Where its exit code was not 0: so many times, or any number for 0.
    OnFailure(u32),
    /// Always, unless the user has stopped it.
    Always,
    /// The same, as long as there is no daemon that could start it at boot.
    UnlessStopped,
}

impl RestartPolicy {
    /// `no`, `on-failure[:N]`, `always`, `unless-stopped`; empty is `no`.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::Invalid`], in Docker's words.
    pub fn parse(text: &str) -> Result<Self> {
        let invalid = |why: &str| Error::invalid(format!("invalid restart policy {text:?}: {why}"));
        let (name, count) = text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count)));
        let count = match count {
            None => 0,
            Some(count) => {
                count.parse::<i64>().map_err(|_| invalid("invalid format: maximum retry count must be an integer"))?
            }
        };
        let policy = match name {
            "" | "no" => Self::No,
            "always" => Self::Always,
            "unless-stopped" => Self::UnlessStopped,
            "on-failure" => {
                return u32::try_from(count)
                    .map(Self::OnFailure)
                    .map_err(|_| invalid("maximum retry count cannot be negative"));
            }
            _ => {
                return Err(invalid(
                    "unknown policy; use one of 'no', 'always', 'on-failure[:N]', or 'unless-stopped'",
                ));
            }
        };
        if text.contains(':') {
            return Err(invalid("maximum retry count can only be used with 'on-failure'"));
        }
        Ok(policy)
    }

    /// In the API's words: name and maximum retry count.
    pub fn name(self) -> (&'static str, u32) {
        match self {
            Self::No => ("no", 0),
            Self::OnFailure(most) => ("on-failure", most),
            Self::Always => ("always", 0),
            Self::UnlessStopped => ("unless-stopped", 0),
        }
    }

    /// Whether a container that ended so, after so many restarts, is to be started again.
    pub fn applies(self, exit_code: i32, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure(most) => exit_code != 0 && (most == 0 || restarts < most),
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

/// Where a container's output goes, as `--log-driver` and `--log-opt` say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// `json-file`, `local` or `none`.
    pub driver: String,
    /// `max-size`, `max-file`, and what [`super::Config::log_details`] tells.
    pub options: BTreeMap<String, String>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { driver: "json-file".to_owned(), options: BTreeMap::new() }
    }
}

impl LogConfig {
    /// From the values of the flags.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::Invalid`] for what is not there, by name.
    pub fn parse(driver: &str, options: &[String]) -> Result<Self> {
        let driver = if driver.is_empty() { "json-file" } else { driver };
        let mut config = Self { driver: driver.to_owned(), options: BTreeMap::new() };
        for option in options {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| Error::invalid(format!("invalid --log-opt {option:?}: write it as NAME=VALUE")))?;
            config.options.insert(name.to_owned(), value.to_owned());
        }
        config.policy()?;
        Ok(config)
    }

    /// What is kept; `None`: nothing.
    pub fn policy(&self) -> Result<Option<Policy>> {
        let mut policy = match self.driver.as_str() {
            "json-file" => Policy { size: 10 << 20, files: 3, compress: false },
            // Docker's other format, and its sizes; here it is the same one.
            "local" => Policy { size: 20 << 20, files: 5, compress: true },
            "none" => Policy::default(),
            other => {
                return Err(Error::invalid(format!(
                    "the log driver {other:?} is not there: there are json-file, local and none"
                )));
            }
        };
        for (name, value) in &self.options {
            let invalid = |why: &str| Error::invalid(format!("invalid --log-opt {name}={value}: {why}"));
            match name.as_str() {
                _ if self.driver == "none" => {
                    return Err(invalid("invalid logging opts for driver none, which has no options"));
                }
                // -1: no limit, as Docker's json-file.
                "max-size" if value == "-1" => policy.size = u64::MAX,
                "max-size" => {
                    policy.size = size(value).ok_or_else(|| invalid("write a size such as 10m, or -1 for no limit"))?;
                }
                "max-file" => {
                    let files = value.parse().ok().filter(|&files| (1..=1000).contains(&files));
                    policy.files = files.ok_or_else(|| invalid("write a number of files, at least 1"))?;
                }
                "compress" => policy.compress = go::boolean(value).ok_or_else(|| invalid("write true or false"))?,
                // Nobody waits for the log in either: it goes to the kernel's memory, and from there to the disk.
                "mode" if value == "blocking" || value == "non-blocking" => {}
                "mode" => return Err(invalid("logging mode not supported: there are blocking and non-blocking")),
                "max-buffer-size" if self.options.get("mode").is_none_or(|mode| mode != "non-blocking") => {
                    return Err(invalid("max-buffer-size option is only supported with 'mode=non-blocking'"));
                }
                "max-buffer-size" => drop(size(value).ok_or_else(|| invalid("write a size such as 1m"))?),
                name if log_details::is_one(name) => log_details::check(name, value).map_err(|why| invalid(&why))?,
                _ => {
                    return Err(invalid(&format!(
                        "unknown log opt '{name}' for {} log driver: there are max-size, max-file, compress, mode, max-buffer-size, labels, labels-regex, env, env-regex and tag",
                        self.driver
                    )));
                }
            }
        }
        let limited = policy.files > 1 && policy.size < u64::MAX;
        if self.options.contains_key("compress") && policy.compress && !limited {
            return Err(Error::invalid(
                "invalid --log-opt compress=true: compress cannot be true when max-file is less than 2 or max-size is not set: set both, or leave it out",
            ));
        }
        policy.compress &= limited;
        Ok((self.driver != "none").then_some(policy))
    }
}

/// Docker's sizes: a number and b, k, m, g or t, powers of 1024.
fn size(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (number, shift) = match text.char_indices().next_back()? {
        (at, 'k') => (&text[..at], 10),
        (at, 'm') => (&text[..at], 20),
        (at, 'g') => (&text[..at], 30),
        (at, 't') => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: u64 = number.parse().ok().filter(|&number| number > 0)?;
    number.checked_mul(1 << shift)
}

/// How to ask a container whether it does its work, in the shape of Docker's API and of images. Times are nanoseconds;
/// 0 means the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthCheck {
    /// `CMD` and a command, `CMD-SHELL` and a line for the shell, or `NONE`; empty: the image's.
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: u64,
    /// For one check.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: u64,
    /// In which failures do not count.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: u64,
    /// Between two checks in that period.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: u64,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "is_zero_count")]
    pub retries: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(nanoseconds: &u64) -> bool {
    *nanoseconds == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero_count(count: &u32) -> bool {
    *count == 0
}

impl HealthCheck {
    /// This one, with `image`'s values where it has none.
    #[must_use]
    pub fn over(mut self, image: Option<&Healthcheck>) -> Self {
        if let Some(image) = image {
            if self.test.is_empty() {
                self.test.clone_from(&image.test);
            }
            let or = |own: u64, other: i64| if own == 0 { u64::try_from(other).unwrap_or(0) } else { own };
            self.interval = or(self.interval, image.interval);
            self.timeout = or(self.timeout, image.timeout);
            self.start_period = or(self.start_period, image.start_period);
            self.start_interval = or(self.start_interval, image.start_interval);
            self.retries = u32::try_from(or(u64::from(self.retries), image.retries)).unwrap_or(u32::MAX);
        }
        self
    }

    /// Docker's name of a time that is neither the default nor a millisecond, if there is one.
    pub fn too_short(&self) -> Option<&'static str> {
        let times = [
            ("Interval", self.interval),
            ("Timeout", self.timeout),
            ("StartPeriod", self.start_period),
            ("StartInterval", self.start_interval),
        ];
        times.into_iter().find_map(|(name, time)| (1..1_000_000).contains(&time).then_some(name))
    }

    /// What to execute, in the container whose shell is `shell`; `None`: nothing is checked.
    pub fn command(&self) -> Option<Vec<String>> {
        match self.test.split_first() {
            Some((kind, rest)) if kind == "CMD" && !rest.is_empty() => Some(rest.to_vec()),
            Some((kind, [line])) if kind == "CMD-SHELL" => Some(["/bin/sh", "-c", line].map(str::to_owned).to_vec()),
            _ => None,
        }
    }

    /// Before the first check. Docker waits for a whole `interval` where there is no start period; whoever says
    /// `start_interval` wants to know soon.
    pub fn first_pause(&self) -> Duration {
        let pause = self.pause(self.start_period > 0);
        if self.start_interval > 0 { Duration::from_nanos(self.start_interval).min(pause) } else { pause }
    }

    /// Between two checks: 30 s unless it says otherwise, and in the start period 5 s.
    pub fn pause(&self, starting: bool) -> Duration {
        match (starting, self.start_interval) {
            (true, 0) if self.start_period > 0 => or_seconds(self.interval, 30).min(Duration::from_secs(5)),
            (true, interval) if self.start_period > 0 => Duration::from_nanos(interval),
            _ => or_seconds(self.interval, 30),
        }
    }

    /// For one check: 30 s unless it says otherwise.
    pub fn limit(&self) -> Duration {
        or_seconds(self.timeout, 30)
    }

    /// Failures in a row that make it unhealthy: 3 unless it says otherwise.
    pub fn most_failures(&self) -> u32 {
        if self.retries == 0 { 3 } else { self.retries }
    }
}

fn or_seconds(nanoseconds: u64, default: u64) -> Duration {
    if nanoseconds == 0 { Duration::from_secs(default) } else { Duration::from_nanos(nanoseconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_dockers() {
        assert_eq!(RestartPolicy::parse("on-failure:3").unwrap(), RestartPolicy::OnFailure(3));
        assert_eq!(RestartPolicy::parse("on-failure").unwrap(), RestartPolicy::OnFailure(0));
        assert_eq!(RestartPolicy::parse("").unwrap(), RestartPolicy::No);
        for bad in ["bogus", "on-failure:-1", "on-failure:x", "always:1", "no:0", "on-failure:"] {
            assert!(RestartPolicy::parse(bad).is_err(), "{bad}");
        }
        assert!(RestartPolicy::OnFailure(2).applies(1, 1) && !RestartPolicy::OnFailure(2).applies(1, 2));
        assert!(!RestartPolicy::OnFailure(0).applies(0, 0) && RestartPolicy::Always.applies(0, 9));
    }

    #[test]
    fn the_first_check_comes_after_the_start_interval() {
        let second = 1_000_000_000;
        let check = HealthCheck { interval: 60 * second, start_interval: second, ..HealthCheck::default() };
        assert_eq!(check.first_pause(), Duration::from_secs(1));
        assert_eq!(check.pause(true), Duration::from_secs(60));
        assert_eq!(check.too_short(), None);
        assert_eq!(HealthCheck { timeout: 999_999, ..check.clone() }.too_short(), Some("Timeout"));
        let check = HealthCheck { start_interval: 0, ..check };
        assert_eq!(check.first_pause(), Duration::from_secs(60));
        assert_eq!(HealthCheck { start_period: 1, ..check }.first_pause(), Duration::from_secs(5));
    }

    #[test]
    fn log_options_are_checked_by_name() {
        let policy = |driver, options: &[&str]| {
            let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
            LogConfig::parse(driver, &options).and_then(|config| config.policy())
        };
        let kept = |size, files| Some(Policy { size, files, compress: false });
        assert_eq!(policy("", &[]).unwrap(), kept(10 << 20, 3));
        assert_eq!(policy("local", &["max-size=2k", "max-file=1"]).unwrap(), kept(2048, 1));
        assert!(
            policy("local", &[]).unwrap().unwrap().compress
                && policy("", &["compress=true"]).unwrap().unwrap().compress
        );
        assert_eq!(policy("", &["mode=non-blocking", "max-buffer-size=1m"]).unwrap(), kept(10 << 20, 3));
        assert_eq!(policy("json-file", &["max-size=1MB"]).unwrap(), kept(1 << 20, 3));
        assert_eq!(policy("none", &[]).unwrap(), None);
        for (driver, option) in [
            ("syslog", ""),
            ("none", "max-size=1m"),
            ("local", "max-size=x"),
            ("local", "max-file=0"),
            ("", "nosuch=x"),
            ("", "mode=nosuch"),
            ("", "max-buffer-size=1m"),
            ("", "compress=x"),
        ] {
            assert!(policy(driver, &[option]).is_err(), "{driver} {option}");
        }
        assert!(policy("", &["compress=true", "max-file=1"]).is_err());
    }
}
