//! The working directory, made where it is missing.

use std::{
    ffi::{CString, OsStr},
    os::unix::ffi::OsStrExt,
    path::Path,
};

use nix::{errno::Errno, sys::stat::Mode, unistd::chdir};

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
        match chdir(path.as_c_str()) {
            Err(Errno::ENOENT) if self.make => {}
            changed => return changed,
        }
        inside.at(MKDIR);
        for prefix in &self.prefixes {
            match nix::unistd::mkdir(prefix.as_c_str(), Mode::from_bits_truncate(0o755)) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(errno) => return Err(errno),
            }
        }
        inside.at(CHDIR);
        chdir(path.as_c_str())
    }

    fn step(&self, step: u16) -> String {
        let path = self.prefixes.last().map_or_else(String::new, |p| p.to_string_lossy().into_owned());
        if usize::from(step) == MKDIR { format!("mkdir -p {path:?}") } else { format!("chdir({path:?})") }
    }
}
