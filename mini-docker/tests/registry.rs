//! Images that come from registries and go there: Debian's own, and some that misbehave.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::{
    engine::{Engine, eventually},
    registry::{Answer, Fake, Registry},
};

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

fn empty() -> Engine {
    Engine::empty(env!("CARGO_BIN_EXE_mini-docker"))
}

fn entries(engine: &Engine, directory: &str) -> usize {
    fs::read_dir(engine.root().join(directory)).map_or(0, Iterator::count)
}

fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// An image in a fake registry, with what its parts say before they are broken.
struct Image {
    fake: Fake,
    config: Vec<u8>,
    layer: Vec<u8>,
    manifest: Value,
}

impl Image {
    /// `x:1`, of one plain layer that holds a file of pseudo-random bytes.
    fn new() -> Self {
        let mut state = 1_u32;
        let noise: Vec<u8> = (0..300_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let mut header = tar::Header::new_gnu();
        header.set_size(noise.len() as u64);
        header.set_mode(0o644);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, "noise", &noise[..]).unwrap();
        let layer = archive.into_inner().unwrap();
        let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}});
        let fake = Fake::start();
        let mut image = Self { fake, config: Vec::new(), layer, manifest: Value::Null };
        image.serve(&config);
        image
    }

    /// Serves this configuration with its layer.
    fn serve(&mut self, config: &Value) {
        self.config = config.to_string().into_bytes();
        self.manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": self.config.len(), "digest": digest(&self.config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": self.layer.len(), "digest": digest(&self.layer)}]});
        self.publish();
    }

    fn publish(&self) {
        self.fake.put("/v2/x/manifests/1", Answer::new(OCI_MANIFEST, self.manifest.to_string()));
        let blob = |bytes: &[u8]| Answer::new("application/octet-stream", bytes);
        self.fake.put(&format!("/v2/x/blobs/{}", digest(&self.config)), blob(&self.config));
        self.fake.put(&self.layer_path(), blob(&self.layer));
    }

    fn layer_path(&self) -> String {
        format!("/v2/x/blobs/{}", digest(&self.layer))
    }

    fn name(&self) -> String {
        format!("{}/x:1", self.fake.address)
    }
}

/// A pull that fails leaves nothing.
#[track_caller]
fn refused(engine: &Engine, name: &str, says: &str) {
    let said = engine.run(&["pull", "-q", name]).refused(1);
    assert!(said.contains(says), "{said}");
    for directory in ["images", "layers"] {
        assert_eq!(entries(engine, directory), 0, "{directory}: {said}");
    }
}

#[test]
fn what_is_pushed_is_pulled_again() {
    let registry = Registry::start();
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "echo hello > /greeting"]).ok();
    let name = registry.name("me/x:1");
    engine.run(&["commit", "-c", "CMD cat /greeting", "c1", &name]).ok();
    let said = engine.run(&["push", &name]).ok();
    assert!(said.starts_with(&format!("The push refers to repository [{}]\n", registry.name("me/x"))), "{said}");
    assert_eq!(said.matches(": Pushed\n").count(), 2, "{said}");
    let digest = said.lines().last().unwrap().split(' ').nth(2).unwrap().to_owned();
    assert!(
        said.ends_with(&format!("1: digest: {digest} size: {}\n", said.rsplit(' ').next().unwrap().trim())),
        "{said}"
    );
    // Again: everything is there.
    let again = engine.run(&["push", &name]).ok();
    assert_eq!(again.matches(": Layer already exists\n").count(), 2, "{again}");
    assert!(again.contains(&digest), "{again}");
    // Another repository of the same registry gets it from there.
    engine.run(&["tag", &name, &registry.name("other/y:1")]).ok();
    let other = engine.run(&["push", &registry.name("other/y:1")]).ok();
    assert_eq!(other.matches(": Mounted from another repository\n").count(), 2, "{other}");
    let id = engine.inspect(&name)["Id"].clone();
    let told = |engine: &Engine, action: &str| {
        let filter = format!("event={action}");
        let format = "{{.Actor.ID}} {{.Actor.Attributes.name}}";
        engine.run(&["events", "--since", "0", "--until", "0s", "-f", &filter, "--format", format]).ok()
    };
    let (own, other) = (registry.name("me/x"), registry.name("other/y"));
    assert_eq!(told(&engine, "push"), format!("{own}:1 {own}\n{own}:1 {own}\n{other}:1 {other}\n"));
    drop(engine);

    let engine = empty();
    let said = engine.run(&["pull", &name]).ok();
    assert!(said.starts_with("1: Pulling from me/x\n"), "{said}");
    assert_eq!(said.matches(": Pull complete\n").count(), 2, "{said}");
    let end = format!("Digest: {digest}\nStatus: Downloaded newer image for {name}\n{name}\n");
    assert!(said.ends_with(&end), "{said}");
    let image = engine.inspect(&name);
    assert_eq!(image["Id"], id);
    assert_eq!(image["RepoDigests"], json!([registry.name(&format!("me/x@{digest}"))]));
    assert_eq!(engine.run(&["run", "--rm", &name]).ok(), "hello\n");
    let said = engine.run(&["pull", &name]).ok();
    assert!(said.contains("Status: Image is up to date for"), "{said}");
    // By digest; the digest survives another push.
    let by_digest = registry.name(&format!("me/x@{digest}"));
    assert_eq!(engine.run(&["pull", "-q", &by_digest]).ok(), format!("{by_digest}\n"));
    assert_eq!(told(&engine, "pull"), format!("{own}:1 {own}\n{own}:1 {own}\n{own}@{digest} {own}\n"));
    engine.run(&["tag", &by_digest, &registry.name("third:2")]).ok();
    assert!(engine.run(&["push", &registry.name("third:2")]).ok().contains(&digest));
    assert_eq!(engine.run(&["pull", "-aq", &registry.name("third")]).ok(), format!("{}\n", registry.name("third")));
}

