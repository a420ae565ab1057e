//! Archives that are too much: refused at the limit, and below it unpacked in bounded memory.
//!
//! One test at a time in this file: each looks at the memory of the whole process.

mod common;

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    sync::Mutex,
    time::{Duration, Instant},
};

use common::{Maker, Scratch, options};
use flate2::{Compression, write::GzEncoder};
use rootfs::{Error, Limits, Options};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const GIB: u64 = 1 << 30;
/// What unpacking may take, in kB: buffers, and the tables of deflate.
const MEMORY_KB: u64 = 6 << 10;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress")
}

/// 1 GiB of zeros in 1 MB. gzip files may be put together: 1 MiB of zeros, a thousand times.
fn bomb() -> Vec<u8> {
    let mut header = Maker::default().edited(tar::EntryType::Regular, "zeros", "", b"", |h| h.set_size(GIB)).0;
    header = gzip(&header);
    header.extend_from_slice(&gzip(&vec![0; 1 << 20]).repeat(1024));
    header.extend_from_slice(&gzip(&[0; 1024]));
    header
}

/// An archive of `left` directories, made while it is read.
struct Flood {
    left: u64,
    number: u64,
    block: io::Cursor<Vec<u8>>,
}

impl Flood {
    fn of(left: u64) -> Self {
        Self { left, number: 0, block: io::Cursor::default() }
    }
}

impl Read for Flood {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.position() == self.block.get_ref().len() as u64 && self.left > 0 {
            self.left -= 1;
            self.number += 1;
            // Directories, because of these something has to be remembered: their time.
            self.block = io::Cursor::new(Maker::default().directory(format!("d{}", self.number)).0);
        }
        self.block.read(buffer)
    }
}

/// The most memory that this process has had since the call, in kB, beyond what it has now.
struct Memory(u64);

impl Memory {
    fn watch() -> Self {
        fs::write("/proc/self/clear_refs", "5").expect("reset the peak");
        Self(Self::peak())
    }

    fn peak() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("status");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
        line.split_ascii_whitespace().nth(1).expect("a number").parse().expect("a number")
    }

    fn grown_kb(&self) -> u64 {
        Self::peak() - self.0
    }
}

#[test]
fn a_gigabyte_of_zeros() {
    let _alone = ONE_AT_A_TIME.lock();
    let bomb = bomb();
    assert!(bomb.len() < 2 << 20);

    let few = Options { limits: Limits { bytes: 100 << 20, ..Limits::default() }, ..options() };
    let start = Instant::now();
    let error = Scratch::quick().unpack(&bomb[..], &few).expect_err("too much");
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1), "refused before it is inflated");

    let memory = Memory::watch();
    let scratch = Scratch::quick();
    let summary = scratch.unpack(&bomb[..], &options()).expect("within the limit");
    assert_eq!(summary.bytes, GIB);
    let meta = fs::metadata(scratch.target().join("zeros")).expect("stat");
    assert_eq!((meta.len(), meta.blocks()), (GIB, 0), "zeros take no space");
    assert!(memory.grown_kb() < MEMORY_KB, "{} kB", memory.grown_kb());
}

#[test]
fn zeros_after_the_end_mark() {
    let _alone = ONE_AT_A_TIME.lock();
    let few = Options { limits: Limits { bytes: 1 << 20, ..Limits::default() }, ..options() };
    let error = Scratch::quick().unpack(&gzip(&vec![0; 2 << 20])[..], &few).expect_err("too much");
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

#[test]
fn a_million_entries() {
    let _alone = ONE_AT_A_TIME.lock();
    let few = Options { limits: Limits { entries: 1000, ..Limits::default() }, ..options() };
    let error = Scratch::quick().unpack(Flood::of(1_000_000), &few).expect_err("too many");
    assert!(matches!(error, Error::Limit { .. }), "{error}");
    assert!(error.to_string().contains("exceeds 1000 entries"), "{error}");

    let memory = Memory::watch();
    let summary = Scratch::quick().unpack(Flood::of(10_000), &options()).expect("within the limit");
    assert_eq!(summary.entries, 10_000);
    assert!(memory.grown_kb() < MEMORY_KB, "{} kB", memory.grown_kb());
}

#[test]
fn directories_that_no_entry_describes_count_too() {
    let _alone = ONE_AT_A_TIME.lock();
    let few = Options { limits: Limits { entries: 100, ..Limits::default() }, ..options() };
    let archive = (0..10).fold(Maker::default(), |archive, n| archive.file(format!("{n}/a/b/c/d/e/f/g/h/i/j/k"), b""));
    let error = Scratch::quick().unpack(&archive.end()[..], &few).expect_err("too many");
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}

#[test]
fn headers_that_describe_nothing_count_too() {
    let _alone = ONE_AT_A_TIME.lock();
    let few = Options { limits: Limits { entries: 100, ..Limits::default() }, ..options() };
    let empty = |archive: Maker| archive.edited(tar::EntryType::XGlobalHeader, "g", "", b"", |_| {});
    let archive = (0..200).fold(Maker::default(), |archive, _| empty(archive));
    let error = Scratch::quick().unpack(&archive.end()[..], &few).expect_err("too many");
    assert!(matches!(error, Error::Limit { .. }), "{error}");
}
