//! The monitor's end of a log.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Entry, LONGEST_PIECE, Policy, Stream, older, packed};

/// Writes a container's log, which begins to exist with the first line.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    policy: Option<Policy>,
    file: Option<File>,
    /// Bytes in the file.
    size: u64,
    /// What came since the last line feed, of each stream.
    pending: [Vec<u8>; 2],
    lines: Vec<u8>,
}

impl Writer {
    /// Goes on with the log at `path`, or begins it. Without a policy it keeps nothing.
    pub fn new(path: PathBuf, policy: Option<Policy>) -> Self {
        Self { path, policy, file: None, size: 0, pending: [Vec::new(), Vec::new()], lines: Vec::new() }
    }

    /// Adds what a stream wrote.
    ///
    /// # Errors
    /// What could not be written is lost; what comes next is tried anew.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        if self.policy.is_none() {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pending[stream as usize]);
        for piece in bytes.split_inclusive(|&b| b == b'\n') {
            pending.extend_from_slice(piece);
            while pending.len() > LONGEST_PIECE {
                let rest = pending.split_off(boundary(&pending));
                self.add(stream, &pending)?;
                pending = rest;
            }
            if pending.ends_with(b"\n") {
                self.add(stream, &pending)?;
                pending.clear();
            }
        }
        self.pending[stream as usize] = pending;
        self.flush()
    }

    /// Writes what came without a line feed at the end.
    pub fn finish(&mut self) -> io::Result<()> {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let pending = std::mem::take(&mut self.pending[stream as usize]);
            if !pending.is_empty() {
                self.add(stream, &pending)?;
            }
        }
        self.flush()
    }

    fn add(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, &Entry::new(bytes, stream))?;
        self.lines.push(b'\n');
        // What is written at once goes to one file.
        if self.lines.len() >= 64 << 10 { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        let written = self.append(&lines);
        if written.is_err() {
            // It may end in half a line now; the next opening sees to that.
            self.file = None;
        }
        written
    }

    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let file = open(&self.path)?;
            self.size = file.metadata()?.len();
            self.file = Some(file);
        }
        let policy = self.policy.unwrap_or_default();
        if self.size > 0 && self.size.saturating_add(lines.len() as u64) > policy.size {
            self.turn(policy)?;
        }
        self.size += lines.len() as u64;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(lines))
    }

    /// Makes each file one turn older, and begins a new one.
    fn turn(&mut self, policy: Policy) -> io::Result<()> {
        self.file = None;
        if policy.files <= 1 {
            fs::remove_file(&self.path)?;
        }
        for age in (1..policy.files).rev() {
            let (from, to) = (older(&self.path, age - 1), older(&self.path, age));
            // The plain one of both counts, which is there where compressing was cut short.
            let packed = there(fs::rename(packed::place(&from), packed::place(&to)))?;
            if !there(fs::rename(from, &to))? && packed {
                there(fs::remove_file(to))?;
            }
        }
        self.file = Some(open(&self.path)?);
        self.size = 0;
        let last = older(&self.path, 1);
        // What cannot be compressed stays as it is: no line is lost for that.
        if policy.compress && last.exists() && packed::pack(&last).is_err() {
            let _ = fs::remove_file(packed::unfinished(&last));
        }
        Ok(())
    }
}

/// Whether there was something to do it with.
fn there(done: io::Result<()>) -> io::Result<bool> {
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|()| true),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    // A writer that was killed, or a full disk, may have left half a line.
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// The longest beginning that is no longer than a piece and does not cut a character.
fn boundary(bytes: &[u8]) -> usize {
    let is_start = |byte: &u8| byte & 0xC0 != 0x80;
    (LONGEST_PIECE - 3..=LONGEST_PIECE).rev().find(|&at| bytes.get(at).is_none_or(is_start)).unwrap_or(LONGEST_PIECE)
}
