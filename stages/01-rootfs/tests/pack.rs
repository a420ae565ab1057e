//! What is packed comes out again, and packed again it is the same archive.

mod common;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::{
        fd::AsFd,
        unix::{
            fs::{PermissionsExt, chown, symlink},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    process::Command,
};

use common::{Maker, Scratch, is_root, options, set_xattr, snapshot};
use nix::{
    sys::stat::{Mode, SFlag, makedev, mknod},
    unistd::mkfifo,
};
use rootfs::{Devices, Error, Limits, Options, Packed, Whiteouts, pack};
use tar::EntryType;
use tempfile::TempDir;

const XATTRS: [&str; 3] = ["user.comment", "security.capability", "trusted.overlay.opaque"];
const CAPABILITY: &[u8] = b"\x01\0\0\x02\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn packed(root: &Path, options: &Options) -> Result<(Vec<u8>, Packed), Error> {
    let mut archive = Vec::new();
    let packed = pack(File::open(root).expect("open").as_fd(), &mut archive, options)?;
    Ok((archive, packed))
}

fn seconds(snapshot: BTreeMap<PathBuf, String>) -> BTreeMap<PathBuf, String> {
    let whole = |text: String| {
        let (before, after) = text.split_once('.').expect("a time");
        format!("{before}.{}", &after[9..])
    };
    snapshot.into_iter().filter(|(path, _)| path != Path::new("")).map(|(path, text)| (path, whole(text))).collect()
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("entries");
    entries.map(|e| String::from_utf8_lossy(&e.expect("an entry").path_bytes()).into_owned()).collect()
}

/// A tree with one of everything that root may make.
fn tree() -> TempDir {
    let directory = TempDir::new().expect("a temporary directory");
    let root = directory.path();
    let deep = root.join("d".repeat(120)).join("e".repeat(120));
    fs::create_dir_all(&deep).expect("mkdir");
    fs::write(deep.join("f".repeat(255)), "far away").expect("write");
    symlink("t".repeat(300), root.join("long link")).expect("symlink");
    fs::hard_link(deep.join("f".repeat(255)), root.join("a name before")).expect("link");
    fs::hard_link(deep.join("f".repeat(255)), root.join("e name after")).expect("link");
    fs::write(root.join("n\u{e4}me\nof two lines"), [7; 512]).expect("write");
    fs::write(root.join("large"), (0..100_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).expect("write");
    File::create(root.join("sparse")).and_then(|file| file.set_len(3 << 20)).expect("ftruncate");
    fs::create_dir(root.join("empty")).expect("mkdir");
    fs::set_permissions(root.join("empty"), fs::Permissions::from_mode(0o1777)).expect("chmod");
    mkfifo(&root.join("fifo"), Mode::from_bits_truncate(0o620)).expect("mkfifo");
    if set_xattr(&root.join("large"), "user.comment", b"two\nlines\0and a null").is_err() {
        eprintln!("skipped: this filesystem has no user attributes");
    }
    if nix::unistd::geteuid().is_root() {
        chown(root.join("empty"), Some(4_000_000_000), Some(3_000_000)).expect("chown");
        set_xattr(&root.join("large"), "security.capability", CAPABILITY).expect("setxattr");
        mknod(&root.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 300)).expect("mknod");
    }
    let old = std::time::SystemTime::UNIX_EPOCH - std::time::Duration::from_secs(86_400);
    File::open(root.join("sparse")).and_then(|file| file.set_modified(old)).expect("utimens");
    directory
}

#[test]
fn a_tree_comes_out_as_it_went_in_and_packs_to_the_same_bytes() {
    let tree = tree();
    let options = Options { devices: Devices::Create, ..options() };
    let (archive, packed_first) = packed(tree.path(), &options).expect("pack");
    let scratch = Scratch::new();
    let summary = scratch.unpack(&archive[..], &options).expect("unpack");
    assert_eq!(seconds(snapshot(tree.path(), &XATTRS)), seconds(snapshot(&scratch.target(), &XATTRS)));
    assert_eq!(packed_first.bytes, summary.bytes);
    let again = packed(&scratch.target(), &options).expect("pack").0;
    assert!(again == archive);
}

#[test]
fn a_still_tree_is_packed_to_the_same_bytes() {
    let tree = tree();
    let still = Options { still: true, ..options() };
    let other = packed(tree.path(), &options()).expect("pack");
    let old = std::time::SystemTime::UNIX_EPOCH;
    let large = File::open(tree.path().join("large")).expect("open");
    large
        .set_times(fs::FileTimes::new().set_accessed(old).set_modified(large.metadata().unwrap().modified().unwrap()))
        .expect("utimens");
    assert!(packed(tree.path(), &still).expect("pack") == other, "the same archive");
    assert_eq!(large.metadata().expect("stat").accessed().expect("a time"), old, "nobody has read it");
}

