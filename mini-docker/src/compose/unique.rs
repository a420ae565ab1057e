//! Lists in which a later entry replaces an earlier one of the same key.

use serde_json::Value;

use super::{
    short::parse_volume,
    tree::{Mapping, Path, text_of},
};
use crate::engine::error::Result;

/// What two entries have in common where they are one.
#[derive(Debug, Clone, Copy)]
enum Key {
    /// What is before `=`.
    Name,
    /// The path in the container.
    Target,
    /// The device's path in the container.
    Device,
    /// Host address, published port, port and protocol.
    Port,
    /// The target, or the source below this directory.
    Mount(&'static str),
    /// The path.
    Path,
    /// The entry itself.
    Whole,
}

const UNIQUE: &[(&str, Key)] = &[
    ("networks.*.labels", Key::Name),
    ("networks.*.ipam.options", Key::Name),
    ("services.*.annotations", Key::Name),
    ("services.*.build.args", Key::Name),
    ("services.*.build.additional_contexts", Key::Name),
    ("services.*.build.platform", Key::Name),
    ("services.*.build.tags", Key::Name),
    ("services.*.build.labels", Key::Name),
    ("services.*.cap_add", Key::Name),
    ("services.*.cap_drop", Key::Name),
    ("services.*.devices", Key::Device),
    ("services.*.configs", Key::Mount("")),
    ("services.*.deploy.labels", Key::Name),
    ("services.*.dns", Key::Name),
    ("services.*.dns_opt", Key::Name),
    ("services.*.dns_search", Key::Name),
    ("services.*.environment", Key::Name),
    ("services.*.env_file", Key::Path),
    ("services.*.expose", Key::Whole),
    ("services.*.labels", Key::Name),
    ("services.*.links", Key::Name),
    ("services.*.networks.*.aliases", Key::Name),
    ("services.*.networks.*.link_local_ips", Key::Name),
    ("services.*.ports", Key::Port),
    ("services.*.profiles", Key::Name),
    ("services.*.secrets", Key::Mount("/run/secrets")),
    ("services.*.sysctls", Key::Name),
    ("services.*.tmpfs", Key::Name),
    ("services.*.volumes", Key::Target),
];

/// Leaves one entry a key, in the place of the first.
pub(super) fn enforce(model: &mut Mapping) -> Result<()> {
    model.iter_mut().try_for_each(|(key, value)| walk(value, &Path::default().next(key)))
}

fn walk(value: &mut Value, path: &Path) -> Result<()> {
    match value {
        Value::Object(below) => below.iter_mut().try_for_each(|(key, value)| walk(value, &path.next(key))),
        Value::Array(items) => {
            let Some(key) = path.find(UNIQUE) else { return Ok(()) };
            let mut seen: Vec<String> = Vec::new();
            let mut kept: Vec<Value> = Vec::new();
            for item in std::mem::take(items) {
                let its = key_of(*key, &item, path)?;
                if let Some(at) = seen.iter().position(|other| *other == its) {
                    kept[at] = item;
                } else {
                    seen.push(its);
                    kept.push(item);
                }
            }
            *items = kept;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn key_of(key: Key, item: &Value, path: &Path) -> Result<String> {
    let field = |name: &str| item.get(name).map(text_of);
    let missing = |what: &str| path.wrong(format!("an entry has no {what}"));
    Ok(match (key, item) {
        (Key::Name, Value::String(text)) => text.split('=').next().unwrap_or_default().to_owned(),
        (Key::Name, other) => {
            return Err(path.wrong(format!("{other} is no text")));
        }
        (Key::Target, Value::String(text)) => {
            let volume = parse_volume(text).map_err(|why| path.wrong(why))?;
            volume.get("target").map(text_of).unwrap_or_default()
        }
        (Key::Target | Key::Device, Value::Object(_)) => field("target").ok_or_else(|| missing("target"))?,
        (Key::Device, Value::String(text)) => {
            let mut parts = text.split(':');
            let source = parts.next().unwrap_or_default();
            parts.next().unwrap_or(source).to_owned()
        }
        (Key::Port, Value::Object(_)) => format!(
            "{}:{}:{}/{}",
            field("host_ip").unwrap_or_else(|| "0.0.0.0".to_owned()),
            field("published").unwrap_or_default(),
            field("target").ok_or_else(|| missing("target port"))?,
            field("protocol").unwrap_or_else(|| "tcp".to_owned())
        ),
        (Key::Mount(directory), Value::String(text)) => format!("{directory}/{text}"),
        (Key::Mount(directory), Value::Object(_)) => {
            field("target").unwrap_or_else(|| format!("{directory}/{}", field("source").unwrap_or_default()))
        }
        (Key::Path, Value::Object(_)) => field("path").ok_or_else(|| missing("path"))?,
        (_, other) => text_of(other),
    })
}
