//! Relative paths: to the directory of the file that they stand in.

use std::path::{Path as FilePath, PathBuf};

use serde_json::{Value, json};

use super::{
    short::clean,
    tree::{Mapping, Path},
};

/// What sort of path a key holds.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A file or directory.
    File,
    /// A directory, or the address of a repository, an image, another service.
    Context,
    /// A mount: its source, where it is a bind.
    Volume,
    /// A volume: its device, where the local driver binds it.
    Driver,
}

const PATHS: &[(&str, Kind)] = &[
    ("services.*.build.context", Kind::Context),
    ("services.*.build.additional_contexts.*", Kind::Context),
    ("services.*.build.ssh.*", Kind::File),
    ("services.*.env_file.*.path", Kind::File),
    ("services.*.label_file.*", Kind::File),
    ("services.*.extends.file", Kind::File),
    ("services.*.develop.watch.*.path", Kind::File),
    ("services.*.volumes.*", Kind::Volume),
    ("configs.*.file", Kind::File),
    ("secrets.*.file", Kind::File),
    ("volumes.*", Kind::Driver),
];

/// Makes all paths of the model absolute; `base` is.
pub(super) fn resolve(model: &mut Mapping, base: &FilePath) {
    for (key, value) in model {
        walk(value, &Path::default().next(key), base);
    }
}

fn walk(value: &mut Value, path: &Path, base: &FilePath) {
    if let Some(kind) = path.find(PATHS) {
        resolve_one(value, *kind, base);
        return;
    }
    match value {
        Value::Object(below) => below.iter_mut().for_each(|(key, value)| walk(value, &path.next(key), base)),
        Value::Array(items) => {
            let path = path.next("[]");
            for item in items {
                walk(item, &path, base);
            }
        }
        _ => {}
    }
}

fn resolve_one(value: &mut Value, kind: Kind, base: &FilePath) {
    match (kind, value) {
        (Kind::File, Value::String(text)) => *text = absolute(text, base),
        (Kind::Context, Value::String(text)) if !is_remote(text) => *text = absolute(text, base),
        (Kind::Volume, Value::Object(volume)) if volume.get("type") == Some(&json!("bind")) => {
            if let Some(Value::String(source)) = volume.get_mut("source") {
                *source = absolute(source, base);
            }
        }
        (Kind::Driver, Value::Object(volume)) if volume.get("driver") == Some(&json!("local")) => {
            if let Some(Value::Object(options)) = volume.get_mut("driver_opts")
                && options.get("o") == Some(&json!("bind"))
                && let Some(Value::String(device)) = options.get_mut("device")
            {
                *device = absolute(device, base);
            }
        }
        _ => {}
    }
}

fn is_remote(text: &str) -> bool {
    let prefixes = ["service:", "github.com/", "git@"];
    text.contains("://") || prefixes.iter().any(|prefix| text.starts_with(prefix))
}

fn is_windows(text: &str) -> bool {
    let mut chars = text.chars();
    let drive = chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.next() == Some(':');
    text.starts_with(r"\\") || drive && matches!(chars.next(), Some('\\' | '/'))
}

/// `~` is the user's home.
pub(super) fn absolute(text: &str, base: &FilePath) -> String {
    if text.is_empty() || text.starts_with('/') || is_windows(text) {
        return text.to_owned();
    }
    if let Some(rest) = text.strip_prefix('~')
        && (rest.is_empty() || rest.starts_with('/'))
        && let Some(home) = std::env::var_os("HOME")
    {
        return clean(&format!("{}{rest}", PathBuf::from(home).display()));
    }
    clean(&format!("{}/{text}", base.display()))
}
