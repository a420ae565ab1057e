//! Who takes part, and by which command lines.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Result, Run, WORD, memory::IDLE, microvm, qemu};

/// One way to run a program.
#[derive(Debug, Default)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    /// With its options, as a reader would type it.
    pub(crate) version: String,
    /// Whether it is the plain process.
    pub(crate) base: bool,
    /// Whether a turn takes a second and more.
    pub(crate) slow: bool,
    /// Whether it has a kernel of its own: then all its memory is its cost.
    pub(crate) machine: bool,
    /// Says the word.
    pub(crate) word: Option<Run>,
    /// Serves HTTP.
    pub(crate) http: Option<Run>,
    /// Runs and does nothing.
    pub(crate) idle: Option<Run>,
}

/// Where the files of the measurement are: the root filesystem as a directory and as an archive, and the stores.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    engine: PathBuf,
}

/// The image, the label of containers, and the beginning of their names.
const NAME: &str = "bench-startup";
const RUNTIMES: [&str; 2] = ["crun", "runc"];

impl Place {
    pub(crate) fn new() -> Result<Self> {
        let engine = crate::built()?.join("mini-docker");
        if !engine.exists() {
            return Err(format!("{}: not there: cargo build --release", engine.display()).into());
        }
        let place = Self { directory: TempDir::with_prefix("startup.")?, engine };
        for directory in ["bin", "www", "proc", "sys", "dev", "tmp", "etc"] {
            fs::create_dir_all(place.path("root").join(directory))?;
        }
        let busybox = said("sh", &["-c", "command -v busybox"])?;
        fs::copy(&busybox, place.path("root/bin/busybox"))?;
        for applet in ["echo", "sleep", "httpd", "sh", "ip", "insmod", "mount"] {
            std::os::unix::fs::symlink("busybox", place.path("root/bin").join(applet))?;
        }
        fs::write(place.path("root/www/index.html"), "served\n")?;
        said("tar", &["-C", &place.text("root"), "-cf", &place.text("root.tar"), "."])?;
        Ok(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn podman(&self) -> Vec<String> {
        ["podman", "--root", &self.text("podman"), "--runroot", &self.text("podman-run")].map(str::to_owned).to_vec()
    }

    fn engine(&self, arguments: &[&str]) -> Vec<String> {
        let program = [self.engine.display().to_string(), "--root".to_owned(), self.text("store")];
        program.into_iter().chain(arguments.iter().map(|&word| word.to_owned())).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of a client that was killed the containers stay.
        for engine in [self.engine(&[]), self.podman(), vec!["docker".to_owned()]] {
            let with = |words: &[&str]| [engine.clone(), words.iter().map(|&word| word.to_owned()).collect()].concat();
            let ids = said_all(&with(&["ps", "-aq", "--filter", &format!("label={NAME}")])).unwrap_or_default();
            if !ids.is_empty() {
                Run::of(&with(&[&["rm", "-f"], &ids.lines().collect::<Vec<_>>()[..]].concat())).finish();
            }
        }
        for runtime in RUNTIMES {
            Run::of(&[runtime, "delete", "-f", &format!("{NAME}-word")]).finish();
        }
        // The default bridge, which only this store knows of.
        Run::of(&self.engine(&["network", "prune", "-f"])).finish();
    }
}

/// What a command prints, without the last line's end.
pub(crate) fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let command: Vec<_> = [program].iter().chain(arguments).map(|&word| word.to_owned()).collect();
    said_all(&command)
}

fn said_all(command: &[String]) -> Result<String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// A port of the host's that nobody listens at.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Those who are here, and what is said of those who are not.
pub(crate) fn all(place: &Place) -> (Vec<Contestant>, Vec<String>) {
    let (mut here, mut absent) = (Vec::new(), Vec::new());
    let mut add = |what: &str, found: Result<Vec<Contestant>>| match found {
        Ok(found) => here.extend(found),
        Err(e) => absent.push(format!("{what}: {e}")),
    };
    add("process", process(place));
    add("stages", stages(place));
    add("mini-docker", ours(place));
    add("bubblewrap", bubblewrap(place));
    for runtime in RUNTIMES {
        add(runtime, bundle(place, runtime));
    }
    for engine in ["podman", "docker"] {
        add(engine, peer(place, engine));
    }
    for machine in ["q35", "microvm"] {
        add(&format!("qemu {machine}"), qemu::machine(place, machine).map(|one| vec![one]));
    }
    add("firecracker", microvm::firecracker(place).map(|one| vec![one]));
    add("cloud-hypervisor", microvm::cloud_hypervisor(place).map(|one| vec![one]));
    (here, absent)
}

/// httpd in the foreground, at a port of the host's.
fn serve(prefix: &[&str], port: u16, www: &str) -> Run {
    let at = format!("127.0.0.1:{port}");
    let command = [prefix, &["httpd", "-f", "-p", &at, "-h", www]].concat();
    Run { address: at.clone(), ..Run::of(&command) }
}

fn process(place: &Place) -> Result<Vec<Contestant>> {
    let busybox = place.text("root/bin/busybox");
    Ok(vec![Contestant {
        name: "fork and exec".to_owned(),
        version: said(&busybox, &[])?.lines().next().unwrap_or_default().to_owned(),
        base: true,
        word: Some(Run::of(&[&busybox, "echo", WORD])),
        http: Some(serve(&[&busybox], free_port()?, &place.text("root/www"))),
        ..Contestant::default()
    }])
}

/// The staircase: what is built of the stages' programs.
fn stages(place: &Place) -> Result<Vec<Contestant>> {
    let mut names: Vec<_> = fs::read_dir(crate::built()?)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("stage-") && !name.contains('.'))
        .collect();
    names.sort();
    if names.is_empty() {
        return Err("cargo build --release --workspace builds them".into());
    }
    let built = crate::built()?;
    let one = |name: String| {
        let program = built.join(&name).display().to_string();
        let word = Run::of(&[&program, &place.text("root"), "echo", WORD]);
        Contestant { name, word: Some(word), ..Contestant::default() }
    };
    // The root filesystem's stage makes no container; the networks' want links that are not there.
    Ok(names.into_iter().filter(|name| name.as_str() < "stage-21" && !name.contains("01-rootfs")).map(one).collect())
}

