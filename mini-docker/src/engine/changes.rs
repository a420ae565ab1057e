//! What a container has changed of its image: `diff`, and the whole of it: `export`.

use std::{
    fs::{self, Metadata},
    io::Write,
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};
use rootfs::{Options, Packer};

use super::{
    Engine,
    container::Container,
    error::{Context, Error, Kind, Result},
};

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added,
    /// It is another, or what is in it is.
    Changed,
    /// It is gone.
    Deleted,
}

/// What the runtime mounts something over: there are only mount points.
const OURS: [&str; 9] = [
    "dev",
    "proc",
    "sys",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/mtab",
    ".dockerenv",
    "run/.containerenv",
];

struct Search<'a> {
    upper: &'a Path,
    /// The topmost first.
    lower: Vec<PathBuf>,
    ours: Vec<PathBuf>,
    found: Vec<(String, Change)>,
}

impl Engine {
    /// What the container has changed, by path.
    pub fn changes(&self, container: &Container) -> Result<Vec<(String, Change)>> {
        let config = &container.config;
        let upper = self.container_file(&config.id, "upper");
        let mounted = self
            .mounts(config)?
            .into_iter()
            .map(|mount| mount.path.to_string_lossy().trim_start_matches('/').to_owned());
        let mut search = Search {
            upper: &upper,
            lower: config.layers.iter().map(|layer| self.store.layer(layer).join("fs")).collect(),
            ours: OURS.iter().map(|path| (*path).to_owned()).chain(mounted).map(PathBuf::from).collect(),
            found: Vec::new(),
        };
        if upper.exists() {
            search.walk(Path::new(""))?;
        }
        search.found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(search.found)
    }

    /// Writes an archive of all its files, without what is mounted in it.
    ///
    /// # Errors
    /// What cannot be read, and those of `writer`.
    pub fn export(&self, container: &Container, writer: impl Write) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::new(Kind::System, format!("export the container: {e}"));
        let config = &container.config;
        let upper = self.container_file(&config.id, "upper");
        let layers = config.layers.iter().map(|layer| self.store.layer(layer).join("fs"));
        // As one more layer: a second mount with it as the upper directory would get in the way of the container's own.
        let lower: Vec<PathBuf> = Some(upper).filter(|upper| upper.exists()).into_iter().chain(layers).collect();
        let root = overlay::merged(&lower).map_err(|e| failed(&e))?;
        let options = Options::default();
        let mut packer = Packer::new(writer, &options);
        packer.tree(root.as_fd(), b"").map_err(|e| failed(&e))?;
        packer.finish().map_err(|e| failed(&e))?;
        self.emit_container(config, "export", &[]);
        Ok(())
    }
}

fn is_whiteout(found: &Metadata) -> bool {
    found.file_type().is_char_device() && found.rdev() == 0
}

impl Search<'_> {
    /// Walks one directory of the writable layer; whether anything in it was changed.
    fn walk(&mut self, directory: &Path) -> Result<bool> {
        let path = self.upper.join(directory);
        let mut changed = false;
        for entry in fs::read_dir(&path).doing("read", &path)?.flatten() {
            let relative = directory.join(entry.file_name());
            let Ok(found) = entry.metadata() else { continue };
            if self.ours.contains(&relative) {
                continue;
            }
            let below = self.lower(&relative);
            let at = self.found.len();
            if is_whiteout(&found) {
                self.found.extend(below.map(|_| (shown(&relative), Change::Deleted)));
            } else if found.is_dir() {
                let inside = self.walk(&relative)?;
                match below {
                    // Made for something to be mounted there, before anybody changed anything.
                    None if inside && OURS.iter().any(|ours| Path::new(ours).starts_with(&relative)) => {
                        self.found.push((shown(&relative), Change::Changed));
                    }
                    None if inside || !self.leads_to_ours(&relative) => {
                        self.found.push((shown(&relative), Change::Added));
                    }
                    Some(below) if inside || !same(&found, &below) && !self.leads_to_ours(&relative) => {
                        self.found.push((shown(&relative), Change::Changed));
                    }
                    _ => {}
                }
            } else {
                let change = if below.is_some() { Change::Changed } else { Change::Added };
                self.found.push((shown(&relative), change));
            }
            changed |= self.found.len() > at;
        }
        Ok(changed)
    }

    /// Whether the runtime has made something in the directory.
    fn leads_to_ours(&self, directory: &Path) -> bool {
        self.ours.iter().any(|ours| ours.starts_with(directory))
    }

    /// What the image has at the path. A link on the way is none: layers are not trusted, and overlayfs follows none.
    fn lower(&self, relative: &Path) -> Option<Metadata> {
        for layer in &self.lower {
            let mut at = layer.clone();
            let mut parts = relative.components().peekable();
            while let Some(part) = parts.next() {
                at.push(part);
                let Ok(found) = fs::symlink_metadata(&at) else { break };
                if is_whiteout(&found) || (parts.peek().is_some() && !found.is_dir()) {
                    return None;
                }
                if parts.peek().is_none() {
                    return Some(found);
                }
            }
            if relative.ancestors().skip(1).any(|above| is_opaque(&layer.join(above))) {
                return None;
            }
        }
        None
    }
}

fn is_opaque(directory: &Path) -> bool {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let Ok(opened) = open(directory, flags, Mode::empty()) else { return false };
    let Some(name) = rootfs::Whiteouts::native().opaque() else { return false };
    let mut value = [0; 1];
    process::sys::get_xattr(opened.as_fd(), name, &mut value) == Ok(1) && value == *b"y"
}

fn same(a: &Metadata, b: &Metadata) -> bool {
    let key = |found: &Metadata| (found.mode(), found.uid(), found.gid(), found.mtime(), found.mtime_nsec());
    key(a) == key(b)
}

fn shown(relative: &Path) -> String {
    format!("/{}", relative.display())
}
