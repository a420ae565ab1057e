//! Whether names may be others than before, told without a system call.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::AsFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use process::sys::{self, SharedWord};

/// After this long it is looked at the names anyway: somebody may have removed the file, and made another one.
const TRUST: Duration = Duration::from_secs(1);

// ANCHOR: mark
/// A file of eight bytes that are others after each change: mapped into memory by those who want to know.
///
/// Whoever changes something writes them last, whoever reads looks at them first: so no change is missed.
#[derive(Debug)]
pub struct Mark {
    path: PathBuf,
    word: Option<SharedWord>,
    seen: Option<u64>,
    looked: Option<Instant>,
}

impl Mark {
    /// The mark in that file, of which nothing is known yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path, word: None, seen: None, looked: None }
    }

    /// Whether something has changed since this was last asked. Yes, too, as long as there is no such file.
    pub fn has_moved(&mut self) -> bool {
        if self.word.is_none() {
            self.word = File::open(&self.path).ok().and_then(|file| SharedWord::map(file.as_fd()).ok());
        }
        let now = self.word.as_ref().map(SharedWord::load);
        let trusted = self.looked.is_some_and(|looked| looked.elapsed() < TRUST);
        if trusted && now.is_some() && now == self.seen {
            return false;
        }
        if !trusted {
            // The next one is mapped anew.
            self.word = None;
        }
        (self.seen, self.looked) = (now, Some(Instant::now()));
        true
    }

    /// Says that something has changed. The file is made, if need be; it must never become shorter.
    pub fn set(path: &Path) -> io::Result<()> {
        let mut bytes = [0; 8];
        sys::random(&mut bytes)?;
        // Of two that do this at once each has changed something, and each is noticed: it is no count.
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?.write_all_at(&bytes, 0)
    }
}
// ANCHOR_END: mark

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once() {
        let path = std::env::temp_dir().join(format!("mark-{}", std::process::id()));
        let mut mark = Mark::new(path.clone());
        assert!(mark.has_moved() && mark.has_moved(), "without a file nothing is sure");
        Mark::set(&path).unwrap();
        assert!(mark.has_moved());
        assert!(!mark.has_moved());
        Mark::set(&path).unwrap();
        assert!(mark.has_moved());
        assert!(!mark.has_moved());
        // Another file of that name is found in the end.
        std::fs::remove_file(&path).unwrap();
        Mark::set(&path).unwrap();
        mark.looked = mark.looked.and_then(|looked| looked.checked_sub(TRUST));
        assert!(mark.has_moved());
        assert!(mark.has_moved(), "the new file's mark");
        assert!(!mark.has_moved());
        std::fs::remove_file(&path).unwrap();
    }
}
