//! What `compose up` makes anew, what it leaves alone, and what it says of containers that nothing describes.

use tests::{compose::Shop, rootfs};

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

fn file(service: &str, rest: &str) -> String {
    format!(
        "services:\n  a:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n    volumes: ['v:/v', /own]\n{service}{rest}"
    )
}

const VOLUMES: &str = "volumes:\n  v:\n";

#[test]
fn a_container_is_made_anew_when_it_would_be_another_and_only_then() {
    let shop = shop("anew", &file("", VOLUMES));
    let id = || {
        shop.compose(&["up", "-d"]).ok();
        shop.compose(&["ps", "-q", "a"]).ok()
    };
    let mut last = id();
    let mut is_same = |text: &str| {
        shop.describe(text);
        let id = id();
        std::mem::replace(&mut last, id.clone()) == id
    };
    // What changes no container.
    for service in [
        "    profiles: []\n",
        "    pull_policy: never\n",
        "    attach: false\n",
        "    scale: 1\n",
        "    develop: {watch: [{path: ., action: rebuild}]}\n",
        "    post_start: [{command: 'true'}]\n",
        "    build: .\n",
        "    x-mine: 1\n",
        "",
    ] {
        assert!(is_same(&file(service, VOLUMES)), "{service}");
    }
    // What does.
    for service in ["    environment: [A=1]\n", "    labels: {a: b}\n", "    healthcheck: {test: 'true'}\n", ""] {
        assert!(!is_same(&file(service, VOLUMES)), "{service}");
    }
    let other = format!("other{}", std::process::id());
    assert!(!is_same(&file("", &format!("volumes:\n  v: {{name: {other}}}\n"))), "another volume");
    assert!(!is_same(&file("", VOLUMES)), "the first volume");
    let labelled = format!("{VOLUMES}networks:\n  default: {{labels: {{a: b}}}}\n");
    assert!(!is_same(&file("", &labelled)), "another network of the same name");
    let network = shop.engine.run(&["network", "inspect", &format!("{}_default", shop.name)]).ok();
    assert!(network.contains("\"a\": \"b\""), "{network}");
    assert!(is_same(&file("", &labelled)));
    // Another image of the same name.
    let archive = shop.engine.path("bb.tar");
    rootfs::busybox_tar(&archive);
    shop.engine.run(&["import", "-c", "LABEL x=y", archive.to_str().unwrap(), "bb"]).ok();
    assert!(!is_same(&file("", &labelled)), "another image");
    shop.engine.run(&["volume", "rm", &other]).ok();
}

#[test]
fn data_without_a_name_goes_on_unless_it_is_to_begin_anew() {
    let shop = shop("own", &file("", VOLUMES));
    shop.compose(&["up", "-d"]).ok();
    shop.compose(&["exec", "a", "touch", "/own/f"]).ok();
    shop.compose(&["up", "-d", "--force-recreate"]).ok();
    shop.compose(&["exec", "a", "test", "-e", "/own/f"]).ok();
    shop.compose(&["up", "-d", "--force-recreate", "-V"]).ok();
    assert_eq!(shop.compose(&["exec", "a", "test", "-e", "/own/f"]).code, 1);
}

#[test]
fn who_is_not_named_is_made_anew_on_demand_alone() {
    let shop =
        shop("named", &file("  b: {image: bb, command: sleep 1000, stop_signal: KILL, depends_on: [a]}\n", VOLUMES));
    let ids = |arguments: &[&str]| {
        shop.compose(&[&["up", "-d"], arguments].concat()).ok();
        ["a", "b"].map(|service| shop.compose(&["ps", "-q", service]).ok())
    };
    let first = ids(&[]);
    let second = ids(&["--force-recreate", "b"]);
    assert!(second[0] == first[0] && second[1] != first[1]);
    let third = ids(&["--always-recreate-deps", "b"]);
    assert!(third[0] != second[0] && third[1] == second[1]);
}

#[test]
fn a_name_is_for_one_container() {
    let shop = shop("single", &file("    container_name: one\n", VOLUMES));
    let error = shop.refused(&["up", "-d", "--scale", "a=2"]);
    assert!(error.contains("compose.yaml:7:5: services.a.container_name: \"one\" is one container's name"), "{error}");
}

#[test]
fn a_volume_that_is_described_otherwise_is_named_and_kept() {
    let shop = shop("kept", &file("", VOLUMES));
    shop.compose(&["up", "-d"]).ok();
    shop.describe(&file("", "volumes:\n  v: {labels: {a: b}}\n"));
    let said = shop.compose(&["up", "-d"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("compose.yaml:8:3: volumes.v: it was made from another description"), "{said:?}");
}

#[test]
fn containers_that_nothing_describes_are_named_and_removed_when_asked() {
    let shop =
        shop("orphan", &file("", &format!("  b: {{image: bb, command: sleep 1000, stop_signal: KILL}}\n{VOLUMES}")));
    shop.compose(&["up", "-d"]).ok();
    shop.describe(&file("", VOLUMES));
    let said = shop.compose(&["up", "-d"]);
    assert!(
        said.code == 0
            && said.err.contains(&format!("Found orphan containers ({}) for this project", shop.container("b"))),
        "{said:?}"
    );
    shop.write(".env", "COMPOSE_IGNORE_ORPHANS=1\n");
    let said = shop.compose(&["up", "-d"]);
    assert!(said.code == 0 && !said.err.contains("warning"), "{said:?}");
    assert_eq!(shop.engine.inspect(&shop.container("b"))["State"]["Status"], "running");
    shop.compose(&["up", "-d", "--remove-orphans"]).ok();
    assert!(!shop.engine.run(&["ps", "-a"]).ok().contains(&shop.container("b")));
}
