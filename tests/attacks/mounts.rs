//! Where an engine mounts: places that an image or another container turns into links meanwhile.

use std::{fs, process::Command};

use tests::engine::{output, said};

use crate::{
    attack::{Attack, Outcome, Scene},
    files::{Detached, image, image_with},
};

const FAMILY: &str = "mounts";
const NAIVE: &str = "the path joined to the root's";
const TIMES: usize = 20;

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, off, move |scene| {
            if scene.target.is_engine() {
                act(scene)
            } else {
                Outcome::Not("it mounts what its caller says".to_owned())
            }
        })
    };
    vec![
        attack("/proc, /sys, /dev and /etc of the image are links out", "CVE-2023-28642", NAIVE, linked_directories),
        attack("/etc/hosts, resolv.conf and hostname of the image are links out", "CVE-2024-9676", NAIVE, linked_files),
        attack("a volume's place changes places with a link", "CVE-2021-30465", NAIVE, |scene| race(scene, "link")),
        attack("a directory for a volume is made behind a link", "CVE-2024-45310", NAIVE, made_outside),
        attack("a volume covers /proc", "CVE-2019-16884", "the kernel alone", |scene| cover(scene, "/proc")),
        attack("a volume covers a part of /proc", "CVE-2019-19921", "the kernel alone", |scene| {
            cover(scene, "/proc/self/attr")
        }),
        attack("a volume's place is a link into /proc", "CVE-2019-16884", "the kernel alone", linked_into_proc),
        attack(
            "/dev/null is a link to a setting of the kernel's, and hides /proc/keys",
            "CVE-2025-31133",
            "--privileged",
            masked,
        ),
        attack("/dev/console is a link to a setting of the kernel's", "CVE-2025-52565", "--privileged", console),
        attack(
            "a setting is written where the image has another /proc",
            "CVE-2025-52881",
            "a file of the image's",
            redirected,
        ),
        attack("a part of a volume is a link out", "", NAIVE, sub_path),
    ]
}

fn linked_directories(scene: &Scene) -> Outcome {
    let mut all = String::new();
    for name in ["proc", "sys", "dev", "etc"] {
        if !scene.is_on() {
            let root = scene.path("root");
            let _ = fs::create_dir(&root);
            std::os::unix::fs::symlink(scene.canary(), root.join(name)).expect("symlink");
            // As an engine makes what it mounts on.
            let _ = fs::write(root.join(name).join("hosts"), "");
            continue;
        }
        let target = format!("../../../../../../../..{}", scene.canary().display());
        let base = fs::read(scene.target.base()).expect("the base image");
        let file = scene.path("linked.tar");
        fs::write(&file, without(&base, name, &target)).expect("write");
        let image = scene.name(&format!("linked-{name}-"));
        scene.target.engine(&["import", file.to_str().expect("UTF-8"), &image]).ok();
        let said = scene.target.engine(&["run", "--rm", &image, "sh", "-c", "ls /proc /dev; echo x >/etc/x"]);
        all += &said.err;
    }
    Outcome::of(!scene.is_canary_intact(), all)
}

/// What an engine writes for a container, and mounts over the image's.
fn linked_files(scene: &Scene) -> Outcome {
    let names = ["etc/hosts", "etc/resolv.conf", "etc/hostname"];
    let secret = scene.canary().join("secret");
    if !scene.is_on() {
        let root = scene.path("root");
        fs::create_dir_all(root.join("etc")).expect("mkdir");
        std::os::unix::fs::symlink(&secret, root.join(names[0])).expect("symlink");
        let _ = fs::write(root.join(names[0]), "127.0.0.1 localhost");
        return Outcome::of(!scene.is_canary_intact(), "written");
    }
    let mut all = String::new();
    let (up, made) = (format!("../../../../../../../..{}", secret.display()), scene.canary().join("made"));
    for (at, target) in [secret.display().to_string(), up, made.display().to_string()].into_iter().enumerate() {
        let image = image(scene, &format!("files{at}-"), |maker| {
            names.iter().fold(maker, |maker, name| maker.symlink(name, &target))
        });
        let look = "cat /etc/hosts /etc/resolv.conf /etc/hostname; for f in /etc/hosts /etc/resolv.conf /etc/hostname; do echo x >>$f; done";
        let said = scene.target.engine(&["run", "--rm", &image, "sh", "-c", look]);
        if Scene::tells(&said.out) {
            return Outcome::Through(said.out);
        }
        all += &said.err;
    }
    Outcome::of(!scene.is_canary_intact(), all)
}

