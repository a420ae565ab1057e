//! What a layer of an image means to overlayfs.

mod common;

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
};

use common::{Maker, Scratch, is_root, options, snapshot, xattr};
use rootfs::{Options, Whiteouts};

fn layer() -> Maker {
    Maker::default()
        .file("etc/.wh.gone", b"")
        .file("var/.wh..wh..opq", b"")
        .file("var/kept", b"1")
        // Both a deletion and something new, in either order: the new one stays and hides all that was below.
        .file(".wh.first", b"")
        .file("first/x", b"1")
        .directory("last")
        .file("last/x", b"1")
        .file(".wh.last", b"")
        .file(".wh.entry", b"")
        .directory("entry")
        .file("file", b"1")
        .file(".wh.file", b"")
        .file(".wh..wh.plnk/1.2", b"")
}

fn is_whiteout(path: &Path) -> bool {
    let meta = fs::symlink_metadata(path).expect("lstat");
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn check_layer(whiteouts: Whiteouts, opaque: &str) {
    let scratch = Scratch::new();
    let summary = scratch.unpack(&layer().end()[..], &Options { whiteouts, ..options() }).expect("unpack");
    assert_eq!(summary.whiteouts, 6);
    let at = |name: &str| scratch.target().join(name);
    assert!(is_whiteout(&at("etc/gone")));
    for name in ["var", "first", "last", "entry"] {
        assert_eq!(xattr(&at(name), opaque).as_deref(), Some(&b"y"[..]), "{name}");
    }
    assert_eq!(xattr(&at("etc"), opaque), None);
    assert!(at("file").is_file() && at("var/kept").is_file() && at("first/x").is_file() && at("last/x").is_file());
    let names = snapshot(&scratch.target(), &[]);
    assert!(names.keys().all(|name| !name.to_string_lossy().contains(".wh.")), "{names:?}");
}

#[test]
fn whiteouts_become_overlayfs_s_own() {
    if is_root("trusted.overlay.opaque") {
        check_layer(Whiteouts::Overlay, "trusted.overlay.opaque");
    }
    check_layer(Whiteouts::OverlayUser, "user.overlay.opaque");
}

#[test]
fn whiteouts_of_no_layer_are_names() {
    let scratch = Scratch::new();
    let summary = scratch.unpack(&Maker::default().file("etc/.wh.gone", b"").end()[..], &options()).expect("unpack");
    assert_eq!(summary.whiteouts, 0);
    assert!(scratch.target().join("etc/.wh.gone").is_file());
}
