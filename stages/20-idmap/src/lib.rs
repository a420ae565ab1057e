//! Stage 20: the image's files belong to the container's ids.
//!
//! With ids of its own (stage 19) a container finds an image whose files are nobody's: on disk they are root's, and
//! root of the host has no id inside. chown(1) of all of them, as engines did, takes time and space for each container.
//! An idmapped mount (mount_setattr(2), `MOUNT_ATTR_IDMAP`, Linux 5.12) translates instead, by the maps of a user
//! namespace. It takes that namespace as a descriptor, before the container has one: so one is made for it.
#![forbid(unsafe_code)]

use std::{fs::File, os::fd::OwnedFd};

use nix::libc::CLONE_NEWUSER;
use process::{Errno, Error, Host, IdMaps, Primitive, Result, sys::Ended};

// ANCHOR: idmap
/// Has the layers idmapped by the maps of the user namespace that stands before it in the list.
///
/// `Overlay` after it makes the mount in the parent then, so that this takes root.
#[derive(Debug, Default)]
pub struct Idmap {
    done: bool,
}

impl Primitive for Idmap {
    fn name(&self) -> &'static str {
        "idmap"
    }

    /// A second call does nothing.
    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        if self.done {
            return Ok(());
        }
        let without = || Error::new("idmap", "find the maps", Errno::EINVAL).hint("a user namespace comes before it");
        let maps = host.maps.clone().ok_or_else(without)?;
        host.idmap = Some(namespace(host, &maps)?);
        self.done = true;
        Ok(())
    }
}

/// A user namespace with `maps` and without a process, as a descriptor.
fn namespace(host: &mut Host, maps: &IdMaps) -> Result<OwnedFd> {
    // As long as nobody has waited for a process that has ended, it has its namespace.
    let ended = host.act(|| "clone(CLONE_NEWUSER)".to_owned(), || Ended::with(CLONE_NEWUSER))?;
    maps.write(host, ended.pid())?;
    let opened = File::open(format!("/proc/{}/ns/user", ended.pid()));
    opened.map(OwnedFd::from).map_err(|e| Error::from_io("idmap", "open the user namespace", &e))
}
// ANCHOR_END: idmap