/// The archive with a link in the place of one of its directories.
fn without(base: &[u8], name: &str, target: &str) -> Vec<u8> {
    let mut all = tests::archive::Maker::default().symlink(name, target);
    let mut archive = tar::Archive::new(base);
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").into_owned();
        if path.starts_with(name) || path.strip_prefix("./").is_ok_and(|path| path.starts_with(name)) {
            continue;
        }
        let mut contents = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut contents).expect("read");
        all.0.extend_from_slice(entry.header().as_bytes());
        all.0.extend_from_slice(&contents);
        all.0.resize(all.0.len().next_multiple_of(512), 0);
    }
    all.end()
}

/// A container in whose volume `/v/dir`, a directory, and `/v/link`, a link, change places for ever.
fn swapping<'a>(scene: &'a Scene, link: &str) -> Detached<'a> {
    let script = format!("mkdir -p /v/dir; ln -s {link} /v/link; exec /attack/probe swap /v/dir /v/link");
    let volume = format!("{}:/v", scene.name("vol"));
    let container = Detached::start(scene, &["-v", &volume], "bb", &["sh", "-c", &script]);
    container.await_file("/swapping");
    container
}

fn clean(scene: &Scene) {
    for volume in ["vol", "mine"] {
        scene.target.engine(&["volume", "rm", "-f", &scene.name(volume)]);
    }
}

/// Where the volume is on the host.
fn data(scene: &Scene, volume: &str) -> String {
    scene.target.engine(&["volume", "inspect", "-f", "{{.Mountpoint}}", &scene.name(volume)]).ok().trim().to_owned()
}

fn race(scene: &Scene, _: &str) -> Outcome {
    let container = swapping(scene, scene.canary().to_str().expect("UTF-8"));
    let (shared, mine) = (format!("{}:/v", scene.name("vol")), format!("{}:/v/dir/at", scene.name("mine")));
    let mut all = String::new();
    let place = data(scene, "vol");
    for _ in 0..if scene.is_on() { TIMES } else { 10_000 } {
        if scene.is_on() {
            let said = scene.target.engine(&["run", "--rm", "-v", &shared, "-v", &mine, "bb", "true"]);
            all = said.err;
        } else {
            let _ = fs::create_dir_all(format!("{place}/dir/at"));
        }
        if !scene.is_canary_intact() {
            break;
        }
    }
    drop(container);
    clean(scene);
    let mounted = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
    Outcome::of(!scene.is_canary_intact() || mounted.contains(scene.canary().to_str().expect("UTF-8")), all)
}

fn made_outside(scene: &Scene) -> Outcome {
    if !scene.is_on() {
        let link = scene.path("link");
        std::os::unix::fs::symlink(scene.canary(), &link).expect("symlink");
        let _ = fs::create_dir_all(link.join("a/b"));
        return Outcome::of(!scene.is_canary_intact(), "made");
    }
    let target = scene.canary();
    let image = image(scene, "made", |maker| maker.symlink("link", target.to_str().expect("UTF-8")));
    let said = scene.target.engine(&[
        "run",
        "--rm",
        "--tmpfs",
        "/link/a/b",
        "-v",
        "/etc:/link/c",
        "-w",
        "/link/d",
        &image,
        "true",
    ]);
    Outcome::of(!scene.is_canary_intact(), said.err)
}

/// A directory of the container's own in the place of what an engine reads or writes in /proc.
fn cover(scene: &Scene, path: &str) -> Outcome {
    if !scene.is_on() {
        let mut unshare = Command::new("unshare");
        let script = format!("mount --bind {} {} && cat {0}/secret {1}/secret", scene.canary().display(), path);
        unshare.args(["-m", "sh", "-c", &script]);
        let said = said(&output(unshare, b""));
        return Outcome::of(Scene::tells(&said.out), said.err);
    }
    let bind = format!("{}:{path}", scene.canary().display());
    let said = scene.target.engine(&["run", "--rm", "-v", &bind, "bb", "cat", &format!("{path}/secret")]);
    Outcome::of(Scene::tells(&said.out), said.err)
}

fn linked_into_proc(scene: &Scene) -> Outcome {
    if !scene.is_on() {
        return cover(scene, "/proc/self/attr");
    }
    let mut all = String::new();
    for (at, link) in ["/proc", "/proc/self", "/proc/self/attr", "proc/sys"].into_iter().enumerate() {
        let image = image(scene, &format!("into{at}-"), |maker| maker.symlink("data", link));
        let bind = format!("{}:/data", scene.canary().display());
        let said = scene.target.engine(&[
            "run",
            "--rm",
            "-v",
            &bind,
            &image,
            "cat",
            "/data/secret",
            &format!("/{link}/secret"),
        ]);
        all += &said.err;
        if Scene::tells(&said.out) {
            return Outcome::Through(said.out);
        }
        let volume = image_with(scene, &format!("vol{at}-"), &["VOLUME /data"], |maker| maker.symlink("data", link));
        all += &scene.target.engine(&["run", "--rm", &volume, "true"]).err;
    }
    Outcome::Stopped(all)
}

