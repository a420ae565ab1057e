//! Which files a COPY means: paths and patterns in the context, a stage or an image.

use std::{
    ffi::{CString, OsStr, OsString},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{FileStat, Mode, SFlag, fstat, fstatat},
};

use crate::engine::{
    build::{
        dockerfile::{self, Ignore, Matched, PathPattern, clean},
        onto::{self, open_in},
    },
    error::{Context, Error, Result},
};

/// One source with all that is in it.
pub(super) struct Selected {
    /// Its path in the root that it comes from.
    pub(super) path: PathBuf,
    /// The part of it that `--parents` keeps: what is behind `/./`, where it has that.
    pub(super) kept: PathBuf,
    /// Itself: a directory, or what is no directory.
    pub(super) fd: OwnedFd,
    pub(super) stat: FileStat,
    pub(super) small: Option<Small>,
    /// What is in a directory, parents first, names in order.
    pub(super) entries: Vec<Entry>,
}

/// Something in a directory.
pub(super) struct Entry {
    /// Below the source.
    pub(super) path: PathBuf,
    pub(super) stat: FileStat,
    pub(super) small: Option<Small>,
}

/// Extended attributes: names and values.
pub(super) type Attributes = Vec<(CString, Vec<u8>)>;

/// A small file, or a directory without what is in it, read: it is not opened again to be copied.
pub(super) struct Small {
    pub(super) bytes: Vec<u8>,
    pub(super) attributes: Attributes,
}

impl Selected {
    pub(super) fn is_directory(&self) -> bool {
        onto::kind(&self.stat) == SFlag::S_IFDIR
    }
}

/// Finds the sources of a COPY.
pub(super) fn select(
    root: BorrowedFd,
    ignore: &Ignore,
    exclude: &Ignore,
    copy: &dockerfile::Copy,
) -> Result<Vec<Selected>> {
    let mut selected = Vec::new();
    for source in &copy.sources {
        let path = clean(&format!("/{source}"));
        let relative = path.trim_start_matches('/');
        let paths =
            if has_wildcards(relative) { matching(root, ignore, relative)? } else { vec![PathBuf::from(relative)] };
        let above = source.split_once("/./").map(|(above, _)| clean(&format!("/{above}")));
        let above = above.as_deref().unwrap_or("/").trim_start_matches('/').to_owned();
        for path in paths {
            let kept = path.strip_prefix(&above).unwrap_or(&path).to_owned();
            selected.push(Selected { kept, ..one(root, ignore, exclude, &path)? });
        }
    }
    Ok(selected)
}

fn has_wildcards(path: &str) -> bool {
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

fn not_found(path: &Path) -> Error {
    Error::not_found(format!("failed to calculate checksum: \"/{}\": not found", path.display()))
}

fn one(root: BorrowedFd, ignore: &Ignore, exclude: &Ignore, path: &Path) -> Result<Selected> {
    let text = path.to_string_lossy();
    let fd = match open_in(root, path, OFlag::O_PATH) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Err(not_found(path)),
        opened => opened.doing("open", path)?,
    };
    let stat = fstat(&fd).doing("look at", path)?;
    let mut matched = Matched::default();
    let mut excluded = false;
    if !text.is_empty() {
        for (at, _) in text.match_indices('/').chain([(text.len(), "")]) {
            (excluded, matched) = ignore.step(&text[..at], &matched);
        }
    }
    let mut source =
        Selected { path: path.to_owned(), kept: PathBuf::new(), fd, stat, small: None, entries: Vec::new() };
    if source.is_directory() {
        let directory = open_in(source.fd.as_fd(), Path::new("."), onto::DIRECTORY).doing("open", path)?;
        let filter = Filter { ignore, exclude, source: path };
        let state = Walk { excluded, matched, dropped: false, left_out: Matched::default() };
        filter.walk(directory, Path::new(""), &state, &mut source.entries)?;
    }
    if excluded && source.entries.is_empty() {
        return Err(not_found(path));
    }
    Ok(source)
}

/// The names in a directory, in order.
fn names(directory: OwnedFd, path: &Path) -> Result<(Vec<OsString>, Dir)> {
    let mut directory = Dir::from_fd(directory).doing("read", path)?;
    let mut names = Vec::new();
    for entry in directory.iter() {
        let entry = entry.doing("read", path)?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok((names, directory))
}

/// All paths that match, in order.
fn matching(root: BorrowedFd, ignore: &Ignore, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.split('/') {
        let compiled =
            PathPattern::parse(part, false).map_err(|e| Error::invalid(format!("{pattern}: {}", e.message)))?;
        let mut next = Vec::new();
        for path in found {
            let Ok(directory) = open_in(root, &path, onto::DIRECTORY) else { continue };
            let (names, _) = names(directory, &path)?;
            let fits = names.into_iter().filter(|name| compiled.matches(&name.to_string_lossy()));
            next.extend(fits.map(|name| path.join(name)));
        }
        found = next;
    }
    found.retain(|path| {
        !ignore.excludes(&path.to_string_lossy()) || ignore.has_exceptions() && onto::is_directory(root, path)
    });
    Ok(found)
}

struct Filter<'a> {
    ignore: &'a Ignore,
    exclude: &'a Ignore,
    source: &'a Path,
}

/// What a directory's own match means for what is in it.
struct Walk {
    excluded: bool,
    matched: Matched,
    dropped: bool,
    left_out: Matched,
}

impl Filter<'_> {
    fn walk(&self, directory: OwnedFd, path: &Path, above: &Walk, entries: &mut Vec<Entry>) -> Result<()> {
        let comes_back =
            (!above.excluded || self.ignore.has_exceptions()) && (!above.dropped || self.exclude.has_exceptions());
        if !comes_back {
            return Ok(());
        }
        let (names, directory) = names(directory, path)?;
        for name in names {
            let below = path.join(&name);
            let full = self.source.join(&below);
            let (excluded, matched) = if self.ignore.is_empty() {
                (false, Matched::default())
            } else {
                self.ignore.step(&full.to_string_lossy(), &above.matched)
            };
            let (dropped, left_out) = if self.exclude.is_empty() {
                (false, Matched::default())
            } else {
                self.exclude.step(&below.to_string_lossy(), &above.left_out)
            };
            let stat = fstatat(&directory, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW).doing("look at", &full)?;
            let kind = onto::kind(&stat);
            let out = excluded || dropped;
            if kind != SFlag::S_IFDIR {
                if !out && kind != SFlag::S_IFSOCK {
                    entries.push(Entry { path: below, stat, small: None });
                }
                continue;
            }
            let before = entries.len();
            entries.push(Entry { path: below.clone(), stat, small: None });
            let flags = onto::DIRECTORY | OFlag::O_NOFOLLOW;
            let inner = openat(&directory, name.as_os_str(), flags, Mode::empty()).doing("open", &full)?;
            self.walk(inner, &below, &Walk { excluded, matched, dropped, left_out }, entries)?;
            if out && entries.len() == before + 1 {
                entries.truncate(before);
            }
        }
        Ok(())
    }
}
