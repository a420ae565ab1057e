//! Archives that end too early, numbers that lie, and files that are no archives.

mod common;

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use common::{Maker, Scratch, options, refused};
use rootfs::Error;
use tar::EntryType;

#[test]
fn sizes_that_lie() {
    let says = |size: u64| Maker::default().edited(EntryType::Regular, "x", "", b"short", |h| h.set_size(size)).end();
    assert!(matches!(refused(&says(1 << 20), &options()), Error::Truncated { .. }));
    assert!(matches!(refused(&says(1 << 34), &options()), Error::Truncated { .. }));
    assert!(matches!(refused(&says(u64::MAX >> 1), &options()), Error::Limit { .. }));
    let pax = |size: &str| Maker::default().pax(&[("size", size.as_bytes())]).file("x", b"short").end();
    assert!(matches!(refused(&pax("1048576"), &options()), Error::Truncated { .. }));
    assert!(matches!(refused(&pax("18446744073709551615"), &options()), Error::Limit { .. }));
    assert!(matches!(refused(&pax("-1"), &options()), Error::Damaged { .. }));
    // Base 256: negative, and more than 64 bits.
    for bytes in [[0xff; 12], *b"\x80\x00\x01\0\0\0\0\0\0\0\0\0"] {
        let archive = Maker::default().edited(EntryType::Regular, "x", "", b"", |h| h.as_old_mut().size = bytes).end();
        assert!(matches!(refused(&archive, &options()), Error::Damaged { .. }));
    }
    // A long name that would fill the memory.
    let name = Maker::default().edited(EntryType::GNULongName, "x", "", b"a", |h| h.set_size(1 << 33)).end();
    assert!(matches!(refused(&name, &options()), Error::Damaged { .. }));
}

#[test]
fn a_size_in_a_header_without_contents_hides_no_entry() {
    // Programs that skip the "contents" of this link do not see the entry after it.
    let archive = Maker::default().edited(EntryType::Symlink, "l", "t", b"", |h| h.set_size(512)).file("x", b"1").end();
    let scratch = Scratch::new();
    scratch.unpack(&archive[..], &options()).expect("unpack");
    assert!(scratch.target().join("x").is_file());
}

#[test]
fn sparse_maps_that_lie() {
    let map = |offset: u64, length: u64, real: u64| {
        let edit = |h: &mut tar::Header| {
            let gnu = h.as_gnu_mut().expect("gnu");
            gnu.sparse[0].set_offset(offset);
            gnu.sparse[0].set_length(length);
            gnu.set_real_size(real);
        };
        Maker::default().edited(EntryType::GNUSparse, "x", "", b"12345", edit).end()
    };
    let scratch = Scratch::new();
    scratch.unpack(&map(1 << 20, 5, 2 << 20)[..], &options()).expect("an honest map");
    assert_eq!(fs::metadata(scratch.target().join("x")).expect("stat").len(), 2 << 20);
    for (offset, length, real) in [(0, 5, 4), (0, 6, 10), (u64::MAX - 2, 5, 10), (u64::MAX >> 1, 5, u64::MAX >> 1)] {
        assert!(matches!(refused(&map(offset, length, real), &options()), Error::Damaged { .. }));
    }
    assert!(matches!(refused(&map(0, 5, i64::MAX as u64), &options()), Error::Limit { .. }));
}

#[test]
fn what_is_no_archive() {
    let says = |bytes: &[u8]| refused(bytes, &options()).to_string();
    assert!(says(b"").contains("shorter than one block"));
    assert!(says(&[b"PK\x03\x04".as_slice(), &[1; 600]].concat()).contains("zip"));
    assert!(says(&[b'x'; 600]).contains("not a tar archive"));
    assert!(says(b"\x28\xb5\x2f\xfd no frame").contains("read the archive"));
    for start in [&b"\xfd7zXZ\0....."[..], b"BZh91AY&SY"] {
        let said = says(start);
        assert!(said.contains("read the archive") || said.contains("in the middle of its compressed data"), "{said}");
    }
    assert!(says(b"\x1f\x8b\x08").contains("in the middle of its compressed data"));
    assert!(says(b"\x1f\x8b\x08\0\0\0\0\0\0\0 no deflate").contains("read the archive"));
    let mut damaged = Maker::default().file("a", b"1").file("b", b"2").end();
    damaged[1024 + 10] = b'!';
    assert!(says(&damaged).contains("damaged in the header at byte 1024"));
    let dangling = Maker::default().pax(&[("path", b"x")]).end();
    assert!(says(&dangling).contains("no entry after it"));
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new("xz").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("xz");
    child.stdin.take().expect("piped").write_all(bytes).expect("xz reads");
    child.wait_with_output().expect("xz ends").stdout
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).expect("compress");
    encoder.finish().expect("compress")
}

/// A block that wants more memory than anybody has to decompress honest ones.
#[test]
fn a_dictionary_that_is_too_large_is_refused() {
    let mut command = Command::new("xz");
    command.args(["-c", "--lzma2=preset=0,dict=256MiB"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("xz");
    let archive = Maker::default().file("a", &[b'a'; 3000]).end();
    child.stdin.take().expect("piped").write_all(&archive).expect("xz reads");
    let packed = child.wait_with_output().expect("xz ends").stdout;
    let error = refused(&packed, &options());
    assert!(matches!(error, Error::Read { .. }) && error.to_string().contains("memory"), "{error}");
}

#[test]
fn truncated_archives() {
    let whole = Maker::default().file("a", &[b'a'; 3000]).file("b", b"2").end();
    for end in [1, 511, 513, 1000, 3500, whole.len() - 1024 - 1, whole.len() - 1024 - 600] {
        let error = refused(&whole[..end], &options());
        let expected = if end < 512 { "shorter than one block" } else { "in the middle of" };
        assert!(error.to_string().contains(expected), "{end}: {error}");
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&whole).expect("compress");
    let packed = encoder.finish().expect("compress");
    for end in 3..packed.len() {
        let scratch = Scratch::new();
        scratch.unpack(&packed[..end], &options()).expect_err("truncated");
    }
    Scratch::new().unpack(&packed[..], &options()).expect("whole");
    for (packed, wrong) in [(xz(&whole), 12), (bzip2(&whole), 10)] {
        for end in 3..packed.len() {
            Scratch::new().unpack(&packed[..end], &options()).expect_err("truncated");
        }
        Scratch::new().unpack(&packed[..], &options()).expect("whole");
        Scratch::new().unpack(&[&packed[..], &packed[..]].concat()[..], &options()).expect("what follows an archive");
        let mut damaged = packed.clone();
        damaged[wrong] ^= 1;
        Scratch::new().unpack(&damaged[..], &options()).expect_err("its checksum");
    }
    let mut wrong = packed.clone();
    let at = packed.len() - 8;
    wrong[at] ^= 1;
    assert!(matches!(refused(&wrong, &options()), Error::Read { .. }), "the checksum of gzip");
}

#[test]
fn what_follows_the_end_mark_is_read_and_means_nothing() {
    let mut archive = Maker::default().file("a", b"1").end();
    archive.extend_from_slice(&Maker::default().file("b", b"2").end());
    archive.extend_from_slice(b"garbage");
    let scratch = Scratch::new();
    let mut rest = &archive[..];
    let summary = scratch.unpack(&mut rest, &options()).expect("unpack");
    assert!(rest.is_empty(), "a digest covers the whole stream");
    assert_eq!(summary.entries, 1);
    assert!(!scratch.target().join("b").exists());
    assert_eq!(Scratch::new().unpack(&Maker::default().end()[..], &options()).expect("empty").entries, 0);
}
