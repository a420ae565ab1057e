//! A registry that stalls, lies and dies: a pull ends in a time that is known, says why, and the next one works.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tests::engine::{Engine, Said, output, said};

use crate::sample::{report, sample};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn digest(bytes: &[u8]) -> String {
    let hex = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    format!("sha256:{hex}")
}

/// What a good registry says: the body, and its type, for each path.
struct Image {
    config: Vec<u8>,
    layer: Vec<u8>,
    manifest: Vec<u8>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ping,
    Manifest,
    Config,
    Layer,
}

const PARTS: [Part; 4] = [Part::Ping, Part::Manifest, Part::Config, Part::Layer];

impl Image {
    /// One that no other is like.
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let word = format!("{:05}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(word.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, "word", word.as_bytes()).unwrap();
        let layer = archive.into_inner().unwrap();
        let diff = digest(&layer);
        let config = format!(
            r#"{{"architecture": "amd64", "os": "linux", "rootfs": {{"type": "layers", "diff_ids": ["{diff}"]}}}}"#
        );
        let manifest = format!(
            r#"{{"schemaVersion": 2, "mediaType": "{MANIFEST}", "config": {{"mediaType": "application/vnd.oci.image.config.v1+json", "size": {}, "digest": "{}"}}, "layers": [{{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": {}, "digest": "{diff}"}}]}}"#,
            config.len(),
            digest(config.as_bytes()),
            layer.len()
        );
        Self { config: config.into_bytes(), layer, manifest: manifest.into_bytes() }
    }

    fn part(&self, path: &str) -> Part {
        match path.rsplit('/').next().unwrap_or_default() {
            "" => Part::Ping,
            last if last == digest(&self.config) => Part::Config,
            last if last == digest(&self.layer) => Part::Layer,
            _ => Part::Manifest,
        }
    }

    /// A whole good answer.
    fn answer(&self, part: Part) -> Vec<u8> {
        let (body, kind) = match part {
            Part::Ping => (&b"{}"[..], "application/json"),
            Part::Manifest => (&self.manifest[..], MANIFEST),
            Part::Config => (&self.config[..], "application/octet-stream"),
            Part::Layer => (&self.layer[..], "application/octet-stream"),
        };
        let mut answer =
            head("200 OK", &[&format!("Content-Length: {}", body.len()), &format!("Content-Type: {kind}")]);
        answer.extend(body);
        answer
    }
}

fn head(status: &str, lines: &[&str]) -> Vec<u8> {
    let lines = lines.iter().map(|line| format!("{line}\r\n")).collect::<Vec<_>>().concat();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

/// Serves one request a connection, until the process ends. `answer` gets the path; what it returns an error for ends there.
fn serve(answer: impl Fn(&str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let mut line = String::new();
                let mut reader = BufReader::new(connection.try_clone().unwrap());
                let _ = reader.read_line(&mut line);
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let mut header = String::new();
                while reader.read_line(&mut header).unwrap_or(0) > 2 {
                    header.clear();
                }
                // Who has gone does not listen any more.
                let _ = answer(&path, &mut connection);
            });
        }
    });
    address
}

