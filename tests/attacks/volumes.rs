//! Volumes, which outlive containers and are filled from images.

use std::{fs, os::unix::fs::MetadataExt, process::Command};

use tests::engine::{output, said};

use crate::{
    attack::{Attack, Outcome, Scene},
    files::image_with,
};

const FAMILY: &str = "volumes";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, off, move |scene| {
            if scene.target.is_engine() { act(scene) } else { Outcome::Not("it has no volumes".to_owned()) }
        })
    };
    vec![
        attack("it is filled through a link of the image's", "CVE-2022-23648", "the path joined to the root's", filled),
        attack("it is filled from a path with ..", "CVE-2022-23648", "the path joined to the root's", filled_upwards),
        attack("a link in it is followed when it is filled", "", "cp -L", filled_into),
        attack("its name is a path", "", "the name joined to the store's", named),
        attack(
            "a user of the host runs a program of its root's in it",
            "CVE-2021-41091",
            "the same file in /tmp",
            set_user_id,
        ),
        attack("a user of the host reads it", "CVE-2021-41091", "the same file in /tmp", read),
    ]
}

fn run(scene: &Scene, image: &str, script: &str) -> String {
    let said = scene.target.engine(&["run", "--rm", image, "sh", "-c", script]);
    said.out + &said.err
}

fn filled(scene: &Scene) -> Outcome {
    let canary = scene.canary();
    if !scene.is_on() {
        let root = scene.path("root");
        fs::create_dir(&root).expect("mkdir");
        std::os::unix::fs::symlink(&canary, root.join("data")).expect("symlink");
        let text = fs::read_to_string(root.join("data/secret")).unwrap_or_default();
        return Outcome::of(Scene::tells(&text), text);
    }
    let add = |maker: tests::archive::Maker| maker.symlink("data", canary.to_str().expect("UTF-8"));
    let image = image_with(scene, "filled", &["VOLUME /data"], add);
    let all = run(scene, &image, "cat /data/secret; find / -name secret -maxdepth 3 2>/dev/null | xargs cat");
    Outcome::of(Scene::tells(&all) || !scene.is_canary_intact(), all)
}

fn filled_upwards(scene: &Scene) -> Outcome {
    let up = format!("/../../../../../../../../..{}", scene.canary().display());
    if !scene.is_on() {
        let text = fs::read_to_string(format!("{}/{up}/secret", scene.target.rootfs().display())).unwrap_or_default();
        return Outcome::of(Scene::tells(&text), text);
    }
    let image = image_with(scene, "upwards", &[&format!("VOLUME {up}")], |maker| maker);
    let all = run(scene, &image, &format!("cat {}/secret", scene.canary().display()));
    Outcome::of(Scene::tells(&all) || !scene.is_canary_intact(), all)
}

/// The volume has a link where the image has a file.
fn filled_into(scene: &Scene) -> Outcome {
    let volume = scene.name("vol");
    let secret = format!("{}/secret", scene.canary().display());
    if !scene.is_on() {
        let data = scene.path("data");
        fs::create_dir(&data).expect("mkdir");
        std::os::unix::fs::symlink(&secret, data.join("secret")).expect("symlink");
        fs::write(data.join("secret"), "overwritten").expect("write");
        return Outcome::of(!scene.is_canary_intact(), "overwritten");
    }
    let image = image_with(scene, "into", &["VOLUME /data"], |maker| {
        maker.directory("data").symlink("data/a", &secret).file("data/secret", b"overwritten").symlink("data/d", "/tmp")
    });
    let all = scene.target.engine(&["run", "--rm", "-v", &format!("{volume}:/data"), &image, "ls", "/data"]);
    let again =
        scene.target.engine(&["run", "--rm", "-v", &format!("{volume}:/data"), &image, "sh", "-c", "ls -l /data"]);
    scene.target.engine(&["volume", "rm", "-f", &volume]);
    Outcome::of(!scene.is_canary_intact(), all.err + &again.out)
}

fn named(scene: &Scene) -> Outcome {
    let up = format!("../../../../../../../..{}", scene.canary().display());
    if !scene.is_on() {
        let text = fs::read_to_string(scene.target.rootfs().join(&up).join("secret")).unwrap_or_default();
        return Outcome::of(Scene::tells(&text), text);
    }
    let mut all = String::new();
    for name in [up.as_str(), "..", ".", "a/../../x", ""] {
        let mount = format!("type=volume,src={name},dst=/m");
        let said = scene.target.engine(&["run", "--rm", "--mount", &mount, "bb", "cat", "/m/secret"]);
        all += &(said.out + &said.err);
        all += &scene.target.engine(&["volume", "create", name]).err;
    }
    scene.target.engine(&["volume", "prune", "-f"]);
    Outcome::of(Scene::tells(&all) || !scene.is_canary_intact(), all)
}

/// Runs a command as the host's nobody.
fn as_nobody(command: &[&str]) -> tests::engine::Said {
    let mut nobody = Command::new("setpriv");
    // By env: setpriv itself still has root's rights while it looks for the program.
    nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "env"]).args(command);
    said(&output(nobody, b""))
}

/// A file in a volume, or the same file where everybody comes by.
fn planted(scene: &Scene, script: &str) -> String {
    let volume = scene.name("vol");
    scene.target.engine(&["run", "--rm", "-v", &format!("{volume}:/d"), "bb", "sh", "-c", script]).ok();
    let place = scene.target.engine(&["volume", "inspect", "-f", "{{.Mountpoint}}", &volume]).ok();
    let file = format!("{}/f", place.trim());
    if scene.is_on() {
        return file;
    }
    let open = std::path::Path::new("/tmp").join(scene.name("mini-docker-attack-open-"));
    let copied = Command::new("cp").arg("-a").arg(file).arg(&open).status();
    assert!(copied.is_ok_and(|status| status.success()), "cp");
    open.to_str().expect("UTF-8").to_owned()
}

fn done(scene: &Scene, file: &str) {
    if !scene.is_on() {
        let _ = fs::remove_file(file);
    }
    scene.target.engine(&["volume", "rm", "-f", &scene.name("vol")]);
}

fn set_user_id(scene: &Scene) -> Outcome {
    let file = planted(scene, "cp /attack/probe /d/f; chmod 4755 /d/f");
    let owner = fs::metadata(&file).map_or(0, |metadata| metadata.uid());
    let said = as_nobody(&[&file, "uid"]);
    done(scene, &file);
    let became = said.out.trim().to_owned();
    // Root of a container with ids of its own is nobody's root.
    Outcome::of(became == "0" || (!became.is_empty() && became == owner.to_string()), said.out + &said.err)
}

fn read(scene: &Scene) -> Outcome {
    let file = planted(scene, &format!("echo '{}' >/d/f; chmod 666 /d/f", crate::attack::SECRET));
    let said = as_nobody(&["cat", &file]);
    done(scene, &file);
    Outcome::of(Scene::tells(&said.out), said.out + &said.err)
}
