//! Whether the store is whole: everything that it names is there, and is what its digest says.
//!
//! What an interrupted command leaves is no damage: it is cleared here as any command does. Damage is repaired only where
//! that loses nothing that was still good: a layer's files are unpacked again from its archive, names of nothing go, and
//! images that cannot be whole any more go, to be pulled again. A container's or a volume's data is never touched: a
//! container that nobody can read is moved where it is in nobody's way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{
    Engine,
    container::{Config, State},
    digest::Digest,
    error::{Context, Result},
    files::{Lock, Locking, read_json},
    image::{
        ImageConfig,
        layer::{self, NewLayer},
        manifest::Document,
        short,
    },
    network::Config as Network,
    store::make_directory,
    volume::Volume,
};

/// One thing that was wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What is wrong with what.
    pub found: String,
    /// What was done about it; `None` where it still is as it was.
    pub repaired: Option<&'static str>,
    /// What to do about it.
    pub advice: String,
}

/// What is done with a container of which nobody knows any more what it is.
const ASIDE: &str = "it was set aside, to the directory aside of the store: save what is in its upper, and remove it";

/// A look at the whole store.
struct Check<'a> {
    engine: &'a Engine,
    repair: bool,
    damages: Vec<Damage>,
    /// Layers that are not there, or not what they should be.
    bad_layers: BTreeSet<String>,
    containers: BTreeMap<String, Config>,
}

impl Engine {
    /// Verifies the store; with `repair` mends what can be mended. Reads every byte of every layer.
    ///
    /// # Errors
    /// Where the store cannot be read at all: what is wrong in it is no error here.
    pub fn check(&self, repair: bool) -> Result<Vec<Damage>> {
        // Alone if something changes; otherwise others may go on, but remove no image meanwhile.
        let _lock = self.store.lock(if repair { Locking::Exclusive } else { Locking::Shared })?;
        self.store.sweep()?;
        self.clear_stray_names()?;
        let mut check = Check {
            engine: self,
            repair,
            damages: Vec::new(),
            bad_layers: BTreeSet::new(),
            containers: BTreeMap::new(),
        };
        check.containers()?;
        check.layers()?;
        check.images()?;
        check.image_names()?;
        check.container_layers();
        check.volumes()?;
        check.networks()?;
        Ok(check.damages)
    }
}