#[test]
fn run_pulls_what_is_missing() {
    let registry = Registry::start();
    let name = registry.name("bb:latest");
    {
        let engine = engine();
        engine.run(&["tag", "bb", &name]).ok();
        engine.run(&["push", "-q", &name]).ok();
    }
    let engine = empty();
    let short = registry.name("bb");
    assert!(engine.run(&["run", "--rm", "--pull", "never", &short, "true"]).refused(125).contains("no such image"));
    let said = engine.run(&["run", "--rm", &short, "echo", "ran"]);
    assert_eq!((said.code, said.out.as_str()), (0, "ran\n"), "{said:?}");
    let begin = format!("Unable to find image '{name}' locally\nlatest: Pulling from bb\n");
    assert!(said.err.starts_with(&begin) && said.err.contains("Status: Downloaded newer"), "{said:?}");
    let said = engine.run(&["run", "--rm", "--pull", "always", &short, "true"]);
    assert!(said.code == 0 && said.err.contains("up to date"), "{said:?}");
    assert_eq!(engine.run(&["run", "--rm", &short, "true"]).err, "");
    let said = engine.run(&["run", "--rm", &registry.name("nosuch"), "true"]);
    assert!(said.code == 125 && said.out.is_empty() && said.err.contains("manifest unknown"), "{said:?}");
}

