//! What is mounted while a step runs: `RUN --mount`.

use std::{
    ffi::CString,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, chown},
    },
    path::{Path, PathBuf},
};

use ::mount as table;
use process::sys::MountAttr;
use table::{Source, Target};

use super::{
    Builder, Failure,
    agent::Door,
    cache,
    configure::below,
    dockerfile::{self, Mount, MountKind, ParseError, Run, Sharing},
    prune::lock_of,
    stage::Stage,
};
use crate::engine::{
    error::{Context, Error, Result},
    files::{Lock, Locking},
    store::make_directory,
};

/// The mounts of a step.
#[derive(Default)]
pub(super) struct Mounts {
    /// For the runtime.
    pub(super) list: Vec<table::Mount>,
    /// Their places, without the slash before them.
    pub(super) targets: Vec<PathBuf>,
    /// Secrets that are variables.
    pub(super) environment: Vec<String>,
    /// What of them counts for the cache.
    pub(super) key: String,
    /// Sockets that lead to agents while the step runs.
    pub(super) doors: Vec<Door>,
    /// Held while the step runs.
    locks: Vec<Lock>,
}

impl Builder<'_> {
    /// What of a step's mounts counts for the cache. Nothing is made for it, and nobody waited for.
    pub(super) fn mounts_key(&mut self, stage: &Stage, run: &Run) -> Result<String, Failure> {
        let mut key = String::new();
        for (mount, _) in self.parsed(stage, run)? {
            if mount.kind == MountKind::Bind {
                key = cache::key(&[&key, &self.content(&bound(&mount))?]);
            }
            key = with(&key, &mount);
        }
        Ok(key)
    }

    /// Makes what a step's mounts need.
    pub(super) fn mounts(&mut self, stage: &Stage, run: &Run) -> Result<Mounts, Failure> {
        let mut mounts = Mounts::default();
        // Every container has one, for its hosts and resolv.conf.
        mounts.add(Path::new("/etc"), Source::Directory, Target::Directory, false)?;
        for (mount, target) in self.parsed(stage, run)? {
            match mount.kind {
                MountKind::Tmpfs => mounts.add(&target, tmpfs(mount.size)?, Target::Directory, false)?,
                MountKind::Cache => self.cache_mount(&mut mounts, &mount, &target)?,
                MountKind::Secret => self.secret(&mut mounts, &mount, target)?,
                MountKind::Bind => self.bind(&mut mounts, &mount, &target)?,
                MountKind::Ssh => self.agent(&mut mounts, &mount, target)?,
            }
            mounts.key = with(&mounts.key, &mount);
        }
        Ok(mounts)
    }

    /// The mounts, each with its place.
    fn parsed(&self, stage: &Stage, run: &Run) -> Result<Vec<(Mount, PathBuf)>> {
        let lookup = |name: &str| stage.variable(name);
        let mut parsed = Vec::new();
        for text in &run.mounts {
            let mount = Mount::parse(text, |value| self.expander.word(value, &lookup));
            let mount = mount.map_err(|e: ParseError| Error::invalid(e.to_string()))?;
            if mount.target.is_empty() && !matches!(mount.kind, MountKind::Secret | MountKind::Ssh) {
                return Err(Error::invalid(format!("RUN --mount={text}: a target is required")));
            }
            let target = PathBuf::from(below(&stage.image.config.working_dir, &mount.target));
            parsed.push((mount, target));
        }
        Ok(parsed)
    }

    /// A directory of the store that outlives the build.
    fn cache_mount(&self, mounts: &mut Mounts, mount: &Mount, target: &Path) -> Result<()> {
        if !mount.from.is_empty() {
            return Err(Error::invalid("RUN --mount=type=cache,from=…: a cache begins empty here"));
        }
        if !matches!(mount.source.trim_matches(['/', '.']), "") {
            return Err(Error::invalid("RUN --mount=type=cache,source=…: a cache is mounted whole here"));
        }
        let id = if mount.id.is_empty() { target.to_string_lossy().into_owned() } else { mount.id.clone() };
        // As in BuildKit, one that belongs to another is another.
        let whose = format!("{:?} {:?} {:?}", mount.uid, mount.gid, mount.mode);
        let key = cache::key(&["cache", &id, &whose]);
        let all = self.engine.store.root().join("build").join("caches");
        make_directory(&all, 0o700)?;
        let mut name = key.clone();
        let sharing = mount.sharing.unwrap_or_default();
        let mut number = 0;
        let lock = loop {
            let how = match sharing {
                Sharing::Shared => Locking::Shared,
                Sharing::Locked => Locking::Exclusive,
                Sharing::Private => Locking::Try,
            };
            if let Some(lock) = Lock::take(&lock_of(&all.join(&name)), how)? {
                break lock;
            }
            number += 1;
            name = format!("{key}-{number}");
        };
        mounts.locks.push(lock);
        let directory = all.join(name);
        if !directory.exists() {
            let mode = mount.mode.unwrap_or(0o755);
            make_directory(&directory, 0o700)?;
            chown(&directory, Some(mount.uid.unwrap_or(0)), Some(mount.gid.unwrap_or(0)))
                .doing("give away", &directory)?;
            fs::set_permissions(&directory, fs::Permissions::from_mode(mode)).doing("chmod", &directory)?;
        }
        mounts.add(target, bind(&directory)?, Target::Directory, mount.read_only)
    }

    /// A secret as a file that no layer keeps, or as a variable.
    fn secret(&self, mounts: &mut Mounts, mount: &Mount, target: PathBuf) -> Result<()> {
        let named = [&mount.id, &mount.source].into_iter().find(|name| !name.is_empty()).cloned();
        let id = named.unwrap_or_else(|| target.file_name().unwrap_or_default().to_string_lossy().into_owned());
        let Some(value) = self.request.secrets.get(&id) else {
            if mount.required {
                return Err(Error::not_found(format!(
                    "secret {id}: not found: give it with --secret id={id},src=FILE"
                )));
            }
            return Ok(());
        };
        if let Some(name) = &mount.env {
            let name = if name.is_empty() { &id } else { name };
            mounts.environment.push(format!("{name}={}", String::from_utf8_lossy(value)));
            if mount.target.is_empty() {
                return Ok(());
            }
        }
        let target = if mount.target.is_empty() { Path::new("/run/secrets").join(&id) } else { target };
        let file = self.intake.directory()?.join("secret");
        fs::write(&file, value).doing("write", &file)?;
        chown(&file, Some(mount.uid.unwrap_or(0)), Some(mount.gid.unwrap_or(0))).doing("give away", &file)?;
        let mode = fs::Permissions::from_mode(mount.mode.unwrap_or(0o400));
        fs::set_permissions(&file, mode).doing("chmod", &file)?;
        mounts.add(&target, bind(&file)?, Target::File, true)
    }

    /// The socket of the user's agent.
    fn agent(&self, mounts: &mut Mounts, mount: &Mount, target: PathBuf) -> Result<()> {
        let id = if mount.id.is_empty() { "default" } else { &mount.id };
        let Some(socket) = self.request.agents.get(id) else {
            if mount.required {
                return Err(Error::not_found(format!("ssh key {id}: not found: give an agent with --ssh {id}")));
            }
            return Ok(());
        };
        let target = if mount.target.is_empty() {
            PathBuf::from(format!("/run/buildkit/ssh_agent.{}", mounts.list.len() - 1))
        } else {
            target
        };
        mounts.environment.push(format!("SSH_AUTH_SOCK={}", target.display()));
        let owner = (mount.uid.unwrap_or(0), mount.gid.unwrap_or(0));
        let door = Door::new(&self.intake.directory()?, socket, owner, mount.mode.unwrap_or(0o600))?;
        mounts.add(&target, bind(&door.path)?, Target::File, false)?;
        mounts.doors.push(door);
        Ok(())
    }

    /// Files of the context, a stage or an image: a copy, so that nothing that is written stays.
    fn bind(&mut self, mounts: &mut Mounts, mount: &Mount, target: &Path) -> Result<(), Failure> {
        let copy = bound(mount);
        let (directory, content, is_directory) = self.gather(&copy)?;
        mounts.key = cache::key(&[&mounts.key, &content]);
        let place = if is_directory { Target::Directory } else { Target::File };
        mounts.add(target, bind(&directory.join("bound"))?, place, mount.read_only)?;
        Ok(())
    }
}

