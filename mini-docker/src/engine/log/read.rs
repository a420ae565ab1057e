//! A reader's end of a log: from its beginning or from its last lines on, across the files, to its end and further.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::{Entry, older};

/// Bytes read at once from the end; as many again as are there already where a line is longer, so that looking at one
/// without an end takes time in proportion to it.
const BLOCK: usize = 64 << 10;
/// More files than any policy keeps.
const MOST_FILES: u32 = 1000;

/// Reads a log, an entry at a time.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// What is still to be read, the oldest first; the last is the one that is written.
    files: VecDeque<BufReader<File>>,
    /// The last file that has been read to its end.
    last: Option<u64>,
    /// A line whose end is not read yet.
    line: Vec<u8>,
}

impl Reader {
    /// Begins with the oldest entry, or with the last `tail` lines.
    pub fn open(path: &Path, tail: Option<usize>) -> io::Result<Self> {
        let mut files = existing(path)?;
        if let Some(lines) = tail {
            let mut counter = Tail { left: lines, is_last: true };
            let mut kept = VecDeque::new();
            while let Some(mut file) = files.pop_back() {
                let start = counter.find(&file)?;
                file.seek(SeekFrom::Start(start.unwrap_or(0)))?;
                kept.push_front(file);
                if start.is_some() {
                    break;
                }
            }
            files = kept;
        }
        let files = files.into_iter().map(BufReader::new).collect();
        Ok(Self { path: path.to_owned(), files, last: None, line: Vec::new() })
    }

    /// The next entry; `None` where there is none yet. A line that is not whole is left out: it is still being written,
    /// or its writer was killed.
    pub fn take(&mut self) -> io::Result<Option<Entry>> {
        loop {
            let Some(file) = self.files.front_mut() else {
                if self.find_newer()? {
                    continue;
                }
                return Ok(None);
            };
            file.read_until(b'\n', &mut self.line)?;
            if self.line.ends_with(b"\n") {
                let entry = serde_json::from_slice(&self.line);
                self.line.clear();
                if let Ok(entry) = entry {
                    return Ok(Some(entry));
                }
                continue;
            }
            // At its end. Only one that is not written any more is done.
            if self.files.len() == 1 && !self.find_newer()? {
                return Ok(None);
            }
            if let Some(done) = self.files.front_mut() {
                // Its last line may have come in between.
                done.read_until(b'\n', &mut self.line)?;
                if self.line.ends_with(b"\n") {
                    continue;
                }
                self.line.clear();
                self.last = Some(done.get_ref().metadata()?.ino());
                self.files.pop_front();
            }
        }
    }

    /// Adds the files that came after those that are known.
    fn find_newer(&mut self) -> io::Result<bool> {
        let known = match self.files.back() {
            Some(file) => Some(file.get_ref().metadata()?.ino()),
            None => self.last,
        };
        let mut files = existing(&self.path)?;
        let mut newer = VecDeque::new();
        while let Some(file) = files.pop_back() {
            if Some(file.metadata()?.ino()) == known {
                break;
            }
            newer.push_front(BufReader::new(file));
        }
        let found = !newer.is_empty();
        self.files.extend(newer);
        Ok(found)
    }
}

/// The files of a log, the oldest first.
fn existing(path: &Path) -> io::Result<VecDeque<File>> {
    let (mut files, mut known) = (VecDeque::new(), Vec::new());
    // The newest first: one that becomes older meanwhile is met twice, and none is missed.
    for age in 0..MOST_FILES {
        match File::open(older(path, age)) {
            // Between two renames of a turn there is no newest file.
            Err(e) if e.kind() == io::ErrorKind::NotFound && age == 0 => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            opened => {
                let file = opened?;
                let inode = file.metadata()?.ino();
                if !known.contains(&inode) {
                    known.push(inode);
                    files.push_front(file);
                }
            }
        }
    }
    Ok(files)
}

/// Counts lines from the end.
struct Tail {
    left: usize,
    /// Whether the next entry met is the last of all: a line ends there in any case.
    is_last: bool,
}

impl Tail {
    /// Where the lines begin that are still wanted; `None`: before this file.
    fn find(&mut self, file: &File) -> io::Result<Option<u64>> {
        // Not looked at yet is what stands before `end`; the buffer holds that from `start` on.
        let mut end = file.metadata()?.len();
        let (mut start, mut buffer) = (end, Vec::new());
        loop {
            let before_its_end = buffer.len().saturating_sub(1);
            let line = buffer[..before_its_end].iter().rposition(|&byte| byte == b'\n').map(|at| at + 1);
            if let Some(line) = line.or((start == 0).then_some(0)) {
                if self.is_enough(&buffer[line..]) {
                    return Ok(Some(end));
                }
                if line == 0 {
                    return Ok(None);
                }
                buffer.truncate(line);
                end = start + line as u64;
            } else {
                let mut block = vec![0; (BLOCK.max(buffer.len()) as u64).min(start) as usize];
                start -= block.len() as u64;
                file.read_exact_at(&mut block, start)?;
                block.append(&mut buffer);
                buffer = block;
            }
        }
    }

    /// Whether nothing is wanted that stands before the end of this line, and so not the line itself.
    fn is_enough(&mut self, line: &[u8]) -> bool {
        // One that is not whole is no entry; the reader leaves it out, too.
        let Ok(entry) = serde_json::from_slice::<Entry>(line) else { return false };
        if entry.ends_line() || self.is_last {
            if self.left == 0 {
                return true;
            }
            self.left -= 1;
        }
        self.is_last = false;
        false
    }
}
