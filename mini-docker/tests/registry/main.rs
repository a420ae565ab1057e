//! Images that come from registries and go there: Debian's own, and some that misbehave.

mod access;
mod archives;
mod broken;

use std::{fs, process::Command};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::{
    engine::Engine,
    registry::{Answer, Fake, Registry},
};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

pub(crate) fn empty() -> Engine {
    Engine::empty(env!("CARGO_BIN_EXE_mini-docker"))
}

pub(crate) fn entries(engine: &Engine, directory: &str) -> usize {
    fs::read_dir(engine.root().join(directory)).map_or(0, Iterator::count)
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// An image in a fake registry, with what its parts say before they are broken.
pub(crate) struct Image {
    pub(crate) fake: Fake,
    pub(crate) config: Vec<u8>,
    pub(crate) layer: Vec<u8>,
    pub(crate) manifest: Value,
}

impl Image {
    /// `x:1`, of one plain layer that holds a file of pseudo-random bytes.
    pub(crate) fn new() -> Self {
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
    pub(crate) fn serve(&mut self, config: &Value) {
        self.config = config.to_string().into_bytes();
        self.manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": self.config.len(), "digest": digest(&self.config)},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": self.layer.len(), "digest": digest(&self.layer)}]});
        self.publish();
    }

    pub(crate) fn publish(&self) {
        self.fake.put("/v2/x/manifests/1", Answer::new(OCI_MANIFEST, self.manifest.to_string()));
        let blob = |bytes: &[u8]| Answer::new("application/octet-stream", bytes);
        self.fake.put(&format!("/v2/x/blobs/{}", digest(&self.config)), blob(&self.config));
        self.fake.put(&self.layer_path(), blob(&self.layer));
    }

    pub(crate) fn layer_path(&self) -> String {
        format!("/v2/x/blobs/{}", digest(&self.layer))
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/x:1", self.fake.address)
    }
}

/// A pull that fails leaves nothing.
#[track_caller]
pub(crate) fn refused(engine: &Engine, name: &str, says: &str) {
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
    assert!(engine.run(&["run", "--rm", "--pull", "never", &short, "true"]).refused(125).contains("No such image"));
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
