//! Images: a configuration, an ordered list of layers, and names for it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read},
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::syncfs,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{
    Engine, container,
    error::{Context, Error, Kind, Result},
    files::{Durability, Locking, read_json, write_atomic, write_json},
    reference::Reference,
    store::{hex, make_directory},
};

/// An image's configuration, as the OCI image specification has it. Its digest is the image's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made.
    pub created: Option<Timestamp>,
    /// For which processor, in Go's words (`amd64`).
    pub architecture: String,
    /// For which system: `linux`.
    pub os: String,
    /// How to run it.
    #[serde(default)]
    pub config: RunConfig,
    /// Its layers.
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
}

/// What an image says about running it; a container's options come before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// User and group, `NAME|ID[:NAME|ID]`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `KEY=value`.
    #[serde(skip_serializing_if = "is_empty")]
    pub env: Option<Vec<String>>,
    /// Arguments that the command is appended to.
    #[serde(skip_serializing_if = "is_empty")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, where none is given.
    #[serde(skip_serializing_if = "is_empty")]
    pub cmd: Option<Vec<String>>,
    /// The working directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Where a volume is wanted, by its path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, serde_json::Value>>,
    /// Free labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What `stop` sends; SIGTERM where it is empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

// serde passes the field's own type.
#[allow(clippy::ref_option)]
fn is_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

/// The layers of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the layers' uncompressed archives, `sha256:…`, the lowest first.
    pub diff_ids: Vec<String>,
}

/// How a layer came to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When.
    pub created: Option<Timestamp>,
    /// A remark.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What the store knows of a layer.
#[derive(Debug, Serialize, Deserialize)]
struct LayerInfo {
    /// Bytes of all files, unpacked.
    size: u64,
}

/// An image of the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its configuration.
    pub config: ImageConfig,
}

impl Image {
    /// The directories of its layers, the topmost first, as overlayfs takes them.
    pub fn lower(&self, engine: &Engine) -> Vec<PathBuf> {
        self.layers().map(|id| engine.store.layer(id).join("fs")).rev().collect()
    }

    fn layers(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.config.rootfs.diff_ids.iter().map(|id| id.strip_prefix("sha256:").unwrap_or(id))
    }

    /// Bytes of all its layers' files.
    pub fn size(&self, engine: &Engine) -> u64 {
        let size = |id| {
            let info = read_json::<LayerInfo>(&engine.store.layer(id).join("layer.json"));
            info.ok().flatten().map_or(0, |layer| layer.size)
        };
        self.layers().map(size).sum()
    }
}

/// What [`Engine::remove_image`] did, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name went.
    Untagged(String),
    /// The image went: `sha256:…`.
    Deleted(String),
}

