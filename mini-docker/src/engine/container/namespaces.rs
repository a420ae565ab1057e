//! Which namespaces a container shares with the host or with another container.

use serde::{Deserialize, Serialize};

use crate::engine::{
    Engine,
    error::{Error, Result},
};

/// The namespaces that are not the container's own, in Docker's words; empty: the default, a namespace of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// `none`, `private`, `shareable`, `host` or `container:ID`.
    pub ipc: String,
    /// `host` or `container:ID`.
    pub pid: String,
    /// `host`.
    pub uts: String,
    /// `private` or `host`.
    pub user: String,
    /// `private` or `host`.
    pub cgroup: String,
}

/// The other container of `container:NAME|ID`.
pub fn other(mode: &str) -> Option<&str> {
    mode.strip_prefix("container:")
}

impl Namespaces {
    /// Whether such namespaces exist.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::Invalid`].
    pub fn check(&self) -> Result<()> {
        let all = [
            ("IPC", &self.ipc, &["none", "private", "shareable", "host"][..], true),
            ("PID", &self.pid, &["host"][..], true),
            ("UTS", &self.uts, &["host"][..], false),
            ("USER", &self.user, &["private", "host"][..], false),
            ("CGROUP", &self.cgroup, &["private", "host"][..], false),
        ];
        for (kind, mode, known, of_container) in all {
            let named = of_container && other(mode).is_some_and(|name| !name.is_empty());
            if !mode.is_empty() && !known.contains(&mode.as_str()) && !named {
                let forms = known.join(", ") + if of_container { ", container:NAME" } else { "" };
                return Err(Error::invalid(format!("invalid {kind} mode: {mode}: there are {forms}")));
            }
        }
        Ok(())
    }
}

impl Engine {
    /// Names of other containers become ids: a name may be another's tomorrow.
    pub(in crate::engine) fn resolve_namespaces(&self, namespaces: &mut Namespaces) -> Result<()> {
        namespaces.check()?;
        for mode in [&mut namespaces.ipc, &mut namespaces.pid] {
            if let Some(name) = other(mode) {
                *mode = format!("container:{}", self.container_id(name)?);
            }
        }
        Ok(())
    }
}
