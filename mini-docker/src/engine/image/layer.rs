//! Layers: unpacked once for all images and containers that stand on them.
//!
//! ```text
//! layers/HEX/        HEX is the digest of the uncompressed archive: its diff id
//!   fs               what is in it, with overlayfs's whiteouts
//!   blob             the archive as it came, compressed; not where packing `fs` gives the archive again
//!   layer.json       sizes, and what the blob is
//!   unsynced         the boot of the machine in which it was written, until it is known to be on disk
//! ```
//!
//! The blob lies with the layer: both come by one rename, and go together. A layer is there for all as soon as it is whole
//! in memory; that it is on disk is waited for once, when an image that has it is recorded ([`Engine::settle_layers`]). The disk
//! begins while layers are still unpacked ([`sys::begin_to_write`]), so that the wait is short. If the machine dies before, what is left of it bears the mark of another boot, and is verified before anybody trusts it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::AsFd,
    path::Path,
    slice,
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::syncfs,
};
use process::sys;
use serde::{Deserialize, Serialize};

use super::{Image, ahead::read_ahead, manifest::Descriptor};
use crate::engine::{
    Engine,
    digest::{Digest, Hashing},
    error::{Context, Error, Kind, Result},
    files::{Durability, read_json, write_json},
    store::make_directory,
};

/// What the store knows of a layer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LayerInfo {
    /// Bytes of all files, unpacked.
    pub size: u64,
    /// The archive as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Descriptor>,
}

/// What is known of a layer before it is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected<'a> {
    /// The digest of its uncompressed archive.
    pub diff: Option<&'a Digest>,
    /// The blob, which is kept as it comes.
    pub blob: Option<&'a Descriptor>,
}

/// How layers are unpacked and packed.
pub fn options() -> rootfs::Options {
    rootfs::Options {
        devices: rootfs::Devices::native(),
        whiteouts: rootfs::Whiteouts::native(),
        absolute_names: rootfs::AbsoluteNames::Confine,
        ..rootfs::Options::default()
    }
}

/// How its files are packed: they are nobody's but the store's.
fn packing() -> rootfs::Options {
    rootfs::Options { still: true, ..options() }
}

/// The file that describes a layer, and the one that marks it.
const INFO: &str = "layer.json";
const UNSYNCED: &str = "unsynced";

/// A layer in a directory of its own, on its way into the store.
pub(in crate::engine) struct NewLayer {
    pub(super) id: Digest,
}

impl Engine {
    /// What the store knows of a layer; `None` where it has none of that digest.
    pub fn layer_info(&self, id: &Digest) -> Result<Option<LayerInfo>> {
        read_json(&self.store.layer(id.hex()).join(INFO))
    }

