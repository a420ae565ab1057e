//! `pull`: an image from a registry, all layers at once.

use std::{
    collections::HashMap,
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use super::{
    Event, Fetched, Progress,
    blob::Blob,
    client::{Client, contents},
    config::Config,
};
use crate::engine::{
    Engine,
    digest::Digest,
    error::{Error, Kind, Result},
    image::{
        Image, ImageConfig, Intake, Notes,
        config::MOST_BYTES,
        layer::Expected,
        manifest::{Descriptor, Document, Manifest},
        platform::Platform,
    },
    reference::Reference,
};

/// Layers that are on their way at the same time.
const AT_ONCE: usize = 4;
/// Indexes in indexes.
const DEEPEST: usize = 4;

/// What [`Engine::pull`] got.
#[derive(Debug)]
pub struct Pulled {
    /// The image.
    pub image: Image,
    /// Of the manifest, or of the index that led to it.
    pub digest: Digest,
    /// Whether the name meant something else before, or nothing.
    pub newer: bool,
}

/// An image for one platform, found.
struct Found {
    /// What the name leads to.
    digest: Digest,
    manifest: Manifest,
    bytes: Vec<u8>,
}

impl Engine {
    /// Gets an image from its registry, or from a mirror.
    ///
    /// # Errors
    /// [`Kind::NotFound`] and [`Kind::Denied`] by the registry's word, which tells a missing repository from a closed one
    /// as little as Docker's own does.
    pub fn pull(&self, reference: &Reference, platform: Option<&Platform>, progress: &dyn Progress) -> Result<Pulled> {
        let config = Config::read()?;
        let wanted = platform.cloned().unwrap_or_else(Platform::host);
        let mut endpoints = config.endpoints(reference.domain()).into_iter().peekable();
        loop {
            let Some(endpoint) = endpoints.next() else {
                return Err(Error::invalid("no registry is known"));
            };
            let client = Client::connect(&config, &endpoint, reference.domain(), reference.path(), "pull");
            let found = client.and_then(|client| find(&client, reference, &wanted).map(|found| (client, found)));
            match found {
                Ok((client, found)) => {
                    progress.begin(reference);
                    return self.take_in(&client, reference, platform, found, progress);
                }
                // A mirror need not have everything.
                Err(_) if endpoints.peek().is_some() => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn take_in(
        &self,
        client: &Client,
        reference: &Reference,
        platform: Option<&Platform>,
        found: Found,
        progress: &dyn Progress,
    ) -> Result<Pulled> {
        let bytes = small_blob(client, &found.manifest.config)?;
        let config = ImageConfig::parse(&bytes)?;
        check_platform(reference, platform, &config)?;
        let (layers, diffs) = (&found.manifest.layers, &config.rootfs.diff_ids);
        if layers.len() != diffs.len() {
            let message = format!("the manifest has {} layers, the configuration {}", layers.len(), diffs.len());
            return Err(Error::invalid(message));
        }
        let intake = self.intake()?;
        intake.lease(diffs)?;
        get_layers(client, &intake, layers, diffs, progress)?;
        let id = Digest::of(&bytes);
        let newer = self.read_name(reference).is_none_or(|known| known != id.hex());
        let mut names = vec![reference.with_digest(found.digest.clone())];
        if let (Some(tag), None) = (reference.own_tag(), reference.digest()) {
            names.insert(0, reference.with_tag(tag)?);
        }
        let image = intake.finish(&bytes, Some(&found.bytes), &Notes::default(), &names)?;
        self.emit_transfer("pull", reference);
        Ok(Pulled { image, digest: found.digest, newer })
    }
}

// ANCHOR: find
/// The image that a name leads to on a platform.
fn find(client: &Client, reference: &Reference, platform: &Platform) -> Result<Found> {
    let name = reference.digest().map_or_else(|| reference.tag().to_owned(), ToString::to_string);
    let not_found = |e: Error| match e.kind {
        Kind::NotFound => Error::not_found(format!("manifest for {reference} not found: {e}")),
        _ => Error::new(e.kind, format!("pull {reference}: {e}")),
    };
    let mut fetched = client.manifest(&name).map_err(not_found)?;
    let digest = fetched.digest.clone();
    for _ in 0..DEEPEST {
        let Fetched { bytes, content_type, .. } = fetched;
        match Document::parse(&bytes, &content_type)? {
            Document::Manifest(manifest) => return Ok(Found { digest, manifest, bytes }),
            Document::Index(index) => {
                let chosen = index.choose(platform)?;
                fetched = client.manifest(&chosen.digest.to_string()).map_err(not_found)?;
            }
        }
    }
    Err(Error::invalid(format!("pull {reference}: its index leads to indexes more than {DEEPEST} times")))
}
// ANCHOR_END: find

fn check_platform(reference: &Reference, platform: Option<&Platform>, config: &ImageConfig) -> Result<()> {
    let own =
        Platform { architecture: config.architecture.clone(), os: config.os.clone(), variant: config.variant.clone() };
    match platform {
        Some(wanted) if wanted.fits(&own).is_none() => Err(Error::not_found(format!(
            "image with reference {reference} was found but does not match the specified platform: wanted {wanted}, actual: {own}"
        ))),
        _ => Ok(()),
    }
}

/// A blob that is read as a whole, verified.
fn small_blob(client: &Client, descriptor: &Descriptor) -> Result<Vec<u8>> {
    let path = client.path(&format!("blobs/{}", descriptor.digest));
    let answer = client.expect(&super::client::Call::get(&path, &[]))?;
    let bytes = contents(answer, MOST_BYTES).map_err(|e| Error::system("read the configuration", &e))?;
    let found = Digest::of(&bytes);
    if found == descriptor.digest && bytes.len() as u64 == descriptor.size {
        return Ok(bytes);
    }
    Err(Error::invalid(format!(
        "verify the configuration {}: its digest is {found} and its size {}; the registry gives something else than the \
         manifest names",
        descriptor.digest.short(),
        bytes.len()
    )))
}

/// Gets the layers that the store does not have, some at a time, and stops at the first that cannot be had.
fn get_layers(
    client: &Client,
    intake: &Intake,
    layers: &[Descriptor],
    diffs: &[Digest],
    progress: &dyn Progress,
) -> Result<()> {
    let mut missing: Vec<(&Descriptor, &Digest)> = Vec::new();
    let mut known: HashMap<&Digest, &Digest> = HashMap::new();
    for (layer, diff) in layers.iter().zip(diffs) {
        let name = layer.digest.short();
        if known.insert(diff, &layer.digest).is_some() {
            continue;
        }
        if intake.has(diff) {
            progress.blob(name, Event::Exists);
        } else {
            progress.blob(name, Event::Waiting);
            missing.push((layer, diff));
        }
    }
    let (next, stop, error) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    let work = || {
        while let Some((layer, diff)) = missing.get(next.fetch_add(1, Ordering::Relaxed))
            && !stop.load(Ordering::Relaxed)
        {
            if let Err(e) = get_layer(client, intake, layer, diff, progress, &stop) {
                // The first one: what the others then say comes of it.
                error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
                stop.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..missing.len().min(AT_ONCE) {
            // Where there is none to be had, it takes longer.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn get_layer(
    client: &Client,
    intake: &Intake,
    layer: &Descriptor,
    diff: &Digest,
    progress: &dyn Progress,
    stop: &AtomicBool,
) -> Result<()> {
    let name = layer.digest.short();
    let told = |position: u64| {
        if stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("another layer failed"));
        }
        progress.blob(name, Event::Downloading(position, layer.size));
        if position == layer.size {
            progress.blob(name, Event::Downloaded);
        }
        Ok(())
    };
    let blob = Blob::open(client, layer, &told)?;
    intake.layer(blob, Expected { diff: Some(diff), blob: Some(layer) })?;
    progress.blob(name, Event::Pulled);
    Ok(())
}
