//! Files that the kernel makes while they are read.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// A page: most of them are shorter.
const USUAL: usize = 4096;

/// Reads a file of /proc or /sys, in one piece where it is short. They claim to be empty, so that `std::fs::read` begins
/// with 32 bytes and doubles them.
pub fn kernel_file(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(USUAL);
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}
