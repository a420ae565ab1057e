//! Where everything is. The layout is the documentation of the store:
//!
//! ```text
//! ROOT/                          /var/lib/mini-docker, --root or MINI_DOCKER_ROOT
//!   events.json events.json.1    what happened, see `events`; the older file goes when the newer is full
//!   lock                         shared by users of the store, exclusive for removal of images and layers
//!   refs/DOMAIN/PATH:TAG         an image's name; holds its id
//!   refs/DOMAIN/PATH@DIGEST      the same, by the digest of its manifest or index in that repository
//!   images/HEX.json              an image's configuration as it came; HEX is its digest, the image's id
//!   images/HEX.manifest          the manifest that it came with, if any
//!   images/HEX.notes             what we know beside: see `image::Notes`
//!   layers/HEX/                  a layer: see `image::layer`; HEX is the digest of its uncompressed archive
//!   mountpoints/                 a layer below all others: see `mountpoints`
//!   containers/ID/               see `container`
//!   aside/ID/                    a container that `check --repair` could not read; nothing looks at it any more
//!   volumes/NAME/                see `volume`
//!   volumes.lock                 shared while containers with volumes are made, exclusive to remove volumes
//!   names/NAME                   a container's name, taken by link(2) of its lock; holds its id
//!   names.lock                   exclusive to give a name back
//!   projects/NAME.lock           held while the containers of a compose project are made or taken away
//!   build/KEY.json               what a step of a build made: see `build::cache`
//!   build/caches/                directories of `RUN --mount=type=cache`
//!   tmp/                         on its way in or out; an entry that nobody locks is garbage
//!   tmp.lock                     shared while an entry, or the container of a build's step, is made, exclusive to sweep
//! RUN/                           /run/mini-docker/KEY-BOOT: one for each ROOT and boot; an ordinary user's is
//!                                elsewhere, see `rootless`
//!   ID/{monitor,undo,attach}     a running container's monitor: its lock, its undo journal, its socket
//!   ID/{hosts,hostname,resolv.conf}  its files of /etc
//! CGROUPS/mini-docker/KEY.ID/    a running container's cgroup, in each hierarchy that it takes
//! ```

use std::{
    ffi::OsString,
    fs,
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use process::{Journal, in_initial_user_namespace, owns_network, sys};
use sha2::{Digest, Sha256};

use super::{
    error::{Context, Error, Result},
    files::{Lock, Locking, UNFINISHED},
    members::Members,
};

/// The paths of one store.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    run: PathBuf,
    key: String,
    boot: String,
    identity: String,
    members: Option<Members>,
}

/// The variable of the environment that says where volatile state is kept.
pub const RUN: &str = "MINI_DOCKER_RUN";

impl Store {
    /// Opens the store at `root`, and makes it where it is missing; `volatile` is a directory that goes with a restart of
    /// the machine.
    pub fn open(root: &Path, volatile: &Path) -> Result<Self> {
        make_directory(root, 0o711)?;
        let root = root.canonicalize().doing("open", root)?;
        if root.to_str().is_none() {
            return Err(Error::invalid(format!("the root {} is not UTF-8: choose another --root", root.display())));
        }
        let found = fs::metadata(&root).doing("open", &root)?;
        let identity = format!("{:x}:{:x}", found.dev(), found.ino());
        // Where the last is, the others are.
        let last = "tmp";
        if !root.join(last).is_dir() {
            for name in ["refs", "images", "layers", "containers", "names", "volumes", last] {
                make_directory(&root.join(name), 0o700)?;
            }
        }
        let boot = Path::new("/proc/sys/kernel/random/boot_id");
        let boot = fs::read_to_string(boot).doing("read", boot)?.trim().to_owned();
        let key = hex(&Sha256::digest(root.as_os_str().as_encoded_bytes()));
        let key = key[..8].to_owned();
        let run = volatile.join(format!("{key}-{}", &boot[..8]));
        // Whose network is the machine's is its root, or root of all that it can see.
        let is_users = !in_initial_user_namespace() && !owns_network();
        Ok(Self { root, run, key, boot, identity, members: is_users.then(|| Members::new(volatile)) })
    }

    /// Where all stores of a user have their volatile state.
    pub fn volatile(&self) -> &Path {
        self.run.parent().unwrap_or(&self.run)
    }

    /// Who is in the namespaces of an ordinary user, whose store this is; `None` where it is root's.
    pub fn members(&self) -> Option<&Members> {
        self.members.as_ref()
    }

    /// The root of everything that lasts.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Eight hexadecimal digits that tell this store from others where they share a directory.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// This boot of the machine: state of another one is of processes that are gone.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// What tells this store, in this boot of the machine, from its copies and from what is at its path after a move.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// An image's configuration. `id` is 64 hexadecimal digits.
    pub fn image(&self, id: &str) -> PathBuf {
        self.root.join("images").join(format!("{id}.json"))
    }

    /// A file beside an image's configuration.
    pub fn image_file(&self, id: &str, kind: &str) -> PathBuf {
        self.root.join("images").join(format!("{id}.{kind}"))
    }

    /// A layer, by the digest of its uncompressed archive: 64 hexadecimal digits.
    pub fn layer(&self, id: &str) -> PathBuf {
        self.root.join("layers").join(id)
    }

    /// A container's directory.
    pub fn container(&self, id: &str) -> PathBuf {
        self.root.join("containers").join(id)
    }

    /// A volume's directory.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    /// A container's name.
    pub fn name(&self, name: &str) -> PathBuf {
        self.root.join("names").join(name)
    }

    /// A container's volatile directory.
    pub fn run(&self, id: &str) -> PathBuf {
        self.run.join(id)
    }

