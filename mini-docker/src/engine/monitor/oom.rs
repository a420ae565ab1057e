//! The kernel's word that it killed processes of a container for want of memory.

use std::os::fd::BorrowedFd;

use nix::poll::PollFlags;

use super::Monitor;
use crate::engine::{Engine, container::Config};

/// Watches the memory of a container that is limited.
pub(super) struct Oom {
    handle: cgroup::Handle,
    events: cgroup::OomEvents,
    kills: u64,
}

impl Oom {
    /// `None` where memory is not limited, or cannot be watched: then nobody is told.
    pub(super) fn watch(engine: &Engine, config: &Config) -> Option<Self> {
        config.limits.memory?;
        let handle = cgroup::Handle::open(&engine.cgroup_path(config)).ok()?;
        let events = handle.oom_events().ok()??;
        Some(Self { handle, events, kills: 0 })
    }

    pub(super) fn fd(&self) -> (BorrowedFd<'_>, PollFlags) {
        (std::os::fd::AsFd::as_fd(&self.events), self.events.events)
    }

    /// Whether it has killed since the last time.
    fn has_killed(&mut self) -> bool {
        self.events.clear();
        let kills = self.handle.oom_kills().unwrap_or(0);
        let more = kills > self.kills;
        self.kills = kills;
        more
    }
}

impl Monitor<'_> {
    /// Writes down what the kernel has killed since the last time.
    pub(super) fn count_kills(&mut self, oom: &mut Option<Oom>) {
        if oom.as_mut().is_some_and(Oom::has_killed) {
            self.status.oom_killed = true;
            self.engine.emit_container(&self.container.config, "oom", &[]);
        }
    }
}
