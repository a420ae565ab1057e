//! What single keys of a service come to in its containers.

use serde_json::{Value, json};
use tests::compose::Shop;

fn shop(name: &str, file: &str) -> Shop {
    Shop::new(env!("CARGO_BIN_EXE_mini-docker"), name, file)
}

#[test]
fn secrets_and_configurations_come_from_files_variables_and_text() {
    let file = "services:\n  a:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n    secrets:\n      - plain\n      - {source: var, uid: '7', gid: '8', mode: 0400}\n      - {source: plain, target: /own, mode: 0640}\n    configs: [inline, {source: inline, target: /etc/app/conf}]\nsecrets:\n  plain: {file: ./secret}\n  var: {environment: SECRET}\nconfigs:\n  inline: {content: 'n=${SECRET}'}\n";
    let shop = shop("held", file);
    shop.write("secret", "from a file");
    shop.write(".env", "SECRET=one\n");
    shop.compose(&["up", "-d"]).ok();
    let read =
        |path: &str| shop.compose(&["exec", "a", "sh", "-c", &format!("cat {path}; stat -c ' %u %g %a' {path}")]).ok();
    assert_eq!(read("/run/secrets/var"), "one 7 8 400\n");
    assert_eq!(read("/own"), "from a file 0 0 640\n");
    assert_eq!(read("/inline"), "n=one 0 0 444\n");
    assert!(read("/run/secrets/plain").starts_with("from a file "));
    assert_eq!(shop.compose(&["exec", "a", "sh", "-c", "echo x > /etc/app/conf"]).code, 1);
    // Another content is another configuration; what shows its changes by itself is not.
    let id = || shop.compose(&["ps", "-q"]).ok();
    let (before, hash) = (id(), shop.compose(&["config", "--hash", "*"]).ok());
    shop.write("secret", "from another file");
    assert_ne!(shop.compose(&["config", "--hash", "a"]).ok(), hash, "a copy shows no changes");
    shop.write("secret", "from a file");
    shop.compose(&["up", "-d"]).ok();
    assert_eq!(id(), before);
    shop.write(".env", "SECRET=two\n");
    shop.compose(&["up", "-d"]).ok();
    assert_ne!(id(), before);
    assert_eq!(read("/run/secrets/var"), "two 7 8 400\n");
    shop.describe("services:\n  a: {image: bb, secrets: [gone]}\nsecrets:\n  gone: {environment: NOT_SET}\n");
    let error = shop.refused(&["up", "-d", "-t", "0"]);
    assert!(error.contains("secrets.gone: environment variable \"NOT_SET\""), "{error}");
}

#[test]
fn hooks_run_after_the_start_and_before_the_end() {
    let file = "services:\n  a:\n    image: bb\n    command: sh -c 'trap \"exit 0\" TERM; while :; do sleep 0.05; done'\n    init: true\n    volumes: ['./out:/out']\n    post_start:\n      - {command: ['sh', '-c', 'echo start $$WORD >> /out/f'], environment: {WORD: x}}\n    pre_stop:\n      - {command: sh -c 'pwd >> /out/f', working_dir: /tmp}\n";
    let shop = shop("hooks", file);
    let wrote = || std::fs::read_to_string(shop.engine.path("shop/out/f")).unwrap_or_default();
    shop.compose(&["up", "-d"]).ok();
    assert_eq!(wrote(), "start x\n");
    shop.compose(&["up", "-d"]).ok();
    shop.compose(&["restart"]).ok();
    assert_eq!(wrote(), "start x\n/tmp\nstart x\n");
    shop.compose(&["down"]).ok();
    assert_eq!(wrote(), "start x\n/tmp\nstart x\n/tmp\n");
    shop.describe("services:\n  a: {image: bb, command: sleep 1000, post_start: [{command: 'false'}]}\n");
    let error = shop.refused(&["up", "-d"]);
    assert!(
        error.contains("compose.yaml:2:")
            && error.contains("services.a.post_start: a hook exited with status 1: false"),
        "{error}"
    );
}

