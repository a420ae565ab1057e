//! Processes: monitors of nothing, and programs in a container that has ended.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Leak, found::unescape};
use crate::engine::{
    Engine,
    error::{Context, Result},
};

impl Engine {
    /// Processes that hold the lock of a container that does not run, or see its files as their root.
    pub(super) fn left_processes(&self, owners: &BTreeSet<String>) -> Result<Vec<Leak>> {
        let proc = Path::new("/proc");
        let pids = fs::read_dir(proc).doing("read", proc)?.flatten().map(|entry| entry.file_name());
        let pids = pids.filter_map(|name| name.to_str()?.parse::<u32>().ok()).filter(|&pid| pid != std::process::id());
        let mut left = Vec::new();
        for pid in pids {
            let owner = self.monitored_by(pid).or_else(|| self.inside_of(pid));
            if owner.is_some_and(|id| !owners.contains(&id)) {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                let command = String::from_utf8_lossy(&command).replace('\0', " ");
                left.push(Leak {
                    kind: "process",
                    what: format!("{pid} {}", command.trim_end()),
                    fix: format!("kill -9 {pid}"),
                });
            }
        }
        Ok(left)
    }

    /// The container whose monitor a process is: it has its lock open, which may have been unlinked.
    fn monitored_by(&self, pid: u32) -> Option<String> {
        let run = self.store.run("");
        let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).find_map(|to| {
            let mut below = to.strip_prefix(&run).ok()?.iter();
            let id = below.next()?.to_str()?.to_owned();
            below.next()?.to_str()?.starts_with("monitor").then_some(id)
        })
    }

    /// The container that a process is in, by the writable layer of what is mounted at its root.
    fn inside_of(&self, pid: u32) -> Option<String> {
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo")).ok()?;
        let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/"))?;
        let mut fields = root.rsplit(' ');
        let upper = fields.next()?.split(',').find_map(|option| option.strip_prefix("upperdir="))?;
        // Before Linux 6.13 that is a descriptor's number, and the path is what is mounted.
        let path = if upper.starts_with('/') { upper } else { fields.next()? };
        let below = unescape(path).strip_prefix(self.store.container("")).ok()?.to_owned();
        Some(below.iter().next()?.to_str()?.to_owned())
    }
}
