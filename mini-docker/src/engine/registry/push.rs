//! `push`: an image to a registry. What is there already is not moved; a manifest that came with the image goes as it came,
//! so that its digest stays.

use std::{
    fs::File,
    io::{self, Read, Write},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use flate2::{Compression, write::GzEncoder};
use ureq::http::{Method, StatusCode};

use super::{
    Event, Progress,
    auth::escape,
    client::{Call, Client, Payload},
    config::Config,
};
use crate::engine::{
    Engine,
    digest::{Digest, Hashing},
    error::{Context, Error, Kind, Result},
    image::{
        Image,
        manifest::{
            DOCKER_CONFIG, DOCKER_LAYER, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, Descriptor, Document, Manifest,
            OCI_CONFIG, OCI_LAYER, OCI_MANIFEST,
        },
    },
    reference::Reference,
};

/// Layers that are on their way at the same time.
const AT_ONCE: usize = 4;

/// What [`Engine::push`] left in the registry.
#[derive(Debug)]
pub struct Pushed {
    /// The manifest's digest.
    pub digest: Digest,
    /// Bytes in the manifest.
    pub size: u64,
}

/// A layer's blob, ready to be sent.
struct Ready {
    descriptor: Descriptor,
    /// Where it is; `None` where the registry has it.
    path: Option<PathBuf>,
}

struct Push<'a> {
    engine: &'a Engine,
    client: Client,
    /// Other repositories of the registry that may have the same layers.
    neighbours: Vec<String>,
    progress: &'a dyn Progress,
    scratch: PathBuf,
}

impl Engine {
    /// Sends the image `reference` to its registry, under that name.
    pub fn push(&self, reference: &Reference, progress: &dyn Progress) -> Result<Pushed> {
        if reference.digest().is_some() {
            return Err(Error::invalid("cannot push a digest reference: give a tag"));
        }
        let missing =
            || Error::not_found(format!("An image does not exist locally with the tag: {}", reference.repository()));
        let id = self.read_name(reference).ok_or_else(missing)?;
        let image = self.read_image(&id)?.ok_or_else(missing)?;
        let (bytes, pushed) = self.send(&image, reference, progress)?;
        self.note_pushed(&image, reference, &bytes, &pushed.digest)?;
        self.emit_transfer("push", reference);
        Ok(pushed)
    }

    /// Sends an image under a name that it does not have here, and nobody is told of.
    pub fn push_as(&self, image: &Image, reference: &Reference, progress: &dyn Progress) -> Result<Pushed> {
        self.send(image, reference, progress).map(|(_, pushed)| pushed)
    }

    /// Sends an image, and returns the manifest that names it there.
    fn send(&self, image: &Image, reference: &Reference, progress: &dyn Progress) -> Result<(Vec<u8>, Pushed)> {
        let config = Config::read()?;
        let endpoints = config.endpoints(reference.domain());
        let endpoint = endpoints.last().ok_or_else(|| Error::invalid("no registry is known"))?;
        let scratch = self.store.scratch()?;
        let neighbours = self.neighbours(reference, image)?;
        let client = Client::connect(&config, endpoint, reference.domain(), reference.path(), "pull,push")?;
        let client = client.and_pull(&neighbours);
        let push = Push { engine: self, client, neighbours, progress, scratch: scratch.path.clone() };
        progress.begin(reference);
        let (bytes, content_type) = push.everything(image)?;
        let digest = Digest::of(&bytes);
        let path = push.client.path(&format!("manifests/{}", reference.tag()));
        let headers = [("Content-Type", content_type.as_str())];
        let call = Call {
            method: Method::PUT,
            target: &path,
            headers: &headers,
            payload: Payload::Bytes(&bytes),
            is_long: false,
        };
        push.client.expect(&call)?;
        let size = bytes.len() as u64;
        Ok((bytes, Pushed { digest, size }))
    }

    /// Repositories of the same registry from which images with some of the same layers came, or to which they went.
    fn neighbours(&self, reference: &Reference, image: &Image) -> Result<Vec<String>> {
        let mut neighbours = Vec::new();
        for listed in self.images()? {
            if !listed.image.layers().any(|layer| image.layers().any(|own| own == layer)) {
                continue;
            }
            let names = listed.digests.iter().filter(|name| name.domain() == reference.domain());
            neighbours.extend(names.map(|name| name.path().to_owned()).filter(|path| path != reference.path()));
        }
        neighbours.sort();
        neighbours.dedup();
        neighbours.truncate(4);
        Ok(neighbours)
    }
}

