//! What the health checks of a container have found: `health.json`, which its monitor alone writes.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// So many checks are kept.
const KEPT: usize = 5;

/// Whether a container does its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nobody knows yet.
    #[default]
    Starting,
    /// The last check succeeded, or not enough of the last ones failed.
    Healthy,
    /// Too many failed in a row.
    Unhealthy,
}

impl Verdict {
    /// As Docker's API says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// What is known of a container's health, in the shape of Docker's API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// Whether it does its work.
    pub status: Verdict,
    /// Failures since the last success.
    pub failing_streak: u32,
    /// The last checks, the oldest first.
    pub log: Vec<Probe>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    /// When it began.
    pub start: Timestamp,
    /// When it ended.
    pub end: Timestamp,
    /// 0: healthy; -1: it took too long.
    pub exit_code: i32,
    /// The beginning of what it said.
    pub output: String,
}

impl Health {
    /// Takes note of a check; true where the verdict has changed. In the start period (`starting`) failures do not
    /// count.
    pub(in crate::engine) fn note(&mut self, probe: Probe, starting: bool, most_failures: u32) -> bool {
        let before = self.status;
        if probe.exit_code == 0 {
            self.failing_streak = 0;
            self.status = Verdict::Healthy;
        } else if !starting {
            self.failing_streak = self.failing_streak.saturating_add(1);
            if self.failing_streak >= most_failures {
                self.status = Verdict::Unhealthy;
            }
        }
        self.log.push(probe);
        let excess = self.log.len().saturating_sub(KEPT);
        self.log.drain(..excess);
        self.status != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_in_a_row_and_not_while_it_starts() {
        let mut health = Health::default();
        let mut note = |exit_code, starting| {
            let (start, end) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
            let changed = health.note(Probe { start, end, exit_code, output: String::new() }, starting, 2);
            (changed, health.status, health.failing_streak, health.log.len())
        };
        assert_eq!(note(1, true), (false, Verdict::Starting, 0, 1));
        assert_eq!(note(1, false), (false, Verdict::Starting, 1, 2));
        assert_eq!(note(0, false), (true, Verdict::Healthy, 0, 3));
        assert_eq!(note(-1, false), (false, Verdict::Healthy, 1, 4));
        assert_eq!(note(1, false), (true, Verdict::Unhealthy, 2, 5));
        assert_eq!(note(0, false), (true, Verdict::Healthy, 0, 5));
    }
}