#[test]
fn skopeo_reads_what_we_push_and_writes_what_we_pull() {
    let registry = Registry::start();
    let engine = engine();
    let name = registry.name("bb:1");
    engine.run(&["tag", "bb", &name]).ok();
    engine.run(&["push", "-q", &name]).ok();
    let folder = tempfile::tempdir().unwrap();
    let skopeo = |arguments: &[&str]| {
        let output = Command::new("skopeo").arg("--insecure-policy").args(arguments).output().expect("skopeo");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let directory = format!("oci:{}:latest", folder.path().join("layout").display());
    skopeo(&["copy", "--src-tls-verify=false", &format!("docker://{name}"), &directory]);
    // As OCI with zstd, and as a layout that umoci unpacks.
    for (format, compression) in [("oci", "zstd"), ("v2s2", "gzip")] {
        let target = registry.name(&format!("again:{compression}"));
        let to = format!("docker://{target}");
        let arguments = [
            "copy",
            "--dest-tls-verify=false",
            "--format",
            format,
            "--dest-compress-format",
            compression,
            &directory,
            &to,
        ];
        skopeo(&arguments);
        let engine = empty();
        engine.run(&["pull", "-q", &target]).ok();
        assert_eq!(engine.run(&["run", "--rm", &target, "echo", compression]).ok(), format!("{compression}\n"));
        let before = engine.inspect(&target)["RepoDigests"][0].as_str().unwrap().split('@').nth(1).unwrap().to_owned();
        let copy = registry.name(&format!("copy:{compression}"));
        engine.run(&["tag", &target, &copy]).ok();
        assert!(engine.run(&["push", &copy]).ok().contains(&before));
    }
    let bundle = folder.path().join("bundle");
    let mut umoci = Command::new("umoci");
    umoci.arg("unpack").arg("--image").arg(format!("{}:latest", folder.path().join("layout").display())).arg(&bundle);
    let output = umoci.output().expect("umoci");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(bundle.join("rootfs/bin/busybox").exists());
}

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

#[test]
fn a_connection_that_breaks_is_taken_up_again() {
    let image = Image::new();
    let mut answer = Answer::new("application/octet-stream", image.layer.clone());
    answer.cut = Some((100_000, 2));
    image.fake.put(&image.layer_path(), answer);
    let engine = empty();
    engine.run(&["pull", "-q", &image.name()]).ok();
    let requests = image.fake.requests();
    for from in [100_000, 200_000] {
        let wanted = format!("GET {} bytes={from}-", image.layer_path());
        assert!(requests.contains(&wanted), "{requests:?}");
    }
}

#[test]
fn a_connection_that_stalls_is_given_up() {
    let image = Image::new();
    let mut answer = Answer::new("application/octet-stream", image.layer.clone());
    answer.cut = Some((100_000, 1));
    answer.stall = true;
    image.fake.put(&image.layer_path(), answer);
    let engine = empty();
    let config = engine.path("config.json");
    fs::write(&config, r#"{"timeout": 1}"#).unwrap();
    let mut command = engine.command(&["pull", "-q", &image.name()]);
    let output = command.env("MINI_DOCKER_CONFIG", &config).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_registry_that_only_breaks_is_an_error() {
    let image = Image::new();
    let mut answer = Answer::new("application/octet-stream", image.layer.clone());
    answer.cut = Some((1000, usize::MAX));
    image.fake.put(&image.layer_path(), answer);
    refused(&empty(), &image.name(), "the connection broke");
}

#[test]
fn a_registry_that_lies_is_found_out() {
    let engine = empty();
    // Other contents than the digest says.
    let image = Image::new();
    let mut spoilt = image.layer.clone();
    spoilt[1000] ^= 1;
    image.fake.put(&image.layer_path(), Answer::new("application/octet-stream", spoilt));
    refused(&engine, &image.name(), "verify the blob");
    // Another configuration.
    let path = format!("/v2/x/blobs/{}", digest(&image.config));
    image.publish();
    image.fake.put(&path, Answer::new("application/json", "{}"));
    refused(&engine, &image.name(), "verify the configuration");
    // Another manifest than the digest that was asked for.
    let wanted = format!("sha256:{}", "0".repeat(64));
    let name = format!("{}/x@{wanted}", image.fake.address);
    image.fake.put(&format!("/v2/x/manifests/{wanted}"), Answer::new(OCI_MANIFEST, image.manifest.to_string()));
    refused(&engine, &name, "verify the manifest");
}

#[test]
fn hostile_images_are_refused() {
    let engine = empty();
    let mut image = Image::new();
    let layer = digest(&image.layer);
    let config = |os: &str, diff_ids: &[&str]| json!({"architecture": "amd64", "os": os, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
    image.serve(&config("windows", &[&layer]));
    refused(&engine, &image.name(), "image operating system \"windows\" cannot be used on this platform");
    image.serve(&config("linux", &[&format!("sha256:{}", "1".repeat(64))]));
    refused(&engine, &image.name(), "verify the layer");
    image.serve(&config("linux", &[&layer, &layer]));
    refused(&engine, &image.name(), "the manifest has 1 layers, the configuration 2");
    image.serve(&config("linux", &["sha256:../../../../etc/passwd"]));
    refused(&engine, &image.name(), "64 hexadecimal digits");
    image.serve(&config("linux", &[&layer]));
    let good = image.manifest.clone();
    // Sizes that lie, either way.
    for size in [100, 10_000_000_000_u64] {
        image.manifest["layers"][0]["size"] = json!(size);
        image.publish();
        engine.run(&["pull", "-q", &image.name()]).refused(1);
        assert_eq!(entries(&engine, "layers"), 0);
    }
    image.manifest = good.clone();
    image.manifest["layers"] = json!(vec![good["layers"][0].clone(); 600]);
    image.publish();
    refused(&engine, &image.name(), "500 layers");
    image.manifest = good;
    image.manifest["layers"][0]["digest"] = json!("sha256:../../../../../../etc/passwd");
    image.publish();
    refused(&engine, &image.name(), "64 hexadecimal digits");
    // An index that leads to itself cannot be, since it would hold its own digest; one of many is followed some steps.
    let mut next = json!({"mediaType": OCI_INDEX, "size": 1, "digest": layer, "platform": {"os": "linux", "architecture": "amd64"}});
    for _ in 0..6 {
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [next]}).to_string();
        image.fake.put(&format!("/v2/x/manifests/{}", digest(index.as_bytes())), Answer::new(OCI_INDEX, index.clone()));
        next["digest"] = json!(digest(index.as_bytes()));
        image.fake.put("/v2/x/manifests/1", Answer::new(OCI_INDEX, index));
    }
    refused(&engine, &image.name(), "indexes more than");
    image.fake.put("/v2/x/manifests/1", Answer::new(OCI_MANIFEST, vec![b' '; 9 << 20]));
    refused(&engine, &image.name(), "more than");
}

#[test]
fn a_platform_is_chosen_and_checked() {
    let image = Image::new();
    let bytes = image.manifest.to_string();
    let entry = |architecture: &str, manifest: &str| {
        json!({"mediaType": OCI_MANIFEST, "size": manifest.len(), "digest": digest(manifest.as_bytes()),
            "platform": {"os": "linux", "architecture": architecture}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry("s390x", "{}"), entry("amd64", &bytes)]});
    let index = index.to_string();
    image.fake.put("/v2/x/manifests/1", Answer::new(OCI_INDEX, index.clone()));
    image.fake.put(&format!("/v2/x/manifests/{}", digest(bytes.as_bytes())), Answer::new(OCI_MANIFEST, bytes));
    let engine = empty();
    let said = engine.run(&["pull", "--platform", "linux/amd64", &image.name()]).ok();
    assert!(said.contains(&format!("Digest: {}", digest(index.as_bytes()))), "{said}");
    let said = engine.run(&["pull", "-q", "--platform", "linux/arm64", &image.name()]).refused(1);
    assert!(said.contains("no matching manifest for linux/arm64") && said.contains("linux/s390x"), "{said}");
}

#[test]
fn a_pull_killed_anywhere_leaves_what_the_next_one_finishes() {
    let registry = Registry::start();
    let name = registry.name("big:1");
    {
        let engine = engine();
        engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "head -c 20000000 /dev/urandom > /big"]).ok();
        engine.run(&["commit", "c1", &name]).ok();
        engine.run(&["push", "-q", &name]).ok();
    }
    let engine = empty();
    let mut interrupted = 0;
    for round in 0..24 {
        let mut child = engine.command(&["pull", "-q", &name]).stdout(Stdio::null()).spawn().unwrap();
        // Each round dies later; none of what follows depends on where.
        thread::sleep(Duration::from_millis(8 * round));
        child.kill().unwrap();
        interrupted += u32::from(!child.wait().unwrap().success());
        let whole = engine.run(&["images", "-q"]).ok().lines().count() == 1;
        for layer in fs::read_dir(engine.root().join("layers")).unwrap() {
            assert!(layer.unwrap().path().join("layer.json").exists());
        }
        if whole {
            assert_eq!(engine.run(&["run", "--rm", &name, "sh", "-c", "wc -c < /big"]).ok(), "20000000\n");
            engine.run(&["rmi", &name]).ok();
        }
    }
    assert!(interrupted > 0);
    engine.run(&["pull", "-q", &name]).ok();
    assert_eq!(engine.run(&["run", "--rm", &name, "sh", "-c", "wc -c < /big"]).ok(), "20000000\n");
    eventually("the container's garbage is gone", || entries(&engine, "tmp") == 0);
    engine.run(&["rmi", &name]).ok();
    engine.run(&["image", "prune", "-f"]).ok();
    assert_eq!(entries(&engine, "layers"), 0);
}

#[test]
fn what_is_saved_is_loaded_again() {
    let engine = engine();
    engine.run(&["run", "--name", "c1", "bb", "sh", "-c", "echo saved > /f; rm /etc/group"]).ok();
    engine.run(&["commit", "-c", "CMD cat /f", "c1", "x/y:1"]).ok();
    engine.run(&["rm", "c1"]).ok();
    engine.run(&["tag", "bb", "z:2"]).ok();
    let id = engine.inspect("x/y:1")["Id"].as_str().unwrap().to_owned();
    let file = engine.path("s.tar");
    let path = file.to_str().unwrap();
    engine.run(&["save", "-o", path, "x/y:1", "z:2", &id]).ok();
    let list = |name: &str| {
        let output = Command::new("tar").args(["-xOf", path, name]).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let manifest = list("manifest.json");
    assert_eq!(manifest.as_array().unwrap().len(), 2, "{manifest}");
    assert_eq!(manifest[0]["RepoTags"], json!(["x/y:1"]));
    assert_eq!(list("index.json")["manifests"][0]["annotations"]["io.containerd.image.name"], "docker.io/x/y:1");
    let load = |arguments: &[&str], input: &[u8], said: &str| {
        let engine = empty();
        assert_eq!(engine.run_with(arguments, input).ok(), said);
        assert_eq!(engine.inspect("x/y:1")["Id"], id.as_str());
        assert_eq!(engine.run(&["run", "--rm", "x/y:1"]).ok(), "saved\n");
        assert_eq!(engine.run(&["run", "--rm", "x/y:1", "test", "-e", "/etc/group"]).code, 1);
    };
    let both = "Loaded image: x/y:1\nLoaded image: z:2\n";
    load(&["load", "-i", path], b"", both);
    load(&["load"], &fs::read(&file).unwrap(), both);
    let zipped = Command::new("gzip").arg("-c").arg(&file).output().unwrap().stdout;
    load(&["load", "-q"], &zipped, both);
    // Layers of our own need no copy of their archive, there as here.
    let blobs = fs::read_dir(engine.root().join("layers")).unwrap();
    assert!(blobs.flatten().all(|layer| !layer.path().join("blob").exists()));
    // Without manifest.json it is an OCI layout, without index.json an old archive; other programs read both.
    let folder = engine.path("layout");
    fs::create_dir(&folder).unwrap();
    let tar = |arguments: &[&str]| assert!(Command::new("tar").args(arguments).status().unwrap().success());
    let repack = |without: &str, to: &Path| {
        tar(&["-xf", path, "-C", folder.to_str().unwrap()]);
        fs::remove_file(folder.join(without)).unwrap();
        tar(&["-cf", to.to_str().unwrap(), "-C", folder.to_str().unwrap(), "."]);
    };
    for without in ["manifest.json", "index.json"] {
        let other = engine.path("other.tar");
        repack(without, &other);
        load(&["load", "-i", other.to_str().unwrap()], b"", both);
    }
    let skopeo = |from: &str| {
        let output =
            Command::new("skopeo").args(["--insecure-policy", "inspect", "--config", from]).output().expect("skopeo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let config: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(config["config"]["Cmd"], json!(["/bin/sh", "-c", "cat /f"]));
    };
    skopeo(&format!("docker-archive:{path}:x/y:1"));
}

#[test]
fn archives_that_are_no_images_are_refused() {
    let engine = empty();
    assert!(engine.run_with(&["load"], b"nonsense").refused(1).contains("archive"));
    let one = |name: &str, contents: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        let mut archive = tar::Builder::new(Vec::new());
        archive.append_data(&mut header, name, contents.as_bytes()).unwrap();
        archive.into_inner().unwrap()
    };
    for (name, contents, says) in [
        ("etc/passwd", "x", "no images"),
        ("manifest.json", "[]", "no images"),
        ("manifest.json", r#"[{"Config":"../../../etc/passwd","Layers":[]}]"#, "lacks the configuration"),
        ("manifest.json", "{", "manifest.json"),
        (
            "index.json",
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"x","size":1,"digest":"sha256:../x"}]}"#,
            "index.json",
        ),
    ] {
        let said = engine.run_with(&["load"], &one(name, contents)).refused(1);
        assert!(said.contains(says), "{said}");
    }
    assert_eq!(entries(&engine, "tmp"), 0);
    assert!(engine.run(&["save", "nosuch"]).refused(1).contains("no such image"));
}
