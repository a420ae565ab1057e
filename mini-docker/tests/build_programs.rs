//! Builds of what runs: a server that is asked for its page, a program alone in its image. With Debian's packages:
//! `make test-builds`.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
};

use tests::{
    dockerd::Dockerd,
    engine::{Engine, Said, eventually},
    registry::Registry,
};

fn busybox() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// An engine with the image `debian`.
fn debian() -> Engine {
    let archive = std::env::var("MINI_DOCKER_DEBIAN").expect("MINI_DOCKER_DEBIAN: see the Makefile");
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    engine.run(&["import", &archive, "debian"]).ok();
    engine
}

/// Builds the image `t`, however long that takes.
fn build(engine: &Engine, dockerfile: &str, files: &[(&str, &str)]) {
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    for (name, content) in files.iter().chain([&("Dockerfile", dockerfile)]) {
        fs::write(directory.join(name), content).unwrap();
    }
    let certificates = "id=certificates,src=/etc/ssl/certs/ca-certificates.crt";
    let mut command = engine.command(&["build", "-t", "t", directory.to_str().unwrap()]);
    if dockerfile.contains("id=certificates") {
        command.args(["--secret", certificates]);
    }
    let built = command.stdout(Stdio::null()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// Runs the server of the image `t`, and gets its page.
fn page(engine: &Engine) -> String {
    engine.run(&["run", "-d", "--name", "web", "-p", "127.0.0.1::8000", "t"]).ok();
    let address = engine.run(&["port", "web", "8000"]).ok();
    let page = page_at(address.trim());
    engine.run(&["rm", "-f", "web"]).ok();
    page
}

fn page_at(address: &str) -> String {
    let mut page = String::new();
    eventually("the server answers", || {
        page.clear();
        let asked = TcpStream::connect(address).and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut page)
        });
        asked.is_ok() && !page.is_empty()
    });
    page
}

/// The image `t` where Docker has it from a registry.
struct UnderDocker {
    docker: Dockerd,
    name: String,
    _registry: Registry,
}

impl UnderDocker {
    fn new(engine: &Engine) -> Self {
        let registry = Registry::start();
        let name = registry.name("me/t:1");
        engine.run(&["tag", "t", &name]).ok();
        engine.run(&["push", "-q", &name]).ok();
        let docker = Dockerd::start();
        docker.docker(&["pull", "-q", &name]).ok();
        Self { docker, name, _registry: registry }
    }

    /// Runs it with these arguments.
    fn run(&self, arguments: &[&str]) -> Said {
        self.docker.run(&[&["--rm", &self.name], arguments].concat())
    }

    /// Its server's page.
    fn page(&self) -> String {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = format!("PORT={}", address.port());
        self.docker.run(&["-d", "--rm", "--name", "web", "-e", &port, &self.name]).ok();
        let page = page_at(&address.to_string());
        self.docker.docker(&["rm", "-f", "web"]).ok();
        page
    }
}

#[test]
fn a_server_is_built_and_serves() {
    let engine = busybox();
    let dockerfile = "FROM bb\nRUN echo web:x:42:42::/:/bin/sh >> /etc/passwd; echo web:x:42: >> /etc/group\nWORKDIR /srv\nCOPY --chown=web:web index.html .\nEXPOSE 8000\nUSER web\nCMD [\"httpd\", \"-f\", \"-p\", \"8000\"]\n";
    build(&engine, dockerfile, &[("index.html", "<p>built</p>")]);
    let page = page(&engine);
    assert!(page.starts_with("HTTP/1.") && page.ends_with("<p>built</p>"), "{page}");
    assert_eq!(
        engine.run(&["run", "--rm", "t", "sh", "-c", "echo $(id -un) $(stat -c %U index.html)"]).ok(),
        "web web\n"
    );
}

