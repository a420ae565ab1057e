//! What a service's containers have mounted.

use serde_json::{Map, Value, json};

use super::Service;
use crate::{
    compose::{contents::Contents, tree::text_of},
    engine::{
        OwnFile, Request,
        container::storage::{BindOptions, MountRequest, TmpfsOptions, VolumeOptions},
        error::{Context, Result},
    },
};

impl Service<'_> {
    pub(super) fn fill_storage(&self, request: &mut Request, running: &dyn Fn(&str) -> Result<String>) -> Result<()> {
        let storage = &mut request.storage;
        storage.read_only = self.flag("read_only");
        storage.shm_size = self.number::<u64>("shm_size")?.filter(|&size| size > 0);
        for text in self.texts("tmpfs") {
            let (target, options) = text.split_once(':').unwrap_or((&text, ""));
            storage.tmpfs.insert(target.to_owned(), options.to_owned());
        }
        for volume in self.list("volumes") {
            storage.mounts.push(self.mount(volume)?);
        }
        for text in self.texts("volumes_from") {
            let (from, mode) =
                text.rsplit_once(':').filter(|(_, mode)| ["ro", "rw"].contains(mode)).unwrap_or((&text, "rw"));
            let container = match from.strip_prefix("container:") {
                Some(name) => name.to_owned(),
                None => running(from)?,
            };
            storage.volumes_from.push(format!("{container}:{mode}"));
        }
        for (kind, directory) in [("secrets", "/run/secrets"), ("configs", "")] {
            for file in self.list(kind) {
                self.file(kind, directory, file, request)?;
            }
        }
        Ok(())
    }

    fn mount(&self, volume: &Value) -> Result<MountRequest> {
        let text = |key: &str| volume.get(key).map(text_of).unwrap_or_default();
        let empty = Map::new();
        let part = |key: &str| volume.get(key).and_then(Value::as_object).unwrap_or(&empty);
        let mut mount = MountRequest {
            kind: text("type"),
            source: text("source"),
            target: text("target"),
            read_only: volume.get("read_only") == Some(&json!(true)),
            ..MountRequest::default()
        };
        match mount.kind.as_str() {
            "bind" => {
                let bind = part("bind");
                let word = |key: &str| bind.get(key).map(text_of).unwrap_or_default();
                mount.bind_options = Some(BindOptions {
                    propagation: word("propagation"),
                    create_mountpoint: bind.get("create_host_path") != Some(&json!(false)),
                    non_recursive: word("recursive") == "disabled",
                    read_only_non_recursive: word("recursive") == "writable",
                    read_only_force_recursive: word("recursive") == "readonly",
                });
            }
            "volume" => {
                let volume = part("volume");
                let labels = volume.get("labels").and_then(Value::as_object).unwrap_or(&empty);
                mount.volume_options = Some(VolumeOptions {
                    no_copy: volume.get("nocopy") == Some(&json!(true)),
                    labels: labels.iter().map(|(key, value)| (key.clone(), text_of(value))).collect(),
                    driver_config: None,
                    subpath: volume.get("subpath").map(text_of).unwrap_or_default(),
                });
                if !mount.source.is_empty() {
                    mount.source = self.resource("volumes", &mount.source);
                }
            }
            "tmpfs" => {
                let number = |key: &str| part("tmpfs").get(key).map(text_of).and_then(|text| text.parse().ok());
                mount.tmpfs_options = Some(TmpfsOptions {
                    size_bytes: number("size").unwrap_or(0),
                    mode: number("mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0),
                });
            }
            other => return Err(self.wrong("volumes.type", &format!("{other:?} is not supported"))),
        }
        Ok(mount)
    }

    /// The real name of a network or volume.
    pub fn resource(&self, kind: &str, key: &str) -> String {
        let resource = self.project.model.get(kind).and_then(|all| all.get(key));
        resource.and_then(|resource| resource.get("name")).map_or_else(|| key.to_owned(), text_of)
    }

    /// A secret or configuration: a file of the host, as it is, or a file of the container's own.
    fn file(&self, kind: &str, directory: &str, file: &Value, request: &mut Request) -> Result<()> {
        let part = |key: &str| file.get(key).map(text_of).filter(|text| !text.is_empty());
        let source = part("source").unwrap_or_default();
        let target = part("target").unwrap_or_else(|| source.clone());
        let target = if target.starts_with('/') { target } else { format!("{directory}/{target}") };
        let content = match self.project.contents(kind, &source)? {
            Contents::Text(text) => text.into_bytes(),
            Contents::File(path) if is_copied(file) => std::fs::read(&path).doing("read", &path)?,
            Contents::File(path) => {
                request.storage.mounts.push(MountRequest {
                    kind: "bind".to_owned(),
                    source: path.display().to_string(),
                    target,
                    read_only: true,
                    bind_options: Some(BindOptions::default()),
                    ..MountRequest::default()
                });
                return Ok(());
            }
        };
        let id = |key: &str| {
            let text = part(key).unwrap_or_else(|| "0".to_owned());
            text.parse().map_err(|_| self.wrong(kind, &format!("{key} {text:?} is no number")))
        };
        let mode = part("mode").unwrap_or_else(|| "0444".to_owned());
        let mode =
            u32::from_str_radix(&mode, 8).map_err(|_| self.wrong(kind, &format!("mode {mode:?} is not octal")))?;
        request.files.push(OwnFile { target, content, uid: id("uid")?, gid: id("gid")?, mode });
        Ok(())
    }
}

/// Whether a file of the host is copied, since its owner or mode is to be another.
pub(super) fn is_copied(file: &Value) -> bool {
    ["uid", "gid", "mode"].iter().any(|key| file.get(*key).is_some_and(|value| !value.is_null()))
}
