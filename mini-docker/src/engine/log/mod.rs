//! What a container wrote, kept in the format of Docker's json-file driver: one object a line, `log`, `stream`, `time`.
//!
//! JSON has no bytes. What is no UTF-8 is kept twice: in `log` with replacement characters, as Docker does, for other
//! programs; and whole in `raw`, in hexadecimal, for us.
//!
//! `log.json` is the file that is written; full, it becomes `log.json.1`, and that `log.json.2`, and the last goes. With
//! `compress` all but the first are compressed: `log.json.1.gz`.

mod follow;
mod packed;
mod read;
mod write;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use follow::Follower;
pub use read::Reader;
pub use write::Writer;

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
    log: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// Where it came from.
    pub stream: Stream,
    /// When it was whole.
    pub time: Timestamp,
}

impl Entry {
    fn new(bytes: &[u8], stream: Stream) -> Self {
        let (log, raw) = match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (String::from_utf8_lossy(bytes).into_owned(), Some(super::store::hex(bytes))),
        };
        Self { log, raw, stream, time: Timestamp::now() }
    }

    /// What was written, byte for byte.
    pub fn bytes(&self) -> Vec<u8> {
        let digit = |byte: u8| char::from(byte).to_digit(16).map_or(0, |digit| digit as u8);
        match &self.raw {
            Some(hex) => hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect(),
            None => self.log.as_bytes().to_vec(),
        }
    }

    /// Whether a line ends with it.
    pub fn ends_line(&self) -> bool {
        self.log.ends_with('\n')
    }
}

/// What is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of one file.
    pub size: u64,
    /// Files, with the one that is written.
    pub files: u32,
    /// Whether those that are not written any more are compressed.
    pub compress: bool,
}

/// The file that was `path` so many turns ago.
fn older(path: &Path, turns: u32) -> PathBuf {
    if turns == 0 { path.to_owned() } else { path.with_extension(format!("json.{turns}")) }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    const ALL: Policy = Policy { size: u64::MAX, files: 1, compress: false };

    fn read(path: &Path, tail: Option<usize>) -> Vec<Entry> {
        let mut reader = Reader::open(path, tail).unwrap();
        std::iter::from_fn(|| reader.take().unwrap()).collect()
    }

    fn text(entries: &[Entry], stream: Stream) -> Vec<u8> {
        entries.iter().filter(|e| e.stream == stream).flat_map(Entry::bytes).collect()
    }

    #[test]
    fn lines_come_back_as_they_were_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut log = Writer::new(path.clone(), Some(ALL));
        log.write(Stream::Stdout, b"one\ntw").unwrap();
        log.write(Stream::Stderr, b"err").unwrap();
        log.write(Stream::Stdout, b"o\n\n").unwrap();
        let umlauts = "ä".repeat(20_000);
        log.write(Stream::Stdout, umlauts.as_bytes()).unwrap();
        log.finish().unwrap();
        let entries = read(&path, None);
        assert_eq!(text(&entries, Stream::Stdout), format!("one\ntwo\n\n{umlauts}").as_bytes());
        assert_eq!(text(&entries, Stream::Stderr), b"err");
        assert!(entries.iter().all(|entry| entry.raw.is_none()));
    }

    #[test]
    fn bytes_that_are_no_text_come_back_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let all: Vec<u8> = (0..=255).cycle().take(70_000).collect();
        let mut log = Writer::new(path.clone(), Some(ALL));
        all.chunks(777).for_each(|chunk| log.write(Stream::Stdout, chunk).unwrap());
        log.finish().unwrap();
        assert_eq!(text(&read(&path, None), Stream::Stdout), all);
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut log = Writer::new(path.clone(), Some(ALL));
        log.write(Stream::Stdout, b"one\n").unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"log\":\"tw").unwrap();
        let mut log = Writer::new(path.clone(), Some(ALL));
        log.write(Stream::Stdout, b"three\n").unwrap();
        assert_eq!(text(&read(&path, None), Stream::Stdout), b"one\nthree\n");
    }

    #[test]
    fn the_oldest_file_goes_and_readers_cross_the_others() {
        for compress in [false, true] {
            cross_files(Policy { size: 1000, files: 3, compress });
        }
    }

    fn cross_files(policy: Policy) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut log = Writer::new(path.clone(), Some(policy));
        let mut follower = Reader::open(&path, None).unwrap();
        let mut seen = Vec::new();
        for number in 0..100 {
            log.write(Stream::Stdout, format!("line {number}\n").as_bytes()).unwrap();
            seen.extend(std::iter::from_fn(|| follower.take().unwrap()));
        }
        assert_eq!(seen.len(), 100, "one who follows misses nothing");
        let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().flatten().collect();
        let sizes: Vec<u64> = files.iter().map(|file| file.metadata().unwrap().len()).collect();
        assert!(sizes.len() == 3 && sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
        let is_packed = |file: &&std::fs::DirEntry| file.file_name().to_string_lossy().ends_with(".gz");
        assert_eq!(files.iter().filter(is_packed).count(), if policy.compress { 2 } else { 0 });
        let kept = read(&path, None);
        assert!(kept.len() > 20 && kept.last().unwrap().bytes() == b"line 99\n");
        for lines in [0, 1, 10, kept.len(), 1000] {
            assert_eq!(read(&path, Some(lines)).len(), lines.min(kept.len()), "{lines}");
        }
        assert_eq!(read(&path, Some(1))[0].bytes(), b"line 99\n");
    }

    #[test]
    fn a_tail_counts_lines_and_not_pieces() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log.json");
        let mut log = Writer::new(path.clone(), Some(ALL));
        let wide = "=".repeat(50_000) + "\n";
        log.write(Stream::Stdout, b"one\n").unwrap();
        log.write(Stream::Stdout, wide.as_bytes()).unwrap();
        log.write(Stream::Stdout, b"rest").unwrap();
        log.finish().unwrap();
        let tail = |lines| text(&read(&path, Some(lines)), Stream::Stdout);
        assert_eq!(tail(1), b"rest");
        assert_eq!(tail(2), [wide.as_bytes(), b"rest"].concat());
        assert_eq!(tail(3), [b"one\n", wide.as_bytes(), b"rest"].concat());
    }
}
