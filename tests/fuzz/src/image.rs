//! What registries and archives say of images.

use std::{
    fs::File,
    io::{Seek, Write},
};

use flate2::{Compression, write::GzEncoder};
use mini_docker::{
    engine::{
        digest::Digest,
        image::{
            ImageConfig,
            manifest::{Document, OCI_MANIFEST},
            platform::Platform,
        },
    },
    fuzz,
};

use crate::{one_line, text};

/// Manifests, indexes and configurations.
pub(crate) fn manifest(data: &[u8]) {
    for content_type in ["", OCI_MANIFEST] {
        match Document::parse(data, content_type) {
            Ok(Document::Index(index)) => {
                for platform in ["linux/amd64", "linux/arm/v7", "linux/arm64"] {
                    let platform = Platform::parse(platform).expect("a platform");
                    if let Err(error) = index.choose(&platform) {
                        assert!(!error.to_string().contains(['\n', '\x1b']), "{error:?}");
                    }
                }
            }
            Ok(Document::Manifest(manifest)) => {
                let digests = manifest.layers.iter().chain([&manifest.config]).map(|descriptor| &descriptor.digest);
                digests.for_each(|digest| assert!(digest.hex().bytes().all(|b| b.is_ascii_hexdigit())));
            }
            Err(error) => one_line(&error.to_string()),
        }
    }
    match ImageConfig::parse(data) {
        Ok(config) => {
            // Its own configuration is kept byte for byte; one that is changed is written and read again.
            let written = serde_json::to_vec(&config).expect("write a configuration");
            let again = ImageConfig::parse(&written).expect("read it again");
            assert_eq!(serde_json::to_vec(&again).expect("write it again"), written);
        }
        Err(error) => one_line(&error.to_string()),
    }
}

/// Challenges, tokens and digests.
pub(crate) fn registry(data: &[u8]) {
    fuzz::token(data);
    let Some(source) = text(data) else { return };
    for line in source.lines() {
        fuzz::challenge(line);
        if let Ok(digest) = Digest::parse(line) {
            assert_eq!(digest.to_string(), line);
            assert!(!digest.hex().contains(['/', '.']), "{digest}");
        }
        if let Ok(platform) = Platform::parse(line) {
            let written = platform.to_string();
            assert_eq!(Platform::parse(&written).ok().as_ref(), Some(&platform), "{line:?} is {written:?}");
        }
        let _ = mini_docker::engine::registry::domain_of(Some(line));
    }
    if let Some(token) = fuzz::token(data) {
        assert!(token.bytes().all(|b| (0x21..0x7f).contains(&b)), "{token:?}");
    }
}

/// `load`: the archive as it is, and compressed, which goes by another way.
pub(crate) fn archive(data: &[u8]) {
    let scratch = tempfile::tempdir_in("/dev/shm").expect("a directory");
    let read = |bytes: &[u8]| {
        let mut file: File = tempfile::tempfile_in("/dev/shm").expect("a file");
        file.write_all(bytes).and_then(|()| file.rewind()).expect("write the archive");
        let read = fuzz::image_archive(file, scratch.path());
        let _ = std::fs::remove_file(scratch.path().join("archive.tar"));
        read
    };
    let plain = read(data);
    if let Err(error) = &plain {
        one_line(error);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(data).expect("compress");
    let compressed = read(&encoder.finish().expect("compress"));
    // What is no tar archive at all may be one that is compressed in yet another way, or too short to be one.
    if plain.as_ref().is_ok_and(|found| *found > 0) {
        assert_eq!(compressed, plain, "the same archive");
    }
}
