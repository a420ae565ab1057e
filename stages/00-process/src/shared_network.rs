//! The network that the stages' binaries share: which one it is, who has which address, and who is the last to leave.
//!
//! The kernel keeps the list, in locks on the bytes of one file (fcntl(2), `F_OFD_SETLK`): so that it is true even after
//! kill -9. The engine has a store instead.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, fcntl},
    libc,
};

use crate::netlink::{
    Prefix, Refusal, Socket,
    route::{addresses, free_network, link},
};

/// The byte that everybody shares.
const EVERYBODY: i64 = 0;
/// The host numbers that are given away; 1 is the gateway's.
const HOSTS: std::ops::RangeInclusive<u32> = 2..=254;

/// A place in the network of the stages' binaries.
#[derive(Debug)]
pub struct SharedNetwork {
    file: File,
    /// The bridge.
    pub bridge: &'static str,
    /// The bridge's address.
    pub gateway: Prefix,
    /// The address of this place.
    pub address: Prefix,
}

impl SharedNetwork {
    /// Takes a place in the network of `bridge`. If there is none yet, it will be a private one that is free here.
    ///
    /// Before any of that, `repair` is called where nobody else has a place: what it finds is of somebody who was killed.
    pub fn join(bridge: &'static str, repair: impl FnOnce()) -> Result<Self, String> {
        let said = |what: &'static str| move |e: io::Error| format!("{what}: {e}");
        let path = path(bridge).map_err(said("find the network namespace"))?;
        let file = loop {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let file = file.map_err(|e| format!("{path}: {e}; networks need root"))?;
            let alone = lock(&file, libc::F_WRLCK, EVERYBODY, false).is_ok();
            lock(&file, libc::F_RDLCK, EVERYBODY, true).map_err(|e| format!("lock {path}: {e}"))?;
            // The last to leave may have removed it meanwhile: then it is not where the next ones look.
            let number = |found: io::Result<std::fs::Metadata>| found.ok().map(|found| found.ino());
            if number(file.metadata()) == number(std::fs::metadata(&path)) {
                if alone {
                    repair();
                }
                break file;
            }
        };
        let host = HOSTS.into_iter().find(|&host| lock(&file, libc::F_WRLCK, host.into(), false).is_ok());
        let host = host.ok_or("all addresses are taken: end some containers")?;
        let gateway = network(bridge).map_err(|refusal| format!("find a free network: {}", refusal.errno))?;
        let gateway = gateway.ok_or("no private network is free here")?.host(1);
        Ok(Self { file, bridge, gateway, address: gateway.host(host) })
    }

    /// Gives the place up, and calls `remove` if it was the last: who comes meanwhile waits.
    pub fn leave(self, remove: impl FnOnce()) {
        if lock(&self.file, libc::F_WRLCK, EVERYBODY, false).is_ok() {
            remove();
            let _ = path(self.bridge).and_then(std::fs::remove_file);
        }
    }
}

/// One file a network namespace and bridge.
fn path(bridge: &str) -> io::Result<String> {
    let namespace = std::fs::metadata("/proc/thread-self/ns/net")?.ino();
    Ok(format!("/run/{bridge}-{namespace}.lock"))
}

fn lock(file: &File, kind: i32, byte: i64, wait: bool) -> Result<(), Errno> {
    let range = libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: byte, l_len: 1, l_pid: 0 };
    let how = if wait { FcntlArg::F_OFD_SETLKW(&range) } else { FcntlArg::F_OFD_SETLK(&range) };
    fcntl(file, how).map(drop)
}

/// That which the bridge has, or one of the private ones that Docker does not take first.
fn network(bridge: &str) -> Result<Option<Prefix>, Refusal> {
    let socket = Socket::route()?;
    if let Some(link) = link(&socket, bridge)? {
        let found = addresses(&socket)?.into_iter().find(|(index, at)| *index == link.index && at.address.is_ipv4());
        if let Some((_, prefix)) = found {
            return Ok(Some(prefix.network()));
        }
    }
    let candidate = |third: u8| Prefix { address: [10, 88, third, 0].into(), length: 24 };
    free_network(&socket, (0..=u8::MAX).map(candidate))
}
