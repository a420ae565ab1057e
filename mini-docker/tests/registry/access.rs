//! Who may, by password or token.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tests::{
    engine::said,
    machine::Machine,
    registry::{Answer, Registry},
};

use crate::{Image, OCI_MANIFEST, empty, engine};

#[test]
fn passwords_open_what_is_closed() {
    let registry = Registry::with("auth: {htpasswd: {realm: test, path: DIRECTORY/htpasswd}}");
    // The password `secret`, by crypt(5).
    let line = "me:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";
    fs::write(registry.directory().join("htpasswd"), line).unwrap();
    let engine = engine();
    let name = registry.name("bb:1");
    engine.run(&["tag", "bb", &name]).ok();
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], input: &[u8]| {
        let mut command = engine.command(arguments);
        command.env("DOCKER_CONFIG", folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (code, _, said) = run(&["push", &name], b"");
    assert!(code == 1 && said.contains("may require 'mini-docker login"), "{said}");
    let login = ["login", "-u", "me", "--password-stdin", &registry.address];
    let (code, _, said) = run(&login, b"wrong\n");
    assert!(code == 1 && said.contains("login attempt"), "{said}");
    assert!(!folder.path().join("config.json").exists());
    fs::write(folder.path().join("config.json"), r#"{"kept": 1, "auths": {"other": {"auth": "YTpi"}}}"#).unwrap();
    let (code, out, said) = run(&login, b"secret\n");
    assert!(code == 0 && out == "Login Succeeded\n" && said.contains("unencrypted"), "{out}{said}");
    let config: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["kept"], 1);
    assert_eq!(config["auths"][&registry.address]["auth"], "bWU6c2VjcmV0");
    assert_eq!(run(&["push", "-q", &name], b"").0, 0);
    assert_eq!(run(&["pull", "-q", &name], b"").0, 0);
    let (_, out, _) = run(&["logout", &registry.address], b"");
    assert_eq!(out, format!("Removing login credentials for {}\n", registry.address));
    assert_eq!(run(&["pull", "-q", &name], b"").0, 1);
    let config: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config, json!({"kept": 1, "auths": {"other": {"auth": "YTpi"}}}));
    // A helper keeps it elsewhere.
    let helper = folder.path().join("docker-credential-fake");
    let script = format!(
        "#!/bin/sh\nread server\n[ \"$1 $server\" = \"get {}\" ] || exit 1\necho '{{\"Username\":\"me\",\"Secret\":\"secret\"}}'\n",
        registry.address
    );
    tests::rootfs::write_program(&helper, &script, 0o755);
    fs::write(folder.path().join("config.json"), r#"{"credsStore": "fake"}"#).unwrap();
    let mut command = engine.command(&["pull", "-q", &name]);
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let output = command.env("DOCKER_CONFIG", folder.path()).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_token_is_asked_for_where_the_registry_says() {
    let image = Image::new();
    let fake = &image.fake;
    let realm = format!("http://{}/token", fake.address);
    // Asks once, and again where it is not the right one.
    let challenge = format!("Www-Authenticate: Bearer realm=\"{realm}\",service=\"s\",scope=\"repository:x:pull\"");
    let mut closed = Answer::new("application/json", "{}");
    closed.status = "401 Unauthorized";
    closed.headers.push(challenge);
    let manifest = Answer::new(OCI_MANIFEST, image.manifest.to_string());
    fake.put_in_turn("/v2/x/manifests/1", vec![closed, manifest]);
    fake.put("/token?service=s&scope=repository%3Ax%3Apull", Answer::new("application/json", r#"{"token":"t0ken"}"#));
    let engine = empty();
    engine.run(&["pull", "-q", &image.name()]).ok();
    let requests = fake.requests();
    assert!(requests.contains(&"GET /v2/x/manifests/1 Bearer t0ken".to_owned()), "{requests:?}");
}

/// An authority, a server's certificate for 192.0.2.1 and a client's, as PEM files.
fn certify(directory: &Path) {
    let script = r#"set -e
    key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
    key ca
    openssl req -x509 -new -key ca.key -subj /CN=tests -out ca.crt
    for name in server client; do
        key $name
        openssl req -new -key $name.key -subj /CN=$name -out $name.csr
        printf 'basicConstraints=CA:FALSE\nsubjectAltName=IP:192.0.2.1\n' > extensions
        openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -extfile extensions -out $name.cert
    done"#;
    let output = Command::new("sh").args(["-c", script]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn certificates_are_asked_for_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let place = folder.path().display();
    let http =
        format!(", tls: {{certificate: {place}/server.cert, key: {place}/server.key, clientcas: [{place}/ca.crt]}}");
    let machine = Machine::new();
    // No loopback address: those are trusted.
    let registry = machine.run(move || {
        let added = Command::new("ip").args(["address", "add", "192.0.2.1/32", "dev", "lo"]).status();
        assert!(added.unwrap().success());
        Registry::at("192.0.2.1", &http, "")
    });
    let engine = engine();
    let name = registry.name("bb:1");
    engine.run(&["tag", "bb", &name]).ok();
    let run = |arguments: &[&str]| {
        let mut command = engine.command(arguments);
        command.env("MINI_DOCKER_CONFIG", folder.path().join("config.json"));
        said(&machine.run(move || command.output().unwrap()))
    };
    let own = folder.path().join("certs.d").join(&registry.address);
    fs::create_dir_all(&own).unwrap();
    let put = |file: &str| {
        fs::copy(folder.path().join(file), own.join(file)).unwrap();
    };
    let error = run(&["push", "-q", &name]).refused(1);
    assert!(error.contains("UnknownIssuer") && error.contains("certs.d/HOST[:PORT]/ca.crt"), "{error}");
    put("ca.crt");
    let error = run(&["push", "-q", &name]).refused(1);
    assert!(error.contains("fatal alert") && error.contains("client.cert and client.key"), "{error}");
    put("client.cert");
    assert!(run(&["push", "-q", &name]).refused(1).contains("client.key"));
    put("client.key");
    run(&["push", "-q", &name]).ok();
    run(&["pull", "-q", &name]).ok();
    // Neither of them is needed where anybody may answer; but what is there is shown.
    fs::write(folder.path().join("config.json"), r#"{"insecure-registries": ["192.0.2.0/24"]}"#).unwrap();
    fs::remove_file(own.join("ca.crt")).unwrap();
    run(&["pull", "-q", &name]).ok();
}

#[test]
fn a_token_is_kept_in_place_of_the_password_where_there_is_one() {
    let image = Image::new();
    let fake = &image.fake;
    let closed = |scope: &str| {
        let realm = format!("http://{}/token", fake.address);
        let challenge = format!("Www-Authenticate: Bearer realm=\"{realm}\",service=\"s\"{scope}");
        let headers = vec!["Content-Type: application/json".to_owned(), challenge];
        Answer { status: "401 Unauthorized", headers, ..Answer::new("", "{}") }
    };
    let open = Answer::new("application/json", "{}");
    fake.put_in_turn("/v2/", vec![closed(""), open]);
    let token = |text: &str| Answer::new("application/json", text);
    let asked = "/token?service=s&account=me&offline_token=true&client_id=mini-docker";
    fake.put(asked, token(r#"{"token":"t0ken","refresh_token":"kept"}"#));
    let folder = tempfile::tempdir().unwrap();
    let engine = empty();
    let run = |arguments: &[&str]| {
        let mut command = engine.command(arguments);
        said(&command.env("DOCKER_CONFIG", folder.path()).output().unwrap())
    };
    run(&["login", "-u", "me", "-p", "secret", &fake.address]).ok();
    let config: Value = serde_json::from_slice(&fs::read(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["auths"][&fake.address], json!({"auth": "bWU6", "identitytoken": "kept"}));
    // It gets tokens from now on.
    let manifest = Answer::new(OCI_MANIFEST, image.manifest.to_string());
    fake.put_in_turn("/v2/x/manifests/1", vec![closed(",scope=\"repository:x:pull\""), manifest]);
    fake.put("/token", token(r#"{"access_token":"other"}"#));
    run(&["pull", "-q", &image.name()]).ok();
    let requests = fake.requests();
    for wanted in ["GET /v2/ Bearer t0ken", "POST /token", "GET /v2/x/manifests/1 Bearer other"] {
        assert!(requests.iter().any(|request| request == wanted), "{wanted}: {requests:?}");
    }
    assert!(requests.contains(&format!("GET {asked} Basic bWU6c2VjcmV0")), "{requests:?}");
}
