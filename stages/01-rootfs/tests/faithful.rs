//! What GNU tar packed comes out as it went in.

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use common::{Maker, Scratch, is_root, options, set_xattr, snapshot, xattr};
use nix::{
    sys::stat::{Mode, SFlag, makedev, mknod, utimensat},
    unistd::{geteuid, mkfifo},
};
use rootfs::{Devices, Options, Owners};
use tar::EntryType;
use tempfile::TempDir;

/// `security.capability` of `cap_dac_override,cap_fowner=ep` (capabilities(7), version 2): a value with a newline in it,
/// which is byte 10, the capabilities 1 and 3.
const CAPABILITY: &[u8] = b"\x01\0\0\x02\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const XATTRS: [&str; 2] = ["user.comment", "security.capability"];

/// A tree with one of everything.
fn make_tree(root: &Path, long_names: bool) {
    let write = |name: &str, contents: &[u8], mode: u32| {
        fs::write(root.join(name), contents).expect("write");
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).expect("chmod");
    };
    for name in ["a", "a/b", "a/b/c", "sticky", "read-only"] {
        fs::create_dir(root.join(name)).expect("mkdir");
    }
    write("a/plain", b"contents", 0o640);
    write("a/empty", b"", 0o600);
    write("a/block", &[7; 512], 0o644);
    write("a/large", &(0..300_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>(), 0o644);
    // Others than root could not read it to compare it.
    write("read-only/unreadable", b"secret", if geteuid().is_root() { 0o000 } else { 0o400 });
    // One of them is cut off behind its slash where the header's 100 bytes end.
    for length in 95..=100 {
        let directory = "c".repeat(length);
        fs::create_dir(root.join(&directory)).expect("mkdir");
        write(&format!("{directory}/cut"), b"short", 0o644);
    }
    write("a/b/\u{fc}\n name", b"odd", 0o644);
    fs::hard_link(root.join("a/plain"), root.join("a/b/c/linked")).expect("link");
    symlink("../plain", root.join("a/b/link")).expect("symlink");
    symlink("/nowhere/at/all", root.join("dangling")).expect("symlink");
    symlink("loop", root.join("loop")).expect("symlink");
    mkfifo(&root.join("fifo"), Mode::from_bits_truncate(0o620)).expect("mkfifo");
    let sparse = File::create(root.join("sparse")).expect("create");
    sparse.write_all_at(b"start", 0).expect("write");
    sparse.write_all_at(b"middle", 3 << 20).expect("write");
    sparse.set_len(5 << 20).expect("ftruncate");
    if long_names {
        let mut deep = root.join("long");
        for _ in 0..3 {
            deep.push("d".repeat(150));
        }
        fs::create_dir_all(&deep).expect("mkdir");
        fs::write(deep.join("f".repeat(255)), "far away").expect("write");
        symlink("t".repeat(300), deep.join("long link")).expect("symlink");
        fs::hard_link(deep.join("f".repeat(255)), deep.join("long hard link")).expect("link");
    }
    write("setuid", b"program", 0o755);
    if geteuid().is_root() {
        chown(root.join("setuid"), Some(1234), Some(5678)).expect("chown");
        chown(root.join("a/b"), Some(4_000_000_000), Some(3_000_000)).expect("chown");
        std::os::unix::fs::lchown(root.join("dangling"), Some(12), Some(34)).expect("lchown");
        chown(root.join("fifo"), Some(56), Some(78)).expect("chown");
        set_xattr(&root.join("a/large"), "security.capability", CAPABILITY).expect("setxattr");
    }
    fs::set_permissions(root.join("setuid"), fs::Permissions::from_mode(0o6755)).expect("chmod");
    fs::set_permissions(root.join("sticky"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    fs::set_permissions(root.join("read-only"), fs::Permissions::from_mode(0o555)).expect("chmod");
    for name in ["a/plain", "a/b"] {
        if set_xattr(&root.join(name), "user.comment", b"two\nlines\0and a null").is_err() {
            eprintln!("skipped: this filesystem has no user attributes");
        }
    }
    set_times(root);
}

/// Times that differ from file to file and have a fraction; directories last.
fn set_times(root: &Path) {
    for (number, name) in snapshot(root, &[]).keys().rev().enumerate() {
        let time = nix::sys::time::TimeSpec::new(1_000_000_000 + number as i64 * 1000, 123_456_789);
        let nofollow = nix::sys::stat::UtimensatFlags::NoFollowSymlink;
        utimensat(nix::fcntl::AT_FDCWD, &root.join(name), &time, &time, nofollow).expect("utimensat");
    }
}

/// Packs with GNU tar, unpacks, and compares everything that this format keeps.
fn round_trip(arguments: &[&str], fractions: bool) {
    let source = TempDir::new().expect("a temporary directory");
    make_tree(source.path(), true);
    let archive = source.path().with_extension("tar");
    let packed =
        Command::new("tar").args(arguments).arg("-cf").arg(&archive).arg("-C").arg(source.path()).arg(".").status();
    match packed {
        Ok(status) => assert!(status.success()),
        Err(e) => return eprintln!("skipped: no tar to compare with: {e}"),
    }
    let scratch = Scratch::new();
    let summary = scratch.unpack(File::open(&archive).expect("open"), &options()).expect("unpack");
    fs::remove_file(&archive).expect("remove");
    assert!(scratch.is_intact());

    let (mut before, mut after) = (snapshot(source.path(), &XATTRS), snapshot(&scratch.target(), &XATTRS));
    assert_eq!(summary.entries, before.len() as u64);
    if !fractions {
        for text in before.values_mut().chain(after.values_mut()) {
            *text = text.replace(".123456789", ".000000000");
            // Only PAX has extended attributes.
            text.truncate(text.find(" user.").or(text.find(" security.")).unwrap_or(text.len()));
        }
    }
    for (path, text) in &before {
        assert_eq!(Some(text), after.get(path), "{}", path.display());
    }
    assert_eq!(before.len(), after.len());
    if fractions && geteuid().is_root() {
        assert_eq!(xattr(&scratch.target().join("a/large"), "security.capability").as_deref(), Some(CAPABILITY));
    }
}

#[test]
fn pax_archives_of_gnu_tar() {
    round_trip(&["--format=pax", "--xattrs", "--xattrs-include=*"], true);
}

#[test]
fn gnu_archives_of_gnu_tar() {
    round_trip(&["--format=gnu"], false);
}

#[test]
fn compressed_archives() {
    round_trip(&["--format=pax", "--xattrs", "--xattrs-include=*", "-z"], true);
}

#[test]
fn zstd_archives_of_several_frames() {
    let archive = Maker::default().file("x", &vec![7; 300_000]).end();
    let (one, two) = archive.split_at(1000);
    let compressed = [one, two].map(|part| zstd::encode_all(part, 1).expect("compress")).concat();
    let scratch = Scratch::new();
    scratch.unpack(&compressed[..], &options()).expect("unpack");
    assert_eq!(fs::read(scratch.target().join("x")).expect("read"), vec![7; 300_000]);
}

#[test]
fn sparse_archives_of_both_formats() {
    round_trip(&["--format=pax", "--xattrs", "--xattrs-include=*", "-S"], true);
    round_trip(&["--format=gnu", "-S"], false);
}

#[test]
fn holes_stay_holes_and_zeros_become_holes() {
    let scratch = Scratch::new();
    let mut contents = vec![0; 8 << 20];
    contents[5 << 20] = 1;
    scratch.unpack(&Maker::default().file("zeros", &contents).end()[..], &options()).expect("unpack");
    let file = scratch.target().join("zeros");
    assert!(fs::read(&file).expect("read") == contents);
    assert!(fs::metadata(&file).expect("stat").blocks() * 512 < 1 << 20);
}

#[test]
fn missing_parents_and_a_parent_behind_a_link() {
    let archive =
        Maker::default().file("usr/lib/a", b"1").symlink("lib", "usr/lib").file("lib/b", b"2").file("lib/new/c", b"3");
    let scratch = Scratch::new();
    scratch.unpack(&archive.end()[..], &options()).expect("unpack");
    for (name, contents) in [("usr/lib/a", b"1"), ("usr/lib/b", b"2"), ("usr/lib/new/c", b"3")] {
        assert_eq!(fs::read(scratch.target().join(name)).expect("read"), contents);
    }
    let meta = fs::metadata(scratch.target().join("usr/lib/new")).expect("stat");
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, geteuid().as_raw()));
    assert!(scratch.target().join("lib").is_symlink());
}

