//! An image in the words of Docker's API, for `inspect`.

use serde_json::{Map, Value, json};

use super::Listed;
use crate::engine::{Engine, error::Result};

/// Docker's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Engine {
    /// The image as `docker image inspect` prints it.
    pub fn inspect_image(&self, listed: &Listed) -> Result<Value> {
        let Listed { image, tags, digests } = listed;
        let config = &image.config;
        let notes = self.notes(&image.id);
        let names =
            |names: &[crate::engine::reference::Reference]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let comment = if config.comment.is_empty() {
            config.history.last().map_or("", |entry| entry.comment.as_str())
        } else {
            &config.comment
        };
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("Id", json!(image.digest()));
        put("RepoTags", json!(names(tags)));
        put("RepoDigests", json!(names(digests)));
        put("Parent", json!(notes.parent.map_or_else(String::new, |parent| parent.to_string())));
        put("Comment", json!(comment));
        put("Created", json!(config.created.map_or_else(|| NEVER.to_owned(), |at| at.to_string())));
        put("DockerVersion", json!(""));
        put("Author", json!(config.author));
        put("Config", run_config(&serde_json::to_value(&config.config).unwrap_or_default()));
        put("Architecture", json!(config.architecture));
        if !config.variant.is_empty() {
            put("Variant", json!(config.variant));
        }
        put("Os", json!(config.os));
        put("Size", json!(image.size(self)));
        let mut lower = image.lower(self).into_iter().map(|path| path.display().to_string());
        let upper = lower.next().unwrap_or_default();
        let mut data = json!({ "UpperDir": upper });
        let lower = lower.collect::<Vec<_>>().join(":");
        if !lower.is_empty() {
            data["LowerDir"] = json!(lower);
        }
        put("GraphDriver", json!({ "Data": data, "Name": "overlay2" }));
        put("RootFS", json!({ "Type": "layers", "Layers": config.rootfs.diff_ids }));
        put("Metadata", json!({ "LastTagTime": notes.tagged.map_or_else(|| NEVER.to_owned(), |at| at.to_string()) }));
        Ok(Value::Object(object))
    }
}

/// All fields that Docker prints, whether the image has them or not.
fn run_config(own: &Value) -> Value {
    let mut all = json!({
        "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "AttachStdout": false, "AttachStderr": false,
        "Tty": false, "OpenStdin": false, "StdinOnce": false, "Env": null, "Cmd": null, "Image": "", "Volumes": null,
        "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null,
    });
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    all
}