/// A key with one mount more: whether something may be missing says nothing of what is there.
fn with(key: &str, mount: &Mount) -> String {
    cache::key(&[key, &format!("{:?}", Mount { required: false, ..mount.clone() })])
}

/// The files that are bound.
fn bound(mount: &Mount) -> dockerfile::Copy {
    let source = if mount.source.is_empty() { "." } else { &mount.source };
    dockerfile::Copy {
        sources: vec![source.to_owned()],
        destination: "/bound".to_owned(),
        from: Some(mount.from.clone()).filter(|from| !from.is_empty()),
        ..dockerfile::Copy::default()
    }
}

impl Mounts {
    /// A script, to be executed at `target`; `directory` is scratch.
    pub(super) fn script(&mut self, directory: &Path, target: &Path, text: &str) -> Result<()> {
        let file = directory.join("script");
        fs::write(&file, text).doing("write", &file)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).doing("chmod", &file)?;
        self.add(target, bind(&file)?, Target::File, true)
    }

    fn add(&mut self, target: &Path, source: Source, place: Target, read_only: bool) -> Result<()> {
        let attr = if read_only { MountAttr::READ_ONLY } else { MountAttr::default() };
        let mount = table::Mount::new(target, place, source, attr).map_err(|_| null_byte())?;
        self.list.push(mount.following());
        self.targets.push(target.strip_prefix("/").unwrap_or(target).to_owned());
        Ok(())
    }
}

fn null_byte() -> Error {
    Error::invalid("RUN --mount: a path has a null byte in it")
}

fn bind(path: &Path) -> Result<Source> {
    CString::new(path.as_os_str().as_bytes()).map(Source::BindAll).map_err(|_| null_byte())
}

fn tmpfs(size: u64) -> Result<Source> {
    let mut options = vec![(c"mode", CString::new("1777").map_err(|_| null_byte())?)];
    if size > 0 {
        options.push((c"size", CString::new(size.to_string()).map_err(|_| null_byte())?));
    }
    Ok(Source::Filesystem(c"tmpfs", options))
}
