//! `load`: from Docker's archives, old and new, and from archives of OCI image layouts.

use std::fs::File;

use super::{Entry, NAME, REF_NAME, place::Places};
use crate::engine::{
    Engine,
    digest::Digest,
    error::{Error, Result},
    image::{
        Image, ImageConfig, Intake, Notes,
        config::MOST_BYTES,
        layer::Expected,
        manifest::{Descriptor, Document, Index, Manifest},
        platform::Platform,
        shown,
    },
    reference::Reference,
};

/// Indexes in indexes.
const DEEPEST: usize = 4;

/// An image that [`Engine::load_images`] took in.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The image.
    pub image: Image,
    /// The names that the archive gave it.
    pub names: Vec<Reference>,
}

/// An image of an archive.
struct Candidate {
    config: Vec<u8>,
    names: Vec<Reference>,
    /// Where its layers are.
    layers: Vec<String>,
    /// Its manifest, where there is one.
    manifest: Option<(Vec<u8>, Manifest)>,
}

impl Engine {
    /// Takes all images of an archive in. `loaded` is told of each as soon as it is there.
    pub fn load_images(
        &self,
        archive: File,
        platform: Option<&Platform>,
        loaded: &mut dyn FnMut(Loaded),
    ) -> Result<()> {
        let intake = self.intake()?;
        let archive = Places::find(archive, intake.path())?;
        let mut candidates = layout(&archive, platform)?;
        if let Some(entries) = archive.read("manifest.json", 4 * MOST_BYTES)? {
            candidates = docker(&archive, &entries, &candidates)?;
        }
        if candidates.is_empty() {
            let message = "the archive has no images: it has neither a manifest.json nor an index.json; a root filesystem is taken in by `import`";
            return Err(Error::invalid(message));
        }
        for candidate in candidates {
            let taken = take_in(&archive, &intake, candidate)?;
            self.emit_image("load", &taken.image.id);
            loaded(taken);
        }
        Ok(())
    }
}

fn take_in(archive: &Places, intake: &Intake, candidate: Candidate) -> Result<Loaded> {
    let config = ImageConfig::parse(&candidate.config)?;
    let diffs = &config.rootfs.diff_ids;
    if candidate.layers.len() != diffs.len() {
        let message = format!("the archive has {} layers for an image of {}", candidate.layers.len(), diffs.len());
        return Err(Error::invalid(message));
    }
    intake.lease(diffs)?;
    for (at, (diff, path)) in diffs.iter().zip(&candidate.layers).enumerate() {
        if intake.has(diff) {
            continue;
        }
        let part =
            archive.open(path).ok_or_else(|| Error::invalid(format!("the archive lacks the layer {}", shown(path))))?;
        let blob = candidate.manifest.as_ref().and_then(|(_, manifest)| manifest.layers.get(at));
        intake.layer(part, Expected { diff: Some(diff), blob })?;
    }
    let manifest = candidate.manifest.as_ref().map(|(bytes, _)| bytes.as_slice());
    let image = intake.record(&candidate.config, manifest, &Notes::default(), &candidate.names)?;
    Ok(Loaded { image, names: candidate.names })
}

/// What `manifest.json` names. An image that the layout has too takes its manifest from there, so that its digest stays.
fn docker(archive: &Places, entries: &[u8], known: &[Candidate]) -> Result<Vec<Candidate>> {
    let entries: Vec<Entry> =
        serde_json::from_slice(entries).map_err(|e| Error::invalid(format!("read manifest.json: {e}")))?;
    let mut candidates = Vec::new();
    for entry in entries {
        let lacks = || Error::invalid(format!("the archive lacks the configuration {}", shown(&entry.config)));
        let config = archive.read(&entry.config, MOST_BYTES)?.ok_or_else(lacks)?;
        let names = entry.repo_tags.unwrap_or_default();
        let names = names.iter().map(|name| Reference::parse(name)).collect::<Result<Vec<_>>>()?;
        let manifest = known.iter().find(|other| other.config == config).and_then(|other| other.manifest.clone());
        let mut layers = entry.layers.unwrap_or_default();
        if let Some((_, manifest)) = &manifest {
            layers = manifest.layers.iter().map(path_of).collect();
        }
        candidates.push(Candidate { config, names, layers, manifest });
    }
    Ok(candidates)
}

/// What an OCI image layout has.
fn layout(archive: &Places, platform: Option<&Platform>) -> Result<Vec<Candidate>> {
    let Some(index) = archive.read("index.json", MOST_BYTES)? else { return Ok(Vec::new()) };
    let index: Index = serde_json::from_slice(&index).map_err(|e| Error::invalid(format!("read index.json: {e}")))?;
    let platform = platform.cloned().unwrap_or_else(Platform::host);
    let mut candidates: Vec<Candidate> = Vec::new();
    for descriptor in &index.manifests {
        let Some((bytes, manifest)) = resolve(archive, descriptor, &platform)? else { continue };
        let lacks =
            || Error::invalid(format!("the archive lacks the configuration {}", manifest.config.digest.short()));
        let config = verified(archive, &manifest.config)?.ok_or_else(lacks)?;
        let name = name_of(descriptor)?;
        match candidates.iter_mut().find(|other| other.config == config) {
            Some(known) => known.names.extend(name),
            None => candidates.push(Candidate {
                config,
                names: name.into_iter().collect(),
                layers: manifest.layers.iter().map(path_of).collect(),
                manifest: Some((bytes, manifest)),
            }),
        }
    }
    Ok(candidates)
}

/// The manifest behind a descriptor, through indexes; `None` for what the archive does not hold.
fn resolve(archive: &Places, descriptor: &Descriptor, platform: &Platform) -> Result<Option<(Vec<u8>, Manifest)>> {
    let mut descriptor = descriptor.clone();
    for _ in 0..DEEPEST {
        let Some(bytes) = verified(archive, &descriptor)? else { return Ok(None) };
        match Document::parse(&bytes, &descriptor.media_type)? {
            Document::Manifest(manifest) => return Ok(Some((bytes, manifest))),
            Document::Index(index) => descriptor = index.choose(platform)?.clone(),
        }
    }
    Err(Error::invalid(format!("the archive's index leads to indexes more than {DEEPEST} times")))
}

fn verified(archive: &Places, descriptor: &Descriptor) -> Result<Option<Vec<u8>>> {
    let Some(bytes) = archive.read(&path_of(descriptor), MOST_BYTES)? else { return Ok(None) };
    if Digest::of(&bytes) == descriptor.digest {
        return Ok(Some(bytes));
    }
    Err(Error::invalid(format!("verify the blob {} of the archive: it is something else", descriptor.digest.short())))
}

fn path_of(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest.hex())
}

fn name_of(descriptor: &Descriptor) -> Result<Option<Reference>> {
    let note = |key: &str| descriptor.annotations.as_ref().and_then(|notes| notes.get(key));
    if let Some(name) = note(NAME) {
        return Reference::parse(name).map(Some);
    }
    // A tag alone is no name.
    note(REF_NAME).filter(|name| name.contains([':', '/'])).map(|name| Reference::parse(name)).transpose()
}
