//! Each archive here is an attack. It is refused with one error that says why, and nothing outside changes.

mod common;

use std::{fs, os::unix::fs::FileTypeExt};

use common::{Maker, Scratch, naive_unpack, options, refused};
use rootfs::{AbsoluteNames, Devices, Error, Limits, Options, Refusal, Whiteouts};
use tar::EntryType;

fn why(archive: &[u8], options: &Options) -> Refusal {
    match refused(archive, options) {
        Error::Refused { why, .. } => why,
        other => panic!("{other}"),
    }
}

/// An attack that succeeds on an unpacker that joins names, and fails here.
fn escapes_from_the_naive(make: impl Fn(&Scratch) -> Vec<u8>) {
    let victim = Scratch::new();
    naive_unpack(&make(&victim), &victim.target());
    assert!(!victim.is_intact(), "the attack does not work at all: this test would prove nothing");

    let scratch = Scratch::new();
    let outcome = scratch.unpack(&make(&scratch)[..], &options());
    assert!(scratch.is_intact(), "{outcome:?}");
    let error = outcome.expect_err("an attack").to_string();
    assert!(error.starts_with("refused: "), "{error}");
}

#[test]
fn names_with_dot_dot() {
    escapes_from_the_naive(|_| Maker::default().file("../outside/canary", b"owned").end());
    escapes_from_the_naive(|_| Maker::default().directory("a").file("a/../../outside/new", b"owned").end());
    assert_eq!(why(&Maker::default().directory("..").end(), &options()), Refusal::DotDot);
    assert_eq!(why(&Maker::default().directory("a").file("a/../b", b"").end(), &options()), Refusal::DotDot);
}

#[test]
fn absolute_names() {
    escapes_from_the_naive(|s| {
        Maker::default().file(s.outside().join("canary").as_os_str().as_encoded_bytes(), b"owned").end()
    });
    assert_eq!(why(&Maker::default().file("/etc/x", b"").end(), &options()), Refusal::Absolute);

    let confined = Options { absolute_names: AbsoluteNames::Confine, ..options() };
    let scratch = Scratch::new();
    scratch.unpack(&Maker::default().directory("/").file("/etc/x", b"1").end()[..], &confined).expect("confined");
    assert_eq!(fs::read(scratch.target().join("etc/x")).expect("read"), b"1");
}

#[test]
fn a_link_and_then_a_name_through_it() {
    escapes_from_the_naive(|_| Maker::default().symlink("x", "../outside").file("x/canary", b"owned").end());
    escapes_from_the_naive(|s| {
        let target = s.outside();
        Maker::default().symlink("x", target.as_os_str().as_encoded_bytes()).file("x/new", b"owned").end()
    });
    escapes_from_the_naive(|_| {
        Maker::default().symlink("y", "..").symlink("x", "y/outside").file("x/canary", b"owned").end()
    });
    // Directories behind a link.
    escapes_from_the_naive(|_| Maker::default().symlink("x", "../outside").directory("x/new").end());
    // A link in the place of a directory that is open.
    let swap = Maker::default().directory("x").file("x/a", b"1").symlink("x", "../outside").file("x/canary", b"owned");
    assert!(matches!(why(&swap.end(), &options()), Refusal::Parent(_)));
}

#[test]
fn a_link_leads_to_the_same_name_in_the_root() {
    // What the host's file would be is a file of the tree.
    let scratch = Scratch::new();
    let archive = Maker::default().directory("outside").symlink("x", "/outside").file("x/canary", b"inside");
    scratch.unpack(&archive.end()[..], &options()).expect("unpack");
    assert_eq!(fs::read(scratch.target().join("outside/canary")).expect("read"), b"inside");
    assert!(scratch.is_intact());
}

#[test]
fn a_file_over_a_link_replaces_the_link() {
    let attack = || Maker::default().symlink("x", "../outside/canary").file("x", b"owned").end();
    let victim = Scratch::new();
    naive_unpack(&attack(), &victim.target());
    assert!(!victim.is_intact());

    for last in [Maker::default().file("x", b"mine"), Maker::default().directory("x")] {
        let scratch = Scratch::new();
        let archive = Maker([Maker::default().symlink("x", "../outside").0, last.0].concat()).end();
        scratch.unpack(&archive[..], &options()).expect("unpack");
        assert!(!scratch.target().join("x").is_symlink());
        assert!(scratch.is_intact());
    }
}

