//! Images from Dockerfiles: what is in them, what the cache takes, what is refused, and what a killed build leaves.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;
use tests::engine::{Engine, eventually};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// Writes a context with this Dockerfile, and returns its directory.
fn context(engine: &Engine, dockerfile: &str, files: &[(&str, &str)]) -> String {
    let directory = engine.path("context");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    for (name, content) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory.to_str().unwrap().to_owned()
}

/// What a build that fails says: more than one line.
fn refused(engine: &Engine, arguments: &[&str]) -> String {
    let said = engine.run(arguments);
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{}", said.err);
    said.err
}

/// Where a program is.
fn which(program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.exists());
    found.unwrap().to_str().unwrap().to_owned()
}

fn config(engine: &Engine, name: &str) -> serde_json::Value {
    let text = engine.run(&["image", "inspect", name]).ok();
    serde_json::from_str::<Vec<_>>(&text).unwrap().pop().unwrap()
}

#[test]
fn a_dockerfile_becomes_an_image() {
    let engine = engine();
    let dockerfile = "ARG base=bb\nFROM $base AS one\nARG v=1\nENV A=x$v\nWORKDIR /w\nRUN echo \"$A $v\" > out\nFROM one AS unused\nRUN exit 9\nFROM bb\nCOPY --from=one --chown=3:4 /w/out /got\nCOPY <<EOF /doc\nhere ${nothing:-doc}\nEOF\nRUN <<EOF\necho run >> /doc\nEOF\nLABEL k=v\nEXPOSE 80\nUSER 5\nENTRYPOINT [\"cat\"]\nCMD [\"/got\", \"/doc\"]\n";
    let directory = context(&engine, dockerfile, &[]);
    let id = engine.run(&["build", "-q", "-t", "t:1", "--build-arg", "v=2", &directory]).ok();
    assert!(id.starts_with("sha256:") && id.trim().len() == 71, "{id}");
    assert_eq!(engine.run(&["run", "--rm", "t:1"]).ok(), "x2 2\nhere doc\nrun\n");
    let image = config(&engine, "t:1");
    assert_eq!(image["Config"]["Labels"], json!({"k": "v"}));
    assert_eq!(image["Config"]["ExposedPorts"], json!({"80/tcp": {}}));
    let owner = engine.run(&["run", "--rm", "-u", "0", "--entrypoint", "stat", "t:1", "/got"]).ok();
    assert!(owner.contains("Uid: (    3/") && owner.contains("Gid: (    4/"), "{owner}");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn the_cache_counts_content_and_not_times() {
    let engine = engine();
    let dockerfile = "FROM bb\nCOPY a /a\nRUN cat /proc/sys/kernel/random/uuid > /u\n";
    let directory = context(&engine, dockerfile, &[("a", "1")]);
    let build = || {
        engine.run(&["build", "-q", "-t", "t", &directory]).ok();
        engine.run(&["run", "--rm", "t", "cat", "/u"]).ok()
    };
    let first = build();
    let a = engine.path("context/a");
    fs::File::options().write(true).open(&a).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(build(), first);
    fs::set_permissions(&a, fs::Permissions::from_mode(0o755)).unwrap();
    let other = build();
    assert_ne!(other, first);
    fs::write(&a, "2").unwrap();
    assert_ne!(build(), other);
    let same = engine.run(&["build", "-q", &directory]).ok();
    assert_eq!(engine.run(&["build", "-q", &directory]).ok(), same);
    assert_ne!(engine.run(&["build", "-q", "--no-cache", &directory]).ok(), same);
}

/// What the user keeps from others on his machine, nobody keeps in an image.
#[test]
fn modes_are_the_files_and_not_the_users_mask() {
    let engine = engine();
    let steps = "FROM bb AS one\nRUN mkdir /d && mkfifo -m 666 /d/p && echo > /d/s && chmod 6757 /d/s && mkdir -m 3777 /d/t\nFROM bb\nWORKDIR /w/x\nCOPY a /new/a\nCOPY --chmod=6775 --chown=3:4 a /suid\nCOPY <<END /inline\nx\nEND\nCOPY --from=one /d /d\nCOPY --link a /linked/a\n";
    let directory = context(&engine, steps, &[("a", "a")]);
    fs::set_permissions(engine.path("context/a"), fs::Permissions::from_mode(0o666)).unwrap();
    let build = engine.command(&["build", "-q", "-t", "t", &directory]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(build.get_program()).args(build.get_args());
    command.envs(build.get_envs().filter_map(|(key, value)| Some((key, value?))));
    assert!(command.stdout(Stdio::null()).status().unwrap().success());
    let places = "/w /w/x /new /new/a /suid /inline /d /d/p /d/s /d/t /linked /linked/a";
    let look = [&["run", "--rm", "t", "stat", "-c", "%n %a %u"][..], &places.split(' ').collect::<Vec<_>>()].concat();
    let modes = "/w 755 0\n/w/x 755 0\n/new 755 0\n/new/a 666 0\n/suid 6775 3\n/inline 644 0\n/d 755 0\n/d/p 666 0\n/d/s 6757 0\n/d/t 3777 0\n/linked 755 0\n/linked/a 666 0\n";
    assert_eq!(engine.run(&look).ok(), modes);
}

/// A layer of its own: from the cache over other layers too, and what is below it decides nothing.
#[test]
fn a_linked_copy_stands_on_any_layers() {
    let engine = engine();
    let steps = |word: &str| {
        format!(
            "FROM bb\nRUN echo {word} > /w; mkdir /real /kept; ln -s real /there; touch /kept/before; echo w:x:5:6::/:/bin/sh > /etc/passwd\nCOPY --link --chown=w --chmod=640 a /there/d/\nADD --link a /kept/a\nRUN stat -c '%n %F %a %u %g' /there /there/d /there/d/a; ls /kept; cat /w /kept/a\n"
        )
    };
    let build = |word: &str| {
        let directory = context(&engine, &steps(word), &[("a", "1\n")]);
        engine.run(&["build", "-t", "t", &directory])
    };
    let said = build("one");
    assert_eq!((said.code, said.err.matches(" CACHED").count()), (0, 0), "{said:?}");
    for line in [
        "/there directory 755 5 6",
        "/there/d directory 755 5 6",
        "/there/d/a regular file 640 5 6",
        "a\n",
        "before\n",
        "one\n",
        "1\n",
    ] {
        assert!(said.err.contains(line), "{line}: {}", said.err);
    }
    let said = build("two");
    assert!(said.err.contains(" two\n") && said.err.matches(" CACHED").count() == 2, "{}", said.err);
    // Of other owners, it is another layer.
    let directory = context(&engine, &steps("two").replace(":5:6:", ":7:8:"), &[]);
    let said = engine.run(&["build", "-t", "t", &directory]);
    assert!(said.err.contains("/there/d/a regular file 640 7 8"), "{}", said.err);
    assert_eq!(said.err.matches(" CACHED").count(), 1, "{}", said.err);
    engine.run(&["check"]).ok();
}

#[test]
fn a_copy_stays_in_the_context_and_in_the_image() {
    let engine = engine();
    fs::write(engine.path("secret"), "secret").unwrap();
    let dockerfile = "FROM bb\nRUN ln -s /../../../../../../../../tmp /out; ln -s nowhere /dangling\nCOPY . /c/\nCOPY f /out/f\nCOPY f /dangling/f\n";
    let directory = context(
        &engine,
        dockerfile,
        &[("f", "f"), ("d/x.log", "x"), ("d/keep.log", "k"), (".dockerignore", "**/*.log\n!d/keep.log\nlink\n")],
    );
    symlink("../secret", engine.path("context/link")).unwrap();
    engine.run(&["build", "-q", "-t", "t", &directory]).ok();
    let look = "find /c | sort; cat /tmp/f /nowhere/f";
    let said = engine.run(&["run", "--rm", "t", "sh", "-c", look]).ok();
    assert_eq!(said, "/c\n/c/.dockerignore\n/c/Dockerfile\n/c/d\n/c/d/keep.log\n/c/f\nff");
    for line in ["COPY ../secret /s", "COPY link /s", "COPY d/x.log /s"] {
        let directory = context(&engine, &format!("FROM bb\n{line}\n"), &[]);
        let said = refused(&engine, &["build", &directory]);
        assert!(said.contains("not found"), "{line}: {said}");
    }
}

#[test]
fn what_fails_says_where_and_leaves_no_image() {
    let engine = engine();
    let directory = context(&engine, "FROM bb\n\nRUN echo said; exit 23\n", &[]);
    let said = refused(&engine, &["build", "-t", "t", &directory]);
    assert!(said.contains("said\n") && said.contains("   3 | >>> RUN echo said; exit 23\n"), "{said}");
    assert!(said.contains("did not complete successfully: exit code: 23"), "{said}");
    for (dockerfile, why) in [
        ("FROM bb\nNOTHING x\n", "dockerfile parse error on line 2: unknown instruction: NOTHING"),
        ("RUN x\n", "no build stage in current context"),
        ("FROM bb\nCOPY --from=127.0.0.1:9/nothing a /a\n", "no image 127.0.0.1:9/nothing:latest: the pull has failed"),
        ("FROM bb\nUSER nobody-here\nRUN true\n", "unable to find user nobody-here"),
        ("FROM bb\nRUN --security=insecure true\n", "not allowed"),
        ("FROM --platform=linux/s390x bb\n", "cannot be built on this machine"),
        ("FROM bb\nEXPOSE 99999\n", "invalid containerPort"),
    ] {
        let directory = context(&engine, dockerfile, &[]);
        let said = refused(&engine, &["build", "-t", "t", &directory]);
        assert!(said.contains(why), "{dockerfile}: {said}");
    }
    assert_eq!(engine.run(&["images", "-q", "t"]).ok(), "");
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn mounts_leave_nothing_in_the_layer() {
    let engine = engine();
    let dockerfile = "FROM bb\nARG n\nRUN --mount=type=cache,target=/cc --mount=type=tmpfs,target=/t --mount=type=secret,id=s --mount=target=/src,source=d echo $n >> /cc/l; touch /t/x; cat /cc/l /run/secrets/s /src/f > /o\n";
    let directory = context(&engine, dockerfile, &[("d/f", "bound\n"), ("s", "hidden\n")]);
    let secret = format!("id=s,src={directory}/s");
    for n in ["n=1", "n=2"] {
        engine.run(&["build", "-q", "-t", "t", "--secret", &secret, "--build-arg", n, &directory]).ok();
    }
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/o"]).ok(), "1\n2\nhidden\nbound\n");
    let layers = config(&engine, "t")["RootFS"]["Layers"].clone();
    let layer = layers.as_array().unwrap().last().unwrap().as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let names = fs::read_dir(engine.root().join("layers").join(layer).join("fs")).unwrap();
    assert_eq!(names.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["o"]);
}

#[test]
fn a_killed_build_leaves_nothing_and_the_next_goes_on() {
    let engine = engine();
    let dockerfile = "FROM bb\nRUN cat /proc/sys/kernel/random/uuid > /u\nRUN test -e /go || sleep 1000\n";
    let directory = context(&engine, dockerfile, &[]);
    let mut build = engine.command(&["build", "-t", "t", &directory]);
    let mut build = build.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let records = || fs::read_dir(engine.root().join("build")).map_or(0, Iterator::count);
    eventually("the second step runs", || {
        let sleeping = fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .any(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x001000")));
        records() == 1 && sleeping
    });
    kill(Pid::from_raw(build.id().cast_signed()), Signal::SIGKILL).unwrap();
    build.wait().unwrap();
    let directory = context(&engine, "FROM bb\nRUN cat /proc/sys/kernel/random/uuid > /u\n", &[]);
    engine.run(&["build", "-q", "-t", "t", &directory]).ok();
    assert_eq!(records(), 1, "the first step was found");
    eventually("nothing is left", || {
        engine.run(&["build", "-q", "-t", "t", &directory]).ok();
        engine.leaks().is_empty()
    });
}

#[test]
fn a_context_comes_on_standard_input() {
    let engine = engine();
    let said = engine.run_with(&["build", "-q", "-t", "t", "-"], b"FROM bb\nRUN echo in > /f\n").ok();
    assert!(said.starts_with("sha256:"), "{said}");
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [("Dockerfile", "FROM bb\nCOPY f /f\n"), ("f", "packed\n")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    engine.run_with(&["build", "-q", "-t", "t", "-"], &archive.into_inner().unwrap()).ok();
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/f"]).ok(), "packed\n");
}

/// In the user's own directory a link leads to his other files; in what comes from elsewhere it does not lead out.
#[test]
fn a_dockerfile_and_its_ignore_file_may_be_links() {
    let engine = engine();
    let directory = context(&engine, "FROM bb\nCOPY . /c\nRUN ls /c > /list\n", &[("kept", ""), ("left", "")]);
    fs::write(engine.path("shared"), "left\nDockerfile*\n.dockerignore\n").unwrap();
    symlink(engine.path("shared"), engine.path("context/.dockerignore")).unwrap();
    fs::rename(engine.path("context/Dockerfile"), engine.path("elsewhere")).unwrap();
    symlink(engine.path("elsewhere"), engine.path("context/Dockerfile")).unwrap();
    engine.run(&["build", "-q", "-t", "t", &directory]).ok();
    assert_eq!(engine.run(&["run", "--rm", "t", "cat", "/list"]).ok(), "kept\n");
    let packed = |kind, target: &str| {
        let archive = tests::archive::Maker::default();
        let archive = archive.edited(tar::EntryType::Regular, "real", "", b"FROM bb\nRUN true\n", |_| {});
        archive.edited(kind, "Dockerfile", target, b"", |_| {}).end()
    };
    engine.run_with(&["build", "-q", "-"], &packed(tar::EntryType::Symlink, "/real")).ok();
    let outside = engine.run_with(&["build", "-q", "-"], &packed(tar::EntryType::Symlink, "/etc/passwd"));
    assert!(outside.refused(1).contains("no such file"));
    let pipe = engine.run_with(&["build", "-q", "-"], &packed(tar::EntryType::Fifo, ""));
    assert!(pipe.refused(1).contains("it is no regular file"));
}

#[test]
fn an_image_without_files_is_an_image() {
    let engine = engine();
    let directory = context(&engine, "FROM scratch\nLABEL a=b\n", &[]);
    engine.run(&["build", "-q", "-t", "none", &directory]).ok();
    engine.run(&["create", "--name", "c1", "none", "/x"]).ok();
    let names = |archive: &std::path::Path| {
        let mut archive = tar::Archive::new(fs::File::open(archive).unwrap());
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect::<Vec<_>>()
    };
    let archive = engine.path("c.tar");
    engine.run(&["export", "-o", archive.to_str().unwrap(), "c1"]).ok();
    assert_eq!(names(&archive), ["./"]);
    fs::write(engine.path("f"), "in").unwrap();
    engine.run(&["cp", engine.path("f").to_str().unwrap(), "c1:/f"]).ok();
    assert_eq!(engine.run(&["diff", "c1"]).ok(), "A /f\n");
    let said = engine.run(&["run", "--rm", "none", "/x"]);
    assert!(said.code == 127 && said.err.contains("/x"), "{said:?}");
    let busybox = format!("{}:/busybox:ro", which("busybox"));
    assert_eq!(engine.run(&["run", "--rm", "-v", &busybox, "none", "/busybox", "echo", "runs"]).ok(), "runs\n");
    engine.run(&["commit", "c1", "some"]).ok();
    engine.run(&["run", "--rm", "-v", &busybox, "some", "/busybox", "test", "-s", "/f"]).ok();
    let directory = context(&engine, "FROM none\nWORKDIR /w\nCOPY Dockerfile .\n", &[]);
    engine.run(&["build", "-q", "-o", engine.path("out").to_str().unwrap(), &directory]).ok();
    assert!(engine.path("out/w/Dockerfile").exists());
    engine.run(&["rm", "c1"]).ok();
    assert_eq!(engine.leaks(), Vec::<String>::new());
}

#[test]
fn an_archive_may_have_an_entry_without_a_name() {
    let engine = engine();
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in [("", "lost"), ("f", "kept")] {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    let directory = context(&engine, "FROM bb\nADD a.tar /a/\nRUN test $(find /a -type f) = /a/f\n", &[]);
    fs::write(engine.path("context/a.tar"), archive.into_inner().unwrap()).unwrap();
    engine.run(&["build", "-q", &directory]).ok();
}
