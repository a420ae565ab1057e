//! Stage 02: another root directory.
//!
//! chroot(2) changes what `/` means for a process, and nothing else. A process with `CAP_SYS_CHROOT` walks out of it
//! again, because its open directories and the parents of its working directory still lead outside: stage 08 replaces
//! this primitive with pivot_root(2), which leaves no outside.
#![forbid(unsafe_code)]

use std::{
    ffi::{CString, NulError},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use nix::unistd::{chdir, chroot};
use process::{Errno, Inside, Primitive};

// ANCHOR: chroot
/// Makes a directory the root of the process.
#[derive(Debug)]
pub struct Chroot {
    root: CString,
}

impl Chroot {
    /// `root` is a directory of the host.
    ///
    /// # Errors
    /// A path with a null byte in it.
    pub fn new(root: &Path) -> Result<Self, NulError> {
        Ok(Self { root: CString::new(root.as_os_str().as_bytes())? })
    }
}

const CHROOT: usize = 0;
const CHDIR: usize = 1;

impl Primitive for Chroot {
    fn name(&self) -> &'static str {
        "chroot"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(CHROOT);
        chroot(self.root.as_c_str())?;
        // Without this the working directory stays outside, and `..` leads further out.
        inside.at(CHDIR);
        chdir(c"/")
    }

    fn step(&self, step: u16) -> String {
        if usize::from(step) == CHROOT { format!("chroot({:?})", self.root) } else { "chdir(\"/\")".to_owned() }
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        match errno {
            Errno::EPERM => Some("chroot needs CAP_SYS_CHROOT: run as root, or go on with stage 03".to_owned()),
            Errno::ENOENT | Errno::ENOTDIR => Some("make a root filesystem with ./rootfs-fetch.sh".to_owned()),
            _ => None,
        }
    }
}
// ANCHOR_END: chroot