#[test]
fn later_entries_replace_earlier_ones() {
    let archive = Maker::default()
        .file("a", b"old")
        .hard_link("b", "./a")
        .file("a", b"new")
        .hard_link("c", "/a")
        .hard_link("a", "a")
        .directory("d")
        .file("d/kept", b"1")
        .edited(EntryType::Directory, "d/", "", b"", |h| h.set_mode(0o700))
        .symlink("l", "d")
        .directory("l")
        .file("l/own", b"2");
    let scratch = Scratch::new();
    scratch.unpack(&archive.end()[..], &options()).expect("unpack");
    let read = |name: &str| fs::read_to_string(scratch.target().join(name)).expect("read");
    assert_eq!((read("a"), read("b"), read("c")), ("new".into(), "old".into(), "new".into()));
    assert_eq!((read("d/kept"), read("l/own")), ("1".into(), "2".into()));
    let mode = |name: &str| fs::symlink_metadata(scratch.target().join(name)).expect("stat").mode();
    assert_eq!(mode("d"), 0o40700);
    assert_eq!(mode("l"), 0o40755, "a directory takes the place of a link to one");
}

#[test]
fn directories_keep_their_times_whatever_the_order() {
    let archive =
        Maker::default().directory("a").directory("b").file("a/late", b"").file("b/late", b"").file("a/x/y", b"");
    let scratch = Scratch::new();
    scratch.unpack(&archive.end()[..], &options()).expect("unpack");
    let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for name in ["a", "b", "a/late"] {
        let time = fs::metadata(scratch.target().join(name)).expect("stat").modified().expect("a time");
        assert_eq!(time, expected, "{name}");
    }
}

