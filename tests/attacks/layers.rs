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
    vec![
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
    ]
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
