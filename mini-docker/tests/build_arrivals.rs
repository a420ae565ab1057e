//! Where files arrive, and from where: links at the destination, archives of all kinds, stages in any order.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use tests::engine::{Engine, Said};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// Builds the image `t` from a Dockerfile and what is beside it.
fn build(engine: &Engine, dockerfile: &str) -> Said {
    tests::build::build(engine, &["-q", "-t", "t"], dockerfile)
}

fn context(engine: &Engine) -> std::path::PathBuf {
    engine.path("context")
}

fn said(engine: &Engine, script: &str) -> String {
    engine.run(&["run", "--rm", "--network", "none", "t", "sh", "-c", script]).ok()
}

#[test]
fn a_file_goes_where_the_link_at_its_destination_leads() {
    let engine = engine();
    fs::create_dir_all(context(&engine).join("d")).unwrap();
    fs::write(context(&engine).join("f"), "new\n").unwrap();
    fs::write(context(&engine).join("d/l"), "new\n").unwrap();
    build(
        &engine,
        "FROM bb\n\
         RUN mkdir -p /a/b && echo old > /t && ln -s /t /l && ln -s ../../t /a/b/up && ln -s nowhere /a/dangling && ln -s /a/b /to && ln -s /../../../out /deep\n\
         COPY f /l\nCOPY f /to/up\nCOPY f /a/dangling\nCOPY f /deep\nCOPY <<E /to/../here\nnew\nE\n",
    )
    .ok();
    let links = "for l in l a/b/up a/dangling deep; do readlink /$l; done; cat /t /a/nowhere /out /here; ls /a";
    let leads = "/t\n../../t\nnowhere\n/../../../out\nnew\nnew\nnew\nnew\nb\ndangling\nnowhere\n";
    assert_eq!(said(&engine, links), leads);
    // What a directory brings replaces what has its name.
    build(&engine, "FROM bb\nRUN echo old > /t && ln -s /t /l\nCOPY d /\n").ok();
    assert_eq!(said(&engine, "readlink /l; cat /l /t"), "new\nold\n");
    let round = build(&engine, "FROM bb\nRUN ln -s b /a && ln -s a /b\nCOPY f /a\n");
    assert!(round.code == 1 && round.err.contains("Too many levels of symbolic links"), "{round:?}");
}

fn pack(program: &str, from: &Path, to: &Path) {
    let packed = Command::new(program).arg("-c").arg(from).stdout(Stdio::piped()).output().expect(program);
    assert!(packed.status.success(), "{program}");
    fs::write(to, packed.stdout).unwrap();
}

#[test]
fn archives_are_unpacked_whatever_their_compression() {
    let engine = engine();
    let directory = context(&engine);
    fs::create_dir_all(&directory).unwrap();
    fs::write(engine.path("f"), "packed\n").unwrap();
    let tar = engine.path("t.tar");
    let made = Command::new("tar").args(["-C", engine.path("").to_str().unwrap(), "-cf"]).arg(&tar).arg("f").status();
    assert!(made.unwrap().success(), "tar");
    for program in ["gzip", "xz", "bzip2"] {
        pack(program, &tar, &directory.join("archive"));
        pack(program, &engine.path("f"), &directory.join("file"));
        build(&engine, "FROM bb\nADD archive /a\nADD file /b/\nCOPY archive /c\n").ok();
        assert_eq!(said(&engine, "cat /a/f; ls /b /c"), "packed\n/c\n\n/b:\nfile\n", "{program}");
        // As a context too, and as an image.
        fs::write(engine.path("Dockerfile"), "FROM bb\nCOPY f /\n").unwrap();
        let context =
            Command::new("tar").args(["-C", engine.path("").to_str().unwrap(), "-c", "f", "Dockerfile"]).output();
        fs::write(engine.path("context.tar"), context.unwrap().stdout).unwrap();
        pack(program, &engine.path("context.tar"), &engine.path("packed"));
        engine.run_with(&["build", "-q", "-"], &fs::read(engine.path("packed")).unwrap()).ok();
        engine.run(&["import", directory.join("archive").to_str().unwrap(), "imported"]).ok();
    }
}

#[test]
fn a_stage_takes_from_any_other_but_itself() {
    let engine = engine();
    build(&engine, "FROM bb AS one\nCOPY --from=two /o /o\nRUN --mount=from=2,target=/m cat /m/p >> /o\nFROM bb AS two\nRUN echo two > /o\nFROM bb\nRUN echo three > /p\nFROM one\n").ok();
    assert_eq!(said(&engine, "cat /o"), "two\nthree\n");
    for (dockerfile, why) in [
        ("FROM bb AS a\nCOPY --from=a /o /o\n", "circular dependency detected on stage: a"),
        (
            "FROM bb AS a\nCOPY --from=b /o /o\nFROM bb AS b\nCOPY --from=a /o /o\n",
            "circular dependency detected on stage: ",
        ),
        ("FROM bb\nCOPY --from=7 /o /o\n", "invalid stage index 7"),
        ("FROM later\nFROM bb AS later\nFROM bb\nCOPY --from=0 /o /o\n", "no image later"),
    ] {
        let refused = build(&engine, dockerfile);
        assert!(refused.code == 1 && refused.err.contains(why), "{dockerfile}: {refused:?}");
    }
}

#[test]
fn what_is_empty_is_what_docker_makes_of_it() {
    let engine = engine();
    build(&engine, "FROM bb\nRUN\n").ok();
    fs::write(context(&engine).join("f"), "").unwrap();
    build(&engine, "FROM scratch\nCOPY f .\n").ok();
    assert_eq!(engine.run(&["image", "inspect", "-f", "{{.Config.WorkingDir}}", "t"]).ok(), "/\n");
}
