//! The solution of exercise 01: prints a file of a root filesystem as the container would see it.
#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(root), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: solution-01 ROOTFS /PATH".into());
    };
    io::copy(&mut open(&root, &path)?, &mut io::stdout())?;
    Ok(())
}

/// Opens the file that `path` is for a process whose root directory is `root`.
fn open(root: &Path, path: &Path) -> io::Result<File> {
    let root = File::open(root)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    Ok(openat2(&root, path, how).map(File::from)?)
}
