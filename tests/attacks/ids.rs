//! Whose rights a container's root has on the host.

use std::{fs, process::Command};

use tests::engine::{Said, output, said};

use crate::{
    attack::{Attack, Outcome, SECRET, Scene},
    files::Detached,
};

const FAMILY: &str = "ids";
const HOST: &str = "--userns host";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), "", off, move |scene| {
            // What its user opts out of is no attack.
            if scene.is_on() && scene.target.has_host_ids() {
                return Outcome::Not("its user wants the host's ids".to_owned());
            }
            act(scene)
        })
    };
    vec![
        attack("a container's root is the host's", HOST, |scene| {
            script(scene, "grep '^ *0 *0 ' /proc/self/uid_map && echo OUT")
        }),
        attack("a file gets an id of somebody who is not in the container", HOST, |scene| {
            script(scene, "touch /f; chown 70000 /f && echo OUT")
        }),
        attack("two containers have ids in common", HOST, |scene| {
            if !scene.target.is_engine() {
                return Outcome::Not("its caller chooses ids".to_owned());
            }
            let (one, other) = (sleeper(scene), sleeper(scene));
            let (one, other) = (range(&one), range(&other));
            Outcome::of(one.0 < other.0 + other.1 && other.0 < one.0 + one.1, format!("{one:?} {other:?}"))
        }),
        attack("who has got out of one container ends another's processes", "its own processes", |scene| {
            if !scene.target.is_engine() {
                return Outcome::Not("its caller chooses ids".to_owned());
            }
            let (one, other) = (sleeper(scene), sleeper(scene));
            let victim = if scene.is_on() { &other } else { &one };
            let said = escaped(&one, &["kill", "-0", &victim.pid().to_string()]);
            Outcome::of(said.code == 0, said.err)
        }),
        attack("who has got out of a container reads the host root's files", "as root", |scene| {
            if !scene.target.is_engine() {
                return Outcome::Not("its caller chooses ids".to_owned());
            }
            let file = std::path::Path::new("/tmp").join(scene.name("mini-docker-attack-root-"));
            fs::write(&file, SECRET).expect("write");
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
            let path = file.to_str().expect("UTF-8");
            let container = sleeper(scene);
            let said = if scene.is_on() { escaped(&container, &["cat", path]) } else { run("0", &["cat", path]) };
            let _ = fs::remove_file(&file);
            Outcome::of(Scene::tells(&said.out), said.err)
        }),
    ]
}

fn off<'a>(scene: &Scene) -> &'a [&'a str] {
    if scene.is_on() { &[] } else { &["--userns", "host"] }
}

fn script(scene: &Scene, script: &str) -> Outcome {
    let said = scene.run(off(scene), &["sh", "-c", script]).expect("all engines run programs");
    Outcome::of(said.out.contains("OUT"), said.out + &said.err)
}

fn sleeper<'a>(scene: &'a Scene) -> Detached<'a> {
    Detached::start(scene, off(scene), "bb", &["sleep", "1000"])
}

/// The container's ids on the host: the first, and how many.
fn range(container: &Detached) -> (u64, u64) {
    let map = fs::read_to_string(format!("/proc/{}/uid_map", container.pid())).expect("uid_map");
    let words: Vec<u64> = map.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    (words[1], words[2])
}

/// Runs a command on the host as the container's root.
fn escaped(container: &Detached, command: &[&str]) -> Said {
    run(&range(container).0.to_string(), command)
}

fn run(id: &str, command: &[&str]) -> Said {
    let mut setpriv = Command::new("setpriv");
    let ids = [format!("--reuid={id}"), format!("--regid={id}")];
    setpriv.args(ids).args(["--clear-groups", "--", "env"]).args(command);
    said(&output(setpriv, b""))
}