#[test]
fn a_program_is_alone_in_its_image() {
    let engine = busybox();
    let dockerfile = "FROM bb AS build\nRUN cp $(which busybox) /echo\nFROM scratch\nCOPY --from=build /echo /echo\nENTRYPOINT [\"/echo\"]\nCMD [\"alone\"]\n";
    build(&engine, dockerfile, &[]);
    assert_eq!(engine.run(&["run", "--rm", "t"]).ok(), "alone\n");
    let files = engine.path("files");
    engine.run(&["build", "-q", "-o", files.to_str().unwrap(), engine.path("context").to_str().unwrap()]).ok();
    let names: Vec<_> = fs::read_dir(files).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["echo"]);
}

/// What a package manager does: it gives up root's rights, files away, and writes to /tmp.
#[test]
fn steps_change_users_and_owners() {
    let engine = busybox();
    let dockerfile = "FROM bb\nRUN chmod 1777 /tmp && echo apt:x:42:42::/:/bin/sh >> /etc/passwd && su apt -c 'id -u > /tmp/id; id -g >> /tmp/id' && chown 42 /bin && mkfifo /tmp/p\nRUN test -s /etc/resolv.conf && test -w /dev/shm\n";
    build(&engine, dockerfile, &[]);
    let look = "cat /tmp/id; stat -c %u /tmp/id /bin; test -p /tmp/p; stat -c %a /tmp; ls /etc/resolv.conf";
    let said = engine.run(&["run", "--rm", "t", "sh", "-c", look]).ok();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..2], ["42", "42"], "{said}");
    assert!(lines[2] == "42" && lines[3] == "42" && lines[4] == "1777", "{said}");
}

#[test]
#[ignore = "needs Debian and a network: make test-builds"]
fn debian_packages_are_installed_and_serve() {
    let engine = debian();
    let dockerfile = r#"FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-pip libcap2-bin
RUN useradd -m web && cp /usr/bin/env /usr/bin/capable && setcap cap_net_bind_service+ep /usr/bin/capable
WORKDIR /srv
COPY requirements.txt .
RUN --mount=type=secret,id=certificates,target=/certificates \
    PIP_CERT=/certificates pip install --break-system-packages -r requirements.txt
COPY --chown=web:web app.py .
EXPOSE 8000
USER web
CMD ["python3", "app.py"]
"#;
    let program = r#"
import os, bottle
@bottle.get("/")
def page():
    return "<p>built</p>"
bottle.run(host="0.0.0.0", port=int(os.environ.get("PORT", 8000)))
"#;
    build(&engine, dockerfile, &[("requirements.txt", "bottle==0.13.2\n"), ("app.py", program)]);
    let served = |page: &str| page.starts_with("HTTP/1.") && page.ends_with("<p>built</p>");
    let first = page(&engine);
    assert!(served(&first), "{first}");
    let look = ["sh", "-c", "/sbin/getcap /usr/bin/capable; id -un; ls -l /srv/app.py"];
    let said = engine.run(&[&["run", "--rm", "t"], &look[..]].concat()).ok();
    assert!(said.starts_with("/usr/bin/capable cap_net_bind_service=ep\nweb\n-rw-r--r-- 1 web web "), "{said}");
    engine.run(&["check"]).ok();
    let docker = UnderDocker::new(&engine);
    assert_eq!(docker.run(&look).ok(), said);
    let there = docker.page();
    assert!(served(&there), "{there}");
}

#[test]
#[ignore = "needs Debian and a network: make test-builds"]
fn a_static_program_is_compiled_into_an_image_of_its_own() {
    let engine = debian();
    let dockerfile = "FROM debian AS build\nRUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt rm -f /etc/apt/apt.conf.d/docker-clean; apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev\nCOPY hello.c .\nRUN gcc -static -O2 -o /hello hello.c\nFROM scratch\nCOPY --from=build /hello /hello\nENTRYPOINT [\"/hello\"]\n";
    let program = "#include <stdio.h>\nint main(void) { return puts(\"compiled\") < 0; }\n";
    build(&engine, dockerfile, &[("hello.c", program)]);
    assert_eq!(engine.run(&["run", "--rm", "t"]).ok(), "compiled\n");
    engine.run(&["check"]).ok();
    assert_eq!(UnderDocker::new(&engine).run(&[]).ok(), "compiled\n");
}