#[test]
fn gnu_tar_reads_it() {
    let tree = tree();
    let (archive, _) = packed(tree.path(), &options()).expect("pack");
    let (file, target) = (tree.path().with_extension("tar"), TempDir::new().expect("a temporary directory"));
    fs::write(&file, archive).expect("write");
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"]).arg(&file).arg("-C").arg(target.path());
    let output = tar.output().expect("tar");
    fs::remove_file(&file).expect("remove");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(seconds(snapshot(tree.path(), &XATTRS)), seconds(snapshot(target.path(), &XATTRS)));
}

#[test]
fn an_empty_tree_is_an_end_mark() {
    let scratch = Scratch::new();
    fs::set_permissions(scratch.target(), fs::Permissions::from_mode(0o755)).expect("chmod");
    if is_root("a root that is root's") {
        assert!(packed(&scratch.target(), &options()).expect("pack").0 == [0; 1024]);
    }
    fs::set_permissions(scratch.target(), fs::Permissions::from_mode(0o711)).expect("chmod");
    assert_eq!(names(&packed(&scratch.target(), &options()).expect("pack").0), ["./"]);
}

#[test]
fn whiteouts_are_translated_back() {
    if !is_root("an overlay's whiteouts") {
        return;
    }
    let layer = Maker::default()
        .directory("a")
        .file("a/.wh..wh..opq", b"")
        .file("a/kept", b"1")
        .file("a/.wh.gone", b"")
        .file(".wh.z", b"")
        .end();
    let options = Options { whiteouts: Whiteouts::Overlay, ..options() };
    let scratch = Scratch::new();
    scratch.unpack(&layer[..], &options).expect("unpack");
    fs::set_permissions(scratch.target(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let archive = packed(&scratch.target(), &options).expect("pack").0;
    assert_eq!(names(&archive), ["a/", "a/.wh..wh..opq", "a/.wh.gone", "a/kept", ".wh.z"]);
    let second = Scratch::new();
    second.unpack(&archive[..], &options).expect("unpack");
    fs::set_permissions(second.target(), fs::Permissions::from_mode(0o755)).expect("chmod");
    assert!(packed(&second.target(), &options).expect("pack").0 == archive);
}

#[test]
fn what_only_looks_like_a_whiteout_is_no_deletion() {
    let scratch = Scratch::new();
    fs::write(scratch.target().join(".wh.passwd"), "").expect("write");
    let layer = Options { whiteouts: Whiteouts::Overlay, ..options() };
    let error = packed(&scratch.target(), &layer).expect_err("a false whiteout").to_string();
    assert!(error.contains(".wh.passwd") && error.contains("rename it"), "{error}");
    assert!(names(&packed(&scratch.target(), &options()).expect("pack").0).contains(&".wh.passwd".to_owned()));
}

#[test]
fn links_are_not_followed_and_sockets_are_left_out() {
    let scratch = Scratch::new();
    let target = scratch.target();
    symlink(scratch.outside(), target.join("out")).expect("symlink");
    symlink(scratch.outside().join("canary"), target.join("canary")).expect("symlink");
    let _socket = UnixListener::bind(target.join("socket")).expect("bind");
    let (archive, summary) = packed(&target, &options()).expect("pack");
    assert_eq!((summary.skipped_sockets, summary.bytes), (1, 0));
    let mut archive = tar::Archive::new(&archive[..]);
    let links = archive.entries().expect("entries").map(|e| e.expect("an entry").header().entry_type());
    assert_eq!(links.filter(EntryType::is_symlink).count(), 2);
}

#[test]
fn overlayfs_s_own_attributes_do_not_travel() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.target().join("d")).expect("mkdir");
    if set_xattr(&scratch.target().join("d"), "user.overlay.opaque", b"y").is_err() {
        return eprintln!("skipped: this filesystem has no user attributes");
    }
    let (archive, _) = packed(&scratch.target(), &options()).expect("pack");
    assert!(!archive.windows(7).any(|part| part == b"overlay"));
}

#[test]
fn limits_hold() {
    let scratch = Scratch::new();
    File::create(scratch.target().join("huge")).and_then(|file| file.set_len(1 << 40)).expect("ftruncate");
    let limited =
        |limits| packed(&scratch.target(), &Options { limits, ..options() }).expect_err("a limit").to_string();
    assert!(limited(Limits::default()).contains("bytes"));
    assert!(limited(Limits { entries: 0, ..Limits::default() }).contains("entries"));
    fs::remove_file(scratch.target().join("huge")).expect("remove");
    fs::create_dir_all(scratch.target().join("a/b/c/d")).expect("mkdir");
    assert!(limited(Limits { depth: 3, ..Limits::default() }).contains("3 directories deep"));
}

#[test]
fn a_writer_that_fails_is_an_error() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(28))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let scratch = Scratch::new();
    fs::write(scratch.target().join("x"), vec![1; 1 << 20]).expect("write");
    let error = pack(File::open(scratch.target()).expect("open").as_fd(), Full, &options()).expect_err("a full disk");
    assert_eq!(error.errno(), process::Errno::ENOSPC, "{error}");
}
