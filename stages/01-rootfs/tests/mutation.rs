//! Archives damaged at random, the same way in every run: each is unpacked or refused, and none gets out.

mod common;

use std::io::Write as _;

use common::{Maker, Scratch, is_root, options};
use flate2::{Compression, write::GzEncoder};
use rootfs::{AbsoluteNames, Devices, Limits, Options, Whiteouts};
use tar::EntryType;

const ROUNDS: usize = 1500;

/// A linear congruential generator (Knuth's MMIX constants).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// One of everything, with links that lead out.
fn archive() -> Vec<u8> {
    let sparse = |h: &mut tar::Header| {
        let gnu = h.as_gnu_mut().expect("gnu");
        gnu.sparse[0].set_offset(4096);
        gnu.sparse[0].set_length(5);
        gnu.set_real_size(8192);
    };
    Maker::default()
        .directory("./")
        .directory("a")
        .file("a/file", &[b'x'; 700])
        .symlink("out", "../outside")
        .symlink("in", "a")
        .file("in/through", b"1")
        .hard_link("a/hard", "a/file")
        .pax(&[("path", b"a/long\nname"), ("mtime", b"12.5"), ("SCHILY.xattr.user.x", b"1\n2"), ("size", b"3")])
        .file("short", b"abc")
        .edited(EntryType::GNULongName, "././@LongLink", "", b"a/very/long/name\0", |_| {})
        .file("short", b"abc")
        .edited(EntryType::GNUSparse, "sparse", "", b"12345", sparse)
        .edited(EntryType::Fifo, "fifo", "", b"", |_| {})
        .file("a/.wh.gone", b"")
        .file("a/.wh..wh..opq", b"")
        .file("out/canary", b"owned")
        .end()
}

/// Makes every header's checksum right again, so that the damage reaches what reads the fields.
fn repair(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}

#[test]
fn no_damage_panics_or_gets_out() {
    if !is_root("the removal of directories whose mode was damaged") {
        return;
    }
    let whole = archive();
    let limits = Limits { bytes: 1 << 20, entries: 200, ..Limits::default() };
    let all = [
        Options { devices: Devices::Skip, limits: limits.clone(), ..options() },
        Options {
            whiteouts: Whiteouts::OverlayUser,
            absolute_names: AbsoluteNames::Confine,
            devices: Devices::Skip,
            limits,
            ..options()
        },
    ];
    let mut random = Random(1);
    let scratch = Scratch::quick();
    let (mut unpacked, mut refused) = (0, 0);
    for round in 0..ROUNDS {
        let mut damaged = whole.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(damaged.len());
            damaged[at] ^= 1 << random.below(8);
        }
        if round % 4 != 0 {
            repair(&mut damaged);
        }
        if round % 10 == 0 {
            damaged.truncate(random.below(damaged.len()));
        }
        match scratch.unpack(&damaged[..], &all[round % 2]) {
            Ok(_) => unpacked += 1,
            Err(e) => refused += usize::from(!e.to_string().is_empty()),
        }
        assert!(scratch.is_intact(), "round {round}");
        std::fs::remove_dir_all(scratch.target()).expect("the tree can be removed");
        std::fs::create_dir(scratch.target()).expect("mkdir");
    }
    assert_eq!(unpacked + refused, ROUNDS);
}

#[test]
fn no_damage_to_the_compression_panics() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&archive()).expect("compress");
    let whole = encoder.finish().expect("compress");
    let mut random = Random(2);
    for _ in 0..300 {
        let mut damaged = whole.clone();
        let at = random.below(damaged.len());
        damaged[at] ^= 1 << random.below(8);
        let scratch = Scratch::quick();
        let _ = scratch.unpack(&damaged[..], &options());
        assert!(scratch.is_intact());
    }
}
