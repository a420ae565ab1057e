//! The engine: images and containers over one store, without a daemon.
//!
//! Every command opens the store, does its work under the kernel's locks, and ends. What runs on are the containers,
//! each with its [`monitor`].

pub mod about;
pub mod build;
pub mod bytes;
pub mod changes;
pub mod check;
pub mod container;
pub mod cp;
mod create;
pub mod digest;
pub mod docker_config;
pub mod doctor;
pub mod error;
pub mod events;
pub mod exec;
pub mod files;
pub mod filter;
pub(crate) mod go;
pub mod image;
pub mod inspect;
pub mod leaks;
pub mod lifecycle;
pub mod log;
pub mod members;
pub mod moment;
pub mod monitor;
mod mountpoints;
mod mounts;
mod names;
pub mod network;
mod pause;
pub mod processes;
pub mod reference;
pub mod registry;
pub mod select;
pub mod signal;
mod spec;
pub mod stats;
pub mod stop;
pub mod store;
pub mod tree;
mod update;
pub mod usage;
mod user_namespace;
pub mod volume;

use std::{path::Path, sync::OnceLock};

pub use create::{OwnFile, Request};
pub use error::{Error, Result};
pub use spec::DEFAULT_PIDS;
pub use stop::Stopping;
use store::Store;
pub use update::Changes;

/// An engine over one store.
#[derive(Debug, Clone)]
pub struct Engine {
    store: Store,
    /// What [`Engine::why_no_user_namespace`] has found.
    no_user_namespace: OnceLock<Option<String>>,
}

impl Engine {
    /// Opens the store at `root`, and makes it where it is missing; what goes with a restart of the machine is in
    /// `volatile`.
    pub fn open(root: &Path, volatile: &Path) -> Result<Self> {
        Ok(Self { store: Store::open(root, volatile)?, no_user_namespace: OnceLock::new() })
    }

    /// Whether it is an ordinary user's, in whose namespaces this process is.
    pub fn is_rootless(&self) -> bool {
        self.store.members().is_some()
    }

    /// Where its volatile state is, with that of other stores.
    pub fn volatile(&self) -> &Path {
        self.store.volatile()
    }

    /// The root of its store.
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// Locks a name of several containers, as compose's projects are, against others who change them.
    pub fn lock_project(&self, name: &str) -> Result<files::Lock> {
        self.store.lock_project(name)
    }

    /// A directory on the store's filesystem that vanishes with the value.
    pub fn scratch(&self) -> Result<store::Scratch> {
        self.store.scratch()
    }
}