/// A pull that gives up on a silent connection after a second.
fn pull(engine: &Engine, address: &str) -> Said {
    let config = engine.path("config.json");
    if !config.exists() {
        fs::write(&config, r#"{"timeout": 1}"#).unwrap();
    }
    let mut command = engine.command(&["pull", "-q", &format!("{address}/x:1")]);
    command.env("MINI_DOCKER_CONFIG", config);
    // It is killed after a minute.
    said(&output(command, b""))
}

fn empty() -> Engine {
    Engine::empty(env!("CARGO_BIN_EXE_mini-docker"))
}

/// What a registry does in the place of an answer.
type Trick = fn(&mut TcpStream, &[u8], &str) -> io::Result<()>;

fn for_ever(connection: &mut TcpStream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    loop {
        connection.write_all(bytes)?;
        thread::sleep(pause);
    }
}

const TRICKS: [(&str, Trick); 16] = [
    ("says nothing", |connection, _, _| connection.read(&mut [0]).map(drop)),
    ("hangs up", |_, _, _| Ok(())),
    ("speaks no HTTP", |connection, _, _| connection.write_all(b"220 mail ESMTP\r\n")),
    ("never ends its headers", |connection, _, _| {
        connection.write_all(b"HTTP/1.1 200 OK\r\n")?;
        for_ever(connection, b"X-More: and more\r\n", Duration::ZERO)
    }),
    ("never ends one header", |connection, _, _| {
        connection.write_all(b"HTTP/1.1 200 OK\r\nX-More: ")?;
        for_ever(connection, &[b'x'; 1024], Duration::ZERO)
    }),
    ("never ends its body", |connection, _, _| {
        connection.write_all(&head("200 OK", &["Transfer-Encoding: chunked"]))?;
        for_ever(connection, b"4\r\n    \r\n", Duration::ZERO)
    }),
    ("announces more than it sends", |connection, answer, _| {
        let text = String::from_utf8_lossy(answer).replace("Content-Length: ", "Content-Length: 9");
        connection.write_all(text.as_bytes())
    }),
    ("announces less than it sends", |connection, answer, _| {
        let text = String::from_utf8_lossy(answer).replace("Content-Length: ", "Content-Length: 0\r\nX-Was: ");
        connection.write_all(text.as_bytes())
    }),
    ("announces what is no number", |connection, answer, _| {
        let text = String::from_utf8_lossy(answer).replace("Content-Length: ", "Content-Length: -");
        connection.write_all(text.as_bytes())
    }),
    ("sends something else", |connection, answer, _| {
        let mut answer = answer.to_vec();
        *answer.last_mut().unwrap() ^= 1;
        connection.write_all(&answer)
    }),
    ("sends on to itself", |connection, _, path| {
        connection.write_all(&head("307 Temporary Redirect", &[&format!("Location: {path}"), "Content-Length: 0"]))
    }),
    ("asks who it is again and again", |connection, _, _| {
        connection.write_all(&head("401 Unauthorized", &["WWW-Authenticate: Basic realm=\"x\"", "Content-Length: 0"]))
    }),
    ("sends for tokens to where nobody is", |connection, _, _| {
        let challenge = "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:9/token\",service=\"x\"";
        connection.write_all(&head("401 Unauthorized", &[challenge, "Content-Length: 0"]))
    }),
    ("has too many requests", |connection, _, _| {
        connection.write_all(&head("429 Too Many Requests", &["Retry-After: 1", "Content-Length: 0"]))
    }),
    ("is broken", |connection, _, _| connection.write_all(&head("500 Internal Server Error", &["Content-Length: 0"]))),
    ("drips", |connection, answer, _| {
        for byte in answer {
            connection.write_all(&[*byte])?;
            thread::sleep(Duration::from_millis(700));
        }
        Ok(())
    }),
];

/// Whatever a registry does for one part of an image, until it is good again.
#[test]
fn a_registry_that_misbehaves_is_an_error_in_time() {
    let engine = empty();
    let all: Vec<_> = TRICKS.iter().flat_map(|trick| PARTS.map(|part| (trick, part))).collect();
    let numbers = sample(all.len(), 21);
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let ((what, trick), part) = all[number - 1];
                    misbehaves(&engine, what, *trick, part);
                }
            });
        }
    });
    engine.run(&["check"]).ok();
    report("registry that misbehaves", numbers.len(), numbers.len(), all.len());
}

fn misbehaves(engine: &Engine, what: &str, trick: Trick, at: Part) {
    let image = Image::new();
    let good = Arc::new(AtomicUsize::new(0));
    let is_good = good.clone();
    let address = serve(move |path, connection| {
        let part = image.part(path);
        let answer = image.answer(part);
        if part == at && is_good.load(Ordering::Relaxed) == 0 {
            trick(connection, &answer, path)
        } else {
            connection.write_all(&answer)
        }
    });
    let bad = pull(engine, &address);
    // A ping need not be good, and what is announced wrongly can still be whole.
    let is_clear = bad.code == 1 && bad.err.lines().count() == 1 && bad.err.starts_with("mini-docker: ");
    assert!(bad.code == 0 || is_clear, "{what} at {at:?}: {bad:?}");
    good.store(1, Ordering::Relaxed);
    let again = pull(engine, &address);
    assert_eq!(again.code, 0, "{what} at {at:?}, and is good again: {again:?}");
}

