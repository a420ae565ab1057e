//! What RUN has while an image is built: networks, limits, the user's agent; and what a step that ends badly leaves.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixListener,
    process::{Command, Stdio},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{getsockopt, sockopt::PeerCredentials},
    },
    unistd::{Pid, getuid},
};
use tests::{
    build::build,
    engine::{Engine, eventually},
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn a_step_is_on_a_network_and_finds_names_there() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    engine.run(&["run", "-d", "--name", "web", "--network", "blue", "bb", "sleep", "1000"]).ok();
    let address =
        engine.inspect("web")["NetworkSettings"]["Networks"]["blue"]["IPAddress"].as_str().unwrap().to_owned();
    let look = "FROM bb\nRUN ls /sys/class/net > /links; nslookup web > /web 2>&1 || true\n";
    for (flags, links, found) in [
        (&["--network", "blue"][..], "eth0\nlo\n", true),
        (&[], "eth0\nlo\n", false),
        (&["--network", "none"], "lo\n", false),
        (&["--network", "container:web"], "eth0\nlo\n", true),
    ] {
        build(&engine, &[&["-q", "-t", "t"], flags].concat(), look).ok();
        let web = engine.run(&["run", "--rm", "t", "cat", "/web"]).ok();
        assert_eq!(web.contains(&address), found, "{flags:?}: {web}");
        assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/links"]).ok(), links, "{flags:?}");
    }
    build(&engine, &["-q", "-t", "t"], "FROM bb\nRUN --network=none ls /sys/class/net > /links\n").ok();
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/links"]).ok(), "lo\n");
    let said = build(&engine, &["--network", "nosuch"], "FROM bb\nRUN true\n");
    assert!(said.code == 1 && said.err.contains("nosuch"), "{said:?}");
    engine.run(&["rm", "-f", "web"]).ok();
    // Nobody has a place there any more.
    engine.run(&["network", "rm", "blue"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

/// As a container of `run` does: nothing else is open that comes with the right.
#[test]
fn a_step_pings_and_does_no_more_with_raw_sockets() {
    let engine = engine();
    let look = "FROM bb\nRUN ping -c 1 -W 2 127.0.0.1 > /dev/null && echo pings > /o; arping -c 1 -w 1 -I eth0 192.0.2.1 >> /o 2>&1; true\n";
    build(&engine, &["-q", "-t", "t"], look).ok();
    let said = engine.run(&["run", "--rm", "t", "cat", "/o"]).ok();
    assert_eq!(said, "pings\narping: socket: Operation not permitted\n");
    let none = look.replace("RUN", "RUN --network=none").replace("eth0", "lo");
    build(&engine, &["-q", "-t", "t"], &none).ok();
    assert!(engine.run(&["run", "--rm", "t", "cat", "/o"]).ok().starts_with("pings\n"));
}

/// What a step would only mount is neither copied nor waited for where the cache has what it made.
#[test]
fn a_cached_step_makes_none_of_its_mounts() {
    let engine = engine();
    fs::create_dir(engine.path("other")).unwrap();
    fs::write(engine.path("other/f"), "bound").unwrap();
    let context = format!("other={}", engine.path("other").display());
    let steps = "FROM bb\nRUN --mount=type=bind,from=other,target=/b --mount=type=secret,id=s,required --mount=type=cache,target=/c,sharing=locked cat /b/f /run/secrets/s > /o\n";
    fs::write(engine.path("secret"), "said").unwrap();
    let secret = format!("id=s,src={}", engine.path("secret").display());
    let built = |flags: &[&str]| build(&engine, &[&["-t", "t", "--build-context", &context], flags].concat(), steps);
    built(&["--secret", &secret]).ok();
    // The one that holds the cache's lock is another step, and has no end.
    let waiting = engine.path("waiting");
    fs::create_dir(&waiting).unwrap();
    let dockerfile = "FROM bb\nRUN --mount=type=cache,target=/c,sharing=locked echo step; sleep 1000\n";
    fs::write(waiting.join("Dockerfile"), dockerfile).unwrap();
    let mut child = engine.command(&["build", waiting.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(" step")), "it runs");
    let said = built(&[]);
    assert!(said.code == 0 && said.err.contains(" CACHED"), "{said:?}");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    fs::write(engine.path("other/f"), "other").unwrap();
    eventually("what was killed is gone", || built(&["--secret", &secret]).code == 0);
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/o"]).ok(), "othersaid");
}

#[test]
fn a_killed_step_gives_its_address_back() {
    let engine = engine();
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), "FROM bb\nRUN echo step; sleep 1000\n").unwrap();
    let mut child = engine.command(&["build", directory.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with(" step")), "it runs");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    assert_ne!(engine.leaks(), Vec::<String>::new(), "it had something");
    eventually("the next build clears up", || {
        build(&engine, &["-q"], "FROM bb\nRUN true\n").ok();
        engine.leaks().is_empty()
    });
}

#[test]
fn a_step_has_the_limits_and_hosts_that_it_is_given() {
    let engine = engine();
    let flags = ["-q", "-t", "t", "--ulimit", "nofile=100:200", "--shm-size", "32m", "--add-host", "far:192.0.2.7"];
    build(
        &engine,
        &flags,
        "FROM bb\nRUN ulimit -n > /o; df -m /dev/shm | awk 'END{print $2}' >> /o; grep far /etc/hosts >> /o\n",
    )
    .ok();
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/o"]).ok(), "100\n32\n192.0.2.7\tfar\n");
    // The line was the step's, and is no part of the image.
    assert!(!engine.run(&["run", "--rm", "t", "cat", "/etc/hosts"]).ok().contains("far"));
    let memory = "FROM bb\nRUN head -c 100m /dev/zero | tail -c 90m > /dev/null\n";
    let said = build(&engine, &["--memory", "16m", "--memory-swap", "16m"], memory);
    assert_eq!(said.code, 1, "{said:?}");
    for (flag, why) in [
        ("--squash", "--squash is not supported"),
        ("--rm=false", "never kept"),
        ("--isolation=hyperv", "invalid isolation"),
        ("--platform=linux/s390x", "cannot be built on this machine"),
        ("--add-host=x", "bad format for add-host"),
    ] {
        let said = build(&engine, &[flag], "FROM bb\n");
        assert!(said.code == 1 && said.err.contains(why), "{flag}: {said:?}");
    }
    build(&engine, &["-q", "--rm", "--force-rm", "--platform", "linux"], "FROM bb\n").ok();
}

/// Says `ask` to the agent, and prints what it answers.
const CLIENT: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_un address = {AF_UNIX};
    char answer[99];
    int s = socket(AF_UNIX, SOCK_STREAM, 0), n;
    strncpy(address.sun_path, getenv("SSH_AUTH_SOCK"), sizeof address.sun_path - 1);
    if (connect(s, (void *)&address, sizeof address) || write(s, "ask", 3) != 3) return perror("ask"), 1;
    shutdown(s, SHUT_WR);
    while ((n = read(s, answer, sizeof answer)) > 0) fwrite(answer, 1, n, stdout);
    return n < 0;
}
"#;

