//! What follows a container's end: its restart, or its monitor's end.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use process::{Journal, Undo, netlink::route};

use super::{Monitor, OWN_STEPS, life::Life, size, version};
use crate::engine::{
    container::{State, supervision::RestartPolicy},
    error::{Error, Result},
    files::read_json,
    store::Garbage,
};

/// Docker's back-off, in milliseconds: the first wait, doubled each time, up to a minute.
const FIRST: u64 = 100;
const LONGEST: u64 = 60_000;
/// What has run so long has not failed at once: the next wait is the first again.
const LONG_ENOUGH: Duration = Duration::from_secs(10);

/// What is to be done after an end.
pub(super) enum Next {
    /// Nothing, but what nobody has to wait for.
    End(Late),
    /// Start it again.
    Restart,
}

/// What is left to do when all who wait for a container's end have been told.
#[derive(Default)]
pub(super) struct Late {
    /// Directories that nobody sees any more.
    garbage: Garbage,
    /// Cables that nothing comes through any more.
    cables: Vec<Undo>,
}

impl Late {
    pub(super) fn clear(self) -> Result<()> {
        let removed = self.cables.iter().try_for_each(Undo::perform).map_err(|e| Error::system("remove a cable", &e));
        self.garbage.clear().and(removed)
    }
}

impl Monitor<'_> {
    /// Writes down how the container ended, and takes apart what was made for this life of it.
    pub(super) fn settle(&mut self, code: i32) -> Result<Next> {
        let engine = self.engine;
        let id = self.container.config.id.clone();
        let lock = engine.lock_container(&id);
        if lock.is_ok() {
            self.refresh();
        }
        let restart = self.is_to_restart(code)?;
        let undo = engine.store.run(&id).join("undo");
        if size(&undo) != self.undo_size
            && let Ok(journal) = Journal::open(&undo)
        {
            // An update has made cgroups.
            self.journal = journal;
        }
        // Before others see that it has ended, and its addresses are free.
        let cables = self.cut_off();
        let config = &self.container.config;
        self.status.end(if restart { State::Restarting } else { State::Exited }, code);
        engine.emit_container(config, "die", &[("exitCode", &code.to_string())]);
        let left = engine.leave_networks(&id);
        engine.emit_unmounts(config);
        let written = if config.auto_remove { Ok(()) } else { engine.write_status(config, &self.status) };
        if restart {
            // What cannot be undone now is tried again at the end.
            let _ = self.journal.undo_to(OWN_STEPS);
            let _ = cables.iter().try_for_each(Undo::perform);
            return written.map(|()| Next::Restart);
        }
        // What cannot be undone now stays in the journal, and what it has of networks beside it.
        let _ =
            left.and_then(|()| std::mem::take(&mut self.journal).undo_all().map_err(|e| Error::system("clean up", &e)));
        let _ = engine.release_volumes(config);
        if config.auto_remove {
            return engine.take_apart(config, true).map(|garbage| Next::End(Late { garbage, cables }));
        }
        written.map(|()| Next::End(Late { cables, ..Late::default() }))
    }

    /// Lets nothing more through the container's cables, and takes them out of the journal: to remove one takes some
    /// milliseconds, and most often the end of the network has done it by then. Where others share the network and live on,
    /// they stay in the journal.
    fn cut_off(&mut self) -> Vec<Undo> {
        if self.engine.shares_network(&self.container.config.id) {
            return Vec::new();
        }
        let cables = self.journal.set_aside(|undo| matches!(undo, Undo::RemoveVeth { .. }));
        for cable in &cables {
            if let Undo::RemoveVeth { name, .. } = cable {
                // One that cannot be cut off still goes.
                let _ = route::cut_off(name);
            }
        }
        cables
    }

    /// Its name and its orders may have changed since it started.
    fn refresh(&mut self) {
        let path = self.engine.container_file(&self.container.config.id, "config.json");
        let version = version(&path);
        if version != self.version
            && let Ok(Some(config)) = read_json(&path)
        {
            self.container.config = config;
            self.version = version;
        }
    }

    /// Asks the policy, and the user, who may have stopped it.
    fn is_to_restart(&mut self, code: i32) -> Result<bool> {
        let config = &self.container.config;
        let policy = config.supervision.restart;
        if config.auto_remove || policy == RestartPolicy::No {
            return Ok(false);
        }
        self.status.stopped = self.engine.read_status(&config.id)?.stopped;
        if self.status.stopped || !policy.applies(code, self.status.restarts) {
            return Ok(false);
        }
        let lived = self.status.started.map(|at| Timestamp::now().duration_since(at)).and_then(|d| d.try_into().ok());
        self.status.delay = next_delay(self.status.delay, lived.unwrap_or(Duration::ZERO));
        Ok(true)
    }

    /// Waits for its time and starts the container again; `None` where that is not to be any more.
    pub(super) fn restart(&mut self) -> Result<Option<Life>> {
        let id = self.container.config.id.clone();
        let time = Instant::now() + Duration::from_millis(self.status.delay);
        loop {
            let left = time.saturating_duration_since(Instant::now());
            if !left.is_zero() && !std::mem::take(&mut self.look) {
                let turned = self.turn(None, Some(left));
                turned.map_err(|e| Error::system("wait for the restart", &e.into()))?;
                continue;
            }
            // It has been removed, or somebody else looks after it.
            let Ok(_lock) = self.engine.lock_container(&id) else { return Ok(None) };
            if !self.is_the_one() {
                return Ok(None);
            }
            let status = self.engine.read_status(&id)?;
            if status.state != State::Restarting {
                let _ = std::mem::take(&mut self.journal).undo_all();
                let _ = self.engine.release_volumes(&self.container.config);
                return Ok(None);
            }
            if left.is_zero() {
                self.refresh();
                self.status.restarts = status.restarts + 1;
                return self.start_again().map(Some).or(Ok(None));
            }
        }
    }

    fn start_again(&mut self) -> Result<Life> {
        let restarts = self.status.restarts;
        self.live(None, false, false).inspect_err(|e| {
            let config = &self.container.config;
            self.status.restarts = restarts;
            self.status.end(State::Exited, e.container_exit_code());
            self.status.error = e.to_string();
            // If the disk is full, the next command finds a container without a monitor, and settles it.
            let _ = self.engine.write_status(config, &self.status);
            self.engine.emit_container(config, "die", &[("exitCode", &self.status.exit_code.to_string())]);
            let _ = self.engine.leave_networks(&config.id);
            let _ = std::mem::take(&mut self.journal).undo_all();
            let _ = self.engine.release_volumes(config);
        })
    }
}

/// Milliseconds before the next restart of what has lived so long.
fn next_delay(before: u64, lived: Duration) -> u64 {
    if before == 0 || lived >= LONG_ENOUGH { FIRST } else { (before * 2).min(LONGEST) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew() {
        let mut delay = 0;
        let delays: Vec<_> = std::iter::repeat_with(|| {
            delay = next_delay(delay, Duration::ZERO);
            delay
        })
        .take(12)
        .collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000]);
        assert_eq!(next_delay(60_000, Duration::from_secs(10)), 100);
    }
}
