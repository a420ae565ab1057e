//! The compose projects of book/examples, for real: built from Debian's packages, they serve, keep their data across `down`
//! and `up`, and lose it with `down -v`. `make test-examples`.

use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::Stdio,
};

use tests::engine::{Engine, Said, eventually, said};

/// An example in a store of its own. Dropped, it is taken down.
struct Example {
    engine: Engine,
    name: String,
    directory: String,
}

impl Example {
    /// Over an image `debian`, with every port of the host's choice.
    fn new(directory: &str) -> Self {
        let archive = std::env::var("MINI_DOCKER_DEBIAN").expect("MINI_DOCKER_DEBIAN: see the Makefile");
        let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
        engine.run(&["import", &archive, "debian"]).ok();
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../book/examples").join(directory);
        Self { engine, name: format!("{directory}{}", std::process::id()), directory: place.display().to_string() }
    }

    /// However long it takes.
    fn compose(&self, arguments: &[&str]) -> Said {
        let own = ["compose", "-p", &self.name, "--project-directory", &self.directory];
        let mut command = self.engine.command(&[&own, arguments].concat());
        command.env("WEB_PORT", "0").env("DB_PORT", "0").stdout(Stdio::piped()).stderr(Stdio::piped());
        said(&command.output().unwrap())
    }

    /// Asks the page, until somebody answers.
    fn ask(&self, request: &str) -> String {
        let address = self.compose(&["port", "web", "8000"]).ok().trim().replace("0.0.0.0", "127.0.0.1");
        let mut answer = String::new();
        eventually("the page is served", || {
            answer.clear();
            let asked = TcpStream::connect(&address).and_then(|mut stream| {
                stream.write_all(request.as_bytes())?;
                stream.read_to_string(&mut answer)
            });
            asked.is_ok() && (answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.0 201"))
        });
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn volumes(&self) -> String {
        self.engine.run(&["volume", "ls", "-q"]).ok()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        self.compose(&["down", "-v", "-t", "0", "--remove-orphans"]);
    }
}

const GET: &str = "GET / HTTP/1.0\r\n\r\n";

#[test]
#[ignore = "needs Debian and a network: make test-examples"]
fn the_counter_counts_on_after_down_and_up() {
    let example = Example::new("counter");
    example.compose(&["up", "-d"]).ok();
    assert_eq!(example.ask(GET), "Hello! Visit 1.\n");
    assert_eq!(example.ask(GET), "Hello! Visit 2.\n");
    // The directory is in it, and another value of a variable makes another container.
    let listed = example.compose(&["exec", "web", "ls", "/code"]).ok();
    assert!(listed.contains("compose.yaml"), "{listed}");
    example.compose(&["down"]).ok();
    assert!(example.volumes().contains("_data"));
    example.compose(&["up", "-d"]).ok();
    assert_eq!(example.ask(GET), "Hello! Visit 3.\n");
    example.compose(&["down", "-v"]).ok();
    assert_eq!(example.volumes(), "");
    example.compose(&["up", "-d"]).ok();
    assert_eq!(example.ask(GET), "Hello! Visit 1.\n");
}

#[test]
#[ignore = "needs Debian and a network: make test-examples"]
fn the_notes_are_there_after_down_and_up() {
    let example = Example::new("notes");
    let note = |text: &str| format!("POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    example.compose(&["up", "-d", "--wait"]).ok();
    for text in ["one", "two"] {
        assert_eq!(example.ask(&note(text)), "noted\n");
    }
    assert_eq!(example.ask(GET), "one\ntwo\n");
    // The database answers at its own port, and wants the password.
    let address = example.compose(&["port", "db", "5432"]).ok();
    assert!(TcpStream::connect(address.trim()).is_ok(), "{address}");
    let query = |password: &str| {
        let word = format!("PGPASSWORD={password}");
        example.compose(&[
            "exec",
            "-T",
            "-e",
            &word,
            "db",
            "psql",
            "-h",
            "127.0.0.1",
            "-U",
            "notes",
            "-Atc",
            "SELECT count(*) FROM notes",
        ])
    };
    assert_eq!(query("example").ok(), "2\n");
    assert_ne!(query("wrong").code, 0);
    example.compose(&["down"]).ok();
    example.compose(&["up", "-d"]).ok();
    assert_eq!(example.ask(GET), "one\ntwo\n");
    example.compose(&["down", "-v"]).ok();
    assert_eq!(example.volumes(), "");
    example.compose(&["up", "-d"]).ok();
    assert_eq!(example.ask(GET), "");
}
