//! `compose up` and what follows: what runs, what stays, what goes.

use tests::{compose::Shop, engine::eventually};

const SLEEPS: &str = "image: bb, command: sleep 1000, stop_signal: KILL";

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

#[test]
fn data_outlives_down_and_goes_with_it_when_asked() {
    let file = "services:\n  db:\n    image: bb\n    command: sh -c 'echo again >> /d/f; cat /d/f'\n    volumes: ['data:/d']\nvolumes:\n  data:\n";
    let shop = shop("data", file);
    let volume = format!("{}_data", shop.name);
    let last = || shop.compose(&["logs", "--no-log-prefix", "db"]).ok();
    for words in ["again", "again\nagain"] {
        shop.compose(&["up", "-d"]).ok();
        eventually("the service writes", || last().trim() == words);
        shop.compose(&["down", "-t", "0"]).ok();
        assert!(shop.engine.run(&["volume", "ls", "-q"]).ok().contains(&volume));
        assert!(!shop.engine.run(&["network", "ls"]).ok().contains(&shop.name));
    }
    shop.compose(&["down", "-v"]).ok();
    assert!(!shop.engine.run(&["volume", "ls", "-q"]).ok().contains(&volume));
}

#[test]
fn only_what_services_use_is_made() {
    let file = "services:\n  a:\n    image: bb\n    command: 'true'\n    networks: [one]\n    volumes: ['v:/v']\n  b:\n    image: bb\n    command: 'true'\n    networks: [two]\n    volumes: ['w:/w']\nnetworks:\n  one:\n  two:\n  three:\n  missing: {external: true}\nvolumes:\n  v:\n  w:\n  x:\n";
    let shop = shop("used", file);
    let own = |kind: &str| {
        let all = shop.engine.run(&[kind, "ls", "--format", "{{.Name}}"]).ok();
        let mut own: Vec<_> =
            all.lines().filter_map(|name| name.strip_prefix(&format!("{}_", shop.name))).map(str::to_owned).collect();
        own.sort();
        own.join(" ")
    };
    shop.compose(&["up", "-d", "a"]).ok();
    assert_eq!((own("network"), own("volume")), ("one".to_owned(), "v".to_owned()));
    shop.compose(&["run", "--rm", "b"]).ok();
    assert_eq!((own("network"), own("volume")), ("one two".to_owned(), "v w".to_owned()));
    let missing = shop.refused(&["--all-resources", "up", "-d"]);
    assert!(missing.contains("network missing declared as external, but could not be found"), "{missing}");
    shop.describe(&file.replace("  missing: {external: true}\n", ""));
    shop.compose(&["--all-resources", "up", "-d"]).ok();
    assert_eq!((own("network"), own("volume")), ("one three two".to_owned(), "v w x".to_owned()));
}

#[test]
fn names_are_joined_as_the_first_compose_did() {
    let file =
        "services:\n  a:\n    image: bb\n    command: echo $$PATH\n    labels: {$PATH: $$}\n  b:\n    build: .\n";
    let shop = shop("joined", file);
    shop.write("Dockerfile", "FROM bb\nCMD true\n");
    let names = || shop.engine.run(&["ps", "-a", "--format", "{{.Names}}"]).ok();
    shop.compose_by_its_old_name(&["--compatibility", "up", "-d", "a"]).ok();
    assert_eq!(names(), format!("{}_a_1\n", shop.name));
    shop.compose_by_its_old_name(&["--compatibility", "up", "-d", "a"]).ok();
    assert_eq!(shop.compose(&["ps", "-aq"]).ok().lines().count(), 1, "it is the same");
    let log = shop.compose(&["logs", "a"]).ok();
    assert!(log.starts_with("a_1  | $PATH\n"), "{log}");
    assert_eq!(shop.compose(&["--compatibility", "config", "--images"]).ok(), format!("bb\n{}_b\n", shop.name));
    shop.write(".env", "COMPOSE_COMPATIBILITY=true\n");
    let run = shop.compose(&["run", "-d", "a"]).ok();
    assert!(run.starts_with(&format!("{}_a_run_", shop.name)), "{run}");
    // What config prints is read as the same again, and so not interpolated a second time.
    let printed = shop.compose(&["config"]).ok();
    assert!(printed.contains("- $$PATH") && printed.contains(" $PATH: $$"), "{printed}");
    let json = || shop.compose(&["config", "--format", "json"]).ok();
    let before = json();
    assert!(before.contains("\"$PATH\""), "{before}");
    shop.describe(&printed);
    assert_eq!(json(), before);
    let version = shop.compose_by_its_old_name(&["--version"]).ok();
    assert!(version.starts_with("mini-docker compose version "), "{version}");
}

