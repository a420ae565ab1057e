//! Removing images: names first, then the record, and last the layers that nothing else stands on.

use std::fs;

use super::{Filters, Image, Listed, layer::LayerInfo, short};
use crate::engine::{
    Engine,
    container::{Container, State},
    digest::Digest,
    error::{Context, Error, Result},
    events::Type,
    files::Locking,
    reference::Reference,
};

/// What [`Engine::remove_image`] did, in Docker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A name went.
    Untagged(String),
    /// The image or a layer went: `sha256:…`.
    Deleted(String),
}

/// What [`Engine::prune_images`] did.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Names, images and layers.
    pub removed: Vec<Removed>,
    /// Bytes that are free again.
    pub reclaimed: u64,
}

/// The store as it was when the removal began, and what has gone.
struct Removal<'a> {
    engine: &'a Engine,
    images: Vec<Listed>,
    containers: Vec<Container>,
    done: Pruned,
}

/// What must not stand against a removal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Against {
    /// Children and running containers.
    Hard,
    /// Those, and stopped containers.
    Containers,
    /// Those, and names.
    All,
}

impl Engine {
    /// Takes a name from an image; with its last name, or by its id, the image goes, and layers that no other has. With
    /// `prune` its nameless ancestors go too.
    ///
    /// # Errors
    /// A conflict where a container uses it, or, without `force`, by id where it has several names.
    pub fn remove_image(&self, text: &str, force: bool, prune: bool) -> Result<Vec<Removed>> {
        if text.trim().is_empty() {
            return Err(Error::invalid("image name cannot be blank; see `mini-docker images`"));
        }
        let _alone = self.store.lock(Locking::Exclusive)?;
        let id = self.image_id(text)?;
        let mut removal = Removal::begin(self)?;
        let names = removal.names(&id);
        let by_name = Reference::parse(text).ok().filter(|name| names.iter().any(|own| own.file() == name.file()));
        if let Some(name) = by_name {
            removal.check_reference(&id, text, &names, force)?;
            removal.untag(&id, &name)?;
            removal.untag_stray_digests(&id, &name)?;
            if removal.names(&id).is_empty() {
                removal.delete(&id, force, prune, true)?;
            }
        } else {
            let single = is_single(&names);
            if single {
                removal.check(&id, if force { Against::Hard } else { Against::Containers })?;
                for name in &names {
                    removal.untag(&id, name)?;
                }
            }
            removal.delete(&id, force, prune, false)?;
        }
        Ok(removal.done.removed)
    }

    /// Removes images without names that nothing uses; with `all` those with names too.
    pub fn prune_images(&self, all: bool, filters: &Filters) -> Result<Pruned> {
        let _alone = self.store.lock(Locking::Exclusive)?;
        let mut removal = Removal::begin(self)?;
        let candidates: Vec<_> = removal.images.iter().map(|listed| listed.image.id.clone()).collect();
        for id in candidates {
            let Some(listed) = removal.images.iter().find(|listed| listed.image.id == id) else { continue };
            let dangling = listed.tags.is_empty() && listed.digests.is_empty();
            if !(all || dangling)
                || removal.check(&id, Against::Containers).is_err()
                || !filters.allow(listed, dangling)
            {
                continue;
            }
            for name in removal.names(&id) {
                removal.untag(&id, &name)?;
            }
            removal.delete(&id, false, true, true)?;
        }
        // What pulls and others that were never finished left.
        self.store.clear_unfinished("images")?;
        self.clear_half_records()?;
        self.store.clear_unfinished("refs")?;
        let strays = self.clear_layers(None)?;
        removal.done.reclaimed += strays.iter().map(|(_, info)| bytes(info)).sum::<u64>();
        self.emit_prune(Type::Image, removal.done.reclaimed);
        Ok(removal.done)
    }

    /// What was written down beside configurations that never came.
    fn clear_half_records(&self) -> Result<()> {
        for name in self.store.list("images")? {
            let path = self.store.root().join("images").join(name);
            if path.extension().is_some_and(|kind| kind != "json") && !path.with_extension("json").exists() {
                fs::remove_file(&path).doing("remove", &path)?;
            }
        }
        Ok(())
    }
}

impl<'a> Removal<'a> {
    fn begin(engine: &'a Engine) -> Result<Self> {
        Ok(Self { engine, images: engine.images()?, containers: engine.containers()?, done: Pruned::default() })
    }

    fn names(&self, id: &str) -> Vec<Reference> {
        let listed = self.images.iter().find(|listed| listed.image.id == id);
        listed.map_or(Vec::new(), |listed| listed.tags.iter().chain(&listed.digests).cloned().collect())
    }

    fn has_children(&self, id: &str) -> bool {
        let is_child =
            |other: &Listed| self.engine.notes(&other.image.id).parent.is_some_and(|parent| parent.hex() == id);
        self.images.iter().any(is_child)
    }

    /// Whether the last name of an image that a container uses may go.
    fn check_reference(&self, id: &str, text: &str, names: &[Reference], force: bool) -> Result<()> {
        match self.containers.iter().find(|container| container.config.image == id) {
            Some(user) if !force && is_single(names) => Err(Error::conflict(format!(
                "conflict: unable to remove repository reference \"{text}\" (must force) - container {} is using its \
                 referenced image {}; remove that first: mini-docker rm {}",
                short(&user.config.id),
                short(id),
                user.config.name
            ))),
            _ => Ok(()),
        }
    }

