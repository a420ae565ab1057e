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
