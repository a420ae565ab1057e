//! `compose run` and `compose exec`.

use tests::compose::Shop;

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

#[test]
fn a_command_runs_as_its_service_and_leaves_nothing() {
    let file = "services:\n  a:\n    image: bb\n    command: echo default\n    environment: {K: k}\n    working_dir: /etc\n    labels: {own: label}\n";
    let shop = shop("run", file);
    let run = |arguments: &[&str]| shop.compose(&[&["run", "--rm"], arguments].concat());
    assert_eq!(run(&["a"]).ok(), "default\n");
    assert_eq!(run(&["-e", "L=l", "a", "sh", "-c", "echo $K$L; pwd; hostname >&2"]).ok(), "kl\n/etc\n");
    assert_eq!(run(&["-w", "/tmp", "-u", "7:8", "a", "sh", "-c", "pwd; id -u; id -g"]).ok(), "/tmp\n7\n8\n");
    assert_eq!(run(&["--entrypoint", "echo 'one  word'", "a"]).ok(), "one  word\n");
    assert_eq!(run(&["--entrypoint", "echo one", "a", "two"]).ok(), "one two\n");
    assert_eq!(run(&["a", "sh", "-c", "exit 9"]).code, 9);
    let directory = shop.engine.path("shop");
    let volume = format!("{}:/m:ro", directory.display());
    assert!(run(&["-v", &volume, "a", "cat", "/m/compose.yaml"]).ok().contains("services:"));
    assert_eq!(shop.engine.run(&["ps", "-aq"]).ok(), "");
    let error = run(&["b"]).refused(1);
    assert!(error.contains("no such service: b"), "{error}");
}

#[test]
fn dependencies_come_up_and_ports_stay_closed() {
    let file = "services:\n  d:\n    image: bb\n    command: sleep 1000\n  a:\n    image: bb\n    command: sleep 1000\n    ports: ['127.0.0.1::80']\n    restart: always\n    depends_on: [d]\n";
    let shop = shop("deps", file);
    let name = shop.compose(&["run", "-d", "a"]).ok();
    let name = name.trim();
    assert!(name.starts_with(&format!("{}-a-run-", shop.name)), "{name}");
    let one = shop.engine.inspect(name);
    assert_eq!(one["Config"]["Labels"]["com.docker.compose.oneoff"], "True");
    assert_eq!(one["HostConfig"]["RestartPolicy"]["Name"], "no");
    assert_eq!(shop.engine.run(&["port", name]).ok(), "");
    assert_eq!(shop.compose(&["ps", "-q"]).ok().lines().count(), 1, "the dependency alone");
    // By the service's name others find only the service.
    let find = ["exec", "d", "nslookup", "a"];
    assert_ne!(shop.compose(&find).code, 0);
    let open = shop.compose(&["run", "-d", "--service-ports", "--use-aliases", "--name", "other", "a"]).ok();
    assert_eq!(open.trim(), "other");
    assert!(shop.engine.run(&["port", "other"]).ok().starts_with("80/tcp -> 127.0.0.1:"));
    shop.compose(&find).ok();
    shop.compose(&["down", "-t", "0"]).ok();
    assert_eq!(shop.engine.run(&["ps", "-aq"]).ok(), "");
}

#[test]
fn exec_finds_the_container_of_the_service() {
    let file = "services:\n  a:\n    image: bb\n    command: sleep 1000\n    scale: 2\n  b:\n    image: bb\n    command: 'true'\n    profiles: [never]\n";
    let shop = shop("exec", file);
    shop.compose(&["up", "-d"]).ok();
    let hostname = |index: &str| shop.compose(&["exec", "-T", "--index", index, "a", "hostname"]).ok();
    assert_ne!(hostname("1"), hostname("2"));
    let said = shop.compose(&["exec", "-e", "K=v", "-w", "/etc", "-u", "5", "a", "sh", "-c", "echo $K; pwd; id -u"]);
    assert_eq!(said.ok(), "v\n/etc\n5\n");
    assert_eq!(shop.compose(&["exec", "a", "sh", "-c", "exit 7"]).code, 7);
    assert_eq!(shop.compose(&["exec", "a", "/nosuch"]).code, 127);
    shop.compose(&["exec", "-d", "a", "touch", "/made"]).ok();
    for (arguments, why) in
        [(&["--index", "3", "a"][..], "not running"), (&["b"], "not running"), (&["c"], "no such service: c")]
    {
        let error = shop.refused(&[&["exec"], arguments, &["true"]].concat());
        assert!(error.contains(why), "{error}");
    }
    // Named, a service needs no profile.
    shop.compose(&["run", "--rm", "b"]).ok();
}