impl Check<'_> {
    fn note(&mut self, found: String, repaired: Option<&'static str>, advice: impl Into<String>) {
        self.damages.push(Damage { found, repaired, advice: advice.into() });
    }

    fn names(&self, directory: &str) -> Result<Vec<String>> {
        let mut names: Vec<_> =
            self.engine.store.list(directory)?.into_iter().filter_map(|name| name.into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Reads the containers, and sees that each has its name.
    fn containers(&mut self) -> Result<()> {
        for id in self.names("containers")? {
            let path = self.engine.container_file(&id, "config.json");
            match read_json::<Config>(&path) {
                Ok(Some(config)) => {
                    self.container_name(&config)?;
                    if let Err(e) = self.engine.read_status(&id) {
                        let name = &config.name;
                        self.note(e.to_string(), None, format!("kill and remove it: mini-docker rm -f {name}"));
                    }
                    self.containers.insert(id, config);
                }
                Ok(None) if self.engine.container_file(&id, "upper").exists() => self.note(
                    format!("container {}: its configuration config.json is missing", short(&id)),
                    None,
                    format!("save what is in {id}/upper, and remove containers/{id}"),
                ),
                // It is being made, or whoever made it died: the next listing clears it.
                Ok(None) => {}
                // So is what a power cut has left of one with `--rm`.
                Err(_) if self.engine.is_lost(&id)? => {}
                Err(e) => {
                    let advice = format!(
                        "run mini-docker check --repair, which sets it aside where it does not run, or remove it: \
                         mini-docker rm -f {}",
                        short(&id)
                    );
                    self.set_aside(&id, e.to_string(), advice);
                }
            }
        }
        Ok(())
    }

    /// A container that nobody can use: what it has written may be all that there is of it, and stays.
    fn set_aside(&mut self, id: &str, found: String, advice: String) {
        let set_aside = || -> Result<()> {
            let _lock = self.engine.lock_container(id)?;
            let place = self.engine.store.root().join("aside");
            make_directory(&place, 0o700)?;
            let directory = self.engine.store.container(id);
            fs::rename(&directory, place.join(id)).doing("set aside", &directory)?;
            self.engine.release_names(id)
        };
        let is_set_aside = self.repair && !self.engine.store.run(id).exists() && set_aside().is_ok();
        self.note(found, is_set_aside.then_some(ASIDE), advice);
    }

    fn container_name(&mut self, config: &Config) -> Result<()> {
        // Whoever holds the lock may be renaming or removing it.
        let lock = self.engine.container_file(&config.id, "lock");
        if self.engine.holder(&config.name)?.as_deref() == Some(config.id.as_str())
            || Lock::is_held(&lock)?
            || !self.engine.container_file(&config.id, "config.json").exists()
        {
            return Ok(());
        }
        let taken = self.engine.holder(&config.name)?.is_some();
        let mended = self.repair && !taken && self.engine.take_free_name(config).is_ok();
        self.note(
            format!("container {} does not have its name {}", short(&config.id), config.name),
            mended.then_some("it has it again"),
            format!("rename it: mini-docker rename {} NAME", short(&config.id)),
        );
        Ok(())
    }

    fn layers(&mut self) -> Result<()> {
        for name in self.names("layers")? {
            let Some(id) = Digest::from_hex(&name) else {
                let path = self.engine.store.layer(&name);
                let removed = self.repair && self.engine.store.discard(&path).is_ok();
                self.note(
                    format!("layers/{name} is no layer"),
                    removed.then_some("it was removed"),
                    "run mini-docker check --repair",
                );
                continue;
            };
            if let Err(why) = self.engine.verify_layer(&id) {
                let mended = self.repair && !self.is_active(&name) && self.engine.unpack_again(&id).is_ok();
                if !mended {
                    self.bad_layers.insert(name.clone());
                }
                self.note(
                    format!("layer {}: {why}", short(&name)),
                    mended.then_some("it was made whole again"),
                    "stop its containers and run mini-docker check --repair",
                );
            }
        }
        Ok(())
    }

    /// Whether a container that runs stands on the layer.
    fn is_active(&self, layer: &str) -> bool {
        let active = |id: &str| {
            self.engine
                .read_status(id)
                .map_or(true, |status| status.state != State::Created && status.state != State::Exited)
        };
        self.containers.values().any(|config| config.layers.iter().any(|own| own == layer) && active(&config.id))
    }

    fn is_bad(&self, layer: &str) -> bool {
        self.bad_layers.contains(layer) || !self.engine.store.layer(layer).exists()
    }

    fn images(&mut self) -> Result<()> {
        for id in self.engine.image_ids()? {
            let path = self.engine.store.image(&id);
            let bytes = fs::read(&path).doing("read", &path)?;
            let why = match ImageConfig::parse(&bytes) {
                _ if Digest::of(&bytes).hex() != id => "its configuration is damaged".to_owned(),
                Err(e) => e.to_string(),
                Ok(config) => {
                    let Some(layer) = config.rootfs.diff_ids.iter().find(|layer| self.is_bad(layer.hex())) else {
                        self.manifest(&id);
                        continue;
                    };
                    format!("its layer {} is missing or damaged", layer.short())
                }
            };
            let removed = self.repair && self.remove_record(&id).is_ok();
            self.note(
                format!("image {}: {why}", short(&id)),
                removed.then_some("it was removed: get it again"),
                "run mini-docker check --repair, and get it again",
            );
        }
        if self.repair {
            self.clear_bad_layers()?;
        }
        Ok(())
    }

    /// The one that it came with. An image without one is pushed with another.
    fn manifest(&mut self, id: &str) {
        let path = self.engine.store.image_file(id, "manifest");
        let Ok(bytes) = fs::read(&path) else { return };
        let is_its = |document| matches!(document, Document::Manifest(manifest) if manifest.config.digest.hex() == id);
        if !Document::parse(&bytes, "").is_ok_and(is_its) {
            let removed = self.repair && fs::remove_file(&path).is_ok();
            self.note(
                format!("image {}: its manifest is damaged", short(id)),
                removed.then_some("it was removed: the image goes on without"),
                "run mini-docker check --repair",
            );
        }
    }

    fn remove_record(&self, id: &str) -> Result<()> {
        for kind in ["manifest", "notes", "json"] {
            let path = self.engine.store.image_file(id, kind);
            if path.exists() {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Or the next pull would take them for whole.
    fn clear_bad_layers(&self) -> Result<()> {
        let used = |layer: &str| self.containers.values().any(|config| config.layers.iter().any(|own| own == layer));
        for layer in self.bad_layers.iter().filter(|layer| !used(layer)) {
            self.engine.store.discard(&self.engine.store.layer(layer))?;
        }
        Ok(())
    }

    fn image_names(&mut self) -> Result<()> {
        for (name, id) in self.engine.names()? {
            if self.engine.store.image(&id).exists() {
                continue;
            }
            let path = self.engine.store.root().join("refs").join(name.file());
            let removed = self.repair && fs::remove_file(&path).is_ok();
            self.note(
                format!("the name {name} is of no image"),
                removed.then_some("it was removed"),
                "run mini-docker check --repair",
            );
        }
        Ok(())
    }

    fn container_layers(&mut self) {
        let lacking: Vec<_> = self
            .containers
            .values()
            .filter_map(|config| Some((config.clone(), config.layers.iter().find(|layer| self.is_bad(layer))?.clone())))
            .collect();
        for (config, layer) in lacking {
            self.note(
                format!("container {}: its layer {} is missing or damaged", config.name, short(&layer)),
                None,
                format!("pull {} again, or remove it: mini-docker rm {}", config.image_name, config.name),
            );
        }
    }

    fn networks(&mut self) -> Result<()> {
        // Made with the first network.
        if !self.engine.store.root().join("networks/names").exists() {
            return Ok(());
        }
        let is_json = |name: &String| Path::new(name).extension().is_some_and(|end| end == "json");
        for file in self.names("networks")?.into_iter().filter(is_json) {
            if let Err(e) = read_json::<Network>(&self.engine.store.root().join("networks").join(&file)) {
                self.note(e.to_string(), None, format!("remove networks/{file}, and make the network again"));
            }
        }
        for name in self.names("networks/names")? {
            let path = self.engine.store.root().join("networks/names").join(&name);
            let why = match read_json::<Network>(&path) {
                Ok(Some(network)) if self.engine.network_file(&network.id).exists() => continue,
                Ok(Some(_)) => format!("the name {name} is of no network"),
                // It has just been removed.
                Ok(None) => continue,
                Err(e) => e.to_string(),
            };
            self.note(why, None, format!("remove networks/names/{name}, and make the network again"));
        }
        Ok(())
    }

    fn volumes(&mut self) -> Result<()> {
        for name in self.names("volumes")? {
            let directory = self.engine.store.volume(&name);
            let why = match read_json::<Volume>(&directory.join("volume.json")) {
                Ok(Some(_)) if is_directory(&directory.join("_data")) => continue,
                Ok(Some(_)) => format!("volume {name}: its directory _data is missing"),
                Ok(None) => format!("volume {name}: its description volume.json is missing"),
                Err(e) => e.to_string(),
            };
            // It may have been removed while we looked.
            if directory.exists() {
                self.note(
                    why,
                    None,
                    format!("save what is in {}/_data, and remove volumes/{name}", directory.display()),
                );
            }
        }
        let lost: Vec<_> = self
            .containers
            .values()
            .filter(|config| !self.engine.has_volumes(config))
            .map(|c| c.name.clone())
            .collect();
        for name in lost {
            self.note(
                format!("container {name}: one of its volumes is missing"),
                None,
                format!("make it again with mini-docker volume create, or remove the container: mini-docker rm {name}"),
            );
        }
        Ok(())
    }
}

impl Engine {
    /// Whether a layer's archive is what its digest says, and its files are those of the archive.
    pub(super) fn verify_layer(&self, id: &Digest) -> Result<()> {
        let damaged = |why: &str| super::Error::new(super::error::Kind::System, why);
        self.write_layer(id, std::io::sink())?;
        if self.layer_info(id)?.ok_or_else(|| damaged("its description layer.json is missing"))?.blob.is_none() {
            return Ok(());
        }
        let scratch = self.store.scratch()?;
        self.unpack_beside(id, &scratch.path)?;
        let digest = |path: &Path| layer::packed_digest(&path.join("fs"));
        if digest(&scratch.path)? == digest(&self.store.layer(id.hex()))? {
            return Ok(());
        }
        Err(damaged("its files are not those of its archive"))
    }

    fn unpack_beside(&self, id: &Digest, directory: &Path) -> Result<NewLayer> {
        let Some((blob, file)) = self.layer_blob(id)? else {
            return Err(super::Error::not_found("there is no archive of it"));
        };
        layer::unpack(file, directory, layer::Expected { diff: Some(id), blob: Some(&blob) })
    }

    /// Makes a layer's files again, from its archive. Nobody uses it now.
    fn unpack_again(&self, id: &Digest) -> Result<()> {
        if self.layer_info(id)?.is_none() {
            // Of what came from outside the archive goes: it is made again where it is needed.
            return layer::describe(&self.store.layer(id.hex()), id);
        }
        let scratch = self.store.scratch()?;
        let whole = scratch.path.join("layer");
        make_directory(&whole, 0o700)?;
        let layer = self.unpack_beside(id, &whole)?;
        // Killed between these two, the store lacks a layer, which a pull brings.
        let old = self.store.set_aside(&self.store.layer(id.hex()))?;
        self.publish_layer(layer, &whole)?;
        self.settle_layers(std::slice::from_ref(id))?;
        old.clear()
    }
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}