/// A volume at /dev in which the device is a link to a file of /proc: whoever binds it over another binds that file.
fn masked(scene: &Scene) -> Outcome {
    let volume = format!("{}:/dev", scene.name("vol"));
    let plant = "rm -f /dev/null; ln -s /proc/sys/kernel/core_pattern /dev/null; exit 0";
    scene
        .target
        .engine(&["run", "--rm", "-v", &volume.replace(":/dev", ":/v"), "bb", "sh", "-c", &plant.replace("/dev", "/v")])
        .ok();
    let look = "[ -n \"$(cat /proc/keys)\" ] && echo OUT; grep /proc/keys /proc/self/mountinfo";
    let off: &[&str] = if scene.is_on() { &[] } else { &["--privileged"] };
    let said = scene.target.engine(&[&["run", "--rm", "-v", &volume], off, &["bb", "sh", "-c", look]].concat());
    clean(scene);
    Outcome::of(said.out.contains("OUT") || said.out.contains("core_pattern"), said.out + &said.err)
}

fn console(scene: &Scene) -> Outcome {
    let volume = format!("{}:/dev", scene.name("vol"));
    let plant =
        "ln -s /proc/sys/kernel/core_pattern /v/console; ln -s /proc/sysrq-trigger /v/ptmx; mkdir /v/pts; exit 0";
    scene.target.engine(&["run", "--rm", "-v", &volume.replace(":/dev", ":/v"), "bb", "sh", "-c", plant]).ok();
    let look =
        "if : >>/proc/sys/kernel/core_pattern; then echo OUT; fi; grep core_pattern /proc/self/mountinfo && echo OUT";
    let flags = if scene.is_on() { ["-v", &volume] } else { ["--privileged", "-e=x=y"] };
    let said = scene.target.engine(&[&["run", "--rm", "-t"], &flags[..], &["bb", "sh", "-c", look]].concat());
    clean(scene);
    Outcome::of(said.out.contains("OUT"), said.out + &said.err)
}

/// What the engine writes for `--sysctl` and `--oom-score-adj` is the kernel's, whatever the image has at /proc.
fn redirected(scene: &Scene) -> Outcome {
    if !scene.is_on() {
        let file = scene.path("domainname");
        std::os::unix::fs::symlink(scene.canary().join("secret"), &file).expect("symlink");
        let _ = fs::write(&file, "attacked");
        return Outcome::of(!scene.is_canary_intact(), "written");
    }
    let base = fs::read(scene.target.base()).expect("the base image");
    let mut archive = without(&base, "proc", "/fake");
    archive.truncate(archive.len() - 1024);
    let secret = format!("{}/secret", scene.canary().display());
    let maker = ["fake", "fake/sys", "fake/sys/kernel", "fake/self"]
        .into_iter()
        .fold(tests::archive::Maker(archive), tests::archive::Maker::directory)
        .symlink("fake/sys/kernel/domainname", &secret)
        .symlink("fake/self/oom_score_adj", &secret);
    let (file, image) = (scene.path("fake.tar"), scene.name("fake"));
    fs::write(&file, maker.end()).expect("write");
    scene.target.engine(&["import", file.to_str().expect("UTF-8"), &image]).ok();
    let flags = ["run", "--rm", "--sysctl", "kernel.domainname=attacked", "--oom-score-adj", "500", &image];
    let said = scene
        .target
        .engine(&[&flags[..], &["cat", "/fake/sys/kernel/domainname", "/fake/self/oom_score_adj"]].concat());
    Outcome::of(!scene.is_canary_intact() || said.out.contains("attacked"), said.out + &said.err)
}

fn sub_path(scene: &Scene) -> Outcome {
    let volume = scene.name("vol");
    let link = format!("ln -s {} /v/link; ln -s ../../../../../../../../..{0} /v/up", scene.canary().display());
    scene.target.engine(&["run", "--rm", "-v", &format!("{volume}:/v"), "bb", "sh", "-c", &link]).ok();
    let mut all = String::new();
    let mut got = false;
    if scene.is_on() {
        for part in ["link", "up", "../../../../../..", "link/."] {
            let mount = format!("type=volume,src={volume},dst=/m,volume-subpath={part}");
            let said =
                scene.target.engine(&["run", "--rm", "--mount", &mount, "bb", "sh", "-c", "cat /m/secret; ls /m"]);
            got |= Scene::tells(&said.out) || said.out.contains("etc\n");
            all += &(said.out + &said.err);
        }
    } else {
        got = fs::read_to_string(format!("{}/link/secret", data(scene, "vol"))).is_ok_and(|text| Scene::tells(&text));
    }
    clean(scene);
    if scene.target.name() == "docker" && all.contains("unexpected key") {
        return Outcome::Not("this version has no such flag".to_owned());
    }
    Outcome::of(got, all)
}
