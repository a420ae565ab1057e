//! Exercise 01: prints a file of a root filesystem as the container would see it, without being in the container.
#![forbid(unsafe_code)]

use std::{
    env,
    error::Error,
    fs::File,
    io,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1).map(PathBuf::from);
    let (Some(root), Some(path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: exercise-01 ROOTFS /PATH".into());
    };
    io::copy(&mut open(&root, &path)?, &mut io::stdout())?;
    Ok(())
}

/// Opens the file that `path` is for a process whose root directory is `root`.
fn open(root: &Path, path: &Path) -> io::Result<File> {
    // Joins strings: where the path leads is up to the links that the archive brought.
    File::open(root.join(path.strip_prefix("/").unwrap_or(path)))
}
