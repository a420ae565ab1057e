//! A container's mounts in the words of Docker's API.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::engine::{
    Engine,
    container::{
        Config,
        storage::{Access, From, Point},
    },
    error::Result,
    spec::SHM_SIZE,
    volume::LOCAL,
};

impl Engine {
    /// The field `Mounts`.
    pub(in crate::engine) fn inspect_mounts(&self, config: &Config) -> Value {
        config.storage.points.iter().map(|point| self.inspect_point(point)).collect()
    }

    /// A volume as `docker volume inspect` prints it.
    ///
    /// # Errors
    /// [`crate::engine::error::Kind::NotFound`] where there is none.
    pub fn inspect_volume(&self, name: &str) -> Result<Value> {
        let volume = self.volume(name)?;
        let or_null = |map: &BTreeMap<String, String>| if map.is_empty() { Value::Null } else { json!(map) };
        let mut labels = volume.labels.clone();
        if volume.anonymous {
            // Docker's mark.
            labels.insert("com.docker.volume.anonymous".to_owned(), String::new());
        }
        Ok(json!({
            "CreatedAt": volume.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "Driver": LOCAL,
            "Labels": or_null(&labels),
            "Mountpoint": self.volume_path(name).display().to_string(),
            "Name": name,
            "Options": or_null(&volume.options),
            "Scope": "local",
        }))
    }

    fn inspect_point(&self, point: &Point) -> Value {
        let common = json!({
            "Destination": point.destination,
            "Mode": point.mode,
            "RW": point.access == Access::Write,
            "Propagation": point.propagation,
        });
        let own = match &point.from {
            From::Bind { path, .. } => json!({ "Type": "bind", "Source": path }),
            From::Tmpfs(_) => json!({ "Type": "tmpfs", "Source": "" }),
            From::Volume { name, .. } => json!({
                "Type": "volume",
                "Name": name,
                "Source": self.volume_path(name).display().to_string(),
                "Driver": LOCAL,
            }),
        };
        let objects = [own, common].into_iter().filter_map(|part| match part {
            Value::Object(fields) => Some(fields),
            _ => None,
        });
        Value::Object(objects.flatten().collect())
    }
}

/// The fields of `HostConfig`.
pub(in crate::engine) fn host_config(config: &Config) -> Map<String, Value> {
    let storage = &config.storage;
    let or_null = |list: &[String]| if list.is_empty() { Value::Null } else { json!(list) };
    let mut fields = vec![
        ("Binds", or_null(&storage.binds)),
        ("VolumeDriver", json!(storage.volume_driver)),
        ("VolumesFrom", or_null(&storage.volumes_from)),
        ("ReadonlyRootfs", json!(storage.read_only)),
        ("ShmSize", json!(storage.shm_size.unwrap_or(SHM_SIZE))),
    ];
    if !storage.mounts.is_empty() {
        fields.push(("Mounts", json!(storage.mounts)));
    }
    if !storage.tmpfs.is_empty() {
        fields.push(("Tmpfs", json!(storage.tmpfs)));
    }
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The field `Volumes` of `Config`: the places where a volume without a name is wanted.
pub(in crate::engine) fn volumes(config: &Config) -> Value {
    let places: BTreeMap<_, _> = config.storage.anonymous.iter().map(|path| (path, json!({}))).collect();
    if places.is_empty() { Value::Null } else { json!(places) }
}
