//! What has no counterpart, and why.

use serde_json::Value;

use super::Export;

/// What becomes a part of a manifest, is the cluster's business anyway, or changes nothing there. Every other key of a
/// service is named as lost.
const CARRIED: &[&str] = &[
    "annotations",
    "attach",
    "cap_add",
    "cap_drop",
    "command",
    "configs",
    "cpus",
    "deploy",
    "dns",
    "dns_opt",
    "dns_search",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "ipc",
    "labels",
    "mem_limit",
    "mem_reservation",
    "network_mode",
    "networks",
    "pid",
    "platform",
    "ports",
    "post_start",
    "pre_stop",
    "privileged",
    "profiles",
    "pull_policy",
    "read_only",
    "restart",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "sysctls",
    "tmpfs",
    "tty",
    "user",
    "volumes",
    "working_dir",
];

/// Why a key is lost, or what to do instead.
const WHY: &[(&str, &str)] = &[
    ("build", "a cluster does not build: push the image where it can pull it"),
    ("container_name", "pods have names of their own"),
    ("cgroup_parent", "the node's business"),
    ("depends_on", "nothing orders the start of pods: the programs have to try again"),
    ("devices", "use a device plugin"),
    ("develop", "of no use in a cluster"),
    ("domainname", "pods have the cluster's domain"),
    ("gpus", "use a device plugin, and its resource in `limits`"),
    ("init", "use an image with an init of its own"),
    ("links", "pods find each other by the services' names"),
    ("logging", "the cluster collects what pods write"),
    ("mac_address", "the cluster gives addresses"),
    ("pids_limit", "the node's business: --pod-max-pids of its kubelet"),
    ("stop_signal", "the image's own is used: say STOPSIGNAL in its Dockerfile"),
    ("ulimits", "the node's business: limits of its runtime"),
    ("userns_mode", "use `hostUsers: false` where the cluster has it"),
    ("volumes_from", "name the volumes themselves"),
];

/// Parts of `deploy` that are lost.
const DEPLOY: &[(&str, &str)] = &[
    ("deploy.endpoint_mode", "Services have addresses of their own"),
    ("deploy.placement", "use a node selector, or affinity"),
    ("deploy.resources.limits.pids", "the node's business: --pod-max-pids of its kubelet"),
    ("deploy.resources.reservations.devices", "use a device plugin, and its resource in `limits`"),
    ("deploy.resources.reservations.generic_resources", "use extended resources"),
    ("deploy.restart_policy.delay", "the kubelet's delay doubles from 10 s on"),
    ("deploy.restart_policy.window", "the kubelet has a rule of its own"),
    ("deploy.rollback_config", "use `kubectl rollout undo`"),
    ("deploy.update_config", "set the Deployment's strategy"),
];

impl Export<'_> {
    /// Names what cannot be carried over.
    pub(super) fn note_keys(&mut self) {
        if self.name() != self.service.name {
            let why = format!("is called {:?} there: the others find it by that name alone", self.name());
            let place = self.service.project.place(&["services", self.service.name]);
            self.notes.push(format!("{place}services.{}: {why}", self.service.name));
        }
        let keys = self.service.keys.as_object().into_iter().flatten();
        let said = |value: &Value| !value.is_null() && *value != Value::Bool(false);
        let lost: Vec<_> = keys
            .filter(|(key, value)| said(value) && !CARRIED.contains(&key.as_str()) && !key.starts_with("x-"))
            .map(|(key, _)| key.clone())
            .collect();
        for key in lost {
            let why =
                WHY.iter().find(|(other, _)| *other == key).map_or("there is no such thing there", |(_, why)| why);
            self.note(&key, why);
        }
        for (key, why) in DEPLOY {
            if self.service.keys.pointer(&format!("/{}", key.replace('.', "/"))).is_some_and(said) {
                self.note(key, why);
            }
        }
    }
}
