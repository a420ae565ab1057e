//! Which keys of a service `up` does something with: the others are refused or warned of by name, with the place.

use serde_json::Value;

use super::Service;
use crate::engine::error::Result;

/// What nothing would come of, and why, or what to do instead. A path leads into mappings.
const REFUSED: [(&str, &str); 12] = [
    ("credential_spec", "only Windows has it: leave it out"),
    ("cpu_count", "only Windows has it: use `cpus`"),
    ("cpu_percent", "only Windows has it: use `cpus`"),
    ("deploy.resources.reservations.devices", "not supported: name the devices under `devices`"),
    ("deploy.resources.reservations.generic_resources", "not supported: leave it out"),
    ("gpus", "not supported: name the devices under `devices`"),
    ("models", "not supported: leave it out"),
    ("pre_start", "not supported: use a service of its own and `depends_on` with `service_completed_successfully`"),
    ("provider", "not supported: leave it out"),
    ("pull_refresh_after", "not supported: use `pull_policy: every_DURATION`"),
    ("storage_opt", "not supported: leave it out"),
    ("use_api_socket", "not supported: there is no daemon that has one"),
];

/// What changes nothing on one machine.
const IGNORED: [(&str, &str); 7] = [
    ("deploy.endpoint_mode", "only clusters have it"),
    ("deploy.placement", "there is one machine alone"),
    ("deploy.rollback_config", "only clusters have it"),
    ("deploy.update_config", "only clusters have it"),
    ("deploy.restart_policy.delay", "the delay doubles from 100 ms on"),
    ("deploy.restart_policy.window", "a start has succeeded after 10 s"),
    ("deploy.resources.reservations.cpus", "nothing is reserved on one machine"),
];

impl Service<'_> {
    /// Refuses what has not all its variables.
    pub fn check_files(&self) -> Result<()> {
        self.project.missing.get(self.name).map_or(Ok(()), |e| Err(self.at("env_file", e)))
    }

    /// Refuses what nothing would come of.
    pub fn check(&self) -> Result<()> {
        self.check_files()?;
        if let Some((key, why)) = REFUSED.iter().find(|(key, _)| self.says(key)) {
            return Err(self.wrong(key, why));
        }
        let word = |key: &str| self.text(key).unwrap_or_default();
        if !["", "runc", "io.containerd.runc.v2"].contains(&word("runtime").as_str()) {
            return Err(self.wrong("runtime", "mini-docker is its own: leave it out"));
        }
        if !["", "default"].contains(&word("isolation").as_str()) {
            return Err(self.wrong("isolation", "there is `default` alone"));
        }
        let mode = self.keys.pointer("/deploy/mode").and_then(Value::as_str).unwrap_or("replicated");
        if mode != "replicated" {
            return Err(self.wrong("deploy.mode", "there is `replicated` alone"));
        }
        Ok(())
    }

    /// What it says in vain, with the places and the reasons.
    pub fn ignored(&self) -> Vec<String> {
        let said = IGNORED.iter().filter(|(key, _)| self.says(key));
        said.map(|(key, why)| self.wrong(key, &format!("ignored: {why}")).to_string()).collect()
    }

    fn says(&self, key: &str) -> bool {
        let found = self.keys.pointer(&format!("/{}", key.replace('.', "/")));
        !matches!(found, None | Some(Value::Null | Value::Bool(false)))
    }
}
