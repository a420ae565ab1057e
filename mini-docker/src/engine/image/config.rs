//! An image's configuration, as the OCI image specification and Docker have it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::engine::{
    digest::Digest,
    error::{Error, Result},
};

/// Bytes in a configuration; honest ones have a few thousand.
pub const MOST_BYTES: u64 = 4 << 20;
/// Layers in an image: what overlayfs takes.
pub const MOST_LAYERS: usize = 500;

/// An image's configuration. Its digest is the image's id.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Who made it.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// For which processor, in Go's words (`amd64`).
    #[serde(default, deserialize_with = "or_default")]
    pub architecture: String,
    /// For which generation of it (`v8`).
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// For which system: `linux`.
    #[serde(default, deserialize_with = "or_default")]
    pub os: String,
    /// For which version of it; Windows has those.
    #[serde(rename = "os.version", default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// How to run it.
    #[serde(default, deserialize_with = "or_default")]
    pub config: RunConfig,
    /// Its layers.
    pub rootfs: RootFs,
    /// How each layer came to be.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// A remark of whoever made it, in Docker's own format.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// What an image says about running it; a container's options come before.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RunConfig {
    /// User and group, `NAME|ID[:NAME|ID]`.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `PORT/PROTOCOL` that the program listens on.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `KEY=value`.
    #[serde(skip_serializing_if = "is_empty")]
    pub env: Option<Vec<String>>,
    /// Arguments that the command is appended to.
    #[serde(skip_serializing_if = "is_empty")]
    pub entrypoint: Option<Vec<String>>,
    /// The command, where none is given.
    #[serde(skip_serializing_if = "is_empty")]
    pub cmd: Option<Vec<String>>,
    /// How to find out whether it is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// On Windows: whether the command is one string already.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    /// Paths that get a volume.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Value>,
    /// The working directory.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Instructions for a build on top of it.
    #[serde(skip_serializing_if = "is_empty")]
    pub on_build: Option<Vec<String>>,
    /// Free labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// What `stop` sends; SIGTERM where it is empty.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// What runs commands in shell form.
    #[serde(skip_serializing_if = "is_empty")]
    pub shell: Option<Vec<String>>,
    /// What is not known here, kept for what is made of this.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// A health check; times in nanoseconds, 0 where the default counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", …]`; empty: the image's.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    /// Between two checks.
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    /// For one check.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    /// In which failures do not count yet.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    /// Between two checks in that time.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    /// Failures in a row that make it unhealthy.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

/// The layers of an image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the layers' uncompressed archives, the lowest first.
    #[serde(default, deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// How a layer came to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When.
    pub created: Option<Timestamp>,
    /// By which command.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// By whom.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// A remark.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether there is no layer, because only the configuration changed.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

impl ImageConfig {
    /// Of an image of this machine without layers.
    pub fn new() -> Self {
        Self {
            created: Some(Timestamp::now()),
            author: String::new(),
            architecture: super::platform::go_architecture().to_owned(),
            variant: String::new(),
            os: "linux".to_owned(),
            os_version: String::new(),
            config: RunConfig::default(),
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
            comment: String::new(),
        }
    }

    /// Reads the configuration of an image from outside.
    ///
    /// # Errors
    /// What is malformed, too large, of another system, or says something else in its history than in its layers.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let invalid = |why: String| Error::invalid(format!("read the image's configuration: {why}"));
        if bytes.len() as u64 > MOST_BYTES {
            return Err(invalid(format!("it has more than {MOST_BYTES} bytes")));
        }
        let config: Self = serde_json::from_slice(bytes).map_err(|e| invalid(e.to_string()))?;
        if config.os != "linux" && !config.os.is_empty() {
            let system = super::shown(&config.os);
            return Err(invalid(format!(
                "image operating system \"{system}\" cannot be used on this platform: containers here run Linux"
            )));
        }
        if config.rootfs.diff_ids.len() > MOST_LAYERS {
            return Err(invalid(format!("it has more than {MOST_LAYERS} layers")));
        }
        let described = config.history.iter().filter(|entry| !entry.empty_layer).count();
        if !config.history.is_empty() && described > config.rootfs.diff_ids.len() {
            return Err(invalid("its history has more layers than it has".to_owned()));
        }
        Ok(config)
    }
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Go writes `null` for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

// serde passes the field's own type.
#[allow(clippy::ref_option)]
fn is_empty(list: &Option<Vec<String>>) -> bool {
    list.as_ref().is_none_or(Vec::is_empty)
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_empty_and_unknown_fields_stay() {
        let text = br#"{"created":null,"architecture":"amd64","os":"linux","config":{"Cmd":null,"Env":["A=1"],"Volumes":null,
            "Labels":null,"User":null,"OnBuild":null,"Hostname":"h","New":[1]},"rootfs":{"type":"layers","diff_ids":null},
            "history":null}"#;
        let config = ImageConfig::parse(text).unwrap();
        assert_eq!(config.config.other["New"], serde_json::json!([1]));
        let written = serde_json::to_value(&config.config).unwrap();
        assert_eq!(written, serde_json::json!({"Env": ["A=1"], "Hostname": "h", "New": [1]}));
    }

    #[test]
    fn hostile_configurations_are_refused() {
        let with = |os: &str, diff_ids: &str, history: &str| {
            format!(r#"{{"os":"{os}","rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}},"history":[{history}]}}"#)
        };
        let digest = format!("\"sha256:{}\"", "0".repeat(64));
        assert!(ImageConfig::parse(with("linux", &digest, "{}").as_bytes()).is_ok());
        for (bad, says) in [
            (with("windows", &digest, ""), "image operating system \"windows\""),
            (with("linux", "\"sha256:../../../etc\"", ""), "64 hexadecimal digits"),
            (with("linux", "\"md5:00\"", ""), "sha256"),
            (with("linux", &digest, "{},{}"), "history"),
            (with("linux", &vec![digest.as_str(); 501].join(","), ""), "500 layers"),
            ("[]".to_owned(), "invalid"),
            (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)), "configuration"),
        ] {
            let error = ImageConfig::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
