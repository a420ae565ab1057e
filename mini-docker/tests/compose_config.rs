//! `compose config`: what the files come to, and what is wrong with them.

use std::fs;

use serde_json::{Value, json};
use tests::engine::{Engine, Said};

/// Runs `compose ARGUMENTS` in a directory with these files.
fn compose(files: &[(&str, &str)], arguments: &[&str]) -> Said {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    let directory = engine.path("shop");
    for (name, text) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let directory = directory.to_str().unwrap();
    engine.run(&[&["compose", "--project-directory", directory], arguments].concat())
}

fn model(files: &[(&str, &str)]) -> Value {
    let text = compose(files, &["config", "--format", "json"]).ok();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn short_forms_are_written_out() {
    let file = "services:\n  web:\n    image: x\n    command: a 'b c'\n    ports: ['127.0.0.1:8080:80']\n    volumes: ['data:/d:ro']\n    mem_limit: 1m\nvolumes:\n  data:\n";
    let model = model(&[("compose.yaml", file)]);
    let web = &model["services"]["web"];
    assert_eq!(web["command"], json!(["a", "b c"]));
    assert_eq!(
        web["ports"],
        json!([{ "mode": "ingress", "host_ip": "127.0.0.1", "target": 80, "published": "8080", "protocol": "tcp" }])
    );
    assert_eq!(web["volumes"][0]["read_only"], json!(true));
    assert_eq!(web["mem_limit"], json!("1048576"));
    assert_eq!(web["networks"], json!({ "default": null }));
    assert_eq!(model["name"], "shop");
    assert_eq!(model["volumes"]["data"]["name"], "shop_data");
    assert_eq!(model["networks"]["default"]["name"], "shop_default");
}

#[test]
fn later_files_variables_and_extended_services_are_merged() {
    let model = model(&[
        (".env", "TAG=7\n"),
        (
            "compose.yaml",
            "services:\n  a:\n    extends: {file: base/b.yaml, service: b}\n    image: i:${TAG:-1}\n    environment: {B: own}\n",
        ),
        ("compose.override.yaml", "services:\n  a:\n    environment: [C=late]\n    command: !reset null\n"),
        ("base/b.yaml", "services:\n  b:\n    command: run\n    env_file: vars\n    environment: {A: base, B: base}\n"),
        ("base/vars", "D=\"file $TAG\"\nB=file\n"),
    ]);
    let a = &model["services"]["a"];
    assert_eq!(a["image"], "i:7");
    assert_eq!(a["environment"], json!({ "D": "file 7", "B": "own", "A": "base", "C": "late" }));
    assert_eq!(a["command"], Value::Null);
}

#[test]
fn a_mistake_has_a_file_a_line_and_a_key() {
    let file = "services:\n  web:\n    image: x\n    port: [80]\n";
    let said = compose(&[("compose.yaml", file)], &["config"]).refused(1);
    assert!(said.contains("compose.yaml:4:"), "{said}");
    assert!(said.contains("services.web.port") && said.contains("did you mean ports?"), "{said}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    for (file, words) in [
        ("services:\n  a: {image: i, depends_on: [b]}\n", "undefined service \"b\""),
        ("services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i, depends_on: [a]}\n", "cycle"),
        ("services:\n  a: {image: i, volumes: ['v:/v']}\n", "undefined volume v"),
        ("services:\n  a: {image: \"${NOPE:?is not set}\"}\n", "is not set"),
        ("services:\n  a: {extends: {service: a}, image: i}\n", "circular"),
        ("include: [compose.yaml]\n", "include cycle"),
        ("services:\n  a: {}\n", "neither an image nor a build"),
        ("services:\n  a: [\n", "failed to parse"),
        ("- a\n", "top-level object must be a mapping"),
        ("x: &x [*x]\n", "compose.yaml"),
    ] {
        let said = compose(&[("compose.yaml", file)], &["config", "-q"]);
        assert_eq!(said.code, 1, "{file}: {said:?}");
        assert!(said.err.contains(words), "{file}: {said:?}");
    }
    assert!(compose(&[], &["config"]).refused(1).contains("no configuration file provided"));
}

#[test]
fn profiles_choose_services() {
    let files = &[("compose.yaml", "services:\n  a: {image: i}\n  b: {image: i, profiles: [debug]}\n")];
    assert_eq!(compose(files, &["config", "--services"]).ok(), "a\n");
    assert_eq!(compose(files, &["--profile", "debug", "config", "--services"]).ok(), "a\nb\n");
    assert_eq!(compose(files, &["config", "--profiles"]).ok(), "debug\n");
}

#[test]
fn every_mistake_is_said_with_its_file_line_column_and_key() {
    let service = |rest: &str| format!("services:\n  web:\n    image: x\n    {rest}\n");
    for (file, place, words) in [
        ("services:\n\tweb:\n".to_owned(), "2:1", "YAML knows no tabs"),
        ("services:\n  web:\n    image: x\n   ports: [80]\n".to_owned(), "4:4", "failed to parse"),
        (service("image: y"), "3:5", "services.web: duplicate entry"),
        ("service:\n  web: {image: x}\n".to_owned(), "1:1", "did you mean services?"),
        (service("enviroment: {A: b}"), "4:5", "services.web.enviroment"),
        ("services:\n  web: nginx\n".to_owned(), "2:3", "services.web: must be a mapping"),
        (service("ports: ['80:http']"), "4:5", "services.web.ports: invalid containerPort: http"),
        (service("ports: {80: 80}"), "4:5", "services.web.ports: non-string key 80"),
        (
            service("volumes: ['data:/d']"),
            "4:5",
            "services.web.volumes: service \"web\" refers to undefined volume data",
        ),
        (service("networks: [front]"), "4:5", "services.web.networks:"),
        (service("depends_on: {db: {condition: healthy}}"), "4:23", "services.web.depends_on.db.condition"),
        (service("mem_limit: 12q"), "4:5", "services.web.mem_limit:"),
        (service("healthcheck: {test: x, interval: 5}"), "4:28", "services.web.healthcheck.interval"),
        (service("healthcheck: {test: [curl]}"), "4:19", "services.web.healthcheck.test"),
        (service("command: echo ${A!b}"), "4:5", "services.web.command: invalid interpolation format"),
        (service("env_file: nope.env"), "4:5", "services.web.env_file: env file"),
        (service("extends: {file: nope.yaml, service: a}"), "4:5", "services.web.extends: read"),
        (service("secrets: [pw]"), "4:5", "services.web.secrets:"),
        (service("ulimits: {nofile: many}"), "4:15", "services.web.ulimits.nofile"),
        (service("<<: 5"), "4:5", "services.web.<<"),
        (service("scale: -1"), "4:5", "services.web.scale"),
        ("include: [nope.yaml]\n".to_owned(), "1:11", "include[0]: read"),
        ("services: {a: {image: x}}\nsecrets:\n  pw: {}\n".to_owned(), "3:3", "secrets.pw"),
    ] {
        let said = compose(&[("compose.yaml", &file)], &["config", "-q"]).refused(1);
        assert!(said.contains(&format!("/compose.yaml:{place}: ")) && said.contains(words), "{file}\n{said}");
    }
    // A file of variables is missed by whom it is for.
    let files = [("compose.yaml", "services:\n  a: {image: x}\n  b:\n    image: x\n    env_file: [nope.env]\n")];
    compose(&files, &["config", "--services"]).ok();
    assert!(compose(&files, &["config", "--hash", "a"]).ok().starts_with("a "));
    for arguments in [&["config", "--hash", "*"][..], &["config", "--hash", "b"], &["config", "b"], &["config"]] {
        let said = compose(&files, arguments).refused(1);
        assert!(said.contains("/compose.yaml:5:5: services.b.env_file: env file"), "{said}");
    }
    assert!(compose(&files, &["config", "--no-env-resolution"]).ok().contains("nope.env"));
    // Where it stands in another file.
    let files = [
        ("compose.yaml", "services:\n  a: {image: x}\n"),
        ("compose.override.yaml", "services:\n  a:\n    ports: [x]\n"),
    ];
    assert!(compose(&files, &["config", "-q"]).refused(1).contains("/compose.override.yaml:3:5: services.a.ports:"));
    let files =
        [("compose.yaml", "include: [b.yaml]\n"), ("b.yaml", "services:\n  a:\n    image: x\n    mem_limit: x\n")];
    let said = compose(&files, &["config", "-q"]).refused(1);
    assert!(said.contains("services.a.mem_limit"), "{said}");
}

#[test]
fn what_is_not_set_and_what_is_of_no_use_is_said_with_its_place() {
    let file = "version: '3'\nservices:\n  a:\n    image: i\n    command: [\"$NOPE_A\", \"${NOPE_A}\", \"${NOPE_B:-x}\", \"${NOPE_C:-$NOPE_D}\"]\n";
    let said = compose(&[("compose.yaml", file)], &["config"]);
    assert_eq!(said.code, 0, "{said:?}");
    let lines: Vec<_> = said.err.lines().filter_map(|line| line.split_once("/compose.yaml:")).map(|(_, l)| l).collect();
    let unset = |name: &str| format!("the {name:?} variable is not set. Defaulting to a blank string.");
    assert_eq!(
        lines,
        [
            format!("5:15: services.a.command[0]: {}", unset("NOPE_A")),
            format!("5:55: services.a.command[3]: {}", unset("NOPE_D")),
            "1:1: version: the attribute is obsolete and ignored: remove it".to_owned(),
        ]
    );
}

#[test]
fn yaml_is_read_by_older_readers_too() {
    let file = "services:\n  a:\n    image: i\n    restart: 'no'\n    environment: {A: 'yes', B: '010', C: '1:30'}\n";
    let said = compose(&[("compose.yaml", file)], &["config"]).ok();
    for line in ["    restart: \"no\"\n", "      A: \"yes\"\n", "      B: \"010\"\n", "      C: \"1:30\"\n"] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn services_are_chosen_with_what_they_depend_on() {
    let file = "services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i}\n  c: {image: i}\n  d: {image: i, profiles: [p]}\n";
    let chosen = |names: &[&str]| compose(&[("compose.yaml", file)], &[&["config", "--services"], names].concat());
    assert_eq!(chosen(&["a"]).ok(), "a\nb\n");
    assert_eq!(chosen(&["c", "d"]).ok(), "c\nd\n");
    assert!(chosen(&["x"]).refused(1).contains("no such service: x"));
}

#[test]
fn variables_of_both_directories_count_and_those_of_here_first() {
    let engine = Engine::empty(env!("CARGO_BIN_EXE_mini-docker"));
    let below = engine.path("shop/below");
    fs::create_dir_all(&below).unwrap();
    fs::write(engine.path("shop/compose.yaml"), "services:\n  a: {image: '${HERE}:${BOTH}-${THERE}'}\n").unwrap();
    fs::write(engine.path("shop/.env"), "THERE=there\nBOTH=there\n").unwrap();
    fs::write(below.join(".env"), "HERE=here\nBOTH=here\n").unwrap();
    let said = engine.command(&["compose", "config", "--images"]).current_dir(&below).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "here:here-there\n", "{said:?}");
    // Files that the environment names take the place of both.
    fs::write(below.join("one"), "HERE=one\nBOTH=one\n").unwrap();
    fs::write(below.join("two"), "BOTH=two\nTHERE=two\n").unwrap();
    let mut command = engine.command(&["compose", "config", "--images"]);
    let said = command.env("COMPOSE_ENV_FILES", "one,two").current_dir(&below).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "one:two-two\n", "{said:?}");
}
