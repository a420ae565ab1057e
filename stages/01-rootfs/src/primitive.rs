//! The primitive: a directory with the root filesystem in it, and the program's working directory in that.

use std::{
    ffi::CString,
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use nix::unistd::{chdir, geteuid};
use process::{Errno, Host, Inside, Primitive, Undo};

use crate::{
    options::{Devices, Options, Owners},
    unpack::unpack,
};

const NAME: &str = "rootfs";
const CHDIR: usize = 0;

/// Unpacks `archive` to `directory` and starts the program there.
///
/// The directory is made if it is missing, and then journaled for removal: whoever wants to keep the tree forgets that
/// step ([`process::Journal::keep_from`]). One that is there must be empty, and is left to its owner.
#[derive(Debug)]
pub struct Rootfs {
    /// A tar archive, as it is or with gzip.
    pub archive: PathBuf,
    /// Where the tree goes.
    pub directory: PathBuf,
    /// How it is unpacked.
    pub options: Options,
    /// The directory as chdir(2) takes it, laid out before the clone.
    c_directory: CString,
}

impl Rootfs {
    /// Of root, the archive's owners; of others, the caller's. Device nodes are left out.
    pub fn new(archive: &Path, directory: &Path) -> Self {
        let owners = if geteuid().is_root() { Owners::Archive } else { Owners::Caller };
        Self {
            archive: archive.to_owned(),
            directory: directory.to_owned(),
            options: Options { owners, devices: Devices::Skip, ..Options::default() },
            c_directory: CString::default(),
        }
    }

    /// Makes the directory, or finds it empty.
    fn make_directory(&self, host: &mut Host) -> process::Result<()> {
        let failed =
            |doing: &str, errno| process::Error::new(NAME, format!("{doing} {}", self.directory.display()), errno);
        match fs::read_dir(&self.directory).map(|mut entries| entries.next().is_none()) {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let hint = "name a directory that is empty or not there: files of two trees would mix";
                return Err(failed("unpack to", Errno::ENOTEMPTY).hint(hint));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("read", errno_of(&e))),
        }
        let mark = host.journal.mark();
        host.undo(Undo::RemoveTree(self.directory.clone()))?;
        let made = host.act(
            || format!("mkdir({})", self.directory.display()),
            || fs::create_dir(&self.directory).map_err(|e| errno_of(&e)),
        );
        made.inspect_err(|_| {
            // Somebody else may have made it since: what is not ours must not be removed.
            let _ = host.journal.keep_from(mark);
        })
    }
}

impl Primitive for Rootfs {
    fn name(&self) -> &'static str {
        NAME
    }

    fn prepare(&mut self, host: &mut Host) -> process::Result<()> {
        self.c_directory = CString::new(self.directory.as_os_str().as_bytes())
            .map_err(|_| process::Error::new(NAME, "take a directory's name with a null byte in it", Errno::EINVAL))?;
        let archive = host.act(
            || format!("open({})", self.archive.display()),
            || File::open(&self.archive).map_err(|e| errno_of(&e)),
        );
        let archive = archive.map_err(|e| e.hint("make one with: ./rootfs-fetch.sh busybox rootfs.tar"))?;
        self.make_directory(host)?;
        let target = host.act(
            || format!("open({})", self.directory.display()),
            || File::open(&self.directory).map_err(|e| errno_of(&e)),
        )?;
        let mut cause = None;
        let unpacked = host.act(
            || format!("unpack {}", self.archive.display()),
            || {
                let unpacked = unpack(&archive, target.as_fd(), &self.options);
                unpacked.map(drop).map_err(|e| {
                    let errno = e.errno();
                    cause = Some(e);
                    errno
                })
            },
        );
        unpacked.map_err(|e| match cause {
            // An errno alone says too little of an archive.
            Some(cause) => e.hint(cause.to_string()),
            None => e,
        })
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(CHDIR);
        chdir(self.c_directory.as_c_str())
    }

    fn step(&self, _step: u16) -> String {
        format!("chdir({})", self.directory.display())
    }
}

fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