#[test]
fn a_removal_follows_no_link() {
    // The tree is removed to make place for a file; the link in it leads outside.
    let archive = Maker::default().directory("d").symlink("d/x", "../../outside").file("d", b"a file now").end();
    let scratch = Scratch::new();
    scratch.unpack(&archive[..], &options()).expect("unpack");
    assert!(scratch.target().join("d").is_file());
    assert!(scratch.is_intact());
}

#[test]
fn hard_links_out_of_the_root() {
    escapes_from_the_naive(|_| {
        Maker::default().hard_link("x", "../outside/canary").file("x", b"owned through the link").end()
    });
    let link = |target: &str| why(&Maker::default().hard_link("x", target).end(), &options());
    assert!(matches!(link("../outside/canary"), Refusal::HardLinkOutside(_)));
    assert!(matches!(link("a/../../outside/canary"), Refusal::HardLinkOutside(_)));
    // Absolute targets begin at the root of the tree, where there is no such file.
    assert!(matches!(link("/etc/passwd"), Refusal::HardLinkMissing(_)));
    let through = Maker::default().symlink("l", "../outside").hard_link("x", "l/canary").end();
    assert!(matches!(why(&through, &options()), Refusal::HardLinkMissing(_)));
    let directory = Maker::default().directory("d").hard_link("x", "d").end();
    assert!(matches!(why(&directory, &options()), Refusal::HardLinkDirectory(_)));
    assert!(matches!(link("."), Refusal::HardLinkDirectory(_)));
}

#[test]
fn a_hard_link_to_a_link_does_not_follow_it() {
    let archive = Maker::default().symlink("l", "../outside/canary").hard_link("x", "l").file("x", b"owned").end();
    let scratch = Scratch::new();
    scratch.unpack(&archive[..], &options()).expect("unpack");
    assert!(scratch.is_intact());
    assert!(scratch.target().join("l").is_symlink());
}

#[test]
fn device_nodes() {
    let disk = |kind| {
        Maker::default().edited(kind, "disk", "", b"", |h| {
            h.set_device_major(8).expect("major");
            h.set_device_minor(0).expect("minor");
        })
    };
    assert_eq!(why(&disk(EntryType::Block).end(), &options()), Refusal::Device);
    assert_eq!(why(&disk(EntryType::Char).end(), &options()), Refusal::Device);

    let skip = Options { devices: Devices::Skip, ..options() };
    let scratch = Scratch::new();
    let summary = scratch.unpack(&disk(EntryType::Block).end()[..], &skip).expect("skipped");
    assert_eq!(summary.skipped_devices, 1);
    assert_eq!(fs::read_dir(scratch.target()).expect("readdir").count(), 0);

    let create = Options { devices: Devices::Create, ..options() };
    match Scratch::new().unpack(&disk(EntryType::Block).end()[..], &create) {
        Ok(_) => {}
        Err(Error::System { errno: process::Errno::EPERM, .. }) => eprintln!("skipped: no right to make device nodes"),
        Err(e) => panic!("{e}"),
    }
    let big = Maker::default().edited(EntryType::Char, "x", "", b"", |h| {
        h.set_device_major(1 << 12).expect("major");
        h.set_device_minor(0).expect("minor");
    });
    assert_eq!(why(&big.end(), &create), Refusal::DeviceNumber);
}

#[test]
fn attributes_of_overlayfs() {
    for name in ["SCHILY.xattr.trusted.overlay.redirect", "SCHILY.xattr.user.overlay.opaque"] {
        let archive = Maker::default().pax(&[(name, b"/etc")]).directory("d").end();
        assert!(matches!(why(&archive, &options()), Refusal::Xattr(_)));
    }
    let archive = Maker::default().pax(&[("SCHILY.xattr.trusted.other", b"1")]).directory("d").end();
    let summary = Scratch::new().unpack(&archive[..], &options()).expect("unpack");
    assert_eq!(summary.skipped_xattrs, 1, "not on the list");
}

