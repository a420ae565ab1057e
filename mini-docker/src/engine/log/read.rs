//! A reader's end of a log: from its beginning or from its last lines on, across the files, to its end and further.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    Entry, older,
    packed::{Identity, Kept},
};

/// Bytes read at once from the end; as many again as are there already where a line is longer, so that looking at one
/// without an end takes time in proportion to it.
const BLOCK: usize = 64 << 10;
/// More files than any policy keeps.
const MOST_FILES: u32 = 1000;

/// A file that is being read, and what it is known by.
#[derive(Debug)]
struct Opened {
    identity: Identity,
    lines: BufReader<File>,
}

/// Reads a log, an entry at a time.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    /// What is still to be read, the oldest first; the last is the one that is written.
    files: VecDeque<Opened>,
    /// The last file that has been read to its end.
    last: Option<Identity>,
    /// A line whose end is not read yet.
    line: Vec<u8>,
}

impl Reader {
    /// Begins with the oldest entry, or with the last `tail` lines.
    pub fn open(path: &Path, tail: Option<usize>) -> io::Result<Self> {
        let mut reader = Self { path: path.to_owned(), files: VecDeque::new(), last: None, line: Vec::new() };
        let mut counter = tail.map(|lines| Tail { left: lines, is_last: true });
        let mut files = existing(path)?;
        while let Some(kept) = files.pop_back() {
            let mut file = reader.unpack(kept)?;
            let start = counter.as_mut().map_or(Ok(None), |counter| counter.find(file.lines.get_ref()))?;
            file.lines.seek(SeekFrom::Start(start.unwrap_or(0)))?;
            reader.files.push_front(file);
            if start.is_some() {
                break;
            }
        }
        Ok(reader)
    }

    fn unpack(&self, kept: Kept) -> io::Result<Opened> {
        let identity = kept.identity;
        let file = kept.unpack(self.path.parent().unwrap_or(Path::new("/")))?;
        Ok(Opened { identity, lines: BufReader::new(file) })
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
            file.lines.read_until(b'\n', &mut self.line)?;
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
                done.lines.read_until(b'\n', &mut self.line)?;
                if self.line.ends_with(b"\n") {
                    continue;
                }
                self.line.clear();
                self.last = Some(done.identity);
                self.files.pop_front();
            }
        }
    }

    /// Adds the files that came after those that are known.
    fn find_newer(&mut self) -> io::Result<bool> {
        let known = self.files.back().map_or(self.last, |file| Some(file.identity));
        let mut files = existing(&self.path)?;
        let mut newer = VecDeque::new();
        while let Some(kept) = files.pop_back() {
            if known.is_some_and(|known| kept.identity.was(known)) {
                break;
            }
            newer.push_front(self.unpack(kept)?);
        }
        let found = !newer.is_empty();
        self.files.extend(newer);
        Ok(found)
    }
}

/// The files of a log, the oldest first.
fn existing(path: &Path) -> io::Result<VecDeque<Kept>> {
    let mut files: VecDeque<Kept> = VecDeque::new();
    // The newest first: one that becomes older meanwhile is met twice, and none is missed.
    for age in 0..MOST_FILES {
        match Kept::open(&older(path, age)) {
            // Between two renames of a turn there is no newest file.
            Err(e) if e.kind() == io::ErrorKind::NotFound && age == 0 => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => break,
            opened => {
                let kept = opened?;
                if files.front().is_none_or(|newer| !kept.identity.was(newer.identity)) {
                    files.push_front(kept);
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
