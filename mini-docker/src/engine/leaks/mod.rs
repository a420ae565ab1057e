//! What stands on this machine because of the store, and that no container owns.
//!
//! There should be nothing: kernel objects are journaled before they are made, and the next command mends what a killed
//! one left. What that does not find is looked for here by the names that all of the store's objects have, without a
//! look at the journals.

mod found;
mod process;

use std::{collections::BTreeSet, thread, time::Duration};

use super::{Engine, error::Result, files::Lock};

/// One thing that nobody owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leak {
    /// `mount`, `cgroup`, `ids`, `link`, `nftables`, `process` or `file`.
    pub kind: &'static str,
    /// What it is.
    pub what: String,
    /// What removes it: a command for a shell.
    pub fix: String,
}

/// What ends just now is no leak: it is looked at until it has gone, or this often.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

impl Engine {
    /// Mends what killed commands left, as any command does, and says what stands nevertheless. Takes up to two seconds
    /// where there is something.
    ///
    /// # Errors
    /// Where the machine cannot be looked at.
    pub fn leaks(&self) -> Result<Vec<Leak>> {
        self.containers()?;
        self.clear_stray_names()?;
        self.clear_abandoned_steps()?;
        self.forget_void_places()?;
        self.sweep_ports()?;
        self.store.sweep()?;
        let mut leaks = self.look_for_leaks()?;
        for _ in 1..LOOKS {
            if leaks.is_empty() {
                break;
            }
            thread::sleep(PAUSE);
            let again = self.look_for_leaks()?;
            leaks.retain(|leak| again.contains(leak));
        }
        Ok(leaks.into_iter().collect())
    }

    fn look_for_leaks(&self) -> Result<BTreeSet<Leak>> {
        let owners = self.owners()?;
        let mut leaks = BTreeSet::new();
        leaks.extend(self.left_mounts(&owners)?);
        leaks.extend(self.left_cgroups(&owners));
        leaks.extend(self.left_files(&owners)?);
        leaks.extend(self.left_ids(&owners)?);
        leaks.extend(self.left_processes(&owners)?);
        leaks.extend(self.left_of_networks(&owners)?);
        Ok(leaks)
    }

    /// The ids of containers that run, start or end just now, and of steps of builds.
    fn owners(&self) -> Result<BTreeSet<String>> {
        let ids = self.store.list("containers")?.into_iter().filter_map(|id| id.into_string().ok());
        let mut owners = BTreeSet::new();
        for id in ids {
            let lock = self.container_file(&id, "lock");
            if self.runs(&id) || Lock::is_held(&lock)? {
                owners.insert(id);
            }
        }
        Ok(owners)
    }
}
