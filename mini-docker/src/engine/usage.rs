//! How much of the disk things take.

use std::{
    collections::{HashMap, HashSet},
    ffi::CStr,
    io,
    os::fd::BorrowedFd,
    path::Path,
};

use nix::{
    dir::Type,
    errno::Errno,
    fcntl::{AtFlags, OFlag, open},
    sys::stat::{Mode, SFlag, fstatat},
};

use super::{
    Engine,
    container::Container,
    digest::Digest,
    error::{Context, Result},
    image::Listed,
};

impl Engine {
    /// Bytes of what a container has written.
    pub fn written(&self, container: &Container) -> Result<u64> {
        disk_usage(&self.container_file(&container.config.id, "upper"))
    }
}

/// How many there are of something, and what they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All.
    pub total: usize,
    /// Those in use.
    pub active: usize,
    /// Bytes of all.
    pub size: u64,
    /// Bytes of those that a prune could remove.
    pub reclaimable: u64,
}

impl Engine {
    /// What images take, each layer once.
    pub fn image_usage(&self, containers: &[Container]) -> Result<Usage> {
        let used: HashSet<_> = containers.iter().map(|container| container.config.image.as_str()).collect();
        let (mut all, mut active_layers) = (HashSet::new(), HashSet::new());
        let mut usage = Usage::default();
        for listed in self.images()? {
            let active = used.contains(listed.image.id.as_str());
            usage.total += 1;
            usage.active += usize::from(active);
            for layer in &listed.image.config.rootfs.diff_ids {
                let size = self.layer_info(layer)?.map_or(0, |info| info.size);
                if active && active_layers.insert(layer.clone()) {
                    usage.reclaimable += size;
                }
                if all.insert(layer.clone()) {
                    usage.size += size;
                }
            }
        }
        usage.reclaimable = usage.size.saturating_sub(usage.reclaimable);
        Ok(usage)
    }

    /// Bytes of each image's layers that others of these images have too, in their order.
    pub fn shared_sizes(&self, images: &[Listed]) -> Result<Vec<u64>> {
        let layers =
            |listed: &Listed| -> HashSet<Digest> { listed.image.config.rootfs.diff_ids.iter().cloned().collect() };
        let mut users: HashMap<Digest, usize> = HashMap::new();
        images.iter().flat_map(layers).for_each(|layer| *users.entry(layer).or_default() += 1);
        let shared = |listed: &Listed| {
            let all = layers(listed).into_iter().filter(|layer| users[layer] > 1);
            all.map(|layer| Ok(self.layer_info(&layer)?.map_or(0, |info| info.size))).sum()
        };
        images.iter().map(shared).collect()
    }

    /// What containers have written.
    pub fn container_usage(&self, containers: &[Container]) -> Result<Usage> {
        let mut usage = Usage { total: containers.len(), ..Usage::default() };
        for container in containers {
            let size = self.written(container)?;
            usage.size += size;
            if container.status.state.is_active() {
                usage.active += 1;
            } else {
                usage.reclaimable += size;
            }
        }
        Ok(usage)
    }

    /// What volumes take.
    pub fn volume_usage(&self) -> Result<Usage> {
        let (users, _) = self.known_volume_users()?;
        let mut usage = Usage::default();
        for volume in self.volumes()? {
            let size = self.volume_size(&volume.name)?;
            usage.total += 1;
            usage.size += size;
            if users.contains_key(&volume.name) {
                usage.active += 1;
            } else {
                usage.reclaimable += size;
            }
        }
        Ok(usage)
    }
}

/// Bytes of the files below a path, each inode once, as Docker counts. What is not there, or goes meanwhile, takes none.
pub fn disk_usage(path: &Path) -> Result<u64> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = match open(path, flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(0),
        opened => opened.doing("read", path)?,
    };
    let mut measure = Measure::default();
    process::walk(root, &mut measure).doing("read", path)?;
    Ok(measure.total)
}

#[derive(Default)]
struct Measure {
    total: u64,
    /// Files of several names.
    seen: HashSet<(u64, u64)>,
}

impl process::Visitor for Measure {
    fn meet(&mut self, parent: BorrowedFd, name: &CStr, kind: Option<Type>) -> io::Result<bool> {
        if kind == Some(Type::Directory) {
            return Ok(true);
        }
        let Ok(stat) = fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { return Ok(false) };
        if stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits() {
            return Ok(true);
        }
        if stat.st_nlink == 1 || self.seen.insert((stat.st_dev, stat.st_ino)) {
            self.total += stat.st_size as u64;
        }
        Ok(false)
    }
}