#[test]
fn where_the_service_does_not_run_exec_finds_the_command_that_does() {
    let shop = shop("alone", "services:\n  a:\n    image: bb\n    command: sleep 1000\n");
    shop.compose(&["run", "-d", "a", "cat"]).ok();
    assert!(shop.compose(&["exec", "a", "ps"]).ok().contains("cat"));
    let error = shop.refused(&["exec", "--index", "1", "a", "ps"]);
    assert!(error.contains("is not running container #1"), "{error}");
    shop.compose(&["up", "-d"]).ok();
    assert!(shop.compose(&["exec", "a", "ps"]).ok().contains("sleep"));
    shop.compose(&["down", "-t", "0"]).ok();
    assert_eq!(shop.engine.run(&["ps", "-aq"]).ok(), "");
}

#[test]
fn commands_that_have_ended_are_orphans() {
    let shop = shop(
        "left",
        "services:\n  a:\n    image: bb\n    command: 'true'\n  b:\n    image: bb\n    command: sleep 1000\n",
    );
    shop.compose(&["run", "a"]).ok();
    let said = shop.compose(&["up", "-d", "b"]);
    assert!(said.err.contains("Found orphan containers"), "{said:?}");
    let said = shop.compose(&["up", "-d", "--remove-orphans", "b"]);
    assert!(!said.err.contains("orphan"), "{said:?}");
    assert_eq!(shop.engine.run(&["ps", "-aq"]).ok().lines().count(), 1);
    shop.compose(&["down", "-t", "0"]).ok();
}

#[test]
fn a_variable_without_a_value_is_the_projects_or_takes_the_images_away() {
    let file = "services:\n  a:\n    image: with\n    command: echo [$${PLACE-none}]\n    environment: [PLACE]\n    entrypoint: [sh, -c]\n";
    let file = file.replace("command: echo [$${PLACE-none}]", "command: ['echo [$${PLACE-none}]']");
    let file = file + "  b: {image: with, entrypoint: [sh, -c], command: ['echo [$${PLACE-none}]']}\n";
    let shop = shop("unset", &file);
    shop.engine.run(&["create", "--name", "cc", "bb", "true"]).ok();
    shop.engine.run(&["commit", "-c", "ENV PLACE=image", "cc", "with"]).ok();
    shop.engine.run(&["rm", "cc"]).ok();
    let run = ["run", "--rm", "a"];
    assert_eq!(shop.compose(&run).ok(), "[none]\n");
    // One of the command's own leaves it.
    assert_eq!(shop.compose(&["run", "--rm", "-e", "PLACE", "b"]).ok(), "[image]\n");
    let print = ["run", "--rm", "with", "sh", "-c", "echo [${PLACE-none}]"];
    assert_eq!(shop.engine.run(&print).ok(), "[image]\n");
    assert_eq!(shop.engine.run(&[&["run", "--rm", "-e", "PLACE"], &print[2..]].concat()).ok(), "[none]\n");
    std::fs::write(shop.engine.path("shop/.env"), "PLACE=file\n").unwrap();
    assert_eq!(shop.compose(&["run", "--rm", "-e", "PLACE", "a"]).ok(), "[file]\n");
    shop.compose(&["down", "-t", "0"]).ok();
}