    /// Makes a container's volatile directory.
    pub fn make_run(&self, id: &str) -> Result<PathBuf> {
        let path = self.run(id);
        make_directory(&path, 0o700)?;
        Ok(path)
    }

    /// Locks the store: [`Locking::Shared`] to use images, [`Locking::Exclusive`] to remove them.
    pub fn lock(&self, how: Locking) -> Result<Lock> {
        let lock = Lock::take(&self.root.join("lock"), how)?;
        lock.ok_or_else(|| Error::conflict("the store is in use: try again"))
    }

    /// Locks a project of compose's; `name` has letters, digits, dashes and underscores.
    pub fn lock_project(&self, name: &str) -> Result<Lock> {
        let directory = self.root.join("projects");
        make_directory(&directory, 0o700)?;
        let lock = Lock::take(&directory.join(format!("{name}.lock")), Locking::Exclusive)?;
        lock.ok_or_else(|| Error::conflict(format!("the project {name} is in use: try again")))
    }

    /// Locks the store exclusively, if nobody uses it now.
    pub fn try_lock_alone(&self) -> Result<Option<Lock>> {
        Lock::take(&self.root.join("lock"), Locking::Try)
    }

    // ANCHOR: scratch
    /// A directory of our own on the store's filesystem, for what is not whole yet.
    pub fn scratch(&self) -> Result<Scratch> {
        let _no_sweep = self.lock_sweeps(Locking::Shared)?;
        let path = self.root.join("tmp").join(random_id()?);
        make_directory(&path, 0o700)?;
        let lock = Lock::take(&path.join("lock"), Locking::Try)?;
        Ok(Scratch { path, _lock: lock })
    }

    /// Removes what interrupted commands left in `tmp`.
    pub fn sweep(&self) -> Result<()> {
        let _no_scratch = self.lock_sweeps(Locking::Exclusive)?;
        for name in self.list("tmp")? {
            let path = self.root.join("tmp").join(name);
            // Its owner may be removing it just now: nothing is made there.
            if !Lock::is_held(&path.join("lock"))? {
                clear_scratch(&path);
            }
        }
        Ok(())
    }
    // ANCHOR_END: scratch

    /// [`Locking::Shared`] while something is made whose own lock tells that its maker lives: a sweep, which is
    /// [`Locking::Exclusive`], must not come between the two.
    pub fn lock_sweeps(&self, how: Locking) -> Result<Option<Lock>> {
        Lock::take(&self.root.join("tmp.lock"), how)
    }

    /// Ids of containers, and of steps of builds, that have a volatile directory.
    pub fn running(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.run).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.len() == ID && name.bytes().all(|b| b.is_ascii_hexdigit())).collect()
    }

    /// Takes a directory of the store out of sight at once, and then apart. Interrupted, it is garbage for a sweep.
    pub fn discard(&self, path: &Path) -> Result<()> {
        self.set_aside(path)?.clear()
    }

    /// Takes a directory of the store out of sight.
    pub fn set_aside(&self, path: &Path) -> Result<Garbage> {
        // Another of the same name may still be on its way out.
        let garbage = self.root.join("tmp").join(random_id()?);
        match fs::rename(path, &garbage) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing("remove", path),
            _ => Ok(Garbage(vec![garbage])),
        }
    }

    /// Removes what writers who were killed left in a directory and below. The caller alone has the lock that they share.
    pub fn clear_unfinished(&self, directory: &str) -> Result<()> {
        fn clear(directory: &Path) -> std::io::Result<()> {
            for entry in fs::read_dir(directory)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    clear(&entry.path())?;
                } else if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(())
        }
        let path = self.root.join(directory);
        match clear(&path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing("clear up", &path),
            _ => Ok(()),
        }
    }

    /// The names below one directory of the store, in no order.
    pub fn list(&self, directory: &str) -> Result<Vec<OsString>> {
        let path = self.root.join(directory);
        let entries = fs::read_dir(&path).doing("read", &path)?;
        Ok(entries.flatten().map(|entry| entry.file_name()).collect())
    }
}

/// Directories that nobody sees any more, to be taken apart now or by a sweep.
#[derive(Debug, Default)]
#[must_use = "it fills the disk until a sweep"]
pub struct Garbage(Vec<PathBuf>);

impl Garbage {
    /// Both.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Where they are.
    pub fn paths(&self) -> &[PathBuf] {
        &self.0
    }

    /// Takes it apart.
    pub fn clear(self) -> Result<()> {
        self.0.iter().try_for_each(|path| match process::remove_tree(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing("remove", path),
            _ => Ok(()),
        })
    }
}

/// The file in a scratch directory that journals what its owner made in the kernel.
pub const UNDO: &str = "undo";

/// A directory that vanishes with this value, or by [`Store::sweep`] if this process dies first.
#[derive(Debug)]
pub struct Scratch {
    /// Where it is.
    pub path: PathBuf,
    _lock: Option<Lock>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        clear_scratch(&self.path);
    }
}

/// Removes a scratch directory, after what its journal knows of.
fn clear_scratch(path: &Path) {
    let undo = path.join(UNDO);
    if undo.exists() {
        // What cannot be undone is for `leaks` to find.
        let _ = Journal::open(&undo).and_then(Journal::undo_all);
    }
    // What cannot be removed now is garbage for the next sweep; somebody may just be removing it too.
    let _ = process::remove_tree(path);
}

/// `mkdir -p` with `mode` for what is made.
pub fn make_directory(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(mode).create(path).doing("make the directory", path)
}

/// Digits of a container's id.
const ID: usize = 64;

/// 64 random hexadecimal digits.
pub fn random_id() -> Result<String> {
    let mut bytes = [0; 32];
    sys::random(&mut bytes).map_err(|e| Error::system("read random numbers", &e.into()))?;
    Ok(hex(&bytes))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
