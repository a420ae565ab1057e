//! What has become of a container.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::UNSEEN;
use crate::engine::Error;

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
    /// The store in which it runs ([`crate::engine::store::Store::identity`]): a copy of it says the same. Empty in those of older programs.
    #[serde(default)]
    pub store: String,
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
    /// Whether the kernel killed one of its processes for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// How often its monitor has started it again since the user did.
    #[serde(default)]
    pub restarts: u32,
    /// How long its monitor waits before the next restart, in milliseconds.
    #[serde(default)]
    pub delay: u64,
    /// Whether the user has asked it to end: then no policy starts it again.
    #[serde(default)]
    pub stopped: bool,
    /// Whether a commit has paused it, which holds RUN/ID/commit meanwhile: without that, it was killed.
    #[serde(default)]
    pub committing: bool,
    /// Why its end, that nobody saw, is known to this process alone: it could not be written down.
    #[serde(skip)]
    pub unwritten: Option<Error>,
}

impl Status {
    /// Of a container that was never started.
    pub fn created() -> Self {
        Self {
            state: State::Created,
            pid: 0,
            start_time: 0,
            boot: String::new(),
            store: String::new(),
            pipes: [0; 2],
            started: None,
            finished: None,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            restarts: 0,
            delay: 0,
            stopped: false,
            committing: false,
            unwritten: None,
        }
    }

    /// Of a container whose status cannot be read, and that nobody looks after.
    pub(in crate::engine) fn lost() -> Self {
        let mut status = Self::created();
        status.end_unseen();
        "nobody saw it end, and its status was lost".clone_into(&mut status.error);
        status.finished = None;
        status
    }

    /// It has no process any more.
    pub(in crate::engine) fn end(&mut self, state: State, exit_code: i32) {
        self.state = state;
        self.pid = 0;
        self.start_time = 0;
        self.pipes = [0; 2];
        self.finished = Some(Timestamp::now());
        self.exit_code = exit_code;
    }

    /// Nobody saw how it ended.
    pub(in crate::engine) fn end_unseen(&mut self) {
        self.end(State::Exited, UNSEEN);
        "nobody saw it end: its monitor was killed".clone_into(&mut self.error);
    }
}