#[test]
fn devices_when_they_are_allowed() {
    if !is_root("a device node") {
        return;
    }
    let probe = TempDir::new().expect("a temporary directory");
    if let Err(e) = mknod(&probe.path().join("x"), SFlag::S_IFCHR, Mode::empty(), makedev(1, 3)) {
        return eprintln!("skipped: no device nodes here: {e}");
    }
    let null = |kind| {
        Maker::default().edited(kind, "dev/x", "", b"", |h| {
            h.set_device_major(7).expect("major");
            h.set_device_minor(300).expect("minor");
            h.set_mode(0o666);
        })
    };
    for kind in [EntryType::Char, EntryType::Block] {
        let scratch = Scratch::new();
        scratch.unpack(&null(kind).end()[..], &Options { devices: Devices::Create, ..options() }).expect("unpack");
        let meta = fs::symlink_metadata(scratch.target().join("dev/x")).expect("stat");
        assert_eq!((meta.rdev(), meta.mode() & 0o777), (makedev(7, 300), 0o666));
        assert_eq!(meta.file_type().is_block_device(), kind == EntryType::Block);
    }
}

#[test]
fn the_caller_s_owners_for_who_has_no_others() {
    let foreign = Maker::default().pax(&[("SCHILY.xattr.security.capability", CAPABILITY)]).edited(
        EntryType::Regular,
        "x",
        "",
        b"1",
        |h| h.set_uid(4242),
    );
    let scratch = Scratch::new();
    let own = Options { owners: Owners::Caller, ..options() };
    scratch.unpack(&foreign.end()[..], &own).expect("unpack");
    assert_eq!(fs::metadata(scratch.target().join("x")).expect("stat").uid(), geteuid().as_raw());
}

#[test]
fn a_file_lends_its_owner_s_rights_only_where_it_may() {
    if !is_root("a file capability") {
        return;
    }
    let archive = Maker::default()
        .pax(&[("SCHILY.xattr.security.capability", CAPABILITY)])
        .edited(EntryType::Regular, "able", "", b"1", |_| {})
        .edited(EntryType::Regular, "su", "", b"1", |h| h.set_mode(0o6755))
        .edited(EntryType::Directory, "shared", "", b"", |h| h.set_mode(0o2755))
        .end();
    let scratch = Scratch::new();
    let summary = scratch.unpack(&archive[..], &Options { set_ids: false, ..options() }).expect("unpack");
    assert_eq!(summary.cleared_set_ids, 2);
    let mode = |name: &str| fs::metadata(scratch.target().join(name)).expect("stat").mode() & 0o7777;
    assert_eq!((mode("su"), mode("shared")), (0o755, 0o2755));
    let able = File::open(scratch.target().join("able")).expect("open");
    let listed = process::sys::list_xattrs(std::os::fd::AsFd::as_fd(&able)).unwrap_or_default();
    assert!(!listed.iter().any(|name| name.to_bytes() == b"security.capability"), "{listed:?}");
}

#[test]
fn volume_labels_and_global_headers_are_no_files() {
    let archive = Maker::default()
        .edited(EntryType::new(b'V'), "a label", "", b"", |_| {})
        .edited(EntryType::XGlobalHeader, "g", "", b"16 comment=hello\n", |_| {})
        .file("x", b"1");
    let scratch = Scratch::new();
    let summary = scratch.unpack(&archive.end()[..], &options()).expect("unpack");
    assert_eq!((summary.entries, summary.bytes), (1, 1));
}
