//! Other users of the host, and what an engine leaves for them to find.

use std::{fs, path::PathBuf, process::Command};

use tests::engine::{output, said};

use crate::{
    attack::{Attack, Outcome, SECRET, Scene},
    files::Detached,
};

const FAMILY: &str = "host";
const ROOT: &str = "the same as root";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, ROOT, move |scene| {
            if scene.target.is_engine() { act(scene) } else { Outcome::Not("it has no store".to_owned()) }
        })
    };
    vec![
        attack("a user reads a container's files in the store", "CVE-2021-41091", |scene| {
            let container = secretive(scene);
            let id = scene.target.engine(&["inspect", "-f", "{{.Id}}", &container.name]).ok();
            found(scene, &root(scene), id.trim())
        }),
        attack("a user reads a container's configuration, with the secrets of its environment", "", |scene| {
            let _container = secretive(scene);
            found(scene, &root(scene), SECRET)
        }),
        attack("a user reads what a container wrote to its log", "", |scene| {
            let container = secretive(scene);
            tests::engine::eventually("it is logged", || {
                Scene::tells(&scene.target.engine(&["logs", &container.name]).out)
            });
            found(scene, &root(scene), SECRET)
        }),
        attack("a user talks to what looks after a container", "CVE-2020-15257", |scene| {
            let container = secretive(scene);
            let id = scene.target.engine(&["inspect", "-f", "{{.Id}}", &container.name]).ok();
            let script = format!(
                "for s in $(grep -o '@.*\\|/[^ ]*$' /proc/net/unix | sort -u | grep -e {0} -e /mini-docker/ -e containerd -e docker.sock); do
                     case $s in @*) echo OUT abstract $s;; *) [ -w $s ] && echo OUT $s;; esac; done; ls /run/mini-docker /run/mini-docker/*",
                &id.trim()[..12]
            );
            let said = user(scene, &["sh", "-c", &script]);
            Outcome::of(said.out.contains("OUT") || said.out.contains(id.trim()), said.out + &said.err)
        }),
        attack("a user looks into the processes that look after a container", "", |scene| {
            let container = secretive(scene);
            let pid = container.pid();
            let script = format!(
                "for p in {pid} {}; do cat /proc/$p/environ && ls /proc/$p/fd /proc/$p/root/ && echo OUT; done",
                parent(pid)
            );
            let said = user(scene, &["sh", "-c", &script]);
            Outcome::of(said.out.contains("OUT"), said.out + &said.err)
        }),
        attack("a user reads a container's secrets in the list of processes", "", |scene| {
            let container = secretive(scene);
            let pid = container.pid();
            let script = format!("for p in {pid} {}; do cat /proc/$p/cmdline /proc/$p/environ; done", parent(pid));
            let said = user(scene, &["sh", "-c", &script]);
            Outcome::of(Scene::tells(&said.out), said.out + &said.err)
        }),
        Attack::new(
            (FAMILY, "who attaches and goes, again and again, leaves something behind"),
            "CVE-2025-64329",
            "a server that closes nothing",
            |scene| if scene.target.is_engine() { attached(scene) } else { Outcome::Not("nobody attaches".to_owned()) },
        ),
        attack("a user commands the engine", "", |scene| {
            let container = secretive(scene);
            let command = scene.target.command(&["exec", &container.name, "cat", "/secret"]);
            let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            let environment: Vec<_> = command
                .get_envs()
                .map(|(key, value)| {
                    format!("{}={}", key.to_string_lossy(), value.unwrap_or_default().to_string_lossy())
                })
                .collect();
            let program = command.get_program().to_string_lossy().into_owned();
            let all: Vec<&str> = ["env"]
                .into_iter()
                .chain(environment.iter().map(String::as_str))
                .chain([program.as_str()])
                .chain(words.iter().map(String::as_str))
                .collect();
            let said = user(scene, &all);
            Outcome::of(Scene::tells(&said.out), said.out + &said.err)
        }),
    ]
}

/// Clients that are killed: what looks after the container has no more open in the end than at the beginning.
fn attached(scene: &Scene) -> Outcome {
    const TIMES: usize = 50;
    if !scene.is_on() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = server.local_addr().expect("an address");
        let kept: Vec<_> = (0..TIMES)
            .map(|_| {
                drop(std::net::TcpStream::connect(address).expect("connect"));
                server.accept().expect("accept")
            })
            .collect();
        return Outcome::of(kept.len() == TIMES, "all are kept");
    }
    let container = Detached::start(scene, &["-i"], "bb", &["sleep", "1000"]);
    let monitor = parent(container.pid());
    let open = || fs::read_dir(format!("/proc/{monitor}/fd")).expect("its descriptors").count();
    let before = open();
    for _ in 0..TIMES {
        let mut attach = scene.target.command(&["attach", &container.name]);
        attach.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut client = attach.spawn().expect("attach");
        // Some are connected by then, some not yet.
        std::thread::sleep(std::time::Duration::from_millis(5));
        let _ = client.kill();
        let _ = client.wait();
    }
    let deadline = std::time::Instant::now() + tests::patience(5);
    while open() > before && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Outcome::of(open() > before + 2, format!("{before} open before, {} after", open()))
}

/// A container with a secret in its environment, its files and its log.
/// Of a container's first process: who looks after it.
fn parent(pid: i32) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1)).expect("a parent").to_owned()
}

fn secretive<'a>(scene: &'a Scene) -> Detached<'a> {
    let environment = format!("SECRET={SECRET}");
    let container = Detached::start(
        scene,
        &["-e", &environment],
        "bb",
        &["sh", "-c", "echo $SECRET | tee /secret; touch /ready; sleep 1000"],
    );
    container.await_file("/ready");
    container
}

fn root(scene: &Scene) -> PathBuf {
    match scene.target.own() {
        Some(engine) => {
            // The test's own directory stands in for /var/lib, which all may pass.
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(engine.root().parent().expect("a directory"), open).expect("chmod");
            engine.root()
        }
        None => scene.target.engine(&["info", "-f", "{{.DockerRootDir}}"]).ok().trim().into(),
    }
}

/// Runs a command as the host's nobody; as root where the defence is off.
fn user(scene: &Scene, command: &[&str]) -> tests::engine::Said {
    let mut nobody = if scene.is_on() { Command::new("setpriv") } else { Command::new("env") };
    if scene.is_on() {
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    }
    nobody.args(command);
    said(&output(nobody, b""))
}

/// Whether a user finds the text in a file's name or contents below the directory.
fn found(scene: &Scene, root: &std::path::Path, text: &str) -> Outcome {
    let root = root.to_str().expect("UTF-8");
    let script = format!("find {root} | grep -q '{text}' && echo OUT; grep -rqs '{text}' {root} && echo OUT");
    let said = user(scene, &["sh", "-c", &script]);
    Outcome::of(said.out.contains("OUT"), said.out + &said.err)
}
