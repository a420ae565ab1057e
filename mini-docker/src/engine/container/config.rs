//! What a container is.

use std::collections::BTreeMap;

use cgroup::Limits;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{namespaces::Namespaces, network::Network, rights::Rights, storage::Storage, supervision::Supervision};
use crate::engine::files::Durability;

/// What a container is. `rename` and `update` replace it; what its processes are stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Config {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name, without a slash.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// The image's id: 64 hexadecimal digits.
    pub image: String,
    /// The image as the user named it.
    pub image_name: String,
    /// The image's layers, the topmost first: `HEX`.
    pub layers: Vec<String>,
    /// The program before the command; empty where there is none.
    pub entrypoint: Vec<String>,
    /// The command.
    pub command: Vec<String>,
    /// `KEY=value`.
    pub env: Vec<String>,
    /// Absolute; empty means `/`.
    pub working_dir: String,
    /// `NAME|ID[:NAME|ID]`; empty means root.
    pub user: String,
    /// The host name inside.
    pub hostname: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Whether its standard input is kept open for those who attach.
    pub open_stdin: bool,
    /// Whether that closes when the first who attached has left.
    pub stdin_once: bool,
    /// Whether an init stands before the program.
    pub init: bool,
    /// Whether it goes when it ends.
    pub auto_remove: bool,
    /// What `stop` sends.
    pub stop_signal: i32,
    /// The same as the user or the image wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal_text: Option<String>,
    /// How long `stop` waits before it kills, in seconds; negative: for ever.
    pub stop_timeout: Option<i64>,
    /// Free labels.
    pub labels: BTreeMap<String, String>,
    /// Notes for whoever reads them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What its programs may do.
    pub rights: Rights,
    /// What it may use.
    pub limits: Limits,
    /// The cgroup above its own.
    pub cgroup_parent: String,
    /// What it is mounted from, beside its layers.
    pub storage: Storage,
    /// Which namespaces it shares.
    pub namespaces: Namespaces,
    /// How it is connected.
    pub network: Network,
    /// What its monitor does for it.
    pub supervision: Supervision,
}

impl Config {
    /// The environment of its processes: what every container has, and its own over that.
    pub(in crate::engine) fn environment(&self) -> Vec<String> {
        let mut all = vec![format!("PATH={}", process::DEFAULT_PATH), format!("HOSTNAME={}", self.hostname)];
        all.extend(self.tty.then(|| "TERM=xterm".to_owned()));
        crate::engine::create::override_variables(&mut all, &self.env);
        all
    }

    /// Whether what is written about it must outlive the machine's death.
    pub fn durability(&self) -> Durability {
        if self.auto_remove { Durability::Process } else { Durability::Machine }
    }
}