#[test]
fn a_step_talks_to_the_users_agent() {
    let engine = engine();
    let socket = engine.path("agent");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut connection, _) = listener.accept().unwrap();
            let peer = getsockopt(&connection, PeerCredentials).unwrap();
            let mut question = String::new();
            connection.read_to_string(&mut question).unwrap();
            assert_eq!((question.as_str(), peer.uid()), ("ask", getuid().as_raw()), "it answers nobody else");
            connection.write_all(b"answer\n").unwrap();
        }
    });
    fs::create_dir_all(engine.path("context")).unwrap();
    fs::write(engine.path("client.c"), CLIENT).unwrap();
    let (source, program) = (engine.path("client.c"), engine.path("context/client"));
    assert!(Command::new("cc").args(["-static", "-o"]).arg(program).arg(source).status().unwrap().success(), "cc");
    let agent = format!("default={}", socket.display());
    let ask = "FROM bb\nCOPY client /\nRUN --mount=type=ssh stat -c '%F %a %u' $SSH_AUTH_SOCK >> /said; cat /proc/self/uid_map >> /map; /client >> /said; echo $SSH_AUTH_SOCK >> /said\nRUN --mount=type=ssh,target=/s,uid=7,mode=0620 su -s /bin/sh -c /client seven >> /said; stat -c '%a %u' /s >> /said\nRUN test -z \"$SSH_AUTH_SOCK\"\n";
    let ask = ask.replacen("COPY", "RUN echo seven:x:7:7::/:/bin/sh >> /etc/passwd\nCOPY", 1);
    build(&engine, &["-q", "-t", "t", "--ssh", &agent], &ask).ok();
    let said = engine.run(&["run", "--rm", "t", "cat", "/said"]).ok();
    assert_eq!(said, "socket 600 0\nanswer\n/run/buildkit/ssh_agent.0\nanswer\n620 7\n");
    asked.join().unwrap();
    assert_eq!(engine.run(&["run", "--rm", "t", "ls", "/"]).ok().find("run"), None);
    let map = engine.run(&["run", "--rm", "t", "cat", "/map"]).ok();
    let own = engine.run(&["run", "--rm", "bb", "cat", "/proc/self/uid_map"]).ok();
    let is_host = |map: &str| map.split_whitespace().eq(["0", "0", "4294967295"]);
    assert_eq!(is_host(&map), is_host(&own), "a step is as far from the host as other containers: {map}");
    let said = build(&engine, &[], "FROM bb\nRUN --mount=type=ssh,required true\n");
    assert!(said.err.contains("give an agent with --ssh default"), "{said:?}");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_shell_opens_before_the_step_that_failed() {
    let engine = engine();
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    let dockerfile = "FROM bb\nENV V=kept\nRUN echo made > /f\nRUN echo lost > /g; exit 4\n";
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    let arguments = ["build", "--debug-shell", directory.to_str().unwrap()];
    let said = engine.run_with(&arguments, b"cat /f; echo $V; ls /g\n");
    assert_eq!((said.code, said.out.as_str()), (1, "made\nkept\n"), "{}", said.err);
    assert!(said.err.contains("/g: No such file or directory"), "{}", said.err);
    assert_eq!(engine.run(&["images", "-aq"]).ok().lines().count(), 1);
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

/// The store's lock is not held while a program runs.
#[test]
fn others_remove_images_while_a_step_runs() {
    let engine = engine();
    let directory = engine.path("waiting");
    fs::create_dir(&directory).unwrap();
    let dockerfile =
        "FROM bb\nRUN echo one > /one\nRUN --mount=type=cache,target=/m until test -e /m/go; do usleep 10000; done\n";
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    let archive = engine.path("other.tar");
    fs::write(&archive, [0; 1024]).unwrap();
    engine.run(&["import", archive.to_str().unwrap(), "other"]).ok();
    let mut build = engine.command(&["build", "-q", "-t", "made", directory.to_str().unwrap()]).spawn().unwrap();
    let caches = engine.root().join("build/caches");
    let cache = || fs::read_dir(&caches).ok()?.flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    eventually("the step runs", || cache().is_some());
    engine.run(&["rmi", "other"]).ok();
    // What the build counts on stays, though its first step is forgotten.
    for command in
        [&["rmi", "-f", "bb:latest"][..], &["image", "prune", "-af"], &["builder", "prune", "-af"], &["ps", "-a"]]
    {
        engine.run(command).ok();
    }
    fs::write(cache().unwrap().join("go"), "").unwrap();
    assert!(build.wait().unwrap().success());
    assert_eq!(engine.run(&["run", "--rm", "made", "cat", "/one"]).ok(), "one\n");
    engine.run(&["check"]).ok();
}