#[test]
fn services_find_each_other_and_only_what_changed_is_made_anew() {
    let file = |b: &str| {
        format!(
            "services:\n  a:\n    image: bb\n    command: sleep 1000\n    networks: {{default: {{aliases: [other]}}}}\n  b:\n    image: bb\n    command: sleep {b}\n    depends_on: [a]\n"
        )
    };
    let shop = shop("two", &file("1000"));
    shop.compose(&["up", "-d"]).ok();
    let ids = |service: &str| shop.compose(&["ps", "-q", service]).ok();
    let (a, b) = (ids("a"), ids("b"));
    assert_eq!((a.lines().count(), b.lines().count()), (1, 1));
    for name in ["a", "other"] {
        shop.engine.run(&["exec", &format!("{}-b-1", shop.name), "nslookup", name]).ok();
    }
    shop.describe(&file("2000"));
    shop.compose(&["up", "-d", "-t", "0"]).ok();
    assert_eq!(ids("a"), a);
    assert_ne!(ids("b"), b);
    shop.compose(&["up", "-d", "-t", "0", "--scale", "a=2"]).ok();
    assert_eq!(ids("a").lines().count(), 2);
    shop.describe("services:\n  a:\n    image: bb\n    command: sleep 1000\n");
    shop.compose(&["up", "-d", "-t", "0", "--remove-orphans"]).ok();
    assert!(!shop.engine.run(&["ps", "-a"]).ok().contains(&format!("{}-b-1", shop.name)));
}

#[test]
fn dependants_wait_for_health_and_for_success() {
    let file = "services:\n  slow:\n    image: bb\n    command: sh -c 'sleep 0.3; touch /ready; sleep 1000'\n    healthcheck: {test: 'test -e /ready', interval: 100ms}\n  job:\n    image: bb\n    command: 'false'\n  a:\n    image: bb\n    command: 'true'\n    depends_on: {slow: {condition: service_healthy}}\n  b:\n    image: bb\n    command: 'true'\n    depends_on: {job: {condition: service_completed_successfully}}\n";
    let shop = shop("wait", file);
    shop.compose(&["up", "-d", "a"]).ok();
    let slow = shop.engine.inspect(&format!("{}-slow-1", shop.name));
    assert_eq!(slow["State"]["Health"]["Status"], "healthy");
    let error = shop.refused(&["up", "-d", "b"]);
    assert!(error.contains("\"job\" didn't complete successfully: exit 1"), "{error}");
    assert_eq!(shop.engine.inspect(&format!("{}-b-1", shop.name))["State"]["Status"], "created");
}

