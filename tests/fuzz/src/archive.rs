//! Archives: what is unpacked is what a plain model says, and nothing is outside of the root.
//!
//! The first byte chooses: an archive byte by byte, or orders of a few bytes each, of which one is made. The orders' names
//! are of a small alphabet, so that they meet.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::{
        fd::AsFd,
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::Path,
};

use rootfs::{AbsoluteNames, Devices, Limits, Options, Owners, Whiteouts, pack, unpack_tar};
use tar::{EntryType, Header};

use crate::{
    model::{Kind, Node, Tree},
    one_line,
};

/// What names are made of.
const PARTS: [&[u8]; 16] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"e",
    b"",
    b".",
    b"..",
    b".wh.a",
    b".wh.b",
    b".wh..wh..opq",
    b".wh.",
    b"f",
    b"g",
    b"h",
    b"a",
];
const KINDS: [EntryType; 8] = [
    EntryType::Regular,
    EntryType::Directory,
    EntryType::Symlink,
    EntryType::Link,
    EntryType::Fifo,
    EntryType::Char,
    EntryType::Symlink,
    EntryType::Directory,
];
const MODES: [u32; 8] = [0o644, 0o755, 0o4755, 0o2755, 0o1777, 0, 0o700, 0o7777];

/// An entry of an archive.
#[derive(Debug)]
struct Order {
    kind: EntryType,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    uid: u32,
}

/// Unpacks the archive, and compares.
pub(crate) fn target(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let options = Options {
        owners: Owners::Archive,
        devices: Devices::Skip,
        whiteouts: if choice & 2 == 0 { Whiteouts::Overlay } else { Whiteouts::Literal },
        absolute_names: if choice & 4 == 0 { AbsoluteNames::Confine } else { AbsoluteNames::Refuse },
        limits: Limits { bytes: 1 << 20, entries: 1000, depth: 64, ..Limits::default() },
        ..Options::default()
    };
    if choice & 1 == 0 {
        let orders = orders(data);
        let found = unpacked(&archive(&orders), &options);
        let expected = expected(&orders, &options).map(|tree| tree.listing());
        assert_eq!(found, expected, "{orders:#?}");
    } else {
        let mut archive = data.to_vec();
        repair(&mut archive);
        unpacked(&archive, &options);
    }
}

/// Five bytes each: kind and mode, owner, two of a name, one of a link.
fn orders(data: &[u8]) -> Vec<Order> {
    let name = |bytes: &[u8]| {
        let parts: Vec<_> = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|at| PARTS[at as usize]).collect();
        parts.join(&b'/')
    };
    let order = |bytes: &[u8]| Order {
        kind: KINDS[(bytes[0] & 7) as usize],
        mode: MODES[(bytes[0] >> 3 & 7) as usize],
        uid: u32::from(bytes[1] & 3),
        name: name(&bytes[2..3 + (bytes[1] >> 7) as usize]),
        link: [if bytes[1] & 4 == 0 { &b""[..] } else { b"/" }, &name(&bytes[4..5])].concat(),
    };
    data.chunks_exact(5).take(64).map(order).collect()
}

