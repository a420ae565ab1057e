//! What a container is mounted from beside its layers: files and directories of the host, volumes, filesystems in memory.
//!
//! When a container is made, what was asked for is checked and becomes a list of points (`resolve`), which is written
//! down; volumes are made and filled then. When it is started, the points become what the runtime mounts (`table`):
//! sources are opened, so that what was looked at is what is mounted.

mod bind;
mod inspect;
mod request;
mod resolve;
mod table;
mod tmpfs;

use std::path::{Component, Path};

pub(super) use inspect::{host_config, volumes};

/// An absolute path without `.`, `..` and doubled slashes, by its letters alone.
pub(super) fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::ParentDir => drop(parts.pop()),
            _ => {}
        }
    }
    format!("/{}", parts.join("/"))
}
