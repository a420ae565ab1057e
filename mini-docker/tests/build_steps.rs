//! What RUN has while an image is built: networks, limits, secrets; and what other places a build takes from and gives to.

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
    engine::{Engine, Said, eventually},
    registry::Registry,
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// Builds a Dockerfile with nothing beside it.
fn build(engine: &Engine, flags: &[&str], dockerfile: &str) -> Said {
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    engine.run(&[&["build"], flags, &[directory.to_str().unwrap()]].concat())
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

#[test]
fn an_image_that_is_missing_is_pulled() {
    let engine = engine();
    let registry = Registry::start();
    let name = registry.name("me/base:1");
    engine.run(&["tag", "bb", &name]).ok();
    engine.run(&["push", &name]).ok();
    engine.run(&["rmi", &name]).ok();
    build(&engine, &["-q", "-t", "t"], &format!("FROM {name}\nCOPY --from={name} /bin/busybox /x/busybox\n")).ok();
    engine.run(&["run", "--rm", "t", "/x/busybox", "true"]).ok();
    // A newer one of the same name comes when it is asked for.
    let newer = registry.name("me/newer:1");
    build(&engine, &["-q", "-t", &newer], &format!("FROM {name}\nRUN touch /newer\n")).ok();
    engine.run(&["push", &newer]).ok();
    engine.run(&["tag", "t", &newer]).ok();
    let look = format!("FROM {newer}\nRUN ls /newer\n");
    assert_eq!(build(&engine, &["-q"], &look).code, 1, "the old one is there");
    build(&engine, &["-q", "--pull"], &look).ok();
    let said = build(&engine, &[], &format!("FROM {}\n", registry.name("me/nothing")));
    assert!(said.code == 1 && said.err.contains("the pull has failed"), "{said:?}");
    // What nobody needs is not pulled either.
    build(&engine, &["-q"], &format!("FROM {} AS unused\nFROM bb\n", registry.name("me/nothing"))).ok();
}

#[test]
fn files_come_from_other_contexts_and_go_elsewhere() {
    let engine = engine();
    fs::create_dir(engine.path("other")).unwrap();
    fs::write(engine.path("other/f"), "other\n").unwrap();
    let dockerfile = "FROM base AS made\nRUN mkdir /d && echo made > /d/m && ln -s m /d/l\nFROM scratch\nCOPY --from=made /d /d\nCOPY --from=files f /f\n";
    let other = format!("files={}", engine.path("other").display());
    let contexts = ["--build-context", &other, "--build-context", "base=docker-image://bb"];
    let out = engine.path("out");
    let before = engine.run(&["images", "-q"]).ok();
    build(&engine, &[&contexts[..], &["-o", out.to_str().unwrap()]].concat(), dockerfile).ok();
    assert_eq!(fs::read_to_string(out.join("d/l")).unwrap(), "made\n");
    assert_eq!(fs::read_to_string(out.join("f")).unwrap(), "other\n");
    assert_eq!(engine.run(&["images", "-q"]).ok(), before, "only files were asked for");
    let archive = engine.path("files.tar");
    let to = format!("type=tar,dest={}", archive.display());
    build(&engine, &[&contexts[..], &["-o", &to]].concat(), dockerfile).ok();
    let mut archive = tar::Archive::new(fs::File::open(&archive).unwrap());
    let mut names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    names.sort();
    assert_eq!(names, ["d/", "d/l", "d/m", "f"]);
    for kind in ["oci", "docker"] {
        let image = engine.path(kind);
        let to = format!("type={kind},dest={}", image.display());
        build(&engine, &[&contexts[..], &["-o", &to]].concat(), dockerfile).ok();
        let said = engine.run(&["load", "-i", image.to_str().unwrap()]).ok();
        assert!(said.contains("Loaded image"), "{said}");
    }
    for bad in ["type=local", "type=nothing,dest=x", "type=tar,what=x"] {
        assert_eq!(build(&engine, &["-o", bad], "FROM bb\n").code, 1, "{bad}");
    }
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
fn the_cache_is_counted_and_pruned() {
    let engine = engine();
    let steps = "FROM bb\nRUN head -c 1000000 /dev/zero > /big\nRUN --mount=type=cache,target=/c echo cached > /c/f\n";
    build(&engine, &["-q", "-t", "t"], steps).ok();
    let usage = || {
        let said = engine.run(&["system", "df", "--format", "{{.Type}}: {{.TotalCount}} {{.Size}}"]).ok();
        said.lines().find_map(|line| line.strip_prefix("Build Cache: ").map(str::to_owned)).unwrap()
    };
    assert_eq!(usage(), "3 7B", "the image has its layers itself");
    engine.run(&["rmi", "t"]).ok();
    assert_eq!(usage(), "3 1MB");
    let said = engine.run(&["buildx", "du"]).ok();
    assert_eq!(said.lines().filter(|line| line.contains("true") && line.contains(" ago")).count(), 3, "{said}");
    assert!(said.starts_with("ID ") && said.ends_with("Reclaimable:\t1MB\nTotal:\t\t1MB\n"), "{said}");
    let said = engine.run(&["builder", "du", "--verbose", "--filter", "type=exec.cachemount"]).ok();
    assert!(said.contains("Size:\t\t7B\nDescription:\tRUN --mount=type=cache\n"), "{said}");
    assert!(said.ends_with("Reclaimable:\t7B\nTotal:\t\t7B\n"), "{said}");
    let said = engine.run(&["builder", "prune", "-f", "--filter", "type=exec.cachemount"]).ok();
    assert!(said.ends_with("Total reclaimed space: 7B\n"), "{said}");
    assert_eq!(engine.run(&["builder", "prune", "-f", "--filter", "until=24h"]).ok(), "Total reclaimed space: 0B\n");
    let layers = || fs::read_dir(engine.root().join("layers")).unwrap().count();
    let before = layers();
    let said = engine.run(&["builder", "prune", "-af"]).ok();
    assert!(
        said.starts_with("Deleted build cache objects:\n") && said.ends_with("Total reclaimed space: 1MB\n"),
        "{said}"
    );
    assert_eq!((usage(), layers()), ("0 0B".to_owned(), before - 1));
    build(&engine, &["-q"], steps).ok();
}

#[test]
fn the_same_source_is_the_same_image() {
    let engine = engine();
    let steps = "FROM bb\nRUN date > /dev/null; mkdir /d; echo 1 > /d/f; ln -s f /d/l\nCOPY Dockerfile /\nWORKDIR /w\n";
    let made = |flags: &[&str]| build(&engine, &[&["-q", "--no-cache"], flags].concat(), steps).ok();
    let flags = ["--build-arg", "SOURCE_DATE_EPOCH=1000000000"];
    let first = made(&flags);
    // Times have a resolution of their own: a file of the next second is another.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(made(&flags), first);
    assert_ne!(made(&[]), first, "or it would always be the same");
    let image = engine.run(&["image", "inspect", "-f", "{{.Created}}", first.trim()]).ok();
    assert_eq!(image, "2001-09-09T01:46:40Z\n");
    let mut command = engine.command(&["build", "-q", engine.path("context").to_str().unwrap()]);
    let said = command.env("SOURCE_DATE_EPOCH", "1000000000").output().unwrap();
    assert_eq!(String::from_utf8(said.stdout).unwrap(), first, "as a variable of the user's, and from the cache");
    assert_eq!(build(&engine, &["--build-arg", "SOURCE_DATE_EPOCH=x"], steps).code, 1);
}

#[test]
fn a_cache_travels_with_an_image() {
    let (one, other) = (engine(), Engine::empty(env!("CARGO_BIN_EXE_mini-docker")));
    // On the same base: what another imports is another.
    let base = one.path("base.tar");
    one.run(&["save", "-o", base.to_str().unwrap(), "bb"]).ok();
    other.run(&["load", "-i", base.to_str().unwrap()]).ok();
    let registry = Registry::start();
    let name = registry.name("me/cached:1");
    let steps = "FROM bb\nRUN cat /proc/sys/kernel/random/uuid > /u\nWORKDIR /w\n";
    let uuid = |engine: &Engine, image: &str| engine.run(&["run", "--rm", image, "cat", "/u"]).ok();
    let directory = one.path("cache");
    let to = format!("type=local,dest={}", directory.display());
    build(&one, &["-q", "-t", &name, "--cache-to", "type=inline", "--cache-to", &to], steps).ok();
    one.run(&["push", &name]).ok();
    build(&other, &["-q", "-t", "without"], steps).ok();
    assert_ne!(uuid(&other, "without"), uuid(&one, &name));
    other.run(&["rmi", "without"]).ok();
    other.run(&["builder", "prune", "-af"]).ok();
    build(&other, &["-q", "-t", "with", "--cache-from", &name], steps).ok();
    assert_eq!(uuid(&other, "with"), uuid(&one, &name));
    // It came for its steps alone.
    assert!(!other.run(&["images"]).ok().contains("me/cached"));
    other.run(&["rmi", "with"]).ok();
    other.run(&["builder", "prune", "-af"]).ok();
    let from = format!("type=local,src={}", directory.display());
    build(&other, &["-q", "-t", "with", "--cache-from", &from], steps).ok();
    assert_eq!(uuid(&other, "with"), uuid(&one, &name));
    // One that is not there is said, and no reason to fail.
    let said = build(&other, &["--cache-from", &registry.name("me/nothing")], steps);
    assert!(said.code == 0 && said.err.contains("nothing is taken from the cache"), "{said:?}");
    assert_eq!(build(&other, &["--cache-to", "type=gha"], steps).code, 1);
}

/// A cache that is nothing else, of all stages or of those in the image.
#[test]
fn a_cache_travels_alone() {
    let (one, other) = (engine(), Engine::empty(env!("CARGO_BIN_EXE_mini-docker")));
    let base = one.path("base.tar");
    one.run(&["save", "-o", base.to_str().unwrap(), "bb"]).ok();
    other.run(&["load", "-i", base.to_str().unwrap()]).ok();
    let registry = Registry::start();
    let name = registry.name("me/cache:1");
    let steps = "FROM bb AS made\nRUN cat /proc/sys/kernel/random/uuid > /u; touch /more\nFROM bb\nRUN touch /own\nCOPY --from=made /u /u\n";
    let directory = one.path("cache");
    let (source, place) = (format!("type=local,src={}", directory.display()), directory.display().to_string());
    let plain = build(&one, &["-q"], steps).ok();
    for (mode, cached) in [("min", 1), ("max", 3)] {
        for to in [format!("type=registry,ref={name},mode={mode}"), format!("type=local,dest={place},mode={mode}")] {
            assert_eq!(build(&one, &["-q", "--cache-to", &to], steps).ok(), plain, "the image has nothing of it");
        }
        for from in [&format!("type=registry,ref={name}"), &name, &source] {
            let said = build(&other, &["-t", "t", "--cache-from", from], steps);
            assert_eq!((said.code, said.err.matches(" CACHED").count()), (0, cached), "{mode} {from}: {said:?}");
            if mode == "max" {
                assert_eq!(other.run(&["image", "inspect", "-f", "{{.Id}}", "t"]).ok(), plain);
            }
            other.run(&["rmi", "t"]).ok();
            assert_eq!(other.run(&["images", "-aq"]).ok().lines().count(), 1, "{from}: the base alone is left");
            other.run(&["builder", "prune", "-af"]).ok();
        }
    }
    assert_eq!(one.run(&["images", "-a"]).ok().matches("me/cache").count(), 0);
    // What cannot be written is an error, unless the user says otherwise.
    let nowhere = "type=registry,ref=127.0.0.1:9/me/cache:1";
    let said = build(&one, &["-q", "--cache-to", nowhere], steps);
    assert!(said.code == 1 && said.err.contains("127.0.0.1:9"), "{said:?}");
    let said = build(&one, &["-q", "--cache-to", &format!("{nowhere},ignore-error=true")], steps);
    assert!(said.code == 0 && said.err.contains("the cache is not written"), "{said:?}");
    assert_eq!(one.run(&["images", "-aq"]).ok().lines().count(), 2);
    for bad in ["type=registry", "type=local", "type=inline,mode=most", "type=s3,bucket=x", "type=local,dest=x,what=y"]
    {
        let said = build(&one, &["--cache-to", bad], steps);
        assert!(said.code == 1 && said.err.contains("invalid --cache-to"), "{bad}: {said:?}");
    }
}

#[test]
fn what_is_built_is_pushed_and_told_of() {
    let engine = engine();
    let registry = Registry::start();
    let (one, two) = (registry.name("me/one:1"), registry.name("me/two:2"));
    let (id, told) = (engine.path("id"), engine.path("told"));
    let files = ["--iidfile", id.to_str().unwrap(), "--metadata-file", told.to_str().unwrap()];
    let steps = "FROM bb\nRUN echo pushed > /f\n";
    let said =
        build(&engine, &[&["--push", "-t", &one, "-o", &format!("type=image,name={two}")], &files[..]].concat(), steps);
    assert!(said.code == 0 && said.err.contains(&format!("pushing {one}@sha256:")), "{said:?}");
    let told: serde_json::Value = serde_json::from_str(&fs::read_to_string(told).unwrap()).unwrap();
    assert_eq!(told["containerimage.config.digest"], fs::read_to_string(id).unwrap());
    assert_eq!(told["image.name"], format!("{one},{two}"));
    engine.run(&["rmi", "-f", &one, &two]).ok();
    for name in [&one, &two] {
        let name = format!("{}@{}", name.rsplit_once(':').unwrap().0, told["containerimage.digest"].as_str().unwrap());
        assert_eq!(engine.run(&["run", "-q", "--rm", &name, "cat", "/f"]).ok(), "pushed\n");
    }
    build(&engine, &["-q", "-t", &one, "-o", "type=registry"], steps).ok();
    build(&engine, &["-q", "-t", "here", "--load", "-o", engine.path("files").to_str().unwrap()], steps).ok();
    assert_eq!(engine.run(&["run", "--rm", "here", "cat", "/f"]).ok(), "pushed\n");
    let archive = engine.path("archive");
    build(&engine, &["-q", "-t", "there", "-o", &format!("type=oci,dest={}", archive.display())], steps).ok();
    engine.run(&["rmi", "there"]).ok();
    assert!(engine.run(&["load", "-i", archive.to_str().unwrap()]).ok().contains("there:latest"));
    for (flags, why) in [
        (&["--push"][..], "tag is needed when pushing"),
        (&["-o", "type=local,dest=x,push=true"], "name and push are of type=image"),
        (&["--provenance=true"], "attestations are not made"),
        (&["--sbom", "true"], "attestations are not made"),
        (&["--attest", "type=sbom"], "attestations are not made"),
        (&["--allow", "security.insecure"], "no step gets that"),
        (&["--builder", "far"], "no builder \"far\" found"),
    ] {
        let said = build(&engine, flags, steps);
        assert!(said.code == 1 && said.err.contains(why), "{flags:?}: {said:?}");
    }
    let none = ["--provenance=false", "--sbom=false", "--attest", "type=sbom,disabled=true", "--allow", "network.host"];
    build(&engine, &[&["-q", "--builder", "default"], &none[..]].concat(), steps).ok();
    engine.run(&["buildx", "build", "-q", engine.path("context").to_str().unwrap()]).ok();
}

#[test]
fn some_stages_are_built_anew() {
    let engine = engine();
    let steps = "FROM bb AS one\nRUN touch /1\nFROM bb AS two\nRUN touch /2\nFROM two\nCOPY --from=one /1 /\n";
    build(&engine, &["-q"], steps).ok();
    for (flags, cached) in [(&[][..], 3), (&["--no-cache-filter", "one"], 2), (&["--no-cache-filter", "One,two"], 1)] {
        let said = build(&engine, flags, steps);
        assert_eq!(said.err.matches(" CACHED").count(), cached, "{flags:?}: {}", said.err);
    }
}

#[test]
fn independent_stages_are_built_side_by_side() {
    let engine = engine();
    // Each waits for the other, over a directory that both have.
    let meet = "RUN --mount=type=cache,target=/m touch /m/MINE && i=0; until test -e /m/THEIRS; do i=$((i+1)); test $i -lt 2000 || exit 7; usleep 10000; done; echo MINE > /MINE\n";
    let half = |name: &str, mine: &str, theirs: &str| {
        format!("FROM bb AS {name}\n{}", meet.replace("MINE", mine).replace("THEIRS", theirs))
    };
    let both = half("one", "a", "b") + &half("two", "b", "a");
    let dockerfile =
        format!("{both}FROM bb AS unused\nRUN exit 9\nFROM bb\nCOPY --from=one /a /\nCOPY --from=two /b /\n");
    let said = build(&engine, &["-t", "t"], &dockerfile);
    assert_eq!(said.code, 0, "{said:?}");
    let numbers = said.err.lines().filter(|line| line.contains("] RUN ") || line.contains("] COPY "));
    let numbers: Vec<_> = numbers.map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["#1", "#2", "#3", "#4"], "{}", said.err);
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/a", "/b"]).ok(), "a\nb\n");
    let again = build(&engine, &["-t", "t"], &dockerfile);
    assert_eq!(again.err.matches(" CACHED").count(), 4, "{}", again.err);
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn a_stage_that_fails_ends_those_beside_it() {
    let engine = engine();
    let dockerfile = "FROM bb AS slow\nRUN --mount=type=cache,target=/m touch /m/f; sleep 1000\nFROM bb AS bad\nRUN --mount=type=cache,target=/m until test -e /m/f; do usleep 10000; done; echo why; exit 3\nFROM bb\nCOPY --from=slow / /s\nCOPY --from=bad / /b\n";
    let said = build(&engine, &["-t", "t"], dockerfile);
    assert_eq!((said.code, said.out.as_str()), (1, ""));
    assert!(said.err.contains("why\n------\n") && said.err.contains("   4 | >>> RUN"), "{}", said.err);
    assert!(said.err.ends_with("did not complete successfully: exit code: 3\n"), "{}", said.err);
    eventually("nothing is left", || {
        build(&engine, &["-q"], "FROM bb\nRUN true\n").ok();
        engine.leaks().is_empty()
    });
}

#[test]
fn a_build_that_is_killed_takes_its_stages_with_it() {
    let engine = engine();
    let dockerfile = "FROM bb AS one\nRUN echo step; sleep 1000\nFROM bb AS two\nRUN echo step; sleep 1000; true\nFROM bb\nCOPY --from=one / /s\nCOPY --from=two / /b\n";
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    let mut child = engine.command(&["build", directory.to_str().unwrap()]);
    let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(lines.filter(|line| line.as_ref().unwrap().ends_with(" step")).take(2).count(), 2);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    eventually("the next build clears up", || {
        build(&engine, &["-q"], "FROM bb\nRUN true\n").ok();
        engine.leaks().is_empty()
    });
}

#[test]
fn a_check_names_what_is_better_written_otherwise() {
    let engine = engine();
    let clean = build(&engine, &["--check"], "FROM bb AS a\nCMD [\"sh\"]\n").ok();
    assert_eq!(clean, "Check complete, no warnings found.\n");
    let bad = "FROM bb as One\nMAINTAINER me\nENV a b\nWORKDIR rel\nCMD x\nCMD y\nrun true\nARG MY_PASSWORD\nFROM bb AS one\n";
    let said = build(&engine, &["--check"], bad);
    assert_eq!(said.code, 1, "{said:?}");
    for rule in [
        "FromAsCasing",
        "StageNameCasing",
        "MaintainerDeprecated",
        "LegacyKeyValueFormat",
        "WorkdirRelativePath",
        "JSONArgsRecommended",
        "MultipleInstructionsDisallowed",
        "ConsistentInstructionCasing",
        "SecretsUsedInArgOrEnv",
        "DuplicateStageName",
    ] {
        assert!(said.out.contains(&format!("WARNING: {rule}\n")), "{rule}: {}", said.out);
    }
    assert!(said.out.contains("   2 | >>> MAINTAINER me\n"), "{}", said.out);
    let skipped = format!("# check=skip=all\n{bad}");
    build(&engine, &["--check"], &skipped).ok();
    assert_eq!(build(&engine, &["--check"], "FROM\n").code, 1);
    assert_eq!(engine.run(&["images", "-q"]).ok().lines().count(), 1, "nothing is built");
}

#[test]
fn a_check_knows_what_is_meant() {
    let engine = engine();
    for (rule, bad, good) in [
        ("WorkdirRelativePath", "FROM bb\nWORKDIR b\n", "FROM bb AS a\nWORKDIR /a\nWORKDIR b\nFROM a\nWORKDIR c\n"),
        ("JSONArgsRecommended", "FROM bb\nCMD x\n", "FROM bb\nSHELL [\"/bin/sh\", \"-c\"]\nCMD x\n"),
        ("SecretsUsedInArgOrEnv", "FROM bb\nENV A=1 API_TOKEN=x\n", "FROM bb\nENV PUBLIC_KEY=1 KEYBOARD=x\n"),
        ("UndefinedArgInFrom", "FROM bb$X\n", "ARG X\nFROM bb$X$TARGETARCH${Y:-}\n"),
        ("RedundantTargetPlatform", "FROM --platform=$TARGETPLATFORM bb\n", "FROM --platform=$BUILDPLATFORM bb\n"),
        ("FromPlatformFlagConstDisallowed", "FROM --platform=linux bb\n", "FROM --platform=$BUILDPLATFORM bb\n"),
        ("ExposeProtoCasing", "FROM bb\nEXPOSE 80/TCP\n", "FROM bb\nEXPOSE 80/tcp\n"),
        ("ExposeInvalidFormat", "FROM bb\nEXPOSE 127.0.0.1:80:80\n", "FROM bb\nEXPOSE 80-90\n"),
    ] {
        let said = build(&engine, &["--check"], bad);
        assert!(said.code == 1 && said.out.contains(&format!("WARNING: {rule}\n")), "{rule}: {said:?}");
        assert!(said.out.contains("1 warning has been found!"), "{rule}: {said:?}");
        assert_eq!(build(&engine, &["--check"], good).ok(), "Check complete, no warnings found.\n", "{rule}");
    }
}

#[test]
fn warnings_are_shown_and_may_be_errors() {
    let engine = engine();
    let said = build(&engine, &["-t", "t"], "FROM bb\nCMD x\n");
    assert!(said.code == 0 && said.err.contains(" 1 warning found"), "{said:?}");
    assert!(said.err.contains("\n - JSONArgsRecommended: ") && said.err.contains("(line 2)\n"), "{said:?}");
    assert_eq!(build(&engine, &["-q"], "FROM bb\nCMD x\n").err, "");
    let fatal = "# check=error=true\nFROM bb\nRUN touch /never\nCMD x\n";
    for flags in [&["-t", "never"][..], &["-q"]] {
        let said = build(&engine, flags, fatal);
        let end = "failed to solve: lint violation found for rules: JSONArgsRecommended\n";
        assert!(said.code == 1 && said.err.ends_with(end), "{said:?}");
        assert!(!said.err.contains("touch"), "nothing is built: {said:?}");
    }
    let given = ["-q", "--build-arg", "BUILDKIT_DOCKERFILE_CHECK=skip=JSONArgsRecommended;error=true"];
    build(&engine, &given, fatal).ok();
    build(&engine, &["-q"], &fatal.replace("error", "skip=Other,JSONArgsRecommended; error")).ok();
    build(&engine, &["-q"], &fatal.replace("true", "false")).ok();
    let said = build(&engine, &["-q"], &fatal.replace("error", "errors"));
    assert!(said.code == 1 && said.err.contains("invalid check option \"errors=true\""), "{said:?}");
}

#[test]
fn a_terminal_shows_what_runs() {
    let engine = engine();
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    let steps = "FROM bb\nRUN --mount=type=cache,target=/m echo first; until test -e /m/go; do usleep 10000; done\nRUN printf '\\033[2Jsaid\\n'; exit 4\n";
    fs::write(directory.join("Dockerfile"), steps).unwrap();
    let mut command = engine.command(&[]);
    let line = format!("{} build {}", command.get_program().display(), directory.display());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    terminal.env("TERM", "xterm").env_remove("BUILDKIT_PROGRESS");
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut text = String::new();
    let mut until = |what: &str, shown: &dyn Fn(&str) -> bool| {
        let mut bytes = [0; 4096];
        while !shown(&text) {
            let length = screen.read(&mut bytes).unwrap();
            assert!(length > 0, "{what} is not in {text:?}");
            text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    };
    until("output", &|text| text.contains(" => => first"));
    // Nothing happens but that time passes.
    until("the time", &|text| {
        let times = text.split("[+] Building ").skip(1).filter_map(|rest| rest.split('s').next());
        times.collect::<std::collections::BTreeSet<_>>().len() > 3
    });
    let caches = engine.root().join("build/caches");
    let cache = fs::read_dir(caches).unwrap().flatten().map(|entry| entry.path()).find(|path| path.is_dir());
    fs::write(cache.unwrap().join("go"), "").unwrap();
    until("the second step's output", &|text| text.contains(" => => said"));
    until("the error", &|text| text.contains("did not complete successfully: exit code: 4"));
    assert!(text.contains("(1/2)") && text.contains("   3 | >>> RUN printf"), "{text:?}");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    command.args(["build", "--progress", "tty"]).arg(&directory);
    let said = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert_eq!(said, "mini-docker: --progress=tty: standard error is no terminal; use plain or auto\n");
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
