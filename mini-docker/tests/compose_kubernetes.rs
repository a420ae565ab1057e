//! `compose config --format kubernetes`: manifests as the published API wants them, and what is named as lost.

use serde::Deserialize;
use serde_json::{Value, json};
use tests::{compose::Shop, kubernetes::mistakes};

fn export(shop: &Shop) -> (Vec<Value>, Vec<String>) {
    let said = shop.compose(&["config", "--format", "kubernetes"]);
    assert_eq!(said.code, 0, "{said:?}");
    let documents = serde_yaml::Deserializer::from_str(&said.out).map(|document| Value::deserialize(document).unwrap());
    let documents: Vec<_> = documents.collect();
    for document in &documents {
        assert_eq!(mistakes(document), Vec::<String>::new(), "{document:#}");
    }
    let note = |line: &str| line.strip_prefix("mini-docker: not carried over: ").unwrap().to_owned();
    (documents, said.err.lines().map(note).collect())
}

fn find<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = documents.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name} in {documents:#?}"))
}

const FILE: &str = r#"
services:
  web:
    build: .
    entrypoint: [run, "$$(HOME)"]
    ports: ["8080:80", "127.0.0.1:9000:9000", "53:53/udp", {target: 443, published: "443", name: tls}]
    environment: {A: "x $$(B)", UNSET: }
    depends_on: {db: {condition: service_healthy}, init: {condition: service_completed_successfully}}
    volumes: ["./src:/code", "cache:/cache:ro", "/scratch"]
    networks: {front: {aliases: [www]}, default: }
    user: "1000:1001"
    cap_add: [CAP_NET_ADMIN]
    cap_drop: [all]
    security_opt: ["no-new-privileges:true"]
    read_only: true
    configs: [{source: conf, target: /etc/app.conf}]
    secrets: [{source: pw, mode: 0400}]
    extra_hosts: ["a:10.0.0.1", "b:host-gateway"]
    dns: 192.0.2.1
    shm_size: 64m
    tmpfs: /run
    stop_grace_period: 1m30s
    labels: {traefik.enable: "true", "no name": x}
    post_start: [{command: echo hi}]
    platform: linux/arm64
    pull_policy: always
    ulimits: {nofile: 10}
    deploy:
      replicas: 3
      resources: {limits: {cpus: "0.25", memory: 512m}, reservations: {memory: 64m}}
      placement: {constraints: [node.role==worker]}
  my_cache:
    image: redis
    restart: always
  db:
    image: postgres
    expose: ["5432", "6000-6001"]
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: pg_isready, interval: 1500ms, timeout: 5s, retries: 5}
  init:
    image: busybox
    command: ["true"]
    restart: on-failure:3
volumes: {data: , cache: {external: true, name: shared-cache}}
networks: {front: {internal: true}}
configs: {conf: {content: "hello"}}
secrets: {pw: {environment: PW}}
"#;

