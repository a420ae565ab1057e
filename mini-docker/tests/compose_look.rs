//! What there is of a project, and commands of one container said of its service.

use tests::compose::Shop;

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

const FILE: &str = "services:\n  a:\n    image: bb\n    command: sh -c 'echo out; exec sleep 1000'\n    init: true\n    ports: ['127.0.0.1::80', '90']\n    volumes: ['v:/v']\n  b:\n    image: bb\n    command: sh -c 'exit 3'\nvolumes:\n  v:\n";

#[test]
fn containers_images_and_projects_are_listed() {
    let shop = shop("list", FILE);
    shop.compose(&["create"]).ok();
    assert_eq!(shop.compose(&["ps", "--services"]).ok(), "");
    assert_eq!(shop.compose(&["ps", "--status", "created", "--services"]).ok(), "a\nb\n");
    shop.compose(&["up", "-d"]).ok();
    assert_eq!(shop.compose(&["wait", "b"]).code, 3);
    let rows = shop.compose(&["ps", "-a", "--format", "json"]).ok();
    let rows: Vec<serde_json::Value> = rows.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&rows[0]["Service"], &rows[0]["State"]), (&"a".into(), &"running".into()));
    assert_eq!(rows[0]["Publishers"][0]["TargetPort"], 80);
    assert_eq!((&rows[1]["Name"], &rows[1]["ExitCode"]), (&shop.container("b").into(), &3.into()));
    assert_eq!(shop.compose(&["ps", "--filter", "status=exited", "--services"]).ok(), "b\n");
    // What has ended is not paused.
    shop.compose(&["pause"]).ok();
    assert_eq!(shop.compose(&["ps", "-a", "--format", "{{.State}}"]).ok(), "paused\nexited\n");
    shop.compose(&["unpause"]).ok();
    let table = shop.compose(&["ps"]).ok();
    assert!(table.starts_with("NAME ") && table.contains("->80/tcp"), "{table}");
    let images = shop.compose(&["images"]).ok();
    assert!(images.lines().count() == 3 && images.contains(&shop.container("a")), "{images}");
    assert_eq!(shop.compose(&["images", "-q"]).ok().lines().count(), 1);
    let volumes = shop.compose(&["volumes", "-q"]).ok();
    assert_eq!(volumes, format!("{}_v\n", shop.name));
    let projects = shop.compose(&["ls", "--format", "json"]).ok();
    assert!(projects.contains(&shop.name) && projects.contains("exited(1), running(1)"), "{projects}");
    assert!(!shop.compose(&["version", "--short"]).ok().is_empty());
    shop.describe("services:\n  b:\n    image: bb\n    command: sh -c 'exit 3'\n");
    assert_eq!(shop.compose(&["ps", "-a", "--services", "--orphans=false"]).ok(), "b\n");
    assert_eq!(shop.compose(&["ps", "-a", "--services"]).ok(), "a\nb\n");
}

#[test]
fn a_service_stands_for_its_container() {
    let shop = shop("stand", FILE);
    shop.compose(&["up", "-d", "a"]).ok();
    let port = shop.compose(&["port", "a", "80"]).ok();
    assert!(port.starts_with("127.0.0.1:"), "{port}");
    // One address, where both families have it.
    let port = shop.compose(&["port", "a", "90"]).ok();
    assert!(port.starts_with("0.0.0.0:") && port.lines().count() == 1, "{port}");
    assert_ne!(shop.compose(&["port", "a", "81"]).code, 0);
    let top = shop.compose(&["top"]).ok();
    assert!(top.starts_with(&shop.container("a")) && top.contains("sleep 1000"), "{top}");
    shop.write("f", "copied");
    let file = shop.engine.path("shop").join("f").display().to_string();
    shop.compose(&["cp", &file, "a:/g"]).ok();
    assert_eq!(shop.compose(&["exec", "a", "cat", "/g"]).ok(), "copied");
    let back = shop.engine.path("back").display().to_string();
    shop.compose(&["cp", "a:/g", &back]).ok();
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "copied");
    let stats = shop.compose(&["stats", "--no-stream", "--format", "{{.Name}}"]).ok();
    assert_eq!(stats, format!("{}\n", shop.container("a")));
    let events = shop.compose(&["events", "--json", "--since", "1h", "--until", "0s", "a"]).ok();
    let actions: Vec<_> = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()).collect();
    assert!(actions.iter().any(|event| event["action"] == "start" && event["service"] == "a"), "{events}");
    shop.compose(&["scale", "b=2"]).ok();
    assert_eq!(shop.compose(&["ps", "-aq", "b"]).ok().lines().count(), 2);
    shop.compose(&["down", "b"]).ok();
    assert_eq!(shop.compose(&["ps", "-a", "--services"]).ok(), "a\n");
}

#[test]
fn without_its_files_a_project_is_what_there_is_of_it() {
    let shop = shop(
        "found",
        "services:\n  db:\n    image: bb\n    command: sleep 1000\n    volumes: ['v:/v']\n  web:\n    image: bb\n    command: sleep 1000\n    depends_on: [db]\nvolumes:\n  v:\n",
    );
    shop.compose(&["up", "-d"]).ok();
    let elsewhere = |arguments: &[&str]| {
        let mut command = shop.engine.command(&[&["compose", "-p", &shop.name], arguments].concat());
        let output = command.current_dir(shop.engine.path(".")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(elsewhere(&["ps", "--services"]).1, "db\nweb\n");
    assert_eq!(elsewhere(&["exec", "db", "echo", "in"]).1, "in\n");
    let (code, _, error) = elsewhere(&["up", "-d"]);
    assert!(code == Some(1) && error.contains("no configuration file provided"), "{error}");
    assert_eq!(elsewhere(&["down", "-v", "-t", "0"]).0, Some(0));
    assert_eq!(shop.engine.run(&["ps", "-aq"]).ok(), "");
    assert!(!shop.engine.run(&["volume", "ls", "-q"]).ok().contains(&shop.name));
    assert!(!shop.engine.run(&["network", "ls"]).ok().contains(&shop.name));
    let (code, _, error) = elsewhere(&["down"]);
    assert!(code == Some(0) && error.contains("nothing of a project"), "{error}");
}
