//! Devices that a container is given.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
};

use cgroup::{Access, DeviceKind, DeviceRule};
use mount::Node;
use nix::sys::stat::{SFlag, major, minor};
use serde::{Deserialize, Serialize};

use crate::{
    engine::error::{Context, Error, Result},
    runtime,
};

/// `--device HOST[:CONTAINER[:PERMISSIONS]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// A device, or a directory of devices, on the host.
    pub host: String,
    /// Its path in the container.
    pub container: String,
    /// Of `r`, `w` and `m`.
    pub permissions: String,
}

impl Device {
    /// From the flag's value.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::Invalid`] for what is no such value.
    pub fn parse(text: &str) -> Result<Self> {
        let is_mode = |part: &str| Access::parse(part).is_some_and(|access| access.to_string().len() == part.len());
        let parts: Vec<&str> = text.split(':').collect();
        let (host, container, permissions) = match parts[..] {
            [host] => (host, host, "rwm"),
            [host, mode] if is_mode(mode) => (host, host, mode),
            [host, container] => (host, container, "rwm"),
            [host, container, mode] if is_mode(mode) => (host, container, mode),
            [_, _, mode] => return Err(Error::invalid(format!("bad mode specified: {mode}: it is of r, w and m"))),
            _ => return Err(Error::invalid(format!("invalid device specification: {text}"))),
        };
        if host.is_empty() {
            return Err(Error::invalid(format!("invalid device specification: {text}")));
        }
        // What is no mode was meant as a path, which is absolute.
        if !container.starts_with('/') {
            return Err(Error::invalid(format!(
                "bad mode specified: {container}: it is of r, w and m; a path is absolute"
            )));
        }
        let container = if container.is_empty() { host } else { container };
        Ok(Self { host: host.to_owned(), container: container.to_owned(), permissions: permissions.to_owned() })
    }

    /// Its device files by their paths inside; several for a directory.
    pub fn nodes(&self) -> Result<Vec<runtime::Device>> {
        // As in Docker: the name that a link leads to is not the container's business, the device is.
        let host = Path::new(&self.host).canonicalize().doing("find the device", Path::new(&self.host))?;
        let mut nodes = Vec::new();
        if host.is_dir() {
            collect(&host, Path::new(&self.container), &mut nodes);
        } else {
            let path = PathBuf::from(&self.container);
            nodes.extend(node(&host)?.map(|node| runtime::Device { path, host, node }));
        }
        if nodes.is_empty() {
            return Err(Error::invalid(format!(
                "error gathering device information while adding custom device {:?}: not a device node",
                self.host
            )));
        }
        Ok(nodes)
    }
}

/// What may be done with a device that is given with these permissions.
pub fn rule(node: &Node, permissions: &str) -> DeviceRule {
    let block = node.mode & SFlag::S_IFMT.bits() == SFlag::S_IFBLK.bits();
    DeviceRule {
        kind: if block { DeviceKind::Block } else { DeviceKind::Character },
        major: u32::try_from(major(node.device)).ok(),
        minor: u32::try_from(minor(node.device)).ok(),
        access: Access::parse(permissions).unwrap_or_default(),
    }
}

/// All devices of the host, for a privileged container: by the paths that they have.
pub fn all() -> Vec<runtime::Device> {
    let mut nodes = Vec::new();
    collect(Path::new("/dev"), Path::new("/dev"), &mut nodes);
    nodes
}

/// What every container has of its own in /dev, and is not the host's there.
const OWN: [&str; 12] =
    ["pts", "shm", "fd", "mqueue", "console", "null", "zero", "full", "random", "urandom", "tty", "ptmx"];

/// Devices that vanish meanwhile are left out.
fn collect(from: &Path, to: &Path, nodes: &mut Vec<runtime::Device>) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if to.parent() == Some(Path::new("/dev")) && OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&path, &to, nodes),
            Ok(kind) if !kind.is_symlink() => {
                nodes.extend(node(&path).ok().flatten().map(|node| runtime::Device { path: to, host: path, node }));
            }
            _ => {}
        }
    }
}

/// `None` for what is no device.
fn node(path: &Path) -> Result<Option<Node>> {
    let found = fs::symlink_metadata(path).doing("find the device", path)?;
    let kind = found.file_type();
    let is_device = kind.is_char_device() || kind.is_block_device();
    let node = Node { mode: found.mode(), device: found.rdev(), uid: found.uid(), gid: found.gid() };
    Ok(is_device.then_some(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_written_in_dockers_forms() {
        let parsed = |text: &str| Device::parse(text).map(|d| (d.host, d.container, d.permissions));
        let three = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(parsed("/dev/zero").unwrap(), three("/dev/zero", "/dev/zero", "rwm"));
        assert_eq!(parsed("/dev/zero:rw").unwrap(), three("/dev/zero", "/dev/zero", "rw"));
        assert_eq!(parsed("/dev/zero:/dev/nulo").unwrap(), three("/dev/zero", "/dev/nulo", "rwm"));
        assert_eq!(parsed("/dev/zero:/dev/nulo:r").unwrap(), three("/dev/zero", "/dev/nulo", "r"));
        for text in [
            "/dev/zero:ro",
            "/dev/zero:/x:rx",
            "/dev/zero:/x:",
            "/dev/zero:/x:rr",
            "",
            ":/x",
            "/a:/b:r:w",
            "/dev/zero:x",
        ] {
            assert!(Device::parse(text).is_err(), "{text}");
        }
        assert_eq!(Device::parse("/dev/zero:/x").unwrap().nodes().unwrap()[0].path, Path::new("/x"));
        assert!(Device::parse("/etc/passwd").unwrap().nodes().is_err());
        assert!(Device::parse("/nosuch").unwrap().nodes().is_err());
    }
}
