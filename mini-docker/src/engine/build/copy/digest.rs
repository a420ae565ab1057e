//! The content of a COPY: what of it counts for the cache.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use nix::{
    fcntl::{OFlag, readlinkat},
    sys::stat::{FileStat, SFlag},
};

use super::{
    Arrival,
    select::{Attributes, Selected, Small},
};
use crate::engine::{
    build::onto::{self, open_in},
    digest::Hashing,
    error::{Context, Result},
};

/// Bytes of a file that is kept in memory for the copy, and of all of them.
const SMALL: i64 = 32 << 10;
const MOST_KEPT: i64 = 32 << 20;

// ANCHOR: digest
/// One digest over the sources and how they arrive: names, kinds, modes, link targets, devices, attributes and bytes, and
/// owners where they stay; no times. Keeps small files, which most often are copied next. `reads` is told of each file.
pub(super) fn digest(
    selected: &mut [Selected],
    arrival: &Arrival,
    reads: &mut dyn FnMut(BorrowedFd),
) -> Result<String> {
    let mut left = MOST_KEPT;
    let mut hashing = Hashing::new(io::sink());
    part(&mut hashing, how(arrival).as_bytes())?;
    for file in &arrival.copy.inline {
        part(&mut hashing, file.name.as_bytes())?;
        part(&mut hashing, file.content.as_bytes())?;
    }
    for source in &mut *selected {
        part(&mut hashing, source.path.as_os_str().as_encoded_bytes())?;
        source.small = entry(&mut hashing, source.fd.as_fd(), Path::new(""), &source.stat, arrival, &mut left, reads)?;
        for inner in &mut source.entries {
            part(&mut hashing, inner.path.as_os_str().as_encoded_bytes())?;
            inner.small = entry(&mut hashing, source.fd.as_fd(), &inner.path, &inner.stat, arrival, &mut left, reads)?;
        }
    }
    Ok(hashing.digest().hex().to_owned())
}
// ANCHOR_END: digest

/// All that is said of how they arrive.
pub(super) fn how(arrival: &Arrival) -> String {
    let copy = arrival.copy;
    format!(
        "{} {:?} {} {:?} {:?} {} {} {} {} {:?} {:?}",
        arrival.keyword,
        arrival.destination,
        arrival.into,
        copy.chown,
        copy.chmod,
        arrival.keeps_owners,
        copy.link,
        copy.parents,
        arrival.unpacks,
        copy.sources,
        copy.exclude,
    )
}

fn part(hashing: &mut Hashing<io::Sink>, bytes: &[u8]) -> Result<()> {
    let written = hashing.write_all(&(bytes.len() as u64).to_le_bytes()).and_then(|()| hashing.write_all(bytes));
    written.doing("hash", Path::new("the sources"))
}

fn entry(
    hashing: &mut Hashing<io::Sink>,
    source: BorrowedFd,
    path: &Path,
    stat: &FileStat,
    arrival: &Arrival,
    left: &mut i64,
    reads: &mut dyn FnMut(BorrowedFd),
) -> Result<Option<Small>> {
    let kind = onto::kind(stat);
    let owner = if arrival.keeps_owners { (stat.st_uid, stat.st_gid) } else { (0, 0) };
    let device = if matches!(kind, SFlag::S_IFCHR | SFlag::S_IFBLK) { stat.st_rdev } else { 0 };
    let size = if kind == SFlag::S_IFREG { stat.st_size } else { 0 };
    part(hashing, format!("{:o} {owner:?} {device} {size}", stat.st_mode).as_bytes())?;
    match kind {
        SFlag::S_IFLNK => {
            let target = readlinkat(source, path).doing("read the link", path)?;
            part(hashing, target.as_encoded_bytes())?;
            Ok(None)
        }
        SFlag::S_IFREG => {
            let mut file = open(source, path)?;
            reads(file.as_fd());
            let attributes = attributes(hashing, file.as_fd(), path)?;
            if size > SMALL.min(*left) {
                let mut buffer = vec![0; 128 << 10];
                loop {
                    match file.read(&mut buffer).doing("read", path)? {
                        0 => return Ok(None),
                        length => hashing.write_all(&buffer[..length]).doing("hash", path)?,
                    }
                }
            }
            // One more than there should be: what is read at once and is less than asked for is all (read(2)).
            let mut bytes = vec![0; size as usize + 1];
            let length = file.read(&mut bytes).doing("read", path)?;
            bytes.truncate(length);
            if length != size as usize {
                // Taken, for whoever reads all of a file asks for its size and its position first.
                file.take(u64::MAX).read_to_end(&mut bytes).doing("read", path)?;
            }
            hashing.write_all(&bytes).doing("hash", path)?;
            *left -= size;
            Ok(Some(Small { bytes, attributes }))
        }
        SFlag::S_IFDIR => {
            let attributes = attributes(hashing, directory(source, path)?.as_fd(), path)?;
            Ok(Some(Small { bytes: Vec::new(), attributes }))
        }
        _ => Ok(None),
    }
}

/// Takes the extended attributes in, and returns them.
fn attributes(hashing: &mut Hashing<io::Sink>, file: BorrowedFd, path: &Path) -> Result<Attributes> {
    let attributes = super::write::attributes(file, path)?;
    for (name, value) in &attributes {
        part(hashing, name.to_bytes())?;
        part(hashing, value)?;
    }
    Ok(attributes)
}

/// Opens a directory of a source; the source itself where the path is empty.
pub(super) fn directory(source: BorrowedFd, path: &Path) -> Result<OwnedFd> {
    open_in(source, path, onto::DIRECTORY | OFlag::O_NOFOLLOW).doing("open", path)
}

/// Opens a regular file of a source; the source itself where the path is empty.
pub(super) fn open(source: BorrowedFd, path: &Path) -> Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    if path.as_os_str().is_empty() {
        // It is open, but only as a place (`O_PATH`); it was a regular file then, and is the same now.
        let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&source));
        return File::open(&own).doing("open", Path::new(&own));
    }
    open_in(source, path, flags | OFlag::O_NOFOLLOW).map(File::from).doing("open", path)
}
