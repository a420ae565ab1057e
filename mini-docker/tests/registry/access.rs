//! Who may, by password or token.

use std::{fs, io::Write as _, process::Stdio};

use serde_json::{Value, json};
use tests::registry::{Answer, Registry};

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
