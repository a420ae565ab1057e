//! Reading events: those that are there, and those that come.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::PathBuf,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::Event;
use crate::engine::{
    Engine,
    error::{Context, Error, Result},
};

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Reads events in the order in which they were written, across the change of files.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    inotify: Inotify,
    /// What is still to be read, the oldest first; the last is the current one.
    files: VecDeque<File>,
    /// The beginning of a line whose end is not read yet.
    rest: Vec<u8>,
    ready: VecDeque<Event>,
}

impl Engine {
    /// The events that are kept, from the oldest on.
    pub fn events(&self) -> Result<Follower> {
        let path = self.events_path();
        let failed = |e: nix::Error| Error::system("watch the events", &e.into());
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).map_err(failed)?;
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_FROM;
        inotify.add_watch(self.store.root(), flags).map_err(failed)?;
        let mut follower = Follower { path, inotify, files: VecDeque::new(), rest: Vec::new(), ready: VecDeque::new() };
        // The new one first: if it has its turn in between, it is found again as the old one.
        let new = follower.open("json")?;
        let old = follower.open("json.1")?;
        let inode = |file: &Option<File>| file.as_ref().and_then(|file| file.metadata().ok()).map(|m| m.ino());
        if inode(&old) != inode(&new) {
            follower.files.extend(old);
        }
        follower.files.extend(new);
        Ok(follower)
    }
}

impl Follower {
    fn open(&self, extension: &str) -> Result<Option<File>> {
        let path = self.path.with_extension(extension);
        match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some).doing("open", &path),
        }
    }

    /// The next event; `None` where there is none yet.
    pub fn take(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Forgets what woke the reader up: to be called before [`Follower::take`] is asked again.
    pub fn clear(&self) {
        while self.inotify.read_events().is_ok_and(|events| !events.is_empty()) {}
    }

    /// Reads some more; false at the end.
    fn read(&mut self) -> Result<bool> {
        let path = self.path.clone();
        let Some(file) = self.files.front_mut() else {
            let new = self.open("json")?;
            self.files.extend(new);
            return Ok(!self.files.is_empty());
        };
        let mut chunk = vec![0; CHUNK];
        let length = file.read(&mut chunk).doing("read", &path)?;
        if length == 0 {
            return self.turn();
        }
        self.rest.extend_from_slice(&chunk[..length]);
        let whole = self.rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let lines: Vec<u8> = self.rest.drain(..whole).collect();
        // A line that makes no sense is one that a full disk has cut.
        self.ready.extend(lines.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        Ok(true)
    }

    /// At the end of one file: goes on to the next, if there is one.
    fn turn(&mut self) -> Result<bool> {
        if self.files.len() == 1 {
            let new = self.open("json")?;
            let inode = |file: &File| file.metadata().ok().map(|metadata| metadata.ino());
            match new {
                Some(new) if inode(&new) != self.files.front().and_then(inode) => self.files.push_back(new),
                _ => return Ok(false),
            }
            // A last line may have come between the reading and the turn.
            return Ok(true);
        }
        self.files.pop_front();
        self.rest.clear();
        Ok(true)
    }
}

impl AsFd for Follower {
    /// Readable when there may be more.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
