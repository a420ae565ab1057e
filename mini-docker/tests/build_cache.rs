//! What was built before: how it is counted and goes, and how it travels.

use std::fs;
use tests::{build::build, engine::Engine, registry::Registry};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
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
