//! `develop.watch`: which files of the host belong to which service, and what has become of them.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor},
};
use serde_json::Value;

use super::{service::Service, tree::text_of};
use crate::engine::{
    build::dockerfile::Ignore,
    error::{Context, Error, Result},
};

/// Of repositories and editors: nobody means these.
const NOBODYS: [&str; 5] = ["**/.git", "**/*.swp", "**/*~", "**/.#*", "**/.DS_Store"];

/// Milliseconds without a change after which those before belong together.
const QUIET: u16 = 100;

/// What is done when a file has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Its image is built, and its containers are made anew.
    Rebuild,
    /// Its containers are restarted.
    Restart,
    /// The file is copied into them.
    Sync,
    /// That, and then they are restarted.
    SyncRestart,
    /// That, and then a command is executed in them.
    SyncExec,
}

/// One entry of `develop.watch`.
#[derive(Debug)]
pub struct Trigger<'a> {
    /// Whose it is.
    pub service: Service<'a>,
    /// What it watches: a file, or all files of a directory.
    pub path: PathBuf,
    /// What is done then.
    pub action: Action,
    /// Where in the containers it goes.
    pub target: String,
    /// Whether all is copied at the beginning.
    pub initial_sync: bool,
    /// Its command.
    pub exec: Value,
    ignore: Ignore,
    include: Ignore,
}

impl<'a> Service<'a> {
    /// What it wants to be watched.
    pub fn triggers(&self) -> Result<Vec<Trigger<'a>>> {
        let list = self.keys.pointer("/develop/watch").and_then(Value::as_array);
        list.into_iter().flatten().map(|entry| self.trigger(entry)).collect()
    }

    fn trigger(&self, entry: &Value) -> Result<Trigger<'a>> {
        let wrong = |why: String| self.wrong("develop.watch", &why);
        let text = |key: &str| entry.get(key).map(text_of).unwrap_or_default();
        let texts = |key: &str| entry.get(key).and_then(Value::as_array).into_iter().flatten().map(text_of);
        let path = PathBuf::from(text("path"));
        let path = path.canonicalize().map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        let patterns = texts("ignore").chain(NOBODYS.map(str::to_owned));
        let action = match text("action").as_str() {
            "rebuild" => Action::Rebuild,
            "restart" => Action::Restart,
            "sync" => Action::Sync,
            "sync+restart" => Action::SyncRestart,
            "sync+exec" => Action::SyncExec,
            other => return Err(wrong(format!("there is no action {other:?}"))),
        };
        if action == Action::Rebuild && !self.is_built() {
            return Err(wrong("`rebuild` needs `build`".to_owned()));
        }
        Ok(Trigger {
            service: *self,
            path,
            action,
            target: text("target"),
            initial_sync: entry.get("initial_sync") == Some(&Value::Bool(true)),
            exec: entry.get("exec").cloned().unwrap_or_default(),
            ignore: Ignore::new(patterns).map_err(|e| wrong(format!("ignore: {e}")))?,
            include: Ignore::new(texts("include")).map_err(|e| wrong(format!("include: {e}")))?,
        })
    }
}

impl Trigger<'_> {
    /// Where the file goes to in the containers; `None` where the trigger is not for it.
    pub fn place(&self, file: &Path) -> Option<String> {
        let below = file.strip_prefix(&self.path).ok()?.to_str()?;
        if below.is_empty() {
            return Some(self.target.clone());
        }
        let wanted = !self.ignore.excludes(below) && (self.include.is_empty() || self.include.excludes(below));
        wanted.then(|| format!("{}/{below}", self.target.trim_end_matches('/')))
    }

    /// All its files that are there.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        collect(&self.path, &mut |path| {
            let is_wanted = self.place(path).is_some();
            if is_wanted && !path.is_dir() {
                found.push(path.to_owned());
            }
            path == self.path || !path.is_dir() || !self.is_ignored(path)
        });
        found
    }

    fn is_ignored(&self, path: &Path) -> bool {
        let below = path.strip_prefix(&self.path).ok().and_then(Path::to_str);
        below.is_some_and(|below| !below.is_empty() && self.ignore.excludes(below))
    }
}

/// Calls `see` for a path and all below it; false: not for what is below.
fn collect(path: &Path, see: &mut dyn FnMut(&Path) -> bool) {
    if !see(path) || path.is_symlink() {
        return;
    }
    // A directory that is just going has nothing.
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        collect(&entry.path(), see);
    }
}

/// Watches the files of triggers.
pub struct Watcher<'a, 'b> {
    triggers: &'b [Trigger<'a>],
    inotify: Inotify,
    directories: HashMap<WatchDescriptor, PathBuf>,
}

impl<'a, 'b> Watcher<'a, 'b> {
    /// Of these triggers: what changes from now on.
    pub fn new(triggers: &'b [Trigger<'a>]) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK);
        let inotify = inotify.map_err(|e| Error::system("watch files", &e.into()))?;
        let mut watcher = Self { triggers, inotify, directories: HashMap::new() };
        for trigger in triggers {
            if trigger.path.is_dir() {
                watcher.add(&trigger.path)?;
            } else if let Some(parent) = trigger.path.parent() {
                watcher.add_one(parent)?;
            }
        }
        Ok(watcher)
    }

    fn add_one(&mut self, directory: &Path) -> Result<()> {
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_ONLYDIR;
        match self.inotify.add_watch(directory, flags) {
            Ok(descriptor) => drop(self.directories.insert(descriptor, directory.to_owned())),
            // It has gone again.
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(e) => return Err(e).doing("watch (see fs.inotify.max_user_watches)", directory),
        }
        Ok(())
    }

    /// A directory and all below it that a trigger does not ignore; the files that are there.
    fn add(&mut self, directory: &Path) -> Result<Vec<PathBuf>> {
        let (mut directories, mut files) = (Vec::new(), Vec::new());
        let triggers = self.triggers;
        collect(directory, &mut |path| {
            if !path.is_dir() || path.is_symlink() {
                files.push(path.to_owned());
                return false;
            }
            let wanted = triggers.iter().any(|t| path.starts_with(&t.path) && !t.is_ignored(path));
            directories.extend(wanted.then(|| path.to_owned()));
            wanted
        });
        directories.iter().try_for_each(|directory| self.add_one(directory))?;
        Ok(files)
    }

    /// Waits for changes, and until there are no more for a moment: what has changed or gone.
    pub fn wait(&mut self) -> Result<BTreeSet<PathBuf>> {
        let mut changed = BTreeSet::new();
        loop {
            let timeout = if changed.is_empty() { PollTimeout::NONE } else { PollTimeout::from(QUIET) };
            let fd = std::os::fd::AsFd::as_fd(&self.inotify);
            match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
                Ok(0) => return Ok(changed),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::system("wait for changes of files", &e.into())),
            }
            for event in self.inotify.read_events().unwrap_or_default() {
                let Some(directory) = self.directories.get(&event.wd) else { continue };
                let Some(name) = event.name else { continue };
                let path = directory.join(name);
                if path.is_dir() && !path.is_symlink() {
                    // What came with it, or before it was watched.
                    changed.extend(self.add(&path)?);
                } else if !event.mask.contains(AddWatchFlags::IN_CREATE) || path.is_symlink() {
                    changed.insert(path);
                }
            }
        }
    }
}
