//! Stage 20: the image's files belong to the container's ids.
//!
//! With ids of its own (stage 19) a container finds an image whose files are nobody's: on disk they are root's, and
//! root of the host has no id inside. chown(1) of all of them, as engines did, takes time and space for each container.
//! An idmapped mount (mount_setattr(2), `MOUNT_ATTR_IDMAP`, Linux 5.12) translates instead, by the maps of a user
//! namespace. It takes that namespace as a descriptor, before the container has one: so one is made for it.
#![forbid(unsafe_code)]

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use process::{
    Errno, Error, Host, IdMaps, Primitive, Result,
    sys::{self, Cloned},
};

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
    let failed = |doing: &'static str| move |e: io::Error| Error::from_io("idmap", doing, &e);
    let (ours, theirs) = UnixStream::pair().map_err(failed("socketpair()"))?;
    let cloned = host.act(
        || "clone3(CLONE_NEWUSER)".to_owned(),
        || match sys::clone3(nix::libc::CLONE_NEWUSER as u64, None)? {
            Cloned::Child => {
                // Or its own copy would keep it waiting for ever, if the parent is killed.
                drop(ours);
                let _ = (&theirs).read(&mut [0]);
                sys::exit_now(0)
            }
            Cloned::Parent(pid, pidfd) => Ok((ours, pid, pidfd.ok_or(Errno::EBADF)?)),
        },
    );
    let (ours, pid, pidfd) = cloned?;
    let path = format!("/proc/{pid}/ns/user");
    let written = maps.write(host, pid);
    let opened = File::open(path).map_err(failed("open the user namespace"));
    // Its end of the line closes: it leaves.
    drop(ours);
    sys::wait_exit(pidfd.as_fd()).map_err(|errno| Error::new("idmap", "waitid()", errno))?;
    written.and_then(|()| opened.map(OwnedFd::from))
}
// ANCHOR_END: idmap
