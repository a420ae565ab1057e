//! Which user namespace a container gets: one of its own, unless it shares with the host what only the host's root may
//! use, or the kernel cannot.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use nix::{errno::Errno, unistd::Pid};

use super::{
    Engine,
    container::{Config, Container, namespaces::other},
    error::{Context, Error, Result},
};
use crate::runtime::{self, Ranges, UserNamespace};

/// Beside the containers' volatile directories: why the kernel cannot; empty where it can.
pub(super) const VERDICT: &str = "user-namespaces";

/// What a container's configuration comes to.
enum Wanted {
    Host,
    Own,
    Of(Vec<String>),
}

impl Engine {
    /// For a container that is about to start.
    pub(super) fn user_namespace(&self, container: &Container) -> Result<UserNamespace> {
        let config = &container.config;
        if self.is_rootless() {
            return match config.namespaces.user.as_str() {
                "private" => Err(Error::invalid(
                    "a user namespace of its own takes root: an ordinary user's containers are in his, leave --userns out",
                )),
                _ => Ok(UserNamespace::Host),
            };
        }
        let ranges = || Ranges { directory: self.store.id_ranges(), owner: self.store.run(&config.id) };
        match wanted(config) {
            Wanted::Host => Ok(UserNamespace::Host),
            Wanted::Own => match self.why_no_user_namespace()? {
                None => Ok(UserNamespace::Own(ranges())),
                Some(why) if config.namespaces.user == "private" => Err(Error::invalid(format!(
                    "a user namespace of its own is not to be had: {why}; mini-docker doctor says more, --userns=host does without"
                ))),
                Some(_) => Ok(UserNamespace::Host),
            },
            Wanted::Of(ids) => {
                let mut all = ids.iter().map(|id| self.namespace_of(id, "USER")).collect::<Result<Vec<_>>>()?;
                let namespace = |pid: Pid| fs::read_link(format!("/proc/{pid}/ns/user")).ok();
                if all.iter().any(|(pid, _)| namespace(*pid) != namespace(all[0].0)) {
                    return Err(Error::conflict(
                        "cannot join namespaces of containers with different user namespaces: start all but one of them with --userns=host, or with --network, --pid or --ipc of the one",
                    ));
                }
                let (pid, pidfd) = all.swap_remove(0);
                Ok(UserNamespace::Of { pid, pidfd, ranges: ranges() })
            }
        }
    }

    /// What the user should know who gets a container without a user namespace of its own though nothing speaks
    /// against it.
    pub fn user_namespace_warning(&self, config: &Config) -> Option<String> {
        let by_default =
            !self.is_rootless() && config.namespaces.user.is_empty() && matches!(wanted(config), Wanted::Own);
        let why = by_default.then(|| self.why_no_user_namespace().ok().flatten()).flatten()?;
        Some(format!(
            "the container's root is root of this machine: no user namespace of its own is to be had: {why}; mini-docker doctor says more, --userns=host is silent about it"
        ))
    }

    /// Why no container gets a user namespace of its own here; `None` where they do. Tried once in each boot of the machine,
    /// unless it fails for what may change in it, such as a limit.
    pub fn why_no_user_namespace(&self) -> Result<Option<String>> {
        if let Some(known) = self.no_user_namespace.get() {
            return Ok(known.clone());
        }
        let path = self.store.run(VERDICT);
        let said = match fs::read_to_string(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let said = match self.try_user_namespace()? {
                    Some(passing) if passing.errno != Errno::EINVAL => return Ok(Some(passing.to_string())),
                    tried => tried.map(|e| e.to_string()).unwrap_or_default(),
                };
                self.store.make_run("")?;
                // Whoever comes at the same time finds the same.
                fs::write(&path, &said).doing("write", &path)?;
                said
            }
            read => read.doing("read", &path)?,
        };
        let why = Some(said).filter(|why| !why.is_empty());
        Ok(self.no_user_namespace.get_or_init(|| why).clone())
    }

    /// Whether the container's root is the host's when it runs, as far as can be told before.
    pub(super) fn is_host_root(&self, config: &Config) -> bool {
        let own = || matches!(wanted(config), Wanted::Own) && matches!(self.why_no_user_namespace(), Ok(None));
        !self.is_rootless() && !own()
    }

    fn try_user_namespace(&self) -> Result<Option<process::Error>> {
        let scratch = self.store.scratch()?;
        let ranges = Ranges { directory: self.store.id_ranges(), owner: scratch.path.clone() };
        Ok(runtime::try_user_namespace(&scratch.path.join("root"), &ranges).err())
    }
}

/// The default is a namespace of its own, where the container is not meant to have rights over what is the host's.
fn wanted(config: &Config) -> Wanted {
    let shared = [&config.network.mode, &config.namespaces.pid, &config.namespaces.ipc];
    match config.namespaces.user.as_str() {
        "host" => Wanted::Host,
        "" => {
            let joined: Vec<_> = shared.iter().filter_map(|mode| other(mode)).map(str::to_owned).collect();
            if !joined.is_empty() {
                Wanted::Of(joined)
            } else if shares_with_host(config).is_some() {
                Wanted::Host
            } else {
                Wanted::Own
            }
        }
        _ => Wanted::Own,
    }
}

/// What of the host's it has that takes the host's user namespace.
fn shares_with_host(config: &Config) -> Option<&'static str> {
    [
        ("--privileged", config.rights.privileged),
        ("--network host", config.network.mode == "host"),
        ("--pid host", config.namespaces.pid == "host"),
        ("--ipc host", config.namespaces.ipc == "host"),
    ]
    .into_iter()
    .find_map(|(flag, has)| has.then_some(flag))
}

/// Refuses a user namespace of its own beside namespaces that are the host's or another container's.
pub(super) fn check(config: &Config) -> Result<()> {
    if ["", "host"].contains(&config.namespaces.user.as_str()) {
        return Ok(());
    }
    let shared =
        [("--network", &config.network.mode), ("--pid", &config.namespaces.pid), ("--ipc", &config.namespaces.ipc)];
    let joined = shared.into_iter().find(|(_, mode)| other(mode).is_some());
    let flag = match (shares_with_host(config), joined) {
        (Some(flag), _) => flag.to_owned(),
        (None, Some((flag, mode))) => format!("{flag} {mode}"),
        (None, None) => return Ok(()),
    };
    Err(Error::invalid(format!(
        "conflicting options: --userns {} and {flag}: who has it is in the user namespace that it belongs to; leave --userns out",
        config.namespaces.user
    )))
}

impl super::store::Store {
    /// Where all containers of the machine write down whose which ids are.
    pub(super) fn id_ranges(&self) -> PathBuf {
        // An ordinary user's have none of their own.
        let volatile = if self.members().is_some() { self.volatile() } else { Path::new("/run/mini-docker") };
        volatile.join(format!("ids-{}", &self.boot()[..8]))
    }
}