#[test]
fn hostile_whiteouts() {
    let layer = Options { whiteouts: Whiteouts::Overlay, ..options() };
    for name in [".wh.", ".wh..", ".wh...", "a/.wh./", "a/.wh.../x", "a/.wh.b/c", "a/.wh..wh.x"] {
        assert_eq!(why(&Maker::default().file(name, b"").end(), &layer), Refusal::Whiteout, "{name}");
    }
    assert_eq!(why(&Maker::default().directory(".wh.x").end(), &layer), Refusal::Whiteout);
    let through = Maker::default().symlink("l", "../outside").file("l/.wh.canary", b"").end();
    assert!(matches!(why(&through, &layer), Refusal::Parent(_)));
    let through = Maker::default().symlink("l", "../outside").file("l/.wh..wh..opq", b"").end();
    assert!(matches!(why(&through, &layer), Refusal::Parent(_)));
}

#[test]
fn names_that_the_kernel_cannot_have() {
    let long = |name: &[u8]| Maker::default().pax(&[("path", name)]).file("x", b"").end();
    assert_eq!(why(&long(b"a\0b"), &options()), Refusal::Null);
    assert_eq!(why(&long(&[b'a'; 256]), &options()), Refusal::TooLong(255));
    assert_eq!(why(&long(&b"abcdefghijklmnopq/".repeat(300)), &options()), Refusal::TooLong(4095));
    assert_eq!(why(&long(&b"a/".repeat(300)), &options()), Refusal::TooDeep(256));
    assert_eq!(why(&Maker::default().file("", b"").end(), &options()), Refusal::NoName);
    assert_eq!(why(&Maker::default().file("./", b"").file("", b"").end(), &options()), Refusal::NoName);
    assert_eq!(why(&Maker::default().symlink(".", "x").end(), &options()), Refusal::Root);
    let like_docker = Options { absolute_names: AbsoluteNames::Confine, ..options() };
    let archive = Maker::default().file("", b"lost").symlink(".", "x").file("kept", b"").end();
    let scratch = Scratch::new();
    scratch.unpack(&archive[..], &like_docker).expect("unpack");
    assert_eq!(fs::read_dir(scratch.target()).expect("read").count(), 1);
    assert_eq!(why(&Maker::default().symlink("x", "").end(), &options()), Refusal::SymlinkTarget);
    let null = Maker::default().pax(&[("linkpath", b"a\0b")]).symlink("x", "y").end();
    assert_eq!(why(&null, &options()), Refusal::Null);
}

#[test]
fn a_name_cannot_drive_the_terminal() {
    let error = refused(&Maker::default().file("\x1b]0;owned\x07/../x", b"").end(), &options()).to_string();
    assert!(!error.contains(['\x1b', '\x07']), "{error}");
    assert!(error.contains(r"\u{1b}"), "{error}");
}

#[test]
fn links_that_nest_directories_beyond_the_limit() {
    let few = Options { limits: Limits { depth: 4, ..Limits::default() }, ..options() };
    let archive = Maker::default()
        .directory("a/b/c")
        .symlink("l", "a/b/c")
        .directory("l/d")
        .symlink("m", "l/d")
        .file("m/e/f", b"");
    assert_eq!(why(&archive.end(), &few), Refusal::TooDeep(4));
    let round = Maker::default().symlink("a", "b").symlink("b", "a").file("a/x", b"").end();
    assert!(matches!(refused(&round, &options()), Error::System { errno: process::Errno::ELOOP, .. }));
}

#[test]
fn files_in_the_place_of_directories() {
    let archive = Maker::default().file("f", b"").file("f/x", b"").end();
    assert!(matches!(why(&archive, &options()), Refusal::Parent(_)));
    let owner = Maker::default().edited(EntryType::Regular, "x", "", b"", |h| h.set_uid(u64::from(u32::MAX))).end();
    assert_eq!(why(&owner, &options()), Refusal::Owner);
    let unknown = Maker::default().edited(EntryType::new(b'Q'), "x", "", b"", |_| {}).end();
    assert_eq!(why(&unknown, &options()), Refusal::Type(b'Q'));
}

#[test]
fn a_fifo_is_made_and_not_opened() {
    let scratch = Scratch::new();
    let archive = Maker::default().edited(EntryType::Fifo, "f", "", b"", |_| {}).end();
    scratch.unpack(&archive[..], &options()).expect("unpack");
    assert!(fs::symlink_metadata(scratch.target().join("f")).expect("stat").file_type().is_fifo());
}