/// A crate with a dependency of its own, and nothing but the program in its image.
#[test]
#[ignore = "needs Debian and a network: make test-builds"]
fn a_program_in_rust_is_built_in_stages() {
    let engine = debian();
    let dockerfile = r#"# check=error=true
ARG PROGRAM=hello
FROM debian AS rust
RUN apt-get update && apt-get install -y --no-install-recommends rustc cargo
FROM rust AS build
ARG PROGRAM
WORKDIR /src
COPY <<END Cargo.toml
[package]
name = "$PROGRAM"
version = "0.1.0"
[dependencies]
words = { path = "words" }
END
COPY <<END words/Cargo.toml
[package]
name = "words"
version = "0.1.0"
END
COPY words.rs words/src/lib.rs
COPY main.rs src/
RUN --mount=type=cache,target=/src/target RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --offline \
    && cp target/release/$PROGRAM /program
FROM scratch
COPY --link --from=build --chmod=755 /program /program
ENTRYPOINT ["/program"]
CMD ["nobody"]
"#;
    let main = "fn main() { println!(\"{}\", words::greet(&std::env::args().nth(1).unwrap())) }";
    let words = |word: &str| format!("pub fn greet(name: &str) -> String {{ format!(\"{word} {{name}}\") }}");
    build(&engine, dockerfile, &[("main.rs", main), ("words.rs", &words("hello"))]);
    assert_eq!(engine.run(&["run", "--rm", "t"]).ok(), "hello nobody\n");
    // What has changed is compiled anew, over the compiler's own cache.
    build(&engine, dockerfile, &[("main.rs", main), ("words.rs", &words("goodbye"))]);
    assert_eq!(engine.run(&["run", "--rm", "t", "you"]).ok(), "goodbye you\n");
    assert_eq!(engine.run(&["history", "-q", "t"]).ok().lines().count(), 3);
    engine.run(&["check"]).ok();
    assert_eq!(UnderDocker::new(&engine).run(&["docker"]).ok(), "goodbye docker\n");
}

#[test]
#[ignore = "needs Debian and a network: make test-builds"]
fn a_server_for_node_has_its_packages() {
    let engine = debian();
    let dockerfile = r#"FROM debian AS node
RUN apt-get update && apt-get install -y --no-install-recommends nodejs
FROM node AS packages
RUN apt-get install -y --no-install-recommends npm
WORKDIR /app
COPY package.json .
RUN --mount=type=secret,id=certificates,target=/certificates --mount=type=cache,target=/root/.npm \
    NODE_EXTRA_CA_CERTS=/certificates npm install --omit=dev --no-audit --no-fund
FROM node
RUN useradd -m node
WORKDIR /app
COPY --from=packages --chown=node:node /app .
COPY --chown=node:node server.js .
USER node
EXPOSE 8000
CMD ["node", "server.js"]
"#;
    let package = r#"{"name": "app", "version": "1.0.0", "dependencies": {"ms": "2.1.3"}}"#;
    let server = "require('http').createServer((_, answer) => answer.end('<p>' + require('ms')(60000) + '</p>')).listen(process.env.PORT || 8000)";
    build(&engine, dockerfile, &[("package.json", package), ("server.js", server)]);
    let answers = |page: &str| page.starts_with("HTTP/1.") && page.ends_with("<p>1m</p>");
    let first = page(&engine);
    assert!(answers(&first), "{first}");
    engine.run(&["check"]).ok();
    let there = UnderDocker::new(&engine).page();
    assert!(answers(&there), "{there}");
}
