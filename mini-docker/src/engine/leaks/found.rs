//! Mounts, cgroups and volatile files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use cgroup::Hierarchies;

use super::Leak;
use crate::engine::{
    Engine,
    container::storage::From,
    error::{Context, Result},
    user_namespace::VERDICT,
};

impl Engine {
    /// Mounts of this mount namespace below the store or its volatile directory.
    pub(super) fn left_mounts(&self, owners: &BTreeSet<String>) -> Result<Vec<Leak>> {
        let table = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(table).doing("read", table)?;
        let places = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
        let ours = places.filter(|at| at.starts_with(self.store.root()) || at.starts_with(self.store.run("")));
        // The store itself may well be a filesystem of its own.
        let mut left = Vec::new();
        for at in ours.filter(|at| at != self.store.root()) {
            if !self.is_mounted_for(&at, owners)? {
                left.push(Leak {
                    kind: "mount",
                    fix: format!("umount {}", at.display()),
                    what: at.display().to_string(),
                });
            }
        }
        Ok(left)
    }

    /// Whether a mount is somebody's: in his own directory, or of a volume that he uses.
    fn is_mounted_for(&self, at: &Path, owners: &BTreeSet<String>) -> Result<bool> {
        let mut names = at.iter().filter_map(|name| name.to_str());
        if names.any(|name| owners.contains(name)) {
            return Ok(true);
        }
        let Ok(below) = at.strip_prefix(self.store.volume("")) else { return Ok(false) };
        let volume = below.iter().next();
        for id in owners {
            let config = self.read_config(id)?;
            let points = config.map(|config| config.storage.points).unwrap_or_default();
            if points
                .iter()
                .any(|point| matches!(&point.from, From::Volume { name, .. } if volume == Some(name.as_ref())))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Cgroups of this store in every hierarchy, whatever their parent.
    pub(super) fn left_cgroups(&self, owners: &BTreeSet<String>) -> Vec<Leak> {
        let mut left = Vec::new();
        let Ok(hierarchies) = Hierarchies::find() else { return left };
        for hierarchy in &hierarchies.0 {
            self.walk_cgroups(&hierarchy.mount, owners, &mut left);
        }
        left
    }

    fn walk_cgroups(&self, directory: &Path, owners: &BTreeSet<String>, left: &mut Vec<Leak>) {
        // One may go while they are read.
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(self.store.key())?.strip_prefix('.'));
            match id {
                Some(id) if owners.contains(id) => {}
                Some(_) => {
                    let fix = format!("find {} -depth -type d -exec rmdir {{}} +", path.display());
                    left.push(Leak { kind: "cgroup", what: path.display().to_string(), fix });
                }
                None => self.walk_cgroups(&path, owners, left),
            }
        }
    }

    /// Ranges of ids that are a container's, which does not run. Those of owners of whom nothing is left go now.
    pub(super) fn left_ids(&self, owners: &BTreeSet<String>) -> Result<Vec<Leak>> {
        let ranges = self.store.id_ranges();
        let mut left = Vec::new();
        for (name, owner) in subids::in_use(&ranges).doing("read", &ranges)? {
            let id = owner.strip_prefix(self.store.run("")).ok().and_then(|id| id.to_str());
            if id.is_some_and(|id| !owners.contains(id)) {
                let what = format!("{name}, of {}", owner.display());
                let fix = format!("find {} -name {name} -delete", ranges.display());
                left.push(Leak { kind: "ids", what, fix });
            }
        }
        Ok(left)
    }

    /// What the volatile directory has of containers that do not run.
    pub(super) fn left_files(&self, owners: &BTreeSet<String>) -> Result<Vec<Leak>> {
        let run = self.store.run("");
        let mut left = Vec::new();
        for entry in fs::read_dir(&run).into_iter().flatten().flatten() {
            let name = entry.file_name();
            // A socket beside is called by the first digits.
            let is_whose =
                |id: &String| name.to_str().is_some_and(|name| id.starts_with(name.trim_end_matches(".slirp")));
            let is_owned = name == "networks" || name == VERDICT || owners.iter().any(is_whose);
            if !is_owned {
                let what = entry.path().display().to_string();
                left.push(Leak { kind: "file", fix: format!("rm -r {what}"), what });
            }
        }
        for name in self.store.list("names")? {
            let path = self.store.root().join("names").join(&name);
            let id = fs::read_to_string(&path).unwrap_or_default();
            if !self.store.container(id.trim_end()).exists() {
                let what = path.display().to_string();
                left.push(Leak { kind: "file", fix: format!("rm {what}"), what });
            }
        }
        Ok(left)
    }
}

/// mountinfo writes blanks, tabs, line ends and backslashes as octal numbers (proc_pid_mountinfo(5)).
pub(super) fn unescape(field: &str) -> PathBuf {
    let text = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (code, char)| text.replace(code, char));
    text.into()
}