/// A registry that is gone when a stage wants its base: what other stages made stays, and is found by the next build.
#[test]
fn a_build_whose_registry_vanishes_goes_on_from_the_cache() {
    let engine = Engine::new(env!("CARGO_BIN_EXE_mini-docker"));
    let context = engine.path("context");
    fs::create_dir(&context).unwrap();
    for at in PARTS {
        let image = Image::new();
        let back = Arc::new(AtomicUsize::new(0));
        let is_back = back.clone();
        let address = serve(move |path, connection| {
            let part = image.part(path);
            let answer = image.answer(part);
            // In the middle of its answer.
            let gone = part == at && is_back.load(Ordering::Relaxed) == 0;
            connection.write_all(if gone { &answer[..answer.len() / 2] } else { &answer })
        });
        let steps = format!(
            "FROM bb AS one\nRUN echo {at:?} > /one\nFROM {address}/x:1\nCOPY --from=one /one /one\nCOPY --from={address}/x:1 /word /two\n"
        );
        fs::write(context.join("Dockerfile"), steps).unwrap();
        let build = || {
            let mut command = engine.command(&["build", "-t", "t", context.to_str().unwrap()]);
            command.env("MINI_DOCKER_CONFIG", engine.path("config.json"));
            said(&output(command, b""))
        };
        fs::write(engine.path("config.json"), r#"{"timeout": 1}"#).unwrap();
        let bad = build();
        // A ping need not be good.
        if at != Part::Ping {
            let why = format!("no image {address}/x:1: the pull has failed");
            assert!(bad.code == 1 && bad.err.contains(&why) && bad.err.contains("   3 | >>> FROM"), "{at:?}: {bad:?}");
            engine.run(&["check"]).ok();
            assert_eq!(engine.leaks(), Vec::<String>::new(), "{at:?}");
        }
        back.store(1, Ordering::Relaxed);
        let good = build();
        assert!(good.code == 0 && good.err.contains("#1 CACHED\n"), "{at:?}: {good:?}");
        engine.run(&["check"]).ok();
    }
    report("registry that vanishes from a build", PARTS.len(), PARTS.len(), PARTS.len());
}

/// The first answer to each question ends somewhere; what follows is good.
#[test]
fn a_registry_that_dies_anywhere_is_taken_up_again() {
    let engine = empty();
    let lengths = PARTS.map(|part| Image::new().answer(part).len());
    let all: Vec<_> =
        PARTS.iter().zip(lengths).flat_map(|(part, length)| (0..length).map(move |at| (*part, at))).collect();
    let numbers = sample(all.len(), 16);
    let next = AtomicUsize::new(0);
    let at_once = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (part, at) = all[number - 1];
                    at_once.fetch_add(usize::from(dies(&engine, part, at)), Ordering::Relaxed);
                }
            });
        }
    });
    engine.run(&["check"]).ok();
    report("registry that dies", numbers.len(), numbers.len(), all.len());
    assert!(at_once.into_inner() > 0, "a broken connection is taken up again");
}

/// Whether the pull brought the image though.
fn dies(engine: &Engine, at: Part, length: usize) -> bool {
    let image = Image::new();
    let asked = AtomicUsize::new(0);
    let address = serve(move |path, connection| {
        let part = image.part(path);
        let answer = image.answer(part);
        let is_first = part == at && asked.fetch_add(1, Ordering::Relaxed) == 0;
        connection.write_all(if is_first { &answer[..length] } else { &answer })
    });
    let first = pull(engine, &address);
    assert!(first.code == 0 || first.code == 1 && first.err.lines().count() == 1, "{at:?} dies at {length}: {first:?}");
    let again = pull(engine, &address);
    assert_eq!(again.code, 0, "{at:?} died at {length}: {again:?} after {first:?}");
    first.code == 0
}