#[test]
fn a_project_becomes_what_the_api_wants() {
    let shop = Shop::new(env!("CARGO_BIN_EXE_mini-docker"), "kube", FILE);
    shop.write(".env", "PW=secret\n");
    let (all, _) = export(&shop);
    let web = find(&all, "Deployment", "web");
    assert_eq!((&web["spec"]["replicas"], &web["spec"]["strategy"]["type"]), (&json!(3), &json!("Recreate")));
    let pod = &web["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], format!("{}-web", shop.name));
    assert_eq!(container["command"], json!(["run", "$$(HOME)"]));
    assert_eq!(container["env"], json!([{ "name": "A", "value": "x $$(B)" }]));
    let limits = json!({ "limits": { "cpu": "250m", "memory": "536870912" }, "requests": { "memory": "67108864" } });
    assert_eq!(container["resources"], limits);
    let rights = &container["securityContext"];
    assert_eq!(rights["capabilities"], json!({ "add": ["NET_ADMIN"], "drop": ["ALL"] }));
    assert_eq!((&rights["runAsUser"], &rights["runAsGroup"]), (&json!(1000), &json!(1001)));
    assert_eq!(rights["allowPrivilegeEscalation"], false);
    let mounts: Vec<_> = container["volumeMounts"].as_array().unwrap().iter().map(|m| m["mountPath"].clone()).collect();
    assert_eq!(mounts, ["/cache", "/scratch", "/run", "/dev/shm", "/run/secrets/pw", "/etc/app.conf"]);
    assert_eq!(pod["volumes"][0]["persistentVolumeClaim"]["claimName"], "shared-cache");
    assert_eq!(pod["terminationGracePeriodSeconds"], 90);
    assert_eq!(pod["nodeSelector"]["kubernetes.io/arch"], "arm64");
    let ports = &find(&all, "Service", "web")["spec"]["ports"];
    let names: Vec<_> = ports.as_array().unwrap().iter().map(|port| port["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["udp-53", "tcp-80", "tls", "tcp-9000"]);
    let outside = &find(&all, "Service", "web-published")["spec"];
    assert_eq!(outside["type"], "LoadBalancer");
    assert_eq!(outside["ports"][0], json!({ "name": "tcp-8080", "port": 8080, "targetPort": 80, "protocol": "TCP" }));
    assert_eq!(find(&all, "Service", "www")["spec"]["selector"], web["spec"]["selector"]["matchLabels"]);
    assert_eq!(find(&all, "Service", "my-cache")["spec"]["clusterIP"], "None");
    let db = find(&all, "Deployment", "db");
    let probe = &db["spec"]["template"]["spec"]["containers"][0]["readinessProbe"];
    assert_eq!(probe["exec"]["command"], json!(["/bin/sh", "-c", "pg_isready"]));
    assert_eq!((&probe["periodSeconds"], &probe["failureThreshold"]), (&json!(2), &json!(5)));
    let job = find(&all, "Job", "init");
    assert_eq!(
        (&job["spec"]["backoffLimit"], &job["spec"]["template"]["spec"]["restartPolicy"]),
        (&json!(3), &json!("OnFailure"))
    );
    assert_eq!(find(&all, "Secret", "pw")["data"]["content"], "c2VjcmV0");
    assert_eq!(find(&all, "ConfigMap", "conf")["data"]["content"], "hello");
    find(&all, "PersistentVolumeClaim", "data");
    assert!(!all.iter().any(|document| document["metadata"]["name"] == "shared-cache"));
}

#[test]
fn what_is_lost_is_named_with_its_place() {
    let shop = Shop::new(env!("CARGO_BIN_EXE_mini-docker"), "lost", FILE);
    shop.write(".env", "PW=secret\n");
    let (_, notes) = export(&shop);
    for words in [
        "compose.yaml:4:5: services.web.build: a cluster does not build",
        "services.web.environment: UNSET has no value",
        "services.web.depends_on: nothing orders the start of pods",
        "services.web.volumes: the bind mount of ",
        "services.web.volumes: its replicas share one claim",
        "services.web.ports: 9000 is on 127.0.0.1 alone",
        "services.web.extra_hosts: b: \"host-gateway\"",
        "services.web.labels: \"no name\" is no name for an annotation",
        "services.web.ulimits: ",
        "services.web.deploy.placement: ",
        "services.my_cache: is called \"my-cache\" there",
        "volumes.data: nobody says its size",
        "volumes.cache: is to be there as the claim \"shared-cache\"",
        "networks.front: all pods reach each other",
    ] {
        assert!(notes.iter().any(|note| note.contains(words)), "{words:?} is not in {notes:#?}");
    }
    assert_eq!(notes.len(), 14, "{notes:#?}");
    shop.describe("services: {a_b: {image: i}, a-b: {image: i}}\n");
    let error = shop.refused(&["config", "--format", "kubernetes"]);
    assert!(error.contains("would both be called \"a-b\""), "{error}");
}

#[test]
fn a_plain_project_loses_nothing() {
    let shop =
        Shop::new(env!("CARGO_BIN_EXE_mini-docker"), "plain", "services:\n  web: {image: nginx, ports: ['80:80']}\n");
    let (all, notes) = export(&shop);
    assert_eq!((all.len(), notes), (3, Vec::new()));
}