fn ours(place: &Place) -> Result<Vec<Contestant>> {
    said_all(&place.engine(&["import", &place.text("root.tar"), NAME]))?;
    let version = said_all(&place.engine(&["--version"]))?;
    let named = |what: &str| format!("{NAME}-{what}");
    let word = |options: &[&str]| {
        Some(Run::of(&place.engine(&[&["run", "--rm", "--label", NAME], options, &[NAME, "echo", WORD]].concat())))
    };
    let one = |name: &str, word| Contestant {
        name: format!("mini-docker{name}"),
        version: version.clone(),
        word,
        ..Contestant::default()
    };
    let port = free_port()?;
    let http = Run {
        cleanup: place.engine(&["rm", "-f", &named("http")]),
        address: format!("127.0.0.1:{port}"),
        ..Run::of(&place.engine(&[
            "run",
            "--label",
            NAME,
            "--name",
            &named("http"),
            "-p",
            &format!("127.0.0.1:{port}:80"),
            NAME,
            "httpd",
            "-f",
            "-h",
            "/www",
        ]))
    };
    let idle = Run {
        cleanup: place.engine(&["rm", "-f", &named("idle")]),
        ..Run::of(&place.engine(&["run", "-d", "--label", NAME, "--name", &named("idle"), NAME, IDLE[0], IDLE[1]]))
    };
    said_all(&place.engine(&["run", "-d", "--label", NAME, "--name", &named("exec"), NAME, "sleep", "100000"]))?;
    let pid = said_all(&place.engine(&["inspect", "-f", "{{.State.Pid}}", &named("exec")]))?;
    Ok(vec![
        one("", word(&["--network", "none"])),
        one(", bridge", word(&[])),
        Contestant { http: Some(http), idle: Some(idle), ..one(", bridge and port", word(&["-p", "127.0.0.1::80"])) },
        one(" exec", Some(Run::of(&place.engine(&["exec", &named("exec"), "echo", WORD])))),
        Contestant {
            name: "nsenter".to_owned(),
            version: said("nsenter", &["--version"])?,
            word: Some(Run::of(&["nsenter", "-a", "-t", &pid, "echo", WORD])),
            ..Contestant::default()
        },
    ])
}

