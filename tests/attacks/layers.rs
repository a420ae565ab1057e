//! Layers that are meant for another place than their own root.

use std::fs;

use tar::EntryType;
use tests::archive::{Maker, naive_unpack};

use crate::attack::{Attack, Outcome, Scene};

const FAMILY: &str = "layers";
const NAIVE: &str = "names joined to the root's, links followed";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, make: fn(&Scene, Maker) -> Maker| {
        Attack::new((FAMILY, name), cve, NAIVE, move |scene| unpack(scene, make(scene, Maker::default())))
    };
    let mut all = vec![
        attack("a file with .. in its name", "CVE-2014-9357", |scene, maker| {
            maker.file(format!("{}/x", up(scene)), b"x")
        }),
        attack("a file with an absolute name", "CVE-2014-9357", |scene, maker| {
            maker.file(format!("{}/x", scene.canary().display()), b"x")
        }),
        attack("a link out, and a file through it", "CVE-2014-9356", |scene, maker| {
            maker.symlink("out", scene.canary().to_str().expect("UTF-8")).file("out/x", b"x")
        }),
        attack("a relative link out, and a file through it", "CVE-2014-9356", |scene, maker| {
            maker.symlink("out", up(scene)).file("out/x", b"x")
        }),
        attack("a chain of links out, and a file through it", "CVE-2018-20699", |scene, maker| {
            maker
                .symlink("a", scene.canary().to_str().expect("UTF-8"))
                .symlink("b", "a")
                .symlink("c", "b/.")
                .file("c/x", b"x")
        }),
        attack("a link to a file outside, and the file again", "CVE-2014-6407", |scene, maker| {
            maker.symlink("f", format!("{}/secret", scene.canary().display())).file("f", b"overwritten")
        }),
        attack("a hard link to a file outside, and the file again", "CVE-2014-6407", |scene, maker| {
            maker.hard_link("f", format!("{}/secret", scene.canary().display())).file("f", b"overwritten")
        }),
        attack("a hard link through a link out, and the file again", "CVE-2014-6407", |scene, maker| {
            maker
                .symlink("out", scene.canary().to_str().expect("UTF-8"))
                .hard_link("f", "out/secret")
                .file("f", b"overwritten")
        }),
        attack("a directory over a link out changes its mode", "CVE-2021-32760", |scene, maker| {
            maker.symlink("out", scene.canary().to_str().expect("UTF-8")).edited(
                EntryType::Directory,
                "out",
                "",
                b"",
                |header| header.set_mode(0o777),
            )
        }),
        attack("a file is deleted through a link out (whiteout)", "CVE-2014-9356", |scene, maker| {
            maker.symlink("out", scene.canary().to_str().expect("UTF-8")).file("out/.wh.secret", b"")
        }),
        attack("a directory is emptied through a link out (opaque whiteout)", "CVE-2014-9356", |scene, maker| {
            maker.symlink("out", scene.canary().to_str().expect("UTF-8")).file("out/.wh..wh..opq", b"")
        }),
        attack("a PAX name beside the header's", "CVE-2018-20699", |scene, maker| {
            maker.pax(&[("path", format!("{}/x", up(scene)).as_bytes())]).file("plain", b"x")
        }),
    ];
    all.push(Attack::new(
        (FAMILY, "a file's contents are taken for entries, by a size that its two headers disagree about"),
        "CVE-2025-62518",
        "the header's size alone",
        smuggle,
    ));
    all
}

/// An archive in a file whose PAX header has its size, where the header itself says 0.
fn smuggle(scene: &Scene) -> Outcome {
    let inner = Maker::default().file("smuggled", b"of nobody").0;
    let size = inner.len().to_string();
    let outer =
        Maker::default()
            .pax(&[("size", size.as_bytes())])
            .edited(EntryType::Regular, "outer", "", &inner, |header| header.set_size(0));
    if !scene.is_on() {
        let mut names = Vec::new();
        let mut rest = &outer.0[..];
        while let Some((block, after)) = rest.split_at_checked(512) {
            let header = tar::Header::from_byte_slice(block);
            names.push(String::from_utf8_lossy(&header.path_bytes()).into_owned());
            let size = header.size().expect("a size").next_multiple_of(512);
            rest = &after[usize::try_from(size).expect("a small one")..];
        }
        return Outcome::of(names.iter().any(|name| name == "smuggled"), names.join(" "));
    }
    if !scene.target.is_engine() {
        return Outcome::Not("it unpacks none".to_owned());
    }
    let (file, name) = (scene.path("layer.tar"), scene.name("smuggle"));
    fs::write(&file, outer.end()).expect("write");
    let said = scene.target.engine(&["import", file.to_str().expect("a UTF-8 path"), &name]);
    scene.target.engine(&["create", "--name", &name, &name, "x"]);
    let got = scene.target.engine(&["cp", &format!("{name}:/smuggled"), "-"]);
    scene.target.engine(&["rm", "-f", &name]);
    scene.target.engine(&["image", "rm", "-f", &name]);
    Outcome::of(got.code == 0, said.err + &got.err)
}

/// The way to the canary from any root.
fn up(scene: &Scene) -> String {
    format!("../../../../../../../../..{}", scene.canary().display())
}

/// Gives the archive to the engine as a root filesystem, or to who trusts it.
fn unpack(scene: &Scene, maker: Maker) -> Outcome {
    let archive = maker.end();
    let mode = || {
        fs::metadata(scene.canary()).map(|metadata| std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()))
    };
    let before = mode().ok();
    let said = if scene.is_on() {
        if !scene.target.is_engine() {
            return Outcome::Not("it unpacks none".to_owned());
        }
        let file = scene.path("layer.tar");
        fs::write(&file, archive).expect("write");
        let name = scene.name("layer");
        let said = scene.target.engine(&["import", file.to_str().expect("a UTF-8 path"), &name]);
        // Some unpack it when it is first used.
        let used = scene.target.engine(&["create", "--name", &name, &name, "x"]);
        scene.target.engine(&["rm", "-f", &name]);
        scene.target.engine(&["image", "rm", "-f", &name]);
        said.err + &used.err
    } else {
        let root = scene.path("root");
        fs::create_dir(&root).expect("mkdir");
        naive_unpack(&archive, &root);
        String::new()
    };
    Outcome::of(!scene.is_canary_intact() || mode().ok() != before, said)
}