#[test]
fn links_volumes_of_others_and_limits_are_the_containers() {
    let file = "services:\n  db:\n    image: bb\n    command: sh -c 'echo x > /data/f; sleep 1000'\n    stop_signal: KILL\n    volumes: [/data]\n  a:\n    image: bb\n    command: sleep 1000\n    stop_signal: KILL\n    links: ['db:store', db]\n    volumes_from: ['db:ro']\n    mac_address: 02:42:ac:11:00:77\n    annotations: {who: me}\n    deploy: {restart_policy: {condition: on-failure, max_attempts: 3}, labels: {not: there}}\n    device_cgroup_rules: ['c 1:3 r']\n    cpu_quota: 50000\n    cpu_period: 100000\n    blkio_config: {weight: 300}\n    runtime: runc\n    volumes: [{type: bind, source: ., target: /here, bind: {selinux: z}}]\n";
    let shop = shop("kin", file);
    shop.compose(&["up", "-d"]).ok();
    for name in ["store", "db"] {
        shop.compose(&["exec", "a", "ping", "-c1", name]).ok();
    }
    assert_eq!(shop.compose(&["exec", "a", "cat", "/data/f"]).ok(), "x\n");
    assert_ne!(shop.compose(&["exec", "a", "touch", "/data/g"]).code, 0);
    assert_eq!(shop.compose(&["exec", "a", "cat", "/sys/class/net/eth0/address"]).ok(), "02:42:ac:11:00:77\n");
    let host = shop.engine.inspect(&shop.container("a"))["HostConfig"].clone();
    assert_eq!(host["RestartPolicy"], serde_json::json!({ "Name": "on-failure", "MaximumRetryCount": 3 }));
    assert_eq!(
        (&host["CpuQuota"], &host["CpuPeriod"], &host["BlkioWeight"]),
        (&50000.into(), &100_000.into(), &300.into())
    );
    assert_eq!(host["Annotations"]["who"], "me");
    assert_eq!(host["DeviceCgroupRules"], serde_json::json!(["c 1:3 r"]));
}

#[test]
fn what_is_not_done_is_refused_or_warned_of_with_its_place() {
    for (key, words) in [
        ("gpus: all", "services.a.gpus: not supported: name the devices under `devices`"),
        ("runtime: kata", "services.a.runtime: mini-docker is its own"),
        ("storage_opt: {size: 1G}", "services.a.storage_opt:"),
        ("device_cgroup_rules: [all]", "services.a.device_cgroup_rules:"),
        ("deploy:\n      mode: global", "compose.yaml:5:7: services.a.deploy.mode: there is `replicated` alone"),
        ("sysctls: {kernel.hostname: x}", "services.a.sysctls: sysctl"),
        ("cap_add: [NOSUCH]", "services.a.cap_add: unknown capability"),
        ("stop_signal: SIGNOPE", "services.a.stop_signal: invalid signal"),
        ("logging: {driver: syslog}", "services.a.logging: the log driver"),
        ("dns: [nonsense]", "services.a.dns: nonsense is not an ip address"),
        ("restart: sometimes", "services.a.restart: invalid restart policy"),
        ("mem_swappiness: 200", "services.a.mem_swappiness: the range is 0 to 100"),
    ] {
        let shop = shop("no", &format!("services:\n  a:\n    image: bb\n    {key}\n"));
        let error = shop.refused(&["up", "-d"]);
        let place = if words.starts_with("compose.yaml") { "" } else { "compose.yaml:4:5: " };
        assert!(error.contains(&format!("{place}{words}")), "{error}");
    }
    let shop = shop(
        "vain",
        "services:\n  a:\n    image: bb\n    command: 'true'\n    deploy:\n      placement: {constraints: [node.role==manager]}\n",
    );
    let said = shop.compose(&["up", "-d"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("compose.yaml:6:7: services.a.deploy.placement: ignored:"), "{said:?}");
}

#[test]
fn variables_and_hashes_are_listed() {
    let shop = shop("list", "services:\n  a: {image: 'bb:${TAG:-latest}'}\n  b: {image: bb, command: '${RUN?}'}\n");
    let table = shop.compose(&["config", "--variables"]).ok();
    assert!(
        table.contains("RUN       true")
            && table.lines().any(|line| line.starts_with("TAG") && line.contains("latest")),
        "{table}"
    );
    shop.write(".env", "RUN=sleep 1000\n");
    let hashes = shop.compose(&["config", "--hash", "*"]).ok();
    let one = shop.compose(&["config", "--hash", "b"]).ok();
    assert!(hashes.ends_with(&one) && hashes.lines().count() == 2, "{hashes} {one}");
    shop.compose(&["up", "-d", "b"]).ok();
    let label = shop.engine.inspect(&shop.container("b"))["Config"]["Labels"]["com.docker.compose.config-hash"].clone();
    assert_eq!(one, format!("b {}\n", label.as_str().unwrap()));
    assert!(shop.refused(&["config", "--hash", "c"]).contains("no such service: c"));
}

#[test]
fn entry_points_and_labels_are_as_dockers() {
    let shop = shop(
        "entry",
        "services:\n  a:\n    image: bb\n    entrypoint: [sh, -c]\n    command: ['true']\n  b:\n    image: bb\n    entrypoint: []\n    command: ['true']\n",
    );
    shop.compose(&["create"]).ok();
    let a = shop.engine.inspect(&shop.container("a"));
    assert_eq!((&a["Config"]["Entrypoint"], &a["Config"]["Cmd"]), (&json!(["sh", "-c"]), &json!(["true"])));
    assert_eq!(a["Config"]["Labels"]["com.docker.compose.image"], a["Image"]);
    assert!(a["Config"]["Labels"]["com.docker.compose.version"].is_string());
    let b = shop.engine.inspect(&shop.container("b"));
    assert_eq!((&b["Config"]["Entrypoint"], &b["Config"]["Cmd"]), (&Value::Null, &json!(["true"])));
}
