//! Builds of what runs: a server that is asked for its page, a program alone in its image. With Debian's packages:
//! `make test-builds`.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
};

use tests::engine::{Engine, eventually};

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
    let mut command = engine.command(&["build", "-t", "t", directory.to_str().unwrap()]);
    let built = command.stdout(Stdio::null()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// Runs the server of the image `t`, and gets its page.
fn page(engine: &Engine) -> String {
    engine.run(&["run", "-d", "--name", "web", "-p", "127.0.0.1::8000", "t"]).ok();
    let address = engine.run(&["port", "web", "8000"]).ok();
    let mut page = String::new();
    eventually("the server answers", || {
        page.clear();
        let asked = TcpStream::connect(address.trim()).and_then(|mut stream| {
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
            stream.read_to_string(&mut page)
        });
        asked.is_ok() && !page.is_empty()
    });
    engine.run(&["rm", "-f", "web"]).ok();
    page
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
    let dockerfile = "FROM debian\nRUN apt-get update && apt-get install -y --no-install-recommends python3 libcap2-bin\nRUN useradd -m web && cp /usr/bin/env /usr/bin/capable && setcap cap_net_bind_service+ep /usr/bin/capable\nWORKDIR /srv\nCOPY --chown=web:web index.html .\nEXPOSE 8000\nUSER web\nCMD [\"python3\", \"-m\", \"http.server\", \"8000\"]\n";
    build(&engine, dockerfile, &[("index.html", "<p>built</p>")]);
    let page = page(&engine);
    assert!(page.starts_with("HTTP/1.") && page.ends_with("<p>built</p>"), "{page}");
    let said = engine.run(&["run", "--rm", "t", "sh", "-c", "/sbin/getcap /usr/bin/capable; id -un"]).ok();
    assert_eq!(said, "/usr/bin/capable cap_net_bind_service=ep\nweb\n");
    engine.run(&["check"]).ok();
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
}
