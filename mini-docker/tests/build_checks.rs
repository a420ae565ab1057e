//! What a Dockerfile has that is better written otherwise.

use std::fs;
use tests::{build::build, engine::Engine};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
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
        assert!(said.out.contains(&format!("WARNING: {rule} - https://docs.docker.com/")), "{rule}: {}", said.out);
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
        ("InvalidDefaultArgInFrom", "ARG T\nFROM bb:$T\n", "ARG T=1\nARG I=bb:$T\nFROM $I AS a\nFROM bb:${X:-1}\n"),
        (
            "UndefinedVar",
            "FROM bb\nENV A=$B\n",
            "FROM nosuch\nENV A=$B\nFROM bb AS a\nARG B\nENV A=$B$PATH ${C:-d}${D:+e}=f\nFROM a\nCOPY $A$B /\nRUN $X\nCMD [\"$X\"]\n",
        ),
        ("UndefinedVar", "ARG B\nFROM bb\nWORKDIR /$B\n", "ARG B\nFROM bb\nARG B\nWORKDIR /$B\n"),
    ] {
        let said = build(&engine, &["--check"], bad);
        assert!(said.code == 1 && said.out.contains(&format!("WARNING: {rule} - https://")), "{rule}: {said:?}");
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
fn a_check_says_what_may_have_been_meant() {
    let engine = engine();
    for (dockerfile, text) in [
        ("ARG VERSION=1\nFROM bb:${VERSON}\n", "FROM argument 'VERSON' is not declared (did you mean VERSION?)"),
        ("FROM bb\nENV PATH=$PAHT:/x\n", "Usage of undefined variable '$PAHT' (did you mean $PATH?)"),
        ("FROM bb\nLABEL a=$nothing\n", "Usage of undefined variable '$nothing'\n"),
    ] {
        let said = build(&engine, &["--check"], dockerfile);
        assert!(said.code == 1 && said.out.contains(text), "{dockerfile}: {said:?}");
    }
    // What is left out, and is named all the same.
    fs::create_dir_all(engine.path("context/d")).unwrap();
    fs::write(engine.path("context/.dockerignore"), "d\n*.tmp\n!kept.tmp\n").unwrap();
    let copies = "FROM bb\nCOPY d/f a.tmp kept.tmp . /x/\nADD ./b.tmp /\nCOPY --from=bb d /\n";
    let said = build(&engine, &["--check"], copies);
    for text in ["Copy file \"d/f\"", "Copy file \"a.tmp\"", "Add file \"b.tmp\""] {
        assert!(said.out.contains(&format!("Attempting to {text} that is excluded by .dockerignore")), "{said:?}");
    }
    assert_eq!(said.out.matches("CopyIgnoredFile").count(), 3, "{said:?}");
    fs::remove_file(engine.path("context/.dockerignore")).unwrap();
    // Comments that describe nothing, for who asks.
    let comments = "# check=experimental=all\nFROM scratch AS none\n# speaks of nothing\nFROM scratch AS a\n# B is the second\nARG B\n# words\nARG C\n";
    let said = build(&engine, &["--check"], comments);
    assert_eq!(said.out.matches("WARNING: InvalidDefinitionDescription").count(), 2, "{said:?}");
    assert!(said.out.contains("Comment for FROM should follow the format: `# a <description>`"), "{said:?}");
    build(&engine, &["--check"], &comments.replace("=all", "=other")).ok();
}

/// Programs read it.
#[test]
fn a_dockerfile_says_what_it_has_and_takes() {
    let engine = engine();
    let dockerfile = "ARG TAG=latest\nARG UNUSED=1\n# first builds nothing\nFROM bb:$TAG AS first\nRUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true\nFROM alpine AS second\nRUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true\nFROM scratch AS third\n# BAR is a number\nARG BAR=1\nRUN --mount=type=secret,id=second${BAR} --mount=type=cache,target=/c true\nFROM third AS target\nCOPY --from=first /foo /\nRUN --mount=type=ssh,id=ssh3,required true\nFROM second\n";
    let ask = |flags: &[&str]| build(&engine, flags, dockerfile).ok();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let targets: Vec<_> = ask(&["--call=targets"]).lines().map(words).collect();
    assert_eq!(targets, ["TARGET DESCRIPTION", "first builds nothing", "second", "third", "target", "(default)"]);
    let outline = ask(&["--call", "outline", "--target", "target", "--build-arg", "BAR=678"]);
    let expected = "TARGET: target||BUILD ARG VALUE DESCRIPTION|TAG latest|BAR 678 is a number||SECRET REQUIRED|passwd true|second678||SSH REQUIRED|default|ssh3 true|";
    let found: Vec<_> = outline.lines().map(words).collect();
    assert_eq!(found, expected.split('|').collect::<Vec<_>>());
    let json = |flags: &[&str]| serde_json::from_str::<serde_json::Value>(&ask(flags)).unwrap();
    let told = json(&["--call=outline,format=json", "--target=target", "--build-arg=BAR=678"]);
    assert_eq!((&told["name"], &told["args"][1]["value"]), (&"target".into(), &"678".into()));
    assert_eq!(told["secrets"][0]["required"], true);
    assert_eq!((&told["secrets"][1]["name"], &told["secrets"][1]["required"]), (&"second678".into(), &().into()));
    assert_eq!((&told["ssh"][1]["name"], &told["cache"][0]["ID"]), (&"ssh3".into(), &"/c".into()));
    let told = json(&["--call=targets,format=json"]);
    assert_eq!((&told["targets"][4]["default"], &told["targets"][3]["base"]), (&true.into(), &"third".into()));
    let bad = build(&engine, &["--call=check,format=json"], "FROM bb\nCMD x\n");
    let ignored = build(&engine, &["--call=check,format=json,ignorestatus=true"], "FROM bb\nCMD x\n");
    assert_eq!((ignored.code, &ignored.out), (0, &bad.out));
    let unknown = build(&engine, &["--call=check,ignorestatus=maybe"], "FROM bb\n");
    assert!(unknown.err.contains("there are format=json and ignorestatus=true"), "{unknown:?}");
    let told: serde_json::Value = serde_json::from_str(&bad.out).unwrap();
    assert_eq!((bad.code, &told["warnings"][0]["ruleName"]), (1, &"JSONArgsRecommended".into()));
    assert_eq!(told["warnings"][0]["location"]["ranges"][0]["start"]["line"], 2);
    let said = build(&engine, &["--call=nothing"], dockerfile);
    assert!(said.code != 0 && said.err.contains("there are build, check, outline and targets"), "{said:?}");
    let said = build(&engine, &["--call=outline", "--target=none"], dockerfile);
    assert!(said.code == 1 && said.err.contains("target stage \"none\" could not be found"), "{said:?}");
    assert_eq!(engine.run(&["images", "-aq"]).ok().lines().count(), 1, "nothing is built");
}
