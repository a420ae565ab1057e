//! Where an ordinary user's store is, by the XDG Base Directory Specification.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::engine::{
    error::{Context, Error, Result},
    store::RUN,
};

/// What we have below a directory that is not ours alone.
const NAME: &str = "mini-docker";

/// Root's volatile directory.
pub(super) fn of_root() -> PathBuf {
    Path::new("/run").join(NAME)
}

/// `$XDG_DATA_HOME/mini-docker`, or `~/.local/share/mini-docker`.
pub(super) fn data() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let data = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join(NAME)).ok_or_else(|| {
        Error::invalid("HOME is not set: set it, or say with --root where to keep images and containers")
    })
}

/// Where [`RUN`] says, else `mini-docker` below `$XDG_RUNTIME_DIR` or /run/user/UID, if that is the user's, else
/// /tmp/mini-docker-UID. All commands of a user have to agree on it.
///
/// # Errors
/// Where it is another's, or open to others: whoever can write there could have this user's commands enter namespaces of
/// his own making.
pub(super) fn volatile() -> Result<PathBuf> {
    let uid = geteuid().as_raw();
    let is_ours = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    let given = || env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || Some(PathBuf::from(format!("/run/user/{uid}")));
    let below = given().filter(is_ours).or_else(usual).filter(is_ours).map(|path| path.join(NAME));
    let path = env::var_os(RUN).map(PathBuf::from).or(below);
    let path = path.unwrap_or_else(|| PathBuf::from(format!("/tmp/{NAME}-{uid}")));
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => return Err(e).doing("make the directory", &path),
        _ => {}
    }
    // Not where a link leads: that could be changed.
    let found = fs::symlink_metadata(&path).doing("look at", &path)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        return Err(Error::invalid(format!(
            "refusing to use {}: it must be a directory of user {uid}'s with mode 0700; remove it, or set XDG_RUNTIME_DIR to a directory of yours",
            path.display()
        )));
    }
    Ok(path)
}