impl Engine {
    /// Makes an image of one layer from the root filesystem in `archive` (tar, gzip or not), and names it.
    pub fn import(&self, archive: impl Read, name: Option<&Reference>, comment: &str) -> Result<Image> {
        self.store.sweep()?;
        let _in_use = self.store.lock(Locking::Shared)?;
        let layer = self.add_layer(archive)?;
        let created = Some(Timestamp::now());
        let config = ImageConfig {
            created,
            architecture: go_architecture().to_owned(),
            os: "linux".to_owned(),
            config: RunConfig::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![format!("sha256:{layer}")] },
            history: vec![History { created, comment: comment.to_owned() }],
        };
        let bytes = serde_json::to_vec(&config).map_err(|e| Error::system("write the configuration", &e.into()))?;
        let id = hex(&Sha256::digest(&bytes));
        write_atomic(&self.store.image(&id), &bytes, Durability::Machine)?;
        if let Some(name) = name {
            self.tag(&id, name)?;
        }
        Ok(Image { id, config })
    }

    /// Unpacks a layer and publishes it: all its files, then its name. Returns the digest of the uncompressed archive.
    fn add_layer(&self, archive: impl Read) -> Result<String> {
        let scratch = self.store.scratch()?;
        let fs = scratch.path.join("fs");
        make_directory(&fs, 0o755)?;
        let unpacked = |e: rootfs::Error| Error::new(Kind::Invalid, format!("unpack the archive: {e}"));
        let plain = rootfs::decompress(archive).map_err(unpacked)?;
        let mut hashing = Hashing { inner: plain, sha256: Sha256::new() };
        let target = open(&fs, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
        let target = target.doing("open", &fs)?;
        let summary =
            rootfs::unpack_tar(&mut hashing, target.as_fd(), &rootfs::Options::default()).map_err(unpacked)?;
        let id = hex(&hashing.sha256.finalize());
        write_json(&scratch.path.join("layer.json"), &LayerInfo { size: summary.bytes }, Durability::Process)?;
        syncfs(&target).doing("sync", &fs)?;
        let layer = self.store.layer(&id);
        if !layer.exists() {
            let whole = scratch.path.join("whole");
            make_directory(&whole, 0o700)?;
            for part in ["fs", "layer.json"] {
                fs::rename(scratch.path.join(part), whole.join(part)).doing("publish", &layer)?;
            }
            match fs::rename(&whole, &layer) {
                // Somebody else has just added the same layer.
                Err(e) if e.raw_os_error() == Some(libc::ENOTEMPTY) => {}
                renamed => renamed.doing("publish", &layer)?,
            }
        }
        Ok(id)
    }

    /// Names the image `id`; an image that had the name before goes on without.
    pub fn tag(&self, id: &str, name: &Reference) -> Result<()> {
        let path = self.store.root().join("refs").join(name.file());
        if let Some(parent) = path.parent() {
            make_directory(parent, 0o700)?;
        }
        write_atomic(&path, format!("{id}\n").as_bytes(), Durability::Machine)
    }

    /// Finds an image by name, by id, or by the beginning of its id.
    pub fn image(&self, text: &str) -> Result<Image> {
        let id = self.image_id(text)?;
        let config = read_json(&self.store.image(&id))?
            .ok_or_else(|| Error::not_found(format!("no such image: {text}; it has just been removed")))?;
        Ok(Image { id, config })
    }

    fn image_id(&self, text: &str) -> Result<String> {
        if let Ok(name) = Reference::parse(text)
            && let Some(id) = self.read_name(&name)
        {
            return Ok(id);
        }
        let prefix = text.strip_prefix("sha256:").unwrap_or(text);
        let is_hex = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if is_hex {
            let found: Vec<_> = self.image_ids()?.into_iter().filter(|id| id.starts_with(prefix)).collect();
            match found.as_slice() {
                [] => {}
                [id] => return Ok(id.clone()),
                _ => {
                    return Err(Error::invalid(format!("the image id {prefix} is ambiguous: give more digits")));
                }
            }
        }
        Reference::parse(text)?;
        Err(Error::not_found(format!(
            "no such image: {text}; see `mini-docker images`, or make one: ./rootfs-fetch.sh --import {text}"
        )))
    }

    fn read_name(&self, name: &Reference) -> Option<String> {
        let id = fs::read_to_string(self.store.root().join("refs").join(name.file())).ok()?;
        Some(id.trim_end().to_owned())
    }

    fn image_ids(&self) -> Result<Vec<String>> {
        let names = self.store.list("images")?.into_iter();
        Ok(names.filter_map(|name| name.to_str()?.strip_suffix(".json").map(str::to_owned)).collect())
    }

    /// All images, the newest first, each with its names.
    pub fn images(&self) -> Result<Vec<(Image, Vec<Reference>)>> {
        let mut names: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
        let refs = self.store.root().join("refs");
        walk(&refs, &mut |path| {
            if let Some(name) = path.strip_prefix(&refs).ok().and_then(Reference::from_file)
                && let Some(id) = self.read_name(&name)
            {
                names.entry(id).or_default().push(name);
            }
        })?;
        let mut images = Vec::new();
        for id in self.image_ids()? {
            // It may have gone since it was listed.
            if let Ok(Some(config)) = read_json(&self.store.image(&id)) {
                let mut its = names.remove(&id).unwrap_or_default();
                its.sort();
                images.push((Image { id, config }, its));
            }
        }
        images.sort_by(|(a, _), (b, _)| b.config.created.cmp(&a.config.created).then(a.id.cmp(&b.id)));
        Ok(images)
    }

    /// Takes a name from an image; with its last name, or by its id, the image goes, and layers that no other has.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where a container uses it, or, without `force`, by id where it has several names.
    pub fn remove_image(&self, text: &str, force: bool) -> Result<Vec<Removed>> {
        let _alone = self.store.lock(Locking::Exclusive)?;
        let id = self.image_id(text)?;
        let all = self.images()?;
        let names = all.iter().find(|(image, _)| image.id == id).map_or(Vec::new(), |(_, names)| names.clone());
        let by_name = Reference::parse(text).ok().filter(|name| names.contains(name));
        let mut removed = Vec::new();
        if let Some(name) = &by_name
            && names.len() > 1
        {
            self.untag(name, &mut removed)?;
            return Ok(removed);
        }
        if by_name.is_none() && names.len() > 1 && !force {
            return Err(Error::conflict(format!(
                "conflict: unable to delete {} (must be forced): the image has several names; use -f, or remove them one by one",
                short(&id)
            )));
        }
        if let Some(user) = self.containers()?.into_iter().find(|c| c.config.image == id) {
            let running = user.status.state == container::State::Running;
            if running || !force {
                let how = if running { "cannot be forced" } else { "must be forced" };
                return Err(Error::conflict(format!(
                    "conflict: unable to remove {text} ({how}): container {} is using it; remove that first: mini-docker rm {}",
                    short(&user.config.id),
                    user.config.name
                )));
            }
            // A stopped container keeps the layers that it stands on; only the names go.
            for name in &names {
                self.untag(name, &mut removed)?;
            }
            return Ok(removed);
        }
        for name in &names {
            self.untag(name, &mut removed)?;
        }
        self.delete(&id, &all)?;
        removed.push(Removed::Deleted(format!("sha256:{id}")));
        Ok(removed)
    }

    fn untag(&self, name: &Reference, removed: &mut Vec<Removed>) -> Result<()> {
        let path = self.store.root().join("refs").join(name.file());
        fs::remove_file(&path).doing("remove", &path)?;
        removed.push(Removed::Untagged(name.to_string()));
        Ok(())
    }

    fn delete(&self, id: &str, all: &[(Image, Vec<Reference>)]) -> Result<()> {
        let path = self.store.image(id);
        fs::remove_file(&path).doing("remove", &path)?;
        let (Some((image, _)), others) = (all.iter().find(|(i, _)| i.id == id), all.iter().filter(|(i, _)| i.id != id))
        else {
            return Ok(());
        };
        let kept: Vec<&str> = others.flat_map(|(other, _)| other.layers()).collect();
        for layer in image.layers().filter(|layer| !kept.contains(layer)) {
            self.store.discard(&self.store.layer(layer))?;
        }
        Ok(())
    }
}

/// The first 12 digits of an id.
pub fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// This machine's processor in Go's words, which OCI uses.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn walk(directory: &Path, file: &mut impl FnMut(&Path)) -> Result<()> {
    for entry in fs::read_dir(directory).doing("read", directory)?.flatten() {
        let path = entry.path();
        if path.is_dir() { walk(&path, file)? } else { file(&path) }
    }
    Ok(())
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    sha256: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.sha256.update(&buffer[..length]);
        Ok(length)
    }
}
