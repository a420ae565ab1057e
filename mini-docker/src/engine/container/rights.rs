//! What a container's programs may do: capabilities, limits of each process, and what `--security-opt` says.

use std::{collections::BTreeMap, fs, sync::OnceLock};

use capabilities::CapabilitySet;
use cgroup::DeviceRule;
use seccomp::Seccomp;
use serde::{Deserialize, Serialize};

use super::devices::Device;
use crate::engine::error::{Error, Result};

/// Rights beside or below the default ones, in Docker's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    /// All rights that root of this machine has, and all devices.
    pub privileged: bool,
    /// Capabilities over the default ones, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities not to have, or `ALL`.
    pub cap_drop: Vec<String>,
    /// Whether `NET_RAW` is among the default ones.
    pub raw_sockets: bool,
    /// Whether `NET_RAW` is there for `ping` alone: the default seccomp profile closes all else that it is good for.
    pub ping: bool,
    /// A seccomp profile in Docker's format, or `unconfined`; empty: the default one.
    pub seccomp: String,
    /// Limits of each process, `NAME=SOFT[:HARD]`.
    pub ulimits: Vec<String>,
    /// Whether a program may gain rights by set-user-id bits and capabilities of files. Docker's default is yes.
    pub new_privileges: bool,
    /// Whether nothing of /proc and /sys is hidden or read-only.
    pub unmasked: bool,
    /// Whether it may set its own cgroups.
    pub writable_cgroups: bool,
    /// The values of `--security-opt`, for `inspect`.
    pub security_options: Vec<String>,
    /// Groups of every process beside the user's own: `NAME|ID`.
    pub groups: Vec<String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Which devices it may open and make beside the default ones: `c 189:* rwm`.
    pub device_rules: Vec<String>,
    /// Settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// How readily the kernel kills its processes for want of memory, -1000 to 1000.
    pub oom_score_adj: i32,
}

/// Settings of the IPC namespace outside of what begins as one of its own.
const SYSCTLS: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// What `--security-opt` calls the profile that is none.
const UNCONFINED: &str = "unconfined";

/// What this process may give: asked once, a system call a capability, also for the monitor that is forked from it.
fn available() -> Result<CapabilitySet> {
    static AVAILABLE: OnceLock<CapabilitySet> = OnceLock::new();
    if let Some(available) = AVAILABLE.get() {
        return Ok(*available);
    }
    let available = CapabilitySet::available().map_err(|e| Error::system("read the bounding set", &e.into()))?;
    Ok(*AVAILABLE.get_or_init(|| available))
}

impl Rights {
    /// From the values of `--cap-add`, `--cap-drop`, `--ulimit` and `--security-opt`.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::Invalid`] for what is unknown here, or makes no sense.
    pub fn parse(cap_add: &[String], cap_drop: &[String], ulimits: &[String], options: &[String]) -> Result<Self> {
        let mut rights = Self {
            cap_add: cap_add.to_vec(),
            cap_drop: cap_drop.to_vec(),
            ulimits: ulimits.to_vec(),
            security_options: options.to_vec(),
            ..Self::default()
        };
        for option in options {
            rights.option(option)?;
        }
        rights.rlimits()?;
        rights.capabilities()?;
        // The default one is good, and takes a tenth of a millisecond to compile.
        if !rights.seccomp.is_empty() {
            rights.seccomp()?;
        }
        Ok(rights)
    }

    /// Root's capabilities.
    pub fn capabilities(&self) -> Result<CapabilitySet> {
        self.capabilities_with(self.raw_sockets || self.ping && self.seccomp.is_empty())
    }

    /// Whether the user lets it have other addresses than those it is given, whoever its neighbours are.
    ///
    /// # Errors
    /// As [`Rights::capabilities`].
    pub fn may_claim(&self) -> Result<bool> {
        let capabilities = self.capabilities_with(false)?;
        Ok(capabilities.names().any(|name| ["CAP_NET_RAW", "CAP_NET_ADMIN"].contains(&name)))
    }

