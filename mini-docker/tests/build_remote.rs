//! What a build takes from elsewhere: by HTTP, and from git repositories.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command},
    sync::mpsc::channel,
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tests::engine::{Engine, Said, eventually, output, said};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn build(engine: &Engine, flags: &[&str], dockerfile: &str) -> Said {
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    engine.run(&[&["build"], flags, &[directory.to_str().unwrap()]].concat())
}

/// A server that answers each request with `content`, and those of /none with 404.
fn serve(content: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let status = if lines[0].contains("/none") { "404 Not Found" } else { "200 OK" };
            let head = format!(
                "HTTP/1.1 {status}\r\nLast-Modified: Sun, 09 Sep 2001 01:46:40 GMT\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                content.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(content));
        }
    });
    format!("http://{address}")
}

#[test]
fn add_takes_files_from_addresses() {
    let engine = engine();
    let server = serve(b"far\n");
    let digest = "sha256:d32da4bb77c79df55b1fc1e3ba1c24b05ec6b8dd05a01a4d7a4b3c1b0f7cb4dd";
    build(&engine, &["-q", "-t", "t"], &format!("FROM bb\nADD {server}/d/f?x=1 /d/\nADD {server}/d/f /g\n")).ok();
    let look = ["run", "--rm", "t", "stat", "-c", "%n %a %u %Y", "/d/f", "/g"];
    assert_eq!(engine.run(&look).ok(), "/d/f 600 0 1000000000\n/g 600 0 1000000000\n");
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/d/f"]).ok(), "far\n");
    let said = build(&engine, &[], &format!("FROM bb\nADD --checksum={digest} {server}/f /f\n"));
    assert!(said.code == 1 && said.err.contains("digest mismatch"), "{said:?}");
    let found = said.err.split("it is ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    build(&engine, &["-q"], &format!("FROM bb\nADD --checksum={found} {server}/f /f\n")).ok();
    for (line, why) in [
        (format!("ADD {server}/none /f"), "404"),
        ("ADD http://127.0.0.1:9/f /f".to_owned(), "127.0.0.1:9"),
        (format!("ADD --checksum={digest} Dockerfile /f"), "checksum is only for"),
    ] {
        let said = build(&engine, &[], &format!("FROM bb\n{line}\n"));
        assert!(said.code == 1 && said.err.contains(why), "{line}: {said:?}");
    }
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_dockerfile_comes_from_an_address() {
    let engine = engine();
    let server = serve(b"FROM bb\nRUN echo far > /f\n");
    engine.run(&["build", "-q", "-t", "t", &format!("{server}/Dockerfile")]).ok();
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/f"]).ok(), "far\n");
}

fn git(directory: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.current_dir(directory).args(["-c", "user.name=n", "-c", "user.email=e", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Serves the repositories below a directory.
struct GitDaemon {
    process: Child,
    address: String,
}

impl GitDaemon {
    fn start(directory: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("git");
        command.args(["daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]);
        let process = command.arg(format!("--port={port}")).arg(format!("--base-path={}", directory.display())).spawn();
        eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { process: process.unwrap(), address: format!("git://127.0.0.1:{port}") }
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // By a signal that it passes on to those who serve.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}

/// A server that asks for a password keeps what it was told.
#[test]
fn a_dockerfile_uses_nobody_s_credentials() {
    let engine = engine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, heard) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let lines: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let _ = told.send(lines.iter().any(|line| line.to_lowercase().starts_with("authorization:")));
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let home = engine.path("home");
    fs::create_dir(&home).unwrap();
    fs::write(home.join(".git-credentials"), format!("http://op:word@127.0.0.1%3a{port}\n")).unwrap();
    fs::write(home.join(".gitconfig"), "[credential]\n\thelper = store\n").unwrap();
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("Dockerfile"), format!("FROM bb\nADD http://127.0.0.1:{port}/x.git /src\n")).unwrap();
    let repository = format!("http://127.0.0.1:{port}/x.git");
    // On his own command line the user means himself.
    for (source, is_told) in [(context.to_str().unwrap(), false), (&repository, true)] {
        let said = said(&output(with_home(engine.command(&["build", source]), &home), b""));
        assert_eq!(said.code, 1, "{said:?}");
        assert_eq!(heard.try_iter().any(|is_told| is_told), is_told, "{source}: {said:?}");
    }
}

fn with_home(mut command: Command, home: &Path) -> Command {
    command.env("HOME", home);
    command
}

#[test]
fn a_repository_is_a_source_and_a_context() {
    let engine = engine();
    let server = engine.path("served");
    let tree = server.join("x.git");
    fs::create_dir_all(tree.join("below")).unwrap();
    fs::write(tree.join("below/Dockerfile"), "FROM bb\nCOPY f /f\n").unwrap();
    fs::write(tree.join("below/f"), "one\n").unwrap();
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "--quiet", "-m", "one"]);
    git(&tree, &["tag", "v1"]);
    fs::write(tree.join("below/f"), "two\n").unwrap();
    git(&tree, &["commit", "--quiet", "-am", "two"]);
    let address = format!("file://{}", tree.display());
    let cat = |path: &str| engine.run(&["run", "--rm", "t", "cat", path]).ok();
    engine.run(&["build", "-q", "-t", "t", &format!("{address}#:below")]).ok();
    assert_eq!(cat("/f"), "two\n");
    engine.run(&["build", "-q", "-t", "t", &format!("{address}#v1:below")]).ok();
    assert_eq!(cat("/f"), "one\n");
    // A Dockerfile, which may be a stranger's, names none of this machine's.
    let add = |flags: &str, repository: &str| {
        build(&engine, &["-q", "-t", "t"], &format!("FROM bb\nADD {flags}{repository} /src\n"))
    };
    let said = add("", &address);
    assert!(said.code == 1 && said.err.contains("transport 'file' not allowed"), "{said:?}");
    let daemon = GitDaemon::start(&server);
    add("", &format!("{}/x.git#v1", daemon.address)).ok();
    assert_eq!(cat("/src/below/f"), "one\n");
    assert_eq!(engine.run(&["run", "--rm", "t", "ls", "-A", "/src"]).ok(), "below\n");
    add("--keep-git-dir=true ", &format!("{}/x.git", daemon.address)).ok();
    assert_eq!(engine.run(&["run", "--rm", "t", "ls", "-A", "/src"]).ok(), ".git\nbelow\n");
    let said = engine.run(&["build", &format!("{address}#nosuch")]);
    assert!(said.code == 1 && said.err.contains("nosuch"), "{said:?}");
}
