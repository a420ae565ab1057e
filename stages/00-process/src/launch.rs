//! The program between ours and a container's.
//!
//! Until its exec a child is a process of our program, and what it executes may be `/proc/self/exe`, by its own name or as a script's
//! interpreter: then our program runs in the container, which may keep it open, and write to it once nobody runs it any more
//! (CVE-2019-5736). Where a container's root could write our file, the child executes it once more first, through a mount of its
//! own that is read-only, or from a sealed copy in memory: whoever finds that open cannot write it.

use std::{
    env,
    ffi::{CString, OsString},
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::{
            ffi::{OsStrExt, OsStringExt},
            fs::{MetadataExt, PermissionsExt},
        },
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, SealFlag, fcntl},
    sys::memfd::{MFdFlags, memfd_create},
};

use crate::{
    exec::execute_first,
    report::Channel,
    sys::{self, MountAttr, OpenTree, Pointers},
};

/// The name by which our program is executed for this.
const NAME: &str = "mini-docker-launch";

const OURS: &str = "/proc/self/exe";

/// Our program where nobody can write it.
#[derive(Debug)]
pub struct Launcher {
    file: OwnedFd,
    arguments: Option<Pointers>,
}

impl Launcher {
    /// # Errors
    /// What opening and copying our own file brings.
    pub fn new() -> io::Result<Self> {
        let file = read_only().map_or_else(sealed, Ok)?;
        Ok(Self { file, arguments: None })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Lays out its words: our line, and what it is to become.
    pub(crate) fn prepare(&mut self, line: BorrowedFd, candidates: &[CString], arguments: &[CString]) {
        let number = |number: usize| CString::new(number.to_string()).unwrap_or_default();
        let mut words = vec![CString::new(NAME).unwrap_or_default()];
        words.push(number(line.as_raw_fd().unsigned_abs() as usize));
        words.push(number(candidates.len()));
        words.extend(candidates.iter().chain(arguments).cloned());
        self.arguments = Some(Pointers::new(words));
    }

    /// Executes it, in the child. Returns only on failure.
    pub(crate) fn execute(&self, line: BorrowedFd, environment: &Pointers) -> Errno {
        let Some(arguments) = &self.arguments else { return Errno::EINVAL };
        match fcntl(line, FcntlArg::F_SETFD(FdFlag::empty())) {
            Ok(_) => sys::execve_at(self.file.as_fd(), arguments, environment),
            Err(errno) => errno,
        }
    }
}

/// Our file in a mount of its own. `None` where it is another by now, where others may not execute it, or without the right to
/// mount.
fn read_only() -> Option<OwnedFd> {
    let path = fs::read_link(OURS).ok()?;
    let ours = fs::metadata(OURS).ok().filter(|found| found.permissions().mode() & 0o5 == 0o5)?;
    let mount = sys::open_tree(None, &CString::new(path.as_os_str().as_bytes()).ok()?, OpenTree::Clone).ok()?;
    let found = fs::metadata(Path::new("/proc/self/fd").join(mount.as_raw_fd().to_string())).ok()?;
    sys::mount_setattr(mount.as_fd(), MountAttr::READ_ONLY, false).ok()?;
    ((found.dev(), found.ino()) == (ours.dev(), ours.ino())).then_some(mount)
}

fn sealed() -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = memfd_create(c"mini-docker", flags)?;
    let mut file = File::from(file);
    io::copy(&mut File::open(OURS)?, &mut file)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Does what this process was executed for, if that was to launch: before anything else.
pub fn launch_if_asked() {
    let mut words = env::args_os();
    if words.next().is_some_and(|own| own == NAME) {
        if let Some((line, errno)) = launch(words) {
            line.send_launch_failure(errno);
        }
        sys::exit_now(127);
    }
}

/// Returns only on failure: the line, and what to tell it. `None` where these are not the words that a [`Launcher`] lays out.
fn launch(mut words: impl Iterator<Item = OsString>) -> Option<(Channel, Errno)> {
    let mut number = || words.next()?.to_str()?.parse::<i32>().ok();
    let (line, candidates) = (number()?, number()?);
    let line = Channel::inherited(line)?;
    let mut words: Vec<_> = words.map(|word| CString::new(word.into_vec())).collect::<Result<_, _>>().ok()?;
    let arguments =
        Pointers::new(words.split_off(usize::try_from(candidates).ok().filter(|&count| count <= words.len())?));
    // Our language's start has changed one.
    let _ = sys::default_signals();
    let errno = execute_first(&words, |candidate| sys::execve_here(candidate, &arguments));
    Some((line, errno))
}