#[test]
fn each_step_is_said_unless_nobody_wants_to_know() {
    let shop = shop(
        "steps",
        "services:\n  a:\n    image: bb\n    command: sleep 1000\n    init: true\n    volumes: ['v:/v']\n  b:\n    image: bb\n    command: 'true'\n    depends_on: [a]\nvolumes:\n  v:\n",
    );
    let steps = |arguments: &[&str]| {
        let said = shop.compose(arguments);
        assert_eq!((said.code, &*said.out), (0, ""), "{said:?}");
        said.err.replace(&shop.name, "P")
    };
    let both =
        |kind: &str, name: &str, doing: &str, done: &str| format!(" {kind} P{name} {doing}\n {kind} P{name} {done}\n");
    let container = |service: &str, doing: &str, done: &str| both("Container", &format!("-{service}-1"), doing, done);
    let up = [
        both("Volume", "_v", "Creating", "Created"),
        both("Network", "_default", "Creating", "Created"),
        container("a", "Creating", "Created"),
        container("b", "Creating", "Created"),
        container("a", "Starting", "Started"),
        container("b", "Starting", "Started"),
    ];
    assert_eq!(steps(&["up", "-d"]), up.concat());
    assert_eq!(steps(&["up", "-d", "a"]), " Container P-a-1 Running\n");
    assert_eq!(steps(&["--progress", "quiet", "up", "-d", "--force-recreate"]), "");
    shop.compose(&["wait", "b"]).ok();
    let down = [
        container("a", "Stopping", "Stopped"),
        container("b", "Removing", "Removed"),
        container("a", "Removing", "Removed"),
        both("Network", "_default", "Removing", "Removed"),
        both("Volume", "_v", "Removing", "Removed"),
    ];
    assert_eq!(steps(&["down", "-v"]), down.concat());
}

#[test]
fn a_wait_can_take_the_project_down() {
    let file =
        "services:\n  a: {image: bb, command: sleep 1000, init: true}\n  b: {image: bb, command: sh -c 'exit 3'}\n";
    let shop = shop("waitdown", file);
    shop.compose(&["up", "-d"]).ok();
    assert_eq!(shop.compose(&["wait", "--down-project", "b"]).code, 3);
    assert_eq!(shop.compose(&["ps", "-aq"]).ok(), "");
    assert!(!shop.engine.run(&["network", "ls"]).ok().contains(&shop.name));
}

#[test]
fn a_container_name_is_one_service_s() {
    let shop = shop("named", "services:\n  a: {image: bb, container_name: xy}\n  b: {image: bb, container_name: xy}\n");
    let error = shop.refused(&["config", "-q"]);
    assert!(error.contains("\"xy\", which is already in use by service a"), "{error}");
}

#[test]
fn what_is_not_done_is_refused_by_name() {
    let shop = shop("key", "services:\n  a:\n    image: bb\n    gpus: all\n");
    let error = shop.refused(&["up", "-d"]);
    assert!(error.contains("services.a.gpus"), "{error}");
    assert!(!shop.engine.run(&["network", "ls"]).ok().contains(&shop.name));
}

#[test]
fn root_pings_on_every_network_unless_the_right_is_dropped() {
    let service = |name: &str, more: &str| format!("  {name}:\n    image: bb\n    command: sleep 1000\n{more}");
    let services = [
        service("own", ""),
        service("dropped", "    cap_drop: [ALL]\n"),
        service("shared", "    network_mode: bridge\n"),
        service("outside", "    networks: [default, there]\n"),
    ];
    let there = format!("there{}", std::process::id());
    let networks = format!("networks:\n  there: {{name: {there}, external: true}}\n");
    let shop = shop("raw", &format!("services:\n{}{networks}", services.concat()));
    shop.engine.run(&["network", "create", &there]).ok();
    shop.compose(&["up", "-d"]).ok();
    for (service, code) in [("own", 0), ("dropped", 1), ("shared", 0), ("outside", 0)] {
        let said = shop.compose(&["exec", service, "ping", "-c1", "127.0.0.1"]);
        assert_eq!(said.code, code, "{service}: {said:?}");
    }
    shop.compose(&["down", "-t", "0"]).ok();
    shop.engine.run(&["network", "rm", &there]).ok();
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let file = |seconds: &str| {
        format!("services:\n  a: {{image: bb, command: sleep {seconds}, volumes: ['v:/v']}}\nvolumes:\n  v:\n")
    };
    let shop = shop("dry", &file("1000"));
    let dry = |arguments: &[&str]| {
        let said = shop.compose(&[&["--dry-run"], arguments].concat());
        assert_eq!(said.code, 0, "{said:?}");
        said.err.replace("DRY-RUN MODE -  ", "").replace(&shop.name, "P")
    };
    let all = "Network P_default Created\nVolume P_v Created\nContainer P-a-1 Created\nContainer P-a-1 Started\n";
    assert_eq!(dry(&["up", "-d"]), all);
    assert_eq!(dry(&["up", "-d"]), all);
    shop.compose(&["up", "-d"]).ok();
    assert_eq!(dry(&["up", "-d"]), "Container P-a-1 Running\n");
    shop.describe(&file("2000"));
    assert_eq!(dry(&["create"]), "Container P-a-1 Recreated\n");
    let down = "Container P-a-1 Stopped\nContainer P-a-1 Removed\nNetwork P_default Removed\nVolume P_v Removed\n";
    assert_eq!(dry(&["down", "-v"]), down);
    assert!(shop.refused(&["--dry-run", "kill"]).contains("--dry-run is there for up, create and down"));
    assert_eq!(shop.compose(&["ps", "-q"]).ok().lines().count(), 1);
}