fn archive(orders: &[Order]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for Order { kind, name, link, mode, uid } in orders {
        let contents = contents(*kind, name);
        let mut header = Header::new_ustar();
        header.set_entry_type(*kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
        header.set_mode(*mode);
        header.set_uid((*uid).into());
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(contents.len() as u64);
        header.set_cksum();
        builder.append(&header, contents).expect("write an archive");
    }
    builder.into_inner().expect("write an archive")
}

/// A file holds its name.
fn contents(kind: EntryType, name: &[u8]) -> &[u8] {
    if kind == EntryType::Regular && !name.ends_with(b"/") { name } else { b"" }
}

/// What the orders make; `None` where they are to be refused.
fn expected(orders: &[Order], options: &Options) -> Option<Tree> {
    let mut tree = Tree::new(0o700);
    orders.iter().try_for_each(|order| apply(&mut tree, order, options)).map(|()| tree)
}

fn apply(tree: &mut Tree, order: &Order, options: &Options) -> Option<()> {
    let lenient = options.absolute_names == AbsoluteNames::Confine;
    if order.name.is_empty() {
        return lenient.then_some(());
    }
    let path = plain(&order.name)?;
    if order.name[0] == b'/' && !path.is_empty() && !lenient {
        return None;
    }
    let path = path.join(&b'/');
    let is_directory =
        order.kind == EntryType::Directory || order.kind == EntryType::Regular && order.name.ends_with(b"/");
    if options.whiteouts != Whiteouts::Literal && path.split(|b| *b == b'/').any(|part| part.starts_with(b".wh.")) {
        let (parent, name) = path.iter().rposition(|b| *b == b'/').map_or((&b""[..], &path[..]), |at| {
            let (parent, name) = path.split_at(at);
            (parent, &name[1..])
        });
        if path.starts_with(b".wh..wh.") && path != b".wh..wh..opq" {
            return Some(());
        }
        let hidden = name.strip_prefix(b".wh.")?;
        let inside = parent.split(|b| *b == b'/').any(|part| part.starts_with(b".wh."));
        let name = if hidden == b".wh..opq" { None } else { Some(hidden) };
        return if inside || hidden.is_empty() || is_directory { None } else { tree.hide(parent, name).ok() };
    }
    if path.is_empty() && !is_directory {
        return lenient.then_some(());
    }
    let made = match order.kind {
        _ if is_directory => tree.directory(&path, order.mode, order.uid),
        EntryType::Link => tree.hard_link(&path, &plain(&order.link)?.join(&b'/')),
        EntryType::Symlink if order.link.is_empty() => return None,
        EntryType::Symlink => tree.other(&path, Kind::Symlink(order.link.clone()), 0, order.uid),
        EntryType::Fifo => tree.other(&path, Kind::Fifo, order.mode, order.uid),
        EntryType::Char => return Some(()),
        _ => tree.other(&path, Kind::File(order.name.clone()), order.mode, order.uid),
    };
    made.ok()
}

/// The parts of a name; `None` where one leads up.
fn plain(name: &[u8]) -> Option<Vec<&[u8]>> {
    let parts = name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
    parts.map(|part| (part != b"..").then_some(part)).collect()
}

type Listing = BTreeMap<Vec<u8>, (Node, Vec<u8>)>;

/// What the archive becomes; `None` where it is refused. Nothing beside the root has changed, and packed and unpacked again
/// it is the same.
fn unpacked(archive: &[u8], options: &Options) -> Option<Listing> {
    let scratch = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let outside = || listing(scratch.path(), scratch.path(), &["root", "again"]);
    for name in ["a", "b"] {
        fs::create_dir(scratch.path().join(name)).expect("make a directory");
        fs::write(scratch.path().join(name).join("a"), "canary").expect("write");
    }
    let before = outside();
    let found = unpack_at(&scratch.path().join("root"), 0o700, archive, options);
    assert_eq!(outside(), before, "what is outside of the root");
    let found = found?;
    let mut packed = Vec::new();
    let root = fs::File::open(scratch.path().join("root")).expect("open the root");
    pack(root.as_fd(), &mut packed, options).expect("pack what was unpacked");
    // What a root has by itself has no entry.
    let again = unpack_at(&scratch.path().join("again"), 0o755, &packed, options).expect("unpack what was packed");
    assert_eq!(apart(&again), apart(&found), "packed and unpacked");
    Some(found)
}

/// The same, where what hides a file is no file, and so none that another name can be for.
fn apart(listing: &Listing) -> Listing {
    let one = |(path, (node, first)): (&Vec<u8>, &(Node, Vec<u8>))| {
        let first = if node.kind == Kind::Whiteout { path } else { first };
        (path.clone(), (node.clone(), first.clone()))
    };
    listing.iter().map(one).collect()
}

fn unpack_at(root: &Path, mode: u32, archive: &[u8], options: &Options) -> Option<Listing> {
    fs::create_dir(root).expect("make the root");
    fs::set_permissions(root, std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("set its mode");
    let directory = fs::File::open(root).expect("open the root");
    match unpack_tar(archive, directory.as_fd(), options) {
        Ok(_) => Some(listing(root, root, &[])),
        Err(error) => {
            one_line(&error.to_string());
            None
        }
    }
}

/// All files below `root` but those that are left out, by their paths, each with the first path of the same file.
fn listing(root: &Path, directory: &Path, without: &[&str]) -> Listing {
    let mut found = Vec::new();
    walk(root, directory, without, &mut found);
    found.sort_by(|one, other| one.0.cmp(&other.0));
    let first = |inode| found.iter().find(|(_, _, other)| *other == inode).map(|(path, ..)| path.clone());
    let with_first =
        |(path, node, inode): &(Vec<u8>, Node, u64)| (path.clone(), (node.clone(), first(*inode).unwrap_or_default()));
    found.iter().map(with_first).collect()
}

fn walk(root: &Path, path: &Path, without: &[&str], found: &mut Vec<(Vec<u8>, Node, u64)>) {
    let metadata = fs::symlink_metadata(path).expect("look at a file");
    let (kind, mut opaque) = (metadata.file_type(), false);
    let kind = if kind.is_dir() {
        let directory = fs::File::open(path).expect("open a directory");
        opaque = process::sys::get_xattr(directory.as_fd(), c"trusted.overlay.opaque", &mut [0; 8]).is_ok();
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink(fs::read_link(path).expect("read a link").into_os_string().into_vec())
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_char_device() && metadata.rdev() == 0 {
        Kind::Whiteout
    } else if kind.is_file() && metadata.len() <= 1 << 20 {
        Kind::File(fs::read(path).expect("read a file"))
    } else {
        panic!("{} is a {kind:?} of {} bytes", path.display(), metadata.len());
    };
    let mode = if matches!(kind, Kind::Symlink(_)) { 0 } else { metadata.mode() & 0o7777 };
    let is_directory = kind == Kind::Directory;
    let name = path.strip_prefix(root).expect("below the root").as_os_str().as_bytes().to_vec();
    found.push((name, Node { kind, mode, uid: metadata.uid(), opaque }, metadata.ino()));
    if is_directory {
        for entry in fs::read_dir(path).expect("list a directory") {
            let entry = entry.expect("list a directory");
            if !without.iter().any(|name| entry.file_name() == OsStr::new(name)) {
                walk(root, &entry.path(), without, found);
            }
        }
    }
}

/// Makes every header's checksum right, so that what is changed reaches what reads the fields.
fn repair(archive: &mut [u8]) {
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|&b| u32::from(b)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
}