fn bubblewrap(place: &Place) -> Result<Vec<Contestant>> {
    let root = place.text("root");
    let inside = |network: &[&str]| -> Vec<String> {
        let all = [
            &["bwrap", "--unshare-all", "--die-with-parent"],
            network,
            &["--bind", &root, "/", "--proc", "/proc", "--dev", "/dev"],
        ];
        all.concat().into_iter().map(str::to_owned).collect()
    };
    let with = |words: &[&str]| [inside(&[]), words.iter().map(|&word| word.to_owned()).collect()].concat();
    let shared = inside(&["--share-net"]);
    let shared: Vec<&str> = shared.iter().map(String::as_str).collect();
    Ok(vec![Contestant {
        name: "bubblewrap".to_owned(),
        version: said("bwrap", &["--version"])?,
        word: Some(Run::of(&with(&["echo", WORD]))),
        http: Some(serve(&shared, free_port()?, "/www")),
        idle: Some(Run::of(&with(&IDLE))),
        ..Contestant::default()
    }])
}

/// A runtime that is given a ready bundle.
fn bundle(place: &Place, runtime: &str) -> Result<Vec<Contestant>> {
    let version = said(runtime, &["--version"])?.lines().next().unwrap_or_default().to_owned();
    let template = place.path(&format!("{runtime}-spec"));
    fs::create_dir_all(&template)?;
    said("sh", &["-c", &format!("cd {} && {runtime} spec", template.display())])?;
    let spec: Value = serde_json::from_slice(&fs::read(template.join("config.json"))?)?;
    let make = |what: &str, words: &[&str], network: bool| -> Result<Run> {
        let bundle = place.path(&format!("{runtime}-{what}"));
        fs::create_dir_all(&bundle)?;
        let mut spec = spec.clone();
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(words);
        spec["root"] = json!({ "path": place.path("root"), "readonly": false });
        if network && let Some(all) = spec["linux"]["namespaces"].as_array_mut() {
            all.retain(|one| one["type"] != "network");
        }
        fs::write(bundle.join("config.json"), serde_json::to_string(&spec)?)?;
        let (name, bundle) = (format!("{NAME}-{what}"), bundle.display().to_string());
        let delete = Run::of(&[runtime, "delete", "-f", &name]).command;
        Ok(Run { cleanup: delete, ..Run::of(&[runtime, "run", "--bundle", &bundle, &name]) })
    };
    let at = format!("127.0.0.1:{}", free_port()?);
    let http = make("http", &["httpd", "-f", "-p", &at, "-h", "/www"], true)?;
    let mut idle = make("idle", &IDLE, false)?;
    idle.command.insert(2, "--detach".to_owned());
    Ok(vec![Contestant {
        name: runtime.to_owned(),
        version,
        word: Some(Run { cleanup: Vec::new(), ..make("word", &["echo", WORD], false)? }),
        http: Some(Run { address: at, ..http }),
        idle: Some(idle),
        ..Contestant::default()
    }])
}

fn peer(place: &Place, engine: &str) -> Result<Vec<Contestant>> {
    let base = if engine == "podman" { place.podman() } else { vec![engine.to_owned()] };
    let base: Vec<&str> = base.iter().map(String::as_str).collect();
    let with = |words: &[&str]| Run::of(&[&base[..], words].concat());
    // Its own are higher than some machines let anybody raise them.
    let limits: &[&str] =
        if engine == "podman" { &["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"] } else { &[] };
    // A client may be of another version than the daemon that does the work.
    let version = if engine == "docker" {
        format!("docker {}", said(engine, &["version", "--format", "{{.Server.Version}}"])?)
    } else {
        said(engine, &["--version"])?
    };
    said_all(&with(&["import", &place.text("root.tar"), NAME]).command)?;
    let port = free_port()?;
    let at = format!("127.0.0.1:{port}");
    let (http, idle) = (format!("{NAME}-http"), format!("{NAME}-idle"));
    let server = with(
        &[
            &["run", "--label", NAME, "--name", &http, "-p", &format!("{at}:80")],
            limits,
            &[NAME, "httpd", "-f", "-h", "/www"],
        ]
        .concat(),
    );
    let one = |name: &str, options: &[&str]| Contestant {
        name: format!("{engine}{name}"),
        version: version.clone(),
        word: Some(with(&[&["run", "--rm", "--label", NAME], limits, options, &[NAME, "echo", WORD]].concat())),
        ..Contestant::default()
    };
    Ok(vec![
        one("", &["--network", "none"]),
        Contestant {
            http: Some(Run { cleanup: with(&["rm", "-f", &http]).command, address: at, ..server }),
            idle: Some(Run {
                cleanup: with(&["rm", "-f", &idle]).command,
                ..with(&[&["run", "-d", "--label", NAME, "--name", &idle], limits, &[NAME, IDLE[0], IDLE[1]]].concat())
            }),
            ..one(", bridge and port", &["-p", "127.0.0.1::80"])
        },
    ])
}
