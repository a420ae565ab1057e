//! The working directory, made where it is missing.

use std::{
    ffi::{CStr, CString, OsStr},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{Mode, mkdirat},
    unistd::fchdir,
};

use crate::primitive::{Inside, Primitive};

/// Starts the process in a directory of the container, which is made (mode 0755) where it is missing.
#[derive(Debug)]
pub struct WorkingDirectory {
    /// The path and all its parents, shortest first.
    prefixes: Vec<CString>,
    make: bool,
}

const MKDIR: usize = 0;
const CHDIR: usize = 1;

impl WorkingDirectory {
    /// `path` is absolute, in the container. `None` where it has a null byte.
    pub fn new(path: &Path) -> Option<Self> {
        let mut prefixes: Vec<_> = path.ancestors().map(Path::as_os_str).map(OsStr::as_bytes).collect();
        prefixes.reverse();
        let prefixes = prefixes.into_iter().map(CString::new).collect::<Result<_, _>>().ok()?;
        Some(Self { prefixes, make: true })
    }

    /// The same for a directory that has to be there: ENOENT where it is not.
    #[must_use]
    pub fn existing(self) -> Self {
        Self { make: false, ..self }
    }
}

impl Primitive for WorkingDirectory {
    fn name(&self) -> &'static str {
        "directory"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        let Some(path) = self.prefixes.last() else {
            return Ok(());
        };
        inside.at(CHDIR);
        match open(path) {
            Err(Errno::ENOENT) if self.make => {}
            opened => return fchdir(opened?),
        }
        let mut above: Option<OwnedFd> = None;
        for prefix in &self.prefixes {
            inside.at(MKDIR);
            if let Some(above) = &above {
                match mkdirat(above, last(prefix), Mode::from_bits_truncate(0o755)) {
                    Ok(()) | Err(Errno::EEXIST) => {}
                    Err(errno) => return Err(errno),
                }
            }
            inside.at(CHDIR);
            above = Some(open(prefix)?);
        }
        above.map_or(Ok(()), fchdir)
    }

    fn step(&self, step: u16) -> String {
        let path = self.prefixes.last().map_or_else(String::new, |p| p.to_string_lossy().into_owned());
        if usize::from(step) == MKDIR { format!("mkdir -p {path:?}") } else { format!("chdir({path:?})") }
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::ELOOP)
            .then(|| "a working directory is behind no link of /proc, nor links in a circle".to_owned())
    }
}

/// Opens a directory, never through a link of /proc that is no path, such as `/proc/self/fd/7`: it may lead out of the
/// container (CVE-2024-21626).
fn open(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    openat2(AT_FDCWD, path, OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS))
}

/// The last part of a path, which has one: without copies.
fn last(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let slash = bytes.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
    CStr::from_bytes_with_nul(&bytes[slash..]).unwrap_or(path)
}
