//! What a container wrote, kept in the format of Docker's json-file driver: one object a line, `log`, `stream`, `time`.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longer lines are kept in pieces.
const LONGEST_PIECE: usize = 16 << 10;

/// Which stream a piece came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line, or a piece of a long one: then it does not end in a line feed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The text.
    pub log: String,
    /// Where it came from.
    pub stream: Stream,
    /// When it was whole.
    pub time: Timestamp,
}

/// Writes a container's log, which begins to exist with the first line.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// What came since the last line feed, of each stream.
    pending: [Vec<u8>; 2],
    lines: Vec<u8>,
}

impl Writer {
    /// Goes on with the log at `path`, or begins it.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None, pending: [Vec::new(), Vec::new()], lines: Vec::new() }
    }

    /// Adds what a stream wrote.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
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
        let entry = Entry { log: String::from_utf8_lossy(bytes).into_owned(), stream, time: Timestamp::now() };
        serde_json::to_writer(&mut self.lines, &entry)?;
        self.lines.push(b'\n');
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines);
        if self.file.is_none() {
            self.file = Some(open(&self.path)?);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(&lines))
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    // A writer that was killed may have left half a line.
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

/// Reads a log. A line that is not whole is left out: it is still being written, or its writer was killed.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut entries = Vec::new();
    for line in BufReader::new(file).lines() {
        entries.extend(serde_json::from_str::<Entry>(&line?));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Writer::new(path.clone());
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"err").unwrap();
        log.write(Stream::Stdout, b"o\n\n").unwrap();
        let umlauts = "ä".repeat(20_000);
        log.write(Stream::Stdout, umlauts.as_bytes()).unwrap();
        log.finish().unwrap();
        let entries = read(&path).unwrap();
        let text = |stream| entries.iter().filter(|e| e.stream == stream).map(|e| e.log.as_str()).collect::<String>();
        assert_eq!(text(Stream::Stdout), format!("one\ntwo\n\n{umlauts}"));
        assert_eq!(text(Stream::Stderr), "err");
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = Writer::new(path.clone());
        log.write(Stream::Stdout, b"one\n").unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"log\":\"tw").unwrap();
        let mut log = Writer::new(path.clone());
        log.write(Stream::Stdout, b"three\n").unwrap();
        let lines: Vec<_> = read(&path).unwrap().into_iter().map(|e| e.log).collect();
        assert_eq!(lines, ["one\n", "three\n"]);
    }
}
