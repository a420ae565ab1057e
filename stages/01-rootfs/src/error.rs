//! Why an archive was not unpacked.

use std::io;

use process::Errno;

/// Why an archive was not unpacked: what it was about, the cause, and what to do.
///
/// Names are the archive's, and may hold anything: they are escaped, so that none can drive a terminal, and shortened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something that is no archive.
    #[error("not a tar archive: {found}; make one with: tar -C DIRECTORY -cf ARCHIVE .")]
    NotTar {
        /// What it is instead.
        found: &'static str,
    },
    /// The archive could not be read.
    #[error("read the archive, after {position} bytes of its uncompressed contents: {cause}")]
    Read {
        /// Bytes read so far, after decompression.
        position: u64,
        /// The reader's error.
        cause: io::Error,
    },
    /// The archive could not be written.
    #[error("write the archive: {cause}")]
    Write {
        /// The writer's error.
        cause: io::Error,
    },
    /// The archive ends too early, or a size in it is a lie.
    #[error(
        "the archive ends in the middle of {inside}, after {position} bytes; it is truncated, or its sizes lie: get it again"
    )]
    Truncated {
        /// Bytes read, after decompression.
        position: u64,
        /// What is incomplete.
        inside: String,
    },
    /// A header makes no sense.
    #[error("the archive is damaged in the header at byte {position}: {what}; get it again")]
    Damaged {
        /// Where the header begins, after decompression.
        position: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An entry asks for what no archive may have.
    #[error("refused: {entry}: {why}")]
    Refused {
        /// The entry's name.
        entry: String,
        /// What it asks for.
        why: Refusal,
    },
    /// The archive is larger than [`Limits`](crate::Limits) allow.
    #[error("refused: at {entry} the archive exceeds {allowed} {unit}; raise the limit if you trust it")]
    Limit {
        /// The entry that goes beyond it.
        entry: String,
        /// The limit.
        allowed: u64,
        /// What is counted.
        unit: &'static str,
    },
    /// The kernel refused.
    #[error("{doing} {entry}: {} ({errno:?}){}", errno.desc(), advice(*errno))]
    System {
        /// What was asked of it.
        doing: &'static str,
        /// The entry that it was asked for.
        entry: String,
        /// Its answer.
        errno: Errno,
    },
}

/// What an entry may not ask for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No name at all.
    #[error("its name is empty")]
    NoName,
    /// A null byte, where the kernel would end the name and we would not.
    #[error("its name or target has a null byte")]
    Null,
    /// An absolute name.
    #[error("its name is absolute; names in an archive are relative to the root (make it without `tar -P`)")]
    Absolute,
    /// A way up.
    #[error("its name has a `..`, which can lead out of the root")]
    DotDot,
    /// Too long a name.
    #[error("its name is longer than {0} bytes")]
    TooLong(usize),
    /// Too many directories.
    #[error("it lies more than {0} directories deep")]
    TooDeep(usize),
    /// The root replaced by something else.
    #[error("it replaces the root, which can only be a directory")]
    Root,
    /// A file where a directory is needed.
    #[error("its parent {0} is not a directory, or is a link to nothing in the archive")]
    Parent(String),
    /// A directory replaced by something else.
    #[error("it would replace a directory, and is none")]
    OverDirectory,
    /// Something else replaced by a directory.
    #[error("it is a directory, and would replace something else")]
    OverFile,
    /// A device node.
    #[error("it is a device node; if you trust the archive, allow or skip devices")]
    Device,
    /// A device number that the kernel cannot have.
    #[error("its device number is out of range")]
    DeviceNumber,
    /// A hard link out of the root.
    #[error("it is a hard link to {0}, outside of the root")]
    HardLinkOutside(String),
    /// A hard link to nothing.
    #[error("it is a hard link to {0}, which no earlier entry has made")]
    HardLinkMissing(String),
    /// A hard link to a directory.
    #[error("it is a hard link to {0}, a directory")]
    HardLinkDirectory(String),
    /// A symbolic link that cannot be.
    #[error("it is a symbolic link whose target is empty or longer than 4095 bytes")]
    SymlinkTarget,
    /// A whiteout that would delete something else than a name in its directory.
    #[error("its name begins with `.wh.` and is no whiteout of a file beside it")]
    Whiteout,
    /// A name that would mean something else in a layer.
    #[error("its name begins with `.wh.`, which in a layer marks a deletion; rename it")]
    Marker,
    /// An attribute that forges an overlay's own.
    #[error("its extended attribute {0} belongs to overlayfs alone")]
    Xattr(String),
    /// An owner that the kernel cannot have.
    #[error("its owner or group is not a number from 0 to 4294967294")]
    Owner,
    /// A kind of sparse file that is not read.
    #[error("it is a sparse file in a format that is not read here; make the archive with `tar --sparse-version=1.0`")]
    Sparse,
    /// A type that is not known.
    #[error("its type {:?} is not known", char::from(*.0))]
    Type(u8),
}

impl Error {
    /// The closest error number: the kernel's own where the kernel refused, EFBIG for a limit, EINVAL for the rest.
    pub fn errno(&self) -> Errno {
        match self {
            Self::System { errno, .. } => *errno,
            Self::Read { cause, .. } | Self::Write { cause } => {
                cause.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
            }
            Self::Limit { .. } => Errno::EFBIG,
            _ => Errno::EINVAL,
        }
    }

    /// The same error for `entry`, where it named a directory on the way to it.
    pub(crate) fn for_entry(self, entry: &[u8]) -> Self {
        match self {
            Self::Refused { why, .. } => why.of(entry),
            other => other,
        }
    }

    /// More than a limit allows, in a tree that is packed.
    pub(crate) fn too_many(entry: &[u8], allowed: u64, unit: &'static str) -> Self {
        Self::Limit { entry: shown(entry), allowed, unit }
    }

    /// A file that is packed could not be read.
    pub(crate) fn reading(entry: &[u8], cause: &io::Error) -> Self {
        Self::system("read", entry)(cause.raw_os_error().map_or(Errno::EIO, Errno::from_raw))
    }

    /// The system call `doing` for `entry` failed.
    pub(crate) fn system(doing: &'static str, entry: &[u8]) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System { doing, entry: shown(entry), errno }
    }
}

impl Refusal {
    /// The refusal of `entry` for this reason.
    pub(crate) fn of(self, entry: &[u8]) -> Error {
        Error::Refused { entry: shown(entry), why: self }
    }
}

/// A name of the archive as people may see it.
pub(crate) fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text = String::from_utf8_lossy(&name[..name.len().min(LONGEST)]);
    let more = if name.len() > LONGEST { "…" } else { "" };
    format!("{text:?}{more}")
}

fn advice(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => "; free space or inodes on the target filesystem",
        Errno::EPERM | Errno::EACCES => "; it takes root, or a user namespace",
        Errno::EINVAL => "; in a user namespace every owner must be mapped, and not every filesystem takes every name",
        Errno::EROFS => "; the target filesystem is read-only",
        Errno::ENOSYS => "; openat2 needs Linux 5.6",
        Errno::ELOOP => "; its symbolic links go round in circles",
        _ => "",
    }
}