    /// Whether the store has a layer, whole. One that was being written when the machine died is verified first.
    pub fn has_layer(&self, id: &Digest) -> bool {
        let path = self.store.layer(id.hex());
        let mark = path.join(UNSYNCED);
        match fs::read(&mark) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => path.exists(),
            Ok(boot) if boot == self.store.boot().as_bytes() => true,
            _ => self.verify_layer(id).is_ok() && self.settle_layers(slice::from_ref(id)).is_ok(),
        }
    }

    /// Moves a layer from `directory` to its place in the store.
    pub(in crate::engine) fn publish_layer(&self, layer: NewLayer, directory: &Path) -> Result<Digest> {
        let mark = directory.join(UNSYNCED);
        fs::write(&mark, self.store.boot()).doing("write", &mark)?;
        let path = self.store.layer(layer.id.hex());
        loop {
            match fs::rename(directory, &path) {
                Err(e) if matches!(e.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => {
                    // Somebody else has just added the same layer, or it is what a dead machine left of it.
                    if self.has_layer(&layer.id) {
                        return Ok(layer.id);
                    }
                    self.store.discard(&path)?;
                }
                renamed => return renamed.doing("publish", &path).map(|()| layer.id),
            }
        }
    }

    /// Waits until layers are on disk, names and all, and notes it. What is done later on disk finds them there.
    pub(in crate::engine) fn settle_layers(&self, layers: &[Digest]) -> Result<()> {
        let mut marks: Vec<_> = layers.iter().map(|id| self.store.layer(id.hex()).join(UNSYNCED)).collect();
        marks.retain(|mark| mark.exists());
        if marks.is_empty() {
            return Ok(());
        }
        let all = self.store.root().join("layers");
        syncfs(open_directory(&all)?).doing("sync", &all)?;
        for mark in marks {
            match fs::remove_file(&mark) {
                // Another image that has the layer has just been recorded.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                removed => removed.doing("remove", &mark)?,
            }
        }
        Ok(())
    }

    /// The blob of a layer that came from outside.
    pub fn layer_blob(&self, id: &Digest) -> Result<Option<(Descriptor, File)>> {
        let Some(LayerInfo { blob: Some(blob), .. }) = self.layer_info(id)? else {
            return Ok(None);
        };
        let path = self.store.layer(id.hex()).join("blob");
        Ok(Some((blob, File::open(&path).doing("open", &path)?)))
    }

    /// Writes the uncompressed archive of a layer, byte for byte as its digest says.
    ///
    /// # Errors
    /// Those of `writer`; and a layer that is damaged, which is known only after its last byte.
    pub fn write_layer(&self, id: &Digest, writer: impl Write) -> Result<()> {
        let mut hashing = Hashing::new(writer);
        let failed =
            |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("read the layer {}: {e}", id.short()));
        if let Some((_, blob)) = self.layer_blob(id)? {
            let mut archive = rootfs::decompress(blob).map_err(|e| failed(&e))?;
            io::copy(&mut archive, &mut hashing).map_err(|e| failed(&e))?;
        } else {
            let fs = self.store.layer(id.hex()).join("fs");
            rootfs::pack(open_directory(&fs)?.as_fd(), &mut hashing, &options()).map_err(|e| failed(&e))?;
        }
        let found = hashing.digest();
        if found == *id {
            return Ok(());
        }
        Err(failed(&format_args!(
            "it is damaged, its digest is {found}; remove the images that use it, and get them again"
        )))
    }

    /// The layers that images and containers stand on; `None`: nobody knows, for there is a container that cannot be read.
    pub(super) fn used_layers(&self) -> Result<Option<BTreeSet<String>>> {
        let mut used = BTreeSet::new();
        for id in self.image_ids()? {
            if let Some(image) = self.read_image(&id)? {
                used.extend(image.layers().map(str::to_owned));
            }
        }
        let (containers, others) = self.containers_and_others()?;
        if !others.is_empty() {
            return Ok(None);
        }
        used.extend(containers.into_iter().flat_map(|container| container.config.layers));
        used.extend(self.leased_layers()?);
        used.extend(self.cached_layers());
        Ok(Some(used))
    }

    /// Removes layers that nothing stands on; those of `candidates` only, where there are any named. The store's lock is
    /// held exclusively.
    pub(in crate::engine) fn clear_layers(&self, candidates: Option<&Image>) -> Result<Vec<(String, LayerInfo)>> {
        let Some(used) = self.used_layers()? else { return Ok(Vec::new()) };
        let all: Vec<String> = match candidates {
            Some(image) => image.layers().map(str::to_owned).collect(),
            None => self.store.list("layers")?.into_iter().filter_map(|name| name.into_string().ok()).collect(),
        };
        let mut removed = Vec::new();
        for layer in all.into_iter().filter(|layer| !used.contains(layer)) {
            let path = self.store.layer(&layer);
            let info = read_json(&path.join(INFO)).ok().flatten().unwrap_or_default();
            self.store.discard(&path)?;
            removed.push((layer, info));
        }
        Ok(removed)
    }
}

// ANCHOR: unpack
/// Unpacks a layer into `directory`, which is empty and becomes `layers/HEX`.
pub(in crate::engine) fn unpack(archive: impl Read + Send, directory: &Path, expected: Expected) -> Result<NewLayer> {
    let fs = directory.join("fs");
    make_directory(&fs, 0o755)?;
    let target = open_directory(&fs)?;
    // Of what nobody knows the digest yet, only the tree counts.
    let known = expected.diff.is_some() || expected.blob.is_some();
    let unpacked = |e: rootfs::Error| Error::new(Kind::Invalid, format!("unpack the archive: {e}"));
    if !known {
        rootfs::unpack(archive, target.as_fd(), &options()).map_err(unpacked)?;
        return adopt(directory);
    }
    let kept = directory.join("blob");
    let file = File::create(&kept).doing("create", &kept)?;
    let left = expected.blob.map_or(u64::MAX, |blob| blob.size);
    let mut blob = Hashing::new(Keeping { archive, file, left, kept: 0, begun: 0 });
    let mut plain = rootfs::decompress(&mut blob).map_err(unpacked)?;
    let compressed = plain.is_compressed();
    let mut diff = None;
    let summary = if compressed {
        read_ahead(plain, |plain| {
            let mut plain = Hashing::new(plain);
            let summary = rootfs::unpack_tar(&mut plain, target.as_fd(), &options());
            diff = Some(plain.digest());
            summary
        })
    } else {
        rootfs::unpack_tar(&mut plain, target.as_fd(), &options())
    };
    let summary = summary.map_err(unpacked)?;
    io::copy(&mut blob, &mut io::sink()).doing("read the layer for", directory)?;
    let (size, digest) = (blob.length(), blob.digest());
    verify("blob", expected.blob.map(|blob| &blob.digest), &digest)?;
    let diff = diff.unwrap_or_else(|| digest.clone());
    verify("layer", expected.diff, &diff)?;
    let mut info = LayerInfo { size: summary.bytes, blob: None };
    if !compressed && packed_digest(&fs).is_ok_and(|packed| packed == diff) {
        fs::remove_file(&kept).doing("remove", &kept)?;
    } else {
        let media_type = expected.blob.map_or_else(|| media_type(&kept), |blob| Ok(blob.media_type.clone()))?;
        info.blob = Some(Descriptor { media_type, size, digest, platform: None, annotations: None });
    }
    write_json(&directory.join(INFO), &info, Durability::Process)?;
    Ok(NewLayer { id: diff })
}
// ANCHOR_END: unpack

