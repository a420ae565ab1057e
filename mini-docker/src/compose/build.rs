//! How a service's image is built: as words of the command line of `build`, which is what builds it.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use serde_json::{Value, json};

use super::{contents::Contents, service::Service, tree::text_of};
use crate::engine::error::{Context, Error, Result};

/// What has no word in the command line of `build`, and is refused.
const REFUSED: [&str; 1] = ["privileged"];

/// Keys with one value, or several, and their flags.
const FLAGS: [(&str, &str); 11] = [
    ("target", "--target"),
    ("network", "--network"),
    ("entitlements", "--allow"),
    ("shm_size", "--shm-size"),
    ("isolation", "--isolation"),
    ("cache_from", "--cache-from"),
    ("cache_to", "--cache-to"),
    ("extra_hosts", "--add-host"),
    ("tags", "--tag"),
    ("platforms", "--platform"),
    ("no_cache_filter", "--no-cache-filter"),
];

impl Service<'_> {
    /// Whether its image is built.
    pub fn is_built(&self) -> bool {
        self.keys.get("build").is_some_and(Value::is_object)
    }

    /// Services whose images its own is built with.
    pub fn built_with(&self) -> Vec<String> {
        let contexts = self.keys.pointer("/build/additional_contexts").and_then(Value::as_object);
        let services = contexts.into_iter().flatten().map(|(_, place)| text_of(place));
        services.filter_map(|place| place.strip_prefix("service:").map(str::to_owned)).collect()
    }

    /// The words that build its image, without the command's name; `flags` go over what the description says. What they
    /// need in files is put into `scratch`.
    pub fn build_words(&self, flags: &[String], scratch: &Path) -> Result<Vec<String>> {
        let empty = json!({});
        let build = self.keys.get("build").unwrap_or(&empty);
        let refuse =
            |key: &str| Err(Error::invalid(format!("services.{}.build.{key}: not supported: leave it out", self.name)));
        if let Some(key) =
            REFUSED.iter().find(|key| build.get(**key).is_some_and(|v| *v != json!(false) && !v.is_null()))
        {
            return refuse(key);
        }
        for key in ["provenance", "sbom"] {
            if build.get(key).is_some_and(|value| text_of(value) != "false") {
                return refuse(key);
            }
        }
        let mut words = vec!["--tag".to_owned(), self.image()];
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        for (key, flag) in FLAGS {
            match build.get(key) {
                Some(Value::Array(values)) => values.iter().for_each(|value| add(flag, text_of(value))),
                Some(Value::Null) | None => {}
                Some(value) => add(flag, text_of(value)),
            }
        }
        for (key, flag) in [("args", "--build-arg"), ("labels", "--label")] {
            for (name, value) in build.get(key).and_then(Value::as_object).into_iter().flatten() {
                // One without a value is the caller's variable, if there is one.
                let value = if value.is_null() { self.project.environment.get(name) } else { Some(text_of(value)) };
                if let Some(value) = value {
                    add(flag, format!("{name}={value}"));
                }
            }
        }
        for (key, value) in [("project", self.project.name.as_str()), ("service", self.name)] {
            add("--label", format!("com.docker.compose.{key}={value}"));
        }
        for (name, limit) in build.get("ulimits").and_then(Value::as_object).into_iter().flatten() {
            add("--ulimit", super::service::rights::ulimit((name, limit)));
        }
        for (name, place) in build.get("additional_contexts").and_then(Value::as_object).into_iter().flatten() {
            let place = text_of(place);
            let place = match place.strip_prefix("service:") {
                Some(other) => format!("docker-image://{}", self.of(other).image()),
                None => place,
            };
            add("--build-context", format!("{name}={place}"));
        }
        for (id, socket) in build.get("ssh").and_then(Value::as_object).into_iter().flatten() {
            let socket = text_of(socket);
            add("--ssh", if socket.is_empty() { id.clone() } else { format!("{id}={socket}") });
        }
        for secret in build.get("secrets").and_then(Value::as_array).into_iter().flatten() {
            let (id, path) = self.build_secret(secret, scratch)?;
            add("--secret", format!("id={id},src={path}"));
        }
        let platform = self.keys.get("platform").filter(|_| build.get("platforms").is_none());
        if let Some(platform) = platform {
            add("--platform", text_of(platform));
        }
        let context = build.get("context").map_or_else(|| ".".to_owned(), text_of);
        if let Some(text) = build.get("dockerfile_inline").filter(|text| !text.is_null()) {
            add("--file", put(scratch, "Dockerfile", &text_of(text))?);
        } else if let Some(file) = build.get("dockerfile").map(text_of) {
            // Of a directory, from there on.
            let directory = Path::new(&context);
            add("--file", if directory.is_dir() { directory.join(&file).display().to_string() } else { file });
        }
        let on = |key: &str| build.get(key) == Some(&json!(true));
        words.extend(on("no_cache").then(|| "--no-cache".to_owned()));
        words.extend(on("pull").then(|| "--pull".to_owned()));
        words.extend_from_slice(flags);
        words.push("--".to_owned());
        words.push(context);
        Ok(words)
    }

    fn of<'b>(&'b self, name: &'b str) -> Service<'b> {
        let keys = self.project.services().find(|(other, _)| *other == name).map_or(&Value::Null, |(_, keys)| keys);
        Service { project: self.project, name, keys }
    }

    fn build_secret(&self, secret: &Value, scratch: &Path) -> Result<(String, String)> {
        let source = secret.get("source").map(text_of).unwrap_or_default();
        let id = secret.get("target").map_or_else(|| source.clone(), text_of);
        let path = match self.project.contents("secrets", &source)? {
            Contents::File(path) => path.display().to_string(),
            Contents::Text(text) => put(scratch, &format!("secret-{}", source.replace('/', "-")), &text)?,
        };
        Ok((id, path))
    }
}

/// Writes a file that only its owner reads.
fn put(directory: &Path, name: &str, text: &str) -> Result<String> {
    let path = directory.join(name);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).doing("write", &path)?;
    Ok(path.display().to_string())
}
