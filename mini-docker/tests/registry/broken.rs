//! Registries that break off, lie, or serve what no image may be.

use std::{fs, process::Stdio, thread, time::Duration};

use serde_json::json;
use tests::{
    engine::eventually,
    registry::{Answer, Registry},
};

use crate::{Image, OCI_INDEX, OCI_MANIFEST, digest, empty, engine, entries, refused};

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