/// Makes a layer of `directory/fs`, which is there already. Returns the digest of its archive.
pub(super) fn adopt(directory: &Path) -> Result<NewLayer> {
    let fs = directory.join("fs");
    let mut hashing = Hashing::new(io::sink());
    let packed = rootfs::pack(open_directory(&fs)?.as_fd(), &mut hashing, &packing()).map_err(|e| cannot_pack(&e))?;
    write_json(&directory.join(INFO), &LayerInfo { size: packed.bytes, blob: None }, Durability::Process)?;
    Ok(NewLayer { id: hashing.digest() })
}

/// Describes a layer anew whose description was lost.
///
/// # Errors
/// Where its files are not those of the layer `id`.
pub(in crate::engine) fn describe(directory: &Path, id: &Digest) -> Result<()> {
    verify("layer", Some(id), &packed_digest(&directory.join("fs"))?)?;
    adopt(directory)?;
    syncfs(open_directory(directory)?).doing("sync", directory)
}

pub(in crate::engine) fn packed_digest(fs: &Path) -> Result<Digest> {
    let mut hashing = Hashing::new(io::sink());
    rootfs::pack(open_directory(fs)?.as_fd(), &mut hashing, &packing()).map_err(|e| cannot_pack(&e))?;
    Ok(hashing.digest())
}

fn cannot_pack(e: &rootfs::Error) -> Error {
    Error::new(Kind::Invalid, format!("make a layer: {e}"))
}

fn verify(what: &str, expected: Option<&Digest>, found: &Digest) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(Error::invalid(format!(
            "verify the {what} {}: its digest is {found}; it was damaged on the way, or is not what it claims to be: get it again",
            expected.short()
        ))),
        _ => Ok(()),
    }
}

fn media_type(blob: &Path) -> Result<String> {
    let mut start = Vec::new();
    File::open(blob).and_then(|file| file.take(4).read_to_end(&mut start)).doing("read", blob)?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => super::manifest::DOCKER_LAYER_GZIP.to_owned(),
        [0x28, 0xb5, 0x2f, 0xfd] => format!("{}+zstd", super::manifest::OCI_LAYER),
        _ => super::manifest::DOCKER_LAYER.to_owned(),
    })
}

pub(super) fn open_directory(path: &Path) -> Result<std::os::fd::OwnedFd> {
    open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).doing("open", path)
}

/// Writes to a file what is read through it, and reads no more than was announced.
struct Keeping<R> {
    archive: R,
    file: File,
    left: u64,
    /// Bytes written, and how many of them the disk has begun on.
    kept: u64,
    begun: u64,
}

/// Bytes that are worth to begin on.
const PART: u64 = 4 << 20;

impl<R: Read> Read for Keeping<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.archive.read(buffer)?;
        let left = self.left.checked_sub(length as u64);
        self.left = left.ok_or_else(|| io::Error::other("it is longer than was announced"))?;
        self.file.write_all(&buffer[..length])?;
        self.kept += length as u64;
        if self.kept - self.begun >= PART {
            // Whether it comes to the disk says the syncfs at the end, which waits less long for it.
            let _ = sys::begin_to_write(self.file.as_fd(), self.begun, self.kept - self.begun);
            self.begun = self.kept;
        }
        Ok(length)
    }
}
