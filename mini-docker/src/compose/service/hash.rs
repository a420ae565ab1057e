//! What tells one configuration of a service from another.

use serde_json::{Map, Value, json};

use super::Service;
use crate::{
    compose::{contents::Contents, tree::text_of},
    engine::digest::Digest,
};

/// Keys that change no container.
const NO_PART: [&str; 9] =
    ["attach", "build", "depends_on", "develop", "post_start", "pre_stop", "profiles", "pull_policy", "scale"];

impl Service<'_> {
    // ANCHOR: hash
    /// What tells this configuration from another: what changes no container does not count; the real names of its
    /// networks and volumes do, and what its secrets and configurations hold where that is put into the container.
    pub fn hash(&self) -> String {
        let mut keys = self.keys.as_object().cloned().unwrap_or_default();
        for key in NO_PART {
            keys.remove(key);
        }
        if let Some(Value::Object(deploy)) = keys.get_mut("deploy") {
            deploy.remove("replicas");
        }
        let mut names = Map::new();
        for (key, _) in self.entries("networks") {
            names.insert(format!("networks.{key}"), json!(self.resource("networks", key)));
        }
        for volume in self.list("volumes").filter(|volume| volume.get("type") == Some(&json!("volume"))) {
            let key = volume.get("source").map(text_of).unwrap_or_default();
            names.insert(format!("volumes.{key}"), json!(self.resource("volumes", &key)));
        }
        for kind in ["secrets", "configs"] {
            for file in self.list(kind) {
                let source = file.get("source").map(text_of).unwrap_or_default();
                // What is wrong with it is said where the container is made.
                let held = match self.project.contents(kind, &source) {
                    Ok(Contents::Text(text)) => text.into_bytes(),
                    Ok(Contents::File(path)) if super::storage::is_copied(file) => {
                        std::fs::read(path).unwrap_or_default()
                    }
                    Ok(Contents::File(path)) => path.into_os_string().into_encoded_bytes(),
                    Err(_) => Vec::new(),
                };
                names.insert(format!("{kind}.{source}"), json!(Digest::of(&held).hex()));
            }
        }
        keys.insert("=".to_owned(), Value::Object(names));
        Digest::of(Value::Object(keys).to_string().as_bytes()).hex().to_owned()
    }
    // ANCHOR_END: hash
}