    fn check(&self, id: &str, against: Against) -> Result<()> {
        let conflict = |how: &str, why: String| {
            Err(Error::conflict(format!("conflict: unable to delete {} ({how}) - {why}", short(id))))
        };
        if self.has_children(id) {
            return conflict("cannot be forced", "image has dependent child images".to_owned());
        }
        let users = || self.containers.iter().filter(|container| container.config.image == id);
        let runs = |container: &&Container| !matches!(container.status.state, State::Created | State::Exited);
        if let Some(user) = users().find(runs) {
            let why = format!("image is being used by running container {}", short(&user.config.id));
            return conflict("cannot be forced", why);
        }
        if against == Against::All && !self.names(id).is_empty() {
            return conflict("must be forced", "image is referenced in multiple repositories".to_owned());
        }
        match users().next() {
            Some(user) if against != Against::Hard => {
                let why = format!("image is being used by stopped container {}", short(&user.config.id));
                conflict("must be forced", why)
            }
            _ => Ok(()),
        }
    }

    fn untag(&mut self, id: &str, name: &Reference) -> Result<()> {
        let path = self.engine.store.root().join("refs").join(name.file());
        fs::remove_file(&path).doing("remove", &path)?;
        for listed in self.images.iter_mut().filter(|listed| listed.image.id == id) {
            listed.tags.retain(|own| own.file() != name.file());
            listed.digests.retain(|own| own.file() != name.file());
        }
        self.engine.emit_image("untag", id);
        self.done.removed.push(Removed::Untagged(name.to_string()));
        Ok(())
    }

    /// Names by digest mean little in a repository in which the image has no tag any more.
    fn untag_stray_digests(&mut self, id: &str, gone: &Reference) -> Result<()> {
        let names = self.names(id);
        if gone.digest().is_some() || names.iter().any(|name| name.digest().is_none() && name.is_beside(gone)) {
            return Ok(());
        }
        names.iter().filter(|name| name.is_beside(gone)).try_for_each(|name| self.untag(id, name))
    }

    /// Removes an image. `quietly`: what is still used stays without an error.
    fn delete(&mut self, id: &str, force: bool, prune: bool, quietly: bool) -> Result<()> {
        if let Err(conflict) = self.check(id, if force { Against::Hard } else { Against::All }) {
            return if quietly { Ok(()) } else { Err(conflict) };
        }
        for name in self.names(id) {
            self.untag(id, &name)?;
        }
        let parent = self.engine.notes(id).parent;
        // The configuration last: what is half removed is still an image, to be removed again.
        for path in [self.engine.store.image_file(id, "manifest"), self.engine.store.image_file(id, "notes")] {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).doing("remove", &path),
                _ => {}
            }
        }
        let path = self.engine.store.image(id);
        fs::remove_file(&path).doing("remove", &path)?;
        self.engine.emit_image("delete", id);
        self.done.removed.push(Removed::Deleted(format!("sha256:{id}")));
        let Some(at) = self.images.iter().position(|listed| listed.image.id == id) else { return Ok(()) };
        let image = self.images.remove(at).image;
        self.clear_layers(&image)?;
        match parent {
            Some(parent) if prune && self.is_nameless(parent.hex()) => self.delete(parent.hex(), false, true, true),
            _ => Ok(()),
        }
    }

    fn is_nameless(&self, id: &str) -> bool {
        self.images.iter().any(|listed| listed.image.id == id) && self.names(id).is_empty()
    }

    fn clear_layers(&mut self, image: &Image) -> Result<()> {
        let removed = self.engine.clear_layers(Some(image))?;
        self.done.reclaimed += removed.iter().map(|(_, info)| bytes(info)).sum::<u64>();
        let mut chain = chain_ids(&image.config.rootfs.diff_ids);
        chain.retain(|(diff, _)| removed.iter().any(|(layer, _)| layer == diff.hex()));
        self.done.removed.extend(chain.iter().rev().map(|(_, id)| Removed::Deleted(id.to_string())));
        Ok(())
    }
}

/// By which Docker names a layer with all that is below it (OCI image specification, "Layer ChainID").
fn chain_ids(diff_ids: &[Digest]) -> Vec<(Digest, Digest)> {
    let mut below: Option<Digest> = None;
    let next = |diff: &Digest| {
        let id = below.as_ref().map_or_else(|| diff.clone(), |below| Digest::of(format!("{below} {diff}").as_bytes()));
        below = Some(id.clone());
        (diff.clone(), id)
    };
    diff_ids.iter().map(next).collect()
}

fn bytes(info: &LayerInfo) -> u64 {
    info.size + info.blob.as_ref().map_or(0, |blob| blob.size)
}

/// Whether all names are in one repository, with one tag at most.
fn is_single(names: &[Reference]) -> bool {
    let Some((first, rest)) = names.split_first() else { return true };
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    tags <= 1 && rest.iter().all(|name| name.is_beside(first))
}