    fn capabilities_with(&self, raw: bool) -> Result<CapabilitySet> {
        if self.privileged {
            return available();
        }
        let raw = if raw { CapabilitySet::named("NET_RAW") } else { Ok(CapabilitySet::EMPTY) };
        let default = CapabilitySet::DEFAULT.union(raw.map_err(|e| Error::invalid(e.to_string()))?);
        let set = default.adjusted(&self.cap_add, &self.cap_drop, available()?);
        set.map_err(|e| Error::invalid(e.to_string()))
    }

    /// Adds a rule about devices, in Docker's words.
    pub fn device_rule(&mut self, text: &str) -> Result<()> {
        let rule = DeviceRule::parse(text);
        rule.map_err(|e| {
            Error::invalid(format!("invalid device cgroup format '{text}': {}", e.hint.unwrap_or_default()))
        })?;
        self.device_rules.push(text.to_owned());
        Ok(())
    }

    /// The filter of system calls; `None`: there is none.
    pub fn seccomp(&self) -> Result<Option<Seccomp>> {
        if self.privileged && self.seccomp.is_empty() {
            return Ok(None);
        }
        // What is there for `ping` alone opens nothing in the profile.
        let capabilities = self.capabilities_with(self.raw_sockets)?;
        let names: Vec<_> = capabilities.names().collect();
        let filter = match self.seccomp.as_str() {
            UNCONFINED => return Ok(None),
            "" => Seccomp::default_profile(&names),
            json => Seccomp::profile(json, &names),
        };
        filter.map(Some).map_err(|e| Error::invalid(format!("seccomp profile: {e}")))
    }

    /// Limits of each process.
    pub fn rlimits(&self) -> Result<rlimits::Limits> {
        let parsed: Result<Vec<_>, _> = self.ulimits.iter().map(|text| text.parse()).collect();
        parsed.map(rlimits::Limits).map_err(|e: rlimits::LimitError| Error::invalid(e.to_string()))
    }

    /// Adds `NAME=VALUE`, of settings that belong to a container's namespaces.
    pub fn sysctl(&mut self, text: &str) -> Result<()> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let dotted = name.replace('/', ".");
        let known = SYSCTLS.contains(&dotted.as_str()) || ["net.", "fs.mqueue."].iter().any(|p| dotted.starts_with(p));
        let plain = dotted.split('.').all(|part| !part.is_empty()) && !name.contains('\0');
        if !known || !plain || !text.contains('=') || name.split('/').any(|part| part == "..") {
            return Err(Error::invalid(format!(
                "sysctl '{text}' is not allowed: only settings of namespaces are, as NAME=VALUE"
            )));
        }
        self.sysctls.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// A setting of the host's namespaces, where the container is in them, and which: `network` or `ipc`.
    pub fn foreign_sysctl(&self, host_network: bool, host_ipc: bool) -> Option<(&str, &'static str)> {
        let namespace = |name: &String| if name.starts_with("net") { "network" } else { "ipc" };
        let is_foreign = |namespace| if namespace == "network" { host_network } else { host_ipc };
        let mut all = self.sysctls.keys().map(|name| (name.as_str(), namespace(name)));
        all.find(|(_, namespace)| is_foreign(*namespace))
    }

    fn option(&mut self, option: &str) -> Result<()> {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => self.new_privileges = false,
            ("no-new-privileges", "false") => self.new_privileges = true,
            ("seccomp", "builtin") => self.seccomp.clear(),
            ("seccomp", UNCONFINED) => UNCONFINED.clone_into(&mut self.seccomp),
            ("seccomp", path) if !path.is_empty() => {
                // Kept whole: the file may be gone when the container starts.
                let read = fs::read_to_string(path);
                self.seccomp = read
                    .map_err(|e| Error::system(format!("opening seccomp profile ({path}) failed: open {path}"), &e))?;
            }
            ("systempaths", UNCONFINED) => self.unmasked = true,
            ("writable-cgroups", "" | "true") => self.writable_cgroups = true,
            ("writable-cgroups", "false") => self.writable_cgroups = false,
            // There is none to leave.
            ("apparmor", UNCONFINED) | ("label", "disable") => {}
            _ => {
                return Err(Error::invalid(format!(
                    "invalid --security-opt {option:?}: there are no-new-privileges[=BOOL], seccomp=FILE|builtin|unconfined, systempaths=unconfined, writable-cgroups[=BOOL], apparmor=unconfined and label=disable"
                )));
            }
        }
        Ok(())
    }
}
