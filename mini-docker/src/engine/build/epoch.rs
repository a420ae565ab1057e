//! `SOURCE_DATE_EPOCH`: nothing of an image is younger than that, so that the same build is the same image
//! (<https://reproducible-builds.org/specs/source-date-epoch/>).

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::{
    fcntl::AT_FDCWD,
    sys::{
        stat::{UtimensatFlags, utimensat},
        time::TimeSpec,
    },
};

use crate::engine::error::{Context, Error, Result};

/// The variable's name.
pub(super) const NAME: &str = "SOURCE_DATE_EPOCH";

/// What the user's variables say of it.
pub(super) fn of(args: &BTreeMap<String, String>) -> Result<Option<Timestamp>> {
    let Some(text) = args.get(NAME).filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = text.parse().ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let invalid = || Error::invalid(format!("invalid {NAME} {text:?}: give seconds since 1970"));
    seconds.map(Some).ok_or_else(invalid)
}

/// Makes files that are younger as old as that.
pub(super) fn clamp(tree: &Path, epoch: Timestamp) -> Result<()> {
    let time = TimeSpec::new(epoch.as_second(), 0);
    let mut left = vec![PathBuf::from(tree)];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path).doing("look at", &path)?;
        if found.is_dir() {
            let entries = fs::read_dir(&path).doing("read", &path)?;
            left.extend(
                entries
                    .map(|entry| entry.map(|entry| entry.path()))
                    .collect::<Result<Vec<_>, _>>()
                    .doing("read", &path)?,
            );
        }
        if (found.mtime(), found.mtime_nsec()) > (epoch.as_second(), 0) {
            utimensat(AT_FDCWD, &path, &time, &time, UtimensatFlags::NoFollowSymlink)
                .doing("set the time of", &path)?;
        }
    }
    Ok(())
}