impl Push<'_> {
    /// Sends all blobs. Returns the manifest that names them, and its type.
    fn everything(&self, image: &Image) -> Result<(Vec<u8>, String)> {
        let kept = self.engine.image_manifest(image).and_then(|bytes| match Document::parse(&bytes, "").ok()? {
            Document::Manifest(manifest) => Some((bytes, manifest)),
            Document::Index(_) => None,
        });
        let kept = kept.filter(|(_, manifest)| {
            manifest.layers.len() == image.config.rootfs.diff_ids.len() && manifest.config.digest.hex() == image.id
        });
        let wanted = kept.as_ref().map(|(_, manifest)| &manifest.layers);
        let layers = self.layers(image, wanted)?;
        let config = self.engine.image_bytes(image)?;
        let same =
            kept.filter(|(_, manifest)| manifest.layers.iter().map(|l| &l.digest).eq(layers.iter().map(|l| &l.digest)));
        let (bytes, manifest) = match same {
            Some(same) => same,
            None => write_manifest(image, &config, layers)?,
        };
        let make = || -> io::Result<Box<dyn Read>> { Ok(Box::new(io::Cursor::new(config.clone()))) };
        if !self.is_there(&manifest.config.digest)? {
            self.upload(&manifest.config, &make)?;
        }
        Ok((bytes, manifest.content_type().to_owned()))
    }

    /// Sends all layers, some at a time.
    fn layers(&self, image: &Image, wanted: Option<&Vec<Descriptor>>) -> Result<Vec<Descriptor>> {
        let diffs = &image.config.rootfs.diff_ids;
        for diff in diffs {
            self.progress.blob(diff.short(), Event::Waiting);
        }
        let done: Vec<Mutex<Option<Result<Descriptor>>>> = diffs.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(diff) = diffs.get(at) else { return };
                let layer = if diffs[..at].contains(diff) {
                    None
                } else {
                    Some(self.layer(diff, wanted.and_then(|wanted| wanted.get(at))))
                };
                if let Some(Err(_)) = &layer {
                    next.store(diffs.len(), Ordering::Relaxed);
                }
                *done[at].lock().unwrap_or_else(PoisonError::into_inner) = layer;
            }
        };
        thread::scope(|scope| {
            for _ in 1..diffs.len().min(AT_ONCE) {
                // Where there is none to be had, it takes longer.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut layers: Vec<Descriptor> = Vec::new();
        for (at, slot) in done.into_iter().enumerate() {
            let first = diffs[..at].iter().position(|earlier| *earlier == diffs[at]);
            match (slot.into_inner().unwrap_or_else(PoisonError::into_inner), first) {
                (Some(layer), _) => layers.push(layer?),
                (None, Some(first)) => layers.push(layers[first].clone()),
                // Another one failed before its turn came; that error is further on.
                (None, None) => {}
            }
        }
        Ok(layers)
    }

    fn layer(&self, diff: &Digest, wanted: Option<&Descriptor>) -> Result<Descriptor> {
        let ready = self.ready(diff, wanted)?;
        let name = diff.short();
        let Some(path) = ready.path else {
            self.progress.blob(name, Event::Present);
            return Ok(ready.descriptor);
        };
        let descriptor = ready.descriptor;
        if self.is_there(&descriptor.digest)? {
            self.progress.blob(name, Event::Present);
            return Ok(descriptor);
        }
        let told = |position| self.progress.blob(name, Event::Uploading(position, descriptor.size));
        let size = descriptor.size;
        let mounted = {
            let make = || -> io::Result<Box<dyn Read>> { Ok(Box::new(File::open(&path)?)) };
            told(0);
            self.upload(&descriptor, &make)?
        };
        told(size);
        self.progress.blob(name, if mounted { Event::Mounted } else { Event::Pushed });
        Ok(descriptor)
    }

    /// The blob of a layer: the one that the manifest names, the one that it came with, or one that is made now.
    fn ready(&self, diff: &Digest, wanted: Option<&Descriptor>) -> Result<Ready> {
        let directory = self.engine.store.layer(diff.hex());
        let info = self.engine.layer_info(diff)?;
        let info = info.ok_or_else(|| {
            Error::new(Kind::System, format!("the layer {} is missing: pull its image again", diff.short()))
        })?;
        let blob = info.blob.filter(|blob| blob.media_type != DOCKER_LAYER);
        match (blob, wanted) {
            (Some(blob), Some(wanted)) if blob.digest == wanted.digest => {
                Ok(Ready { descriptor: wanted.clone(), path: Some(directory.join("blob")) })
            }
            (_, Some(wanted)) if self.is_there(&wanted.digest)? => Ok(Ready { descriptor: wanted.clone(), path: None }),
            (Some(blob), _) => Ok(Ready { descriptor: blob, path: Some(directory.join("blob")) }),
            (None, _) => self.compress(diff),
        }
    }

    /// Packs a layer of our own. The same layer always becomes the same blob.
    fn compress(&self, diff: &Digest) -> Result<Ready> {
        let path = self.scratch.join(diff.hex());
        let file = File::create(&path).doing("create", &path)?;
        let mut gzip = GzEncoder::new(Hashing::new(io::BufWriter::with_capacity(256 << 10, file)), Compression::new(3));
        self.engine.write_layer(diff, &mut gzip)?;
        let mut hashing = gzip.finish().doing("compress to", &path)?;
        hashing.flush().doing("write", &path)?;
        let (size, digest) = (hashing.length(), hashing.digest());
        let media_type = DOCKER_LAYER_GZIP.to_owned();
        Ok(Ready {
            descriptor: Descriptor { media_type, size, digest, platform: None, annotations: None },
            path: Some(path),
        })
    }

    fn is_there(&self, digest: &Digest) -> Result<bool> {
        let path = self.client.path(&format!("blobs/{digest}"));
        let call = Call { method: Method::HEAD, target: &path, headers: &[], payload: Payload::Empty, is_long: false };
        Ok(self.client.call(&call)?.status() == StatusCode::OK)
    }

    /// Sends a blob, unless the registry finds it in a neighbour. Returns whether it did.
    fn upload(&self, descriptor: &Descriptor, make: &dyn Fn() -> io::Result<Box<dyn Read>>) -> Result<bool> {
        let digest = escape(&descriptor.digest.to_string());
        let start = self.client.path("blobs/uploads/");
        let mounts = self.neighbours.iter().map(|from| format!("{start}?mount={digest}&from={}", escape(from)));
        for target in mounts.chain([start.clone()]) {
            let call = Call {
                method: Method::POST,
                target: &target,
                headers: &[],
                payload: Payload::Bytes(&[]),
                is_long: false,
            };
            let answer = match self.client.expect(&call) {
                // It may not let us see the neighbour.
                Err(_) if target != start => continue,
                answer => answer?,
            };
            if answer.status() == StatusCode::CREATED {
                return Ok(true);
            }
            let location = answer.headers().get("Location").and_then(|location| location.to_str().ok());
            let location =
                location.ok_or_else(|| Error::new(Kind::System, "the registry does not say where to upload to"))?;
            if target != start && self.neighbours.last().is_some_and(|last| !target.ends_with(&escape(last))) {
                // This one does not have it; the next one may.
                self.cancel(location);
                continue;
            }
            let mark = if location.contains('?') { '&' } else { '?' };
            let target = format!("{location}{mark}digest={digest}");
            let headers = [("Content-Type", "application/octet-stream")];
            let payload = Payload::Reader(make, descriptor.size);
            let answer = self.client.expect(&Call {
                method: Method::PUT,
                target: &target,
                headers: &headers,
                payload,
                is_long: false,
            })?;
            drop(answer);
            return Ok(false);
        }
        Err(Error::new(Kind::System, "the registry takes no upload"))
    }

    fn cancel(&self, location: &str) {
        // It expires anyway.
        let _ = self.client.call(&Call {
            method: Method::DELETE,
            target: location,
            headers: &[],
            payload: Payload::Empty,
            is_long: false,
        });
    }
}

/// A manifest for layers that have none: Docker's, or OCI's where a layer needs it.
fn write_manifest(image: &Image, config: &[u8], layers: Vec<Descriptor>) -> Result<(Vec<u8>, Manifest)> {
    let oci = layers.iter().any(|layer| layer.media_type.ends_with("+zstd"));
    let typed = |layer: Descriptor| {
        let compression = layer.media_type.rsplit_once('+').map_or("gzip", |(_, compression)| compression);
        let media_type = if oci { format!("{OCI_LAYER}+{compression}") } else { DOCKER_LAYER_GZIP.to_owned() };
        Descriptor { media_type, platform: None, ..layer }
    };
    let digest = Digest::from_hex(&image.id).ok_or_else(|| Error::invalid("the image's id is damaged"))?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: if oci { OCI_MANIFEST } else { DOCKER_MANIFEST }.to_owned(),
        config: Descriptor {
            media_type: if oci { OCI_CONFIG } else { DOCKER_CONFIG }.to_owned(),
            size: config.len() as u64,
            digest,
            platform: None,
            annotations: None,
        },
        layers: layers.into_iter().map(typed).collect(),
    };
    let bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::system("write the manifest", &e.into()))?;
    Ok((bytes, manifest))
}