#[test]
fn only_what_the_services_use_is_made_unless_all_is_wanted() {
    let file = format!(
        "services:\n  a: {{{SLEEPS}, networks: [used]}}\n  b: {{{SLEEPS}, networks: [there]}}\nnetworks:\n  used:\n  unused:\n  there: {{name: nosuch-network, external: true}}\nvolumes:\n  unused:\n"
    );
    let shop = shop("use", &file);
    assert!(
        shop.refused(&["up", "-d"]).contains("network nosuch-network declared as external, but could not be found")
    );
    let said = shop.compose(&["up", "-d", "a"]);
    assert!(said.code == 0 && !said.err.contains("_unused"), "{said:?}");
    shop.compose(&["down", "-v", "-t", "0"]).ok();
    shop.describe(&format!("services:\n  a: {{{SLEEPS}}}\nnetworks:\n  unused:\nvolumes:\n  unused:\n"));
    let said = shop.compose(&["--all-resources", "up", "-d"]);
    for line in ["Network P_unused Created", "Volume P_unused Created"] {
        assert!(said.err.contains(&line.replace('P', &shop.name)), "{line}: {said:?}");
    }
    shop.compose(&["down", "-v", "-t", "0"]).ok();
}

#[test]
fn names_have_the_first_versions_underscores_where_that_is_wanted() {
    let shop = shop("under", &format!("services:\n  a: {{{SLEEPS}}}\n"));
    shop.compose(&["--compatibility", "up", "-d"]).ok();
    let name = format!("{}_a_1", shop.name);
    assert_eq!(shop.engine.run(&["ps", "--format", "{{.Names}}"]).ok(), format!("{name}\n"));
    shop.compose(&["down", "-t", "0"]).ok();
}

#[test]
fn what_a_service_shares_has_to_be_there_without_dependencies() {
    let shop = shop(
        "donor",
        &format!(
            "services:\n  a: {{{SLEEPS}, network_mode: 'service:b'}}\n  b: {{{SLEEPS}}}\n  c: {{{SLEEPS}, links: [b]}}\n"
        ),
    );
    let error = shop.refused(&["up", "-d", "--no-deps", "a"]);
    assert!(error.contains("cannot share network namespace with service b: container missing"), "{error}");
    shop.compose(&["up", "-d", "--no-deps", "c"]).ok();
    shop.compose(&["up", "-d"]).ok();
    shop.compose(&["stop", "-t", "0"]).ok();
    // With what it depends on.
    shop.compose(&["start", "a"]).ok();
    assert_eq!(shop.compose(&["ps", "--services"]).ok(), "a\nb\n");
    shop.compose(&["down", "-t", "0"]).ok();
}
