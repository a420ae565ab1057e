//! What `--format` and its kin print, as the user sees it.

use tests::engine::Engine;

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

#[test]
fn ps_prints_what_the_format_says() {
    let engine = engine();
    let id =
        engine.run(&["create", "--name", "c1", "-l", "a.b=1", "bb", "echo", "a long argument, and a longer one"]).ok();
    let ps = |format: &str| engine.run(&["ps", "-a", "--format", format]).ok();
    assert_eq!(ps("{{.Names}}|{{.Image}}|{{.State}}|{{.Status}}"), "c1|bb|created|Created\n");
    assert_eq!(ps("{{.Command}}"), "\"echo 'a long argume…\"\n", "20 characters of it");
    assert_eq!(ps("{{.Label \"a.b\"}} {{.Labels}}"), "1 a.b=1\n");
    assert_eq!(ps("table {{.Names}}\\t{{.Image}}"), "NAMES     IMAGE\nc1        bb\n");
    let row: serde_json::Value = serde_json::from_str(&ps("json")).expect("a line of JSON");
    assert_eq!((row["Names"].as_str(), row["ID"].as_str()), (Some("c1"), Some(&id[..12])));
    assert!(
        engine
            .run(&["ps", "--format", "{{"])
            .refused(1)
            .contains("template parsing error: template: :1: unclosed action")
    );
    assert!(engine.run(&["ps", "-a", "--format", "{{.Nope}}"]).refused(1).contains("Nope"));
}

#[test]
fn inspect_prints_what_is_there_and_complains_of_the_rest() {
    let engine = engine();
    engine.run(&["create", "--name", "c1", "-e", "T=<a&b>", "bb", "true"]).ok();
    let inspect = |arguments: &[&str]| engine.run(&[&["inspect"], arguments].concat());
    assert_eq!(inspect(&["-f", "{{index .Config.Env 0}} {{.Config.Labels.none}}", "c1"]).ok(), "T=<a&b> <no value>\n");
    assert!(inspect(&["c1"]).ok().starts_with("[\n    {\n        \"Id\": "), "indented by four");
    let json = inspect(&["-f", "json", "c1", "bb"]).ok();
    assert_eq!((json.lines().count(), &json[..7]), (1, "[{\"Id\":"));

    let missing = inspect(&["nosuch"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, "[]\n"));
    assert!(missing.err.contains("no such object: nosuch"), "{missing:?}");
    let missing = inspect(&["-f", "{{.Name}}", "c1", "nosuch"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, "/c1\n"));
    let missing = inspect(&["-f", "{{.Nope}}", "c1"]);
    assert_eq!((missing.code, missing.out.as_str()), (1, "\n"));
    assert!(missing.err.contains("map has no entry for key \"Nope\""), "{missing:?}");
    inspect(&["-f", "{{", "c1"]).refused(64);
    assert!(inspect(&["--type", "image", "c1"]).err.contains("no such image"));
    assert_eq!(inspect(&["--type", "container", "-f", "{{.Name}}", "c1"]).ok(), "/c1\n");
}

#[test]
fn ps_filters_containers() {
    let engine = engine();
    engine.run(&["run", "--name", "zero", "-l", "k=a", "bb", "true"]).ok();
    assert_eq!(engine.run(&["run", "--name", "three", "-l", "k=b", "bb", "sh", "-c", "exit 3"]).code, 3);
    engine.run(&["create", "--name", "made", "-l", "k=b", "bb", "true"]).ok();
    engine.run(&["run", "-d", "--name", "up", "bb", "sleep", "1000"]).ok();
    let ps = |arguments: &[&str]| {
        let said = engine.run(&[&["ps", "--format", "{{.Names}}"], arguments].concat()).ok();
        said.lines().map(str::to_owned).collect::<Vec<_>>().join(" ")
    };
    for (arguments, names) in [
        (&[][..], "up"),
        (&["-a"], "up made three zero"),
        (&["-n", "2"], "up made"),
        (&["-l"], "up"),
        (&["-n", "-1"], "up"),
        (&["-f", "status=exited"], "three zero"),
        (&["-f", "status=exited", "-f", "status=created"], "made three zero"),
        (&["-a", "-f", "exited=3"], "three"),
        (&["-a", "-f", "label=k=b"], "made three"),
        (&["-a", "-f", "label=k", "-f", "label=k=a"], "zero"),
        (&["-a", "-f", "name=^/?t.*e$"], "three"),
        (&["-a", "-f", "before=three"], "zero"),
        (&["-a", "-f", "since=three"], "up made"),
        (&["-a", "-f", "since=zero", "-f", "before=up", "-f", "status=exited"], "three"),
        (&["-a", "-f", "ancestor=bb", "-f", "name=zero"], "zero"),
        (&["-a", "-f", "ancestor=nosuch"], ""),
        (&["-a", "-f", "health=healthy"], ""),
        (&["-n", "1", "-f", "label=k=b"], "made"),
    ] {
        assert_eq!(ps(arguments), names, "{arguments:?}");
    }
    let id = engine.run(&["ps", "-aq", "--no-trunc", "-f", "name=zero"]).ok();
    assert_eq!(ps(&["-a", "-f", &format!("id={}", &id[..12])]), "zero");
    assert!(engine.run(&["ps", "-f", "status=rubbish"]).refused(1).contains("invalid filter 'status=rubbish'"));
    assert!(engine.run(&["ps", "-f", "nosuch=1"]).refused(1).contains("invalid filter 'nosuch'"));
    assert!(engine.run(&["ps", "-f", "name"]).refused(1).contains("bad format of filter"));
    assert!(engine.run(&["ps", "-f", "before=nosuch"]).refused(1).contains("no such container"));
}

#[test]
fn ps_counts_what_was_written() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "head -c 2000 /dev/zero > /x; ln /x /y; ln -s /x /z"]).ok();
    let size = engine.run(&["ps", "-as", "--format", "{{.Size}}"]).ok();
    assert!(size.starts_with("2kB (virtual "), "{size}");
    assert!(engine.run(&["ps", "-as"]).ok().lines().next().expect("a heading").ends_with("SIZE"));
}
