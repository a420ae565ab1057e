//! Volumes, secrets and configurations.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Export, Manifests, Mounted, Names, pod::memory};
use crate::{
    compose::{Project, contents::Contents, tree::text_of},
    engine::error::{Context, Result},
};

/// Of a volume whose size nobody has said.
const SIZE: &str = "1Gi";

/// The key of a secret's or configuration's only content.
const KEY: &str = "content";

impl Manifests {
    /// The claims of volumes, the secrets and the configurations.
    pub(super) fn storage(&mut self, project: &Project, names: &Names) -> Result<()> {
        let section = |kind: &str| project.model.get(kind).and_then(Value::as_object).cloned().unwrap_or_default();
        let labels = json!({ "app.kubernetes.io/part-of": super::names::label(&project.name) });
        let is_external = |resource: &Value| resource.get("external") == Some(&json!(true));
        for (key, volume) in section("volumes") {
            let name = names.of("volumes", &key);
            let place = project.place(&["volumes", &key]);
            if is_external(&volume) {
                self.notes.push(format!("{place}volumes.{key}: is to be there as the claim {name:?}"));
                continue;
            }
            if volume.get("driver").is_some_and(|driver| *driver != "local") || volume.get("driver_opts").is_some() {
                self.notes.push(format!("{place}volumes.{key}.driver: choose a storage class of the cluster's"));
            }
            self.notes.push(format!("{place}volumes.{key}: nobody says its size: {SIZE} is a guess"));
            self.objects.push(json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": { "name": name, "labels": labels },
                "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": SIZE } } },
            }));
        }
        for (kind, object) in [("secrets", "Secret"), ("configs", "ConfigMap")] {
            for (key, resource) in section(kind) {
                let name = names.of(if kind == "secrets" { "secrets" } else { "configs" }, &key);
                if is_external(&resource) {
                    let place = project.place(&[kind, &key]);
                    self.notes.push(format!(
                        "{place}{kind}.{key}: is to be there as the {object} {name:?}, with the key {KEY:?}"
                    ));
                    continue;
                }
                let bytes = match project.contents(kind, &key)? {
                    Contents::Text(text) => text.into_bytes(),
                    Contents::File(path) => std::fs::read(&path).doing("read", &path)?,
                };
                let metadata = json!({ "name": name, "labels": labels });
                let mut manifest = json!({ "apiVersion": "v1", "kind": object, "metadata": metadata });
                if kind == "secrets" {
                    manifest["type"] = json!("Opaque");
                    manifest["data"] = json!({ KEY: STANDARD.encode(&bytes) });
                } else {
                    match String::from_utf8(bytes) {
                        Ok(text) => manifest["data"] = json!({ KEY: text }),
                        Err(e) => manifest["binaryData"] = json!({ KEY: STANDARD.encode(e.as_bytes()) }),
                    }
                }
                self.objects.push(manifest);
            }
        }
        Ok(())
    }
}

impl Export<'_> {
    /// A mount of the service's; `number` tells those without a name from each other.
    pub(super) fn volume(&mut self, volume: &Value, number: usize) -> Option<Mounted> {
        let text = |key: &str| volume.get(key).map(text_of).unwrap_or_default();
        let (source, target) = (text("source"), text("target"));
        let mut mounted = match text("type").as_str() {
            "volume" if !source.is_empty() => {
                let name = self.names.of("volumes", &source).to_owned();
                let volume_name = super::names::label(&format!("claim-{name}"));
                let claim = json!({ "name": volume_name, "persistentVolumeClaim": { "claimName": name } });
                (claim, json!({ "name": volume_name, "mountPath": target }))
            }
            "volume" => {
                let name = format!("scratch-{number}");
                (json!({ "name": name, "emptyDir": {} }), json!({ "name": name, "mountPath": target }))
            }
            "tmpfs" => {
                let size = volume.pointer("/tmpfs/size").map(text_of).filter(|size| size != "0");
                memory(&format!("memory-{number}"), &target, size)
            }
            kind => {
                let why = format!(
                    "the {kind} mount of {source} at {target} stays behind: put it into the image, a config or a volume"
                );
                self.note("volumes", &why);
                return None;
            }
        };
        if volume.get("read_only") == Some(&json!(true)) {
            mounted.1["readOnly"] = json!(true);
        }
        if let Some(path) = volume.pointer("/volume/subpath").map(text_of) {
            mounted.1["subPath"] = json!(path);
        }
        Some(mounted)
    }

    /// A secret or configuration at its place.
    pub(super) fn file(&mut self, kind: &'static str, directory: &str, file: &Value) -> Mounted {
        let part = |key: &str| file.get(key).map(text_of).filter(|text| !text.is_empty());
        let source = part("source").unwrap_or_default();
        let target = part("target").unwrap_or_else(|| source.clone());
        let target = if target.starts_with('/') { target } else { format!("{directory}/{target}") };
        let object = self.names.of(kind, &source).to_owned();
        if part("uid").or_else(|| part("gid")).is_some() {
            self.note(kind, &format!("{source}: its owner is root there: use the pod's fsGroup"));
        }
        let mode = part("mode").and_then(|mode| i64::from_str_radix(&mode, 8).ok());
        let (name, mut volume) = if kind == "secrets" {
            (format!("secret-{object}"), json!({ "secret": { "secretName": object } }))
        } else {
            (format!("config-{object}"), json!({ "configMap": { "name": object } }))
        };
        let name = super::names::label(&match mode {
            Some(mode) => format!("{name:.55}-{mode:o}"),
            None => name,
        });
        volume["name"] = json!(name);
        if let Some(mode) = mode {
            let part = if kind == "secrets" { "secret" } else { "configMap" };
            volume[part]["defaultMode"] = json!(mode);
        }
        (volume, json!({ "name": name, "mountPath": target, "subPath": KEY, "readOnly": true }))
    }
}
