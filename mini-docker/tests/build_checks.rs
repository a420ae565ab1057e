//! What a Dockerfile has that is better written otherwise.

use std::fs;
use tests::engine::{Engine, Said};

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
