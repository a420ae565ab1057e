//! The pod of a service: its container, its volumes, and what it shares with the node.

use serde_json::{Value, json};

use super::{
    Export, Mounted,
    container::{seconds, some},
};
use crate::{compose::tree::text_of, engine::error::Result};

impl Export<'_> {
    /// The pod, and whether it has claims of volumes.
    pub(super) fn pod(&mut self) -> Result<(Value, bool)> {
        let mut container = self.container();
        let mounted = self.mounts()?;
        let claims = mounted.iter().any(|(volume, _)| volume.get("persistentVolumeClaim").is_some());
        let (mut volumes, mut mounts): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
        for (volume, mount) in mounted {
            // Several mounts may be of one volume.
            if !volumes.contains(&volume) {
                volumes.push(volume);
            }
            mounts.push(mount);
        }
        if let Some(mounts) = some(&mounts) {
            container["volumeMounts"] = mounts;
        }
        let mut pod = json!({ "containers": [container] });
        let grace = self.text("stop_grace_period").and_then(|text| seconds(&text));
        let host = |mode: Option<String>| mode.filter(|mode| mode == "host").map(|_| json!(true));
        let parts = [
            ("volumes", some(&volumes)),
            ("hostname", self.text("hostname").map(|name| json!(super::names::label(&name)))),
            ("terminationGracePeriodSeconds", grace.map(|seconds| json!(seconds))),
            ("hostNetwork", host(self.text("network_mode"))),
            ("hostPID", host(self.text("pid"))),
            ("hostIPC", host(self.text("ipc"))),
            ("hostAliases", some(&self.hosts())),
            ("dnsConfig", self.dns()),
            ("nodeSelector", self.nodes()),
            ("securityContext", self.pod_rights()),
        ];
        for (key, value) in parts {
            if let Some(value) = value {
                pod[key] = value;
            }
        }
        for key in ["network_mode", "pid", "ipc"] {
            if self.text(key).is_some_and(|mode| !["host", "bridge", "private", "shareable"].contains(&mode.as_str())) {
                self.note(key, "what shares namespaces belongs into one pod: put both containers there");
            }
        }
        Ok((pod, claims))
    }

    fn hosts(&mut self) -> Vec<Value> {
        let mut aliases = Vec::new();
        for entry in self.list("extra_hosts").iter().map(text_of) {
            let (name, address) = entry.split_once('=').unwrap_or((&entry, ""));
            if address.parse::<std::net::IpAddr>().is_ok() {
                aliases.push(json!({ "ip": address, "hostnames": [name] }));
            } else {
                self.note("extra_hosts", &format!("{name}: {address:?} is no address that a cluster knows"));
            }
        }
        aliases
    }

    fn dns(&self) -> Option<Value> {
        let texts = |key: &str| self.list(key).iter().map(text_of).collect::<Vec<_>>();
        let option = |text: String| match text.split_once(':') {
            Some((name, value)) => json!({ "name": name, "value": value }),
            None => json!({ "name": text }),
        };
        let options: Vec<_> = texts("dns_opt").into_iter().map(option).collect();
        let parts = [
            ("nameservers", some(&texts("dns"))),
            ("searches", some(&texts("dns_search"))),
            ("options", some(&options)),
        ];
        let parts = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        super::container::some_object(parts.collect())
    }

    /// The nodes that can run its image.
    fn nodes(&mut self) -> Option<Value> {
        let platform = self.text("platform")?;
        let mut parts = platform.split('/');
        let (os, architecture) = (parts.next()?, parts.next());
        let Some(architecture) = architecture else {
            self.note("platform", "write it as OS/ARCHITECTURE");
            return None;
        };
        Some(json!({ "kubernetes.io/os": os, "kubernetes.io/arch": architecture }))
    }

    fn pod_rights(&mut self) -> Option<Value> {
        let mut groups: Vec<i64> = Vec::new();
        for group in self.list("group_add").iter().map(text_of) {
            match group.parse() {
                Ok(id) => groups.push(id),
                Err(_) => self.note("group_add", &format!("a cluster knows ids alone, not {group:?}")),
            }
        }
        let sysctls: Vec<_> = self
            .entries("sysctls")
            .into_iter()
            .map(|(name, value)| json!({ "name": name, "value": text_of(&value) }))
            .collect();
        let parts = [("supplementalGroups", some(&groups)), ("sysctls", some(&sysctls))];
        let parts = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        super::container::some_object(parts.collect())
    }

    /// Its volumes, with the places where the container has them.
    fn mounts(&mut self) -> Result<Vec<Mounted>> {
        let mut mounted = Vec::new();
        for volume in self.list("volumes") {
            mounted.extend(self.volume(&volume, mounted.len()));
        }
        for (at, text) in self.list("tmpfs").iter().map(text_of).enumerate() {
            let target = text.split(':').next().unwrap_or_default();
            mounted.push(memory(&format!("tmpfs-{at}"), target, None));
        }
        if let Some(size) = self.text("shm_size").filter(|size| size != "0") {
            mounted.push(memory("shm", "/dev/shm", Some(size)));
        }
        for (kind, directory) in [("secrets", "/run/secrets"), ("configs", "")] {
            for file in self.list(kind) {
                mounted.push(self.file(kind, directory, &file));
            }
        }
        Ok(mounted)
    }
}

/// Memory at a place.
pub(super) fn memory(name: &str, target: &str, size: Option<String>) -> Mounted {
    let mut volume = json!({ "name": name, "emptyDir": { "medium": "Memory" } });
    if let Some(size) = size {
        volume["emptyDir"]["sizeLimit"] = json!(size);
    }
    (volume, json!({ "name": name, "mountPath": target }))
}
