//! Registries of a test's own: Debian's docker-registry, and one that misbehaves.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::engine::eventually;

/// Debian's docker-registry on a port of its own, with an empty store. Dropped, it ends.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    directory: tempfile::TempDir,
    /// `HOST:PORT`.
    pub address: String,
}

impl Registry {
    /// Starts one that everybody may use.
    ///
    /// # Panics
    /// Without docker-registry.
    pub fn start() -> Self {
        Self::with("")
    }

    /// Starts one with more lines in its configuration.
    ///
    /// # Panics
    /// Without docker-registry.
    pub fn with(more: &str) -> Self {
        Self::at("127.0.0.1", "", more)
    }

    /// Starts one at an address of this machine, with more keys in the section `http`, too: `, KEY: VALUE`.
    ///
    /// # Panics
    /// Without docker-registry.
    pub fn at(host: &str, http: &str, more: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("mini-docker-registry-").tempdir().expect("make a directory");
        // Somebody else may take the port in between.
        for _ in 0..10 {
            let listener = TcpListener::bind((host, 0)).expect("bind");
            let address = listener.local_addr().expect("an address").to_string();
            drop(listener);
            let store = directory.path().join("store");
            let config = directory.path().join("config.yml");
            let text = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: \"{address}\"{http}}}\n{}\n",
                store.display(),
                more.replace("DIRECTORY", &directory.path().display().to_string())
            );
            fs::write(&config, text).expect("write the configuration");
            let mut command = Command::new("docker-registry");
            command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().expect("start docker-registry (apt-get install docker-registry)");
            let mut ended = false;
            eventually("the registry answers", || {
                ended = child.try_wait().expect("wait").is_some();
                ended || TcpStream::connect(&address).is_ok()
            });
            if !ended {
                return Self { child, directory, address };
            }
        }
        panic!("docker-registry finds no port");
    }

    /// A name in it.
    pub fn name(&self, rest: &str) -> String {
        format!("{}/{rest}", self.address)
    }

    /// Its own directory, for files that its configuration names.
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a registry that misbehaves answers for one path.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP's status line after the version.
    pub status: &'static str,
    /// Header lines.
    pub headers: Vec<String>,
    /// The contents.
    pub body: Vec<u8>,
    /// After so many bytes of contents the connection breaks; so many times.
    pub cut: Option<(usize, usize)>,
    /// Whether the connection then only stalls.
    pub stall: bool,
}

impl Answer {
    /// A good one.
    pub fn new(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![format!("Content-Type: {content_type}")];
        Self { status: "200 OK", headers, body: body.into(), cut: None, stall: false }
    }
}

/// A registry whose answers a test makes up.
#[derive(Debug, Clone)]
pub struct Fake {
    /// `127.0.0.1:PORT`.
    pub address: String,
    answers: Arc<Mutex<BTreeMap<String, Vec<Answer>>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// One without answers. It ends with the process.
    ///
    /// # Panics
    /// Without a port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("an address").to_string();
        let fake = Self { address, answers: Arc::default(), requests: Arc::default() };
        let server = fake.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || server.serve(&connection));
            }
        });
        fake
    }

    /// Answers `path`.
    ///
    /// # Panics
    /// Where a thread of it has panicked.
    pub fn put(&self, path: &str, answer: Answer) {
        self.put_in_turn(path, vec![answer]);
    }

    /// Answers `path` with one after the other, and with the last for ever.
    ///
    /// # Panics
    /// Where a thread of it has panicked.
    pub fn put_in_turn(&self, path: &str, answers: Vec<Answer>) {
        self.answers.lock().expect("a lock").insert(path.to_owned(), answers);
    }

    /// All requests so far: method, path, and range or authorization if any.
    ///
    /// # Panics
    /// Where a thread of it has panicked.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a lock").clone()
    }

    fn serve(&self, connection: &TcpStream) {
        let mut reader = BufReader::new(connection);
        loop {
            let mut lines = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if line.trim().is_empty() {
                    break;
                }
                lines.push(line.trim().to_owned());
            }
            let mut words = lines.first().map_or("", String::as_str).split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let header = |name: &str| {
                let found = lines
                    .iter()
                    .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)));
                found.map(|(_, value)| value.to_owned())
            };
            let length = header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            let _ = std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink());
            let range = header("range");
            let note = range.clone().or_else(|| header("authorization")).unwrap_or_default();
            self.requests.lock().expect("a lock").push(format!("{method} {path} {note}").trim_end().to_owned());
            if self.answer(connection, path, range.as_deref()).is_none() {
                return;
            }
        }
    }

    /// `None` where the connection ends with it.
    fn answer(&self, mut connection: &TcpStream, path: &str, range: Option<&str>) -> Option<()> {
        let mut answers = self.answers.lock().expect("a lock");
        let none = Answer { status: "404 Not Found", ..Answer::new("application/json", "{}") };
        let root = Answer::new("application/json", "{}");
        let Answer { status, headers, body, cut, stall } = match answers.get_mut(path) {
            Some(turns) if turns.len() > 1 => turns.remove(0),
            Some(turns) => match turns.first_mut() {
                Some(answer) => {
                    let now = answer.clone();
                    answer.cut = answer.cut.and_then(|(at, times)| (times > 1).then_some((at, times - 1)));
                    now
                }
                None => none,
            },
            None if path == "/v2/" => root,
            None => none,
        };
        drop(answers);
        let from = range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
        let from = from.filter(|&from| from <= body.len());
        let (status, part) = match from {
            Some(from) => ("206 Partial Content", &body[from..]),
            None => (status, &body[..]),
        };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", part.len());
        if let Some(from) = from {
            let last = body.len().saturating_sub(1);
            head.extend([format!("Content-Range: bytes {from}-{last}/{}\r\n", body.len())]);
        }
        head.extend(headers.iter().map(|line| format!("{line}\r\n")));
        connection.write_all((head + "\r\n").as_bytes()).ok()?;
        let (sent, cut) = match cut {
            Some((at, _)) => (at.min(part.len()), true),
            None => (part.len(), false),
        };
        connection.write_all(&part[..sent]).ok()?;
        if cut && stall {
            // Longer than any client waits.
            thread::sleep(Duration::from_secs(30));
        }
        if cut { None } else { Some(()) }
    }
}
