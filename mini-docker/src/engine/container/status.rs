//! What has become of a container.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Never started, or could not be.
    Created,
    /// Its process lives.
    Running,
    /// Its process lives, and stands still.
    Paused,
    /// Its process has ended; its monitor starts it again in a moment.
    Restarting,
    /// It has ended.
    Exited,
}

impl State {
    /// Whether it has a process.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// Whether it has a monitor: it lives, or will again without being asked. What Docker calls running.
    pub fn is_active(self) -> bool {
        self.is_alive() || self == Self::Restarting
    }

    /// As Docker's API says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

/// What has become of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Where it is.
    pub state: State,
    /// Its first process on the host; 0 when it does not run.
    pub pid: i32,
    /// That process's start, in clock ticks since boot: what tells it from another of the same pid.
    pub start_time: u64,
    /// The boot in which it runs.
    pub boot: String,
    /// The inodes of the pipes behind its standard output and error; 0 where there is none.
    #[serde(default)]
    pub pipes: [u64; 2],
    /// When it started last.
    pub started: Option<Timestamp>,
    /// When it ended last.
    pub finished: Option<Timestamp>,
    /// 128 + n after signal n; 255 where nobody saw it end.
    pub exit_code: i32,
    /// Why it could not be started.
    pub error: String,
}

impl Status {
    /// Of a container that was never started.
    pub fn created() -> Self {
        Self {
            state: State::Created,
            pid: 0,
            start_time: 0,
            boot: String::new(),
            pipes: [0; 2],
            started: None,
            finished: None,
            exit_code: 0,
            error: String::new(),
        }
    }
}
