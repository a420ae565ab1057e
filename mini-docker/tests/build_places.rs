//! Where a build takes from and gives to: registries, directories, archives; and what it shows meanwhile.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
};
use tests::{build::build, engine::Engine, registry::Registry};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
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
