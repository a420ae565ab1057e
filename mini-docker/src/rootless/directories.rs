//! Where an ordinary user's store is, by the XDG Base Directory Specification.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;

use crate::engine::{
    error::{Context, Error, Result},
    files::{Durability, write_atomic},
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

/// Where [`RUN`] says, else where commands on this store have it since the machine started, whatever variables this one was
/// given; else `mini-docker` below `$XDG_RUNTIME_DIR` or /run/user/UID, if that is the user's, else /tmp/mini-docker-UID. All commands of
/// a user have to agree on it.
///
/// # Errors
/// Where it is another's, or open to others: whoever can write there could have this user's commands enter namespaces of
/// his own making.
pub(super) fn volatile(root: &Path) -> Result<PathBuf> {
    let uid = geteuid().as_raw();
    let is_ours = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    let given = || env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let usual = || Some(PathBuf::from(format!("/run/user/{uid}")));
    let below = given().filter(is_ours).or_else(usual).filter(is_ours).map(|path| path.join(NAME));
    let path = env::var_os(RUN).map(PathBuf::from).or_else(|| remembered(root)).or(below);
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

/// In the store: the machine's boot id and the volatile directory, a line each.
const RECORD: &str = "volatile";

fn remembered(root: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(root.join(RECORD)).ok()?;
    let (boot, path) = text.trim_end_matches('\n').split_once('\n')?;
    Some(PathBuf::from(path)).filter(|path| boot == boot_id() && path.is_dir())
}

/// Writes down where the store's volatile directory is, for commands that are given other variables.
pub(super) fn remember(root: &Path, path: &Path) -> Result<()> {
    let Some(path) = path.to_str().filter(|path| !path.contains('\n')) else { return Ok(()) };
    if remembered(root).is_some_and(|known| known == Path::new(path)) {
        return Ok(());
    }
    write_atomic(&root.join(RECORD), format!("{}\n{path}\n", boot_id()).as_bytes(), Durability::Process)
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
