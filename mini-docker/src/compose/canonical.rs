//! One long form of everything that has a short one.

use serde_json::{Value, json};

use super::{
    short::{clean, parse_device, parse_port, parse_volume},
    tree::{Mapping, Path, kind_of, text_of},
};
use crate::engine::error::Result;

/// A key with a short form.
#[derive(Debug, Clone, Copy)]
enum Form {
    AdditionalContexts,
    Build,
    DependsOn,
    Devices,
    EnvFile,
    External,
    FileMount,
    Gpus,
    Names,
    Ports,
    Ssh,
    TextOrFlag,
    TextOrList,
    Volumes,
}

const FORMS: &[(&str, Form)] = &[
    ("services.*.build", Form::Build),
    ("services.*.build.secrets.*", Form::FileMount),
    ("services.*.build.provenance", Form::TextOrFlag),
    ("services.*.build.sbom", Form::TextOrFlag),
    ("services.*.build.additional_contexts", Form::AdditionalContexts),
    ("services.*.build.ssh", Form::Ssh),
    ("services.*.depends_on", Form::DependsOn),
    ("services.*.env_file", Form::EnvFile),
    ("services.*.label_file", Form::TextOrList),
    ("services.*.gpus", Form::Gpus),
    ("services.*.networks", Form::Names),
    ("services.*.models", Form::Names),
    ("services.*.volumes.*", Form::Volumes),
    ("services.*.dns", Form::TextOrList),
    ("services.*.devices.*", Form::Devices),
    ("services.*.secrets.*", Form::FileMount),
    ("services.*.configs.*", Form::FileMount),
    ("services.*.ports", Form::Ports),
    ("services.*.develop.watch.*.ignore", Form::TextOrList),
    ("services.*.develop.watch.*.include", Form::TextOrList),
    ("volumes.*", Form::External),
    ("networks.*", Form::External),
    ("secrets.*", Form::External),
    ("configs.*", Form::External),
];

/// Writes every short form out.
pub(super) fn canonical(model: &mut Mapping) -> Result<()> {
    model.iter_mut().try_for_each(|(key, value)| walk(value, &Path::default().next(key)))
}

fn walk(value: &mut Value, path: &Path) -> Result<()> {
    if let Some(form) = path.find(FORMS) {
        let written = write_out(*form, value.take(), path);
        *value = written.map_err(|why| path.wrong(why))?;
    }
    match value {
        Value::Object(below) => below.iter_mut().try_for_each(|(key, value)| walk(value, &path.next(key))),
        Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(at, item)| walk(item, &path.element(at))),
        _ => Ok(()),
    }
}

fn write_out(form: Form, value: Value, path: &Path) -> Result<Value, String> {
    let unexpected = |value: &Value| Err(format!("{} makes no sense here", kind_of(value)));
    Ok(match (form, value) {
        (Form::Build, Value::String(context)) => json!({ "context": context }),
        (Form::DependsOn, Value::Array(names)) => {
            let usual = json!({ "condition": "service_started", "required": true });
            Value::Object(names.iter().map(|name| (text_of(name), usual.clone())).collect())
        }
        (Form::DependsOn, Value::Object(mut services)) => {
            for (name, dependency) in &mut services {
                let Value::Object(dependency) = dependency else {
                    return Err(format!("{name} needs a condition"));
                };
                dependency.entry("condition").or_insert(json!("service_started"));
                dependency.entry("required").or_insert(json!(true));
            }
            Value::Object(services)
        }
        (Form::EnvFile, Value::String(path)) => json!([{ "path": path, "required": true }]),
        (Form::EnvFile, Value::Array(files)) => Value::Array(files.into_iter().map(env_file).collect()),
        (Form::External, Value::Object(resource)) => Value::Object(external(resource)?),
        (Form::FileMount, Value::String(source)) => json!({ "source": source }),
        (Form::Gpus, Value::String(_)) => json!([{ "count": "all" }]),
        (Form::Names, Value::Array(names)) => {
            Value::Object(names.iter().map(|name| (text_of(name), Value::Null)).collect())
        }
        (Form::AdditionalContexts, Value::Array(list)) => {
            let pair = |entry: &Value| {
                let text = text_of(entry);
                let (name, context) = text.split_once('=').unwrap_or((&text, ""));
                (name.to_owned(), json!(context))
            };
            Value::Object(list.iter().map(pair).collect())
        }
        (Form::Ports, Value::Array(ports)) => {
            let mut entries = Vec::new();
            for port in ports {
                match port {
                    Value::Object(_) => entries.push(port),
                    Value::String(_) | Value::Number(_) => entries.extend(parse_port(&text_of(&port))?),
                    other => return unexpected(&other),
                }
            }
            Value::Array(entries)
        }
        (Form::Ssh, Value::Array(keys)) => Value::Object(ssh(&keys)?),
        (Form::TextOrFlag, value) => Value::String(text_of(&value)),
        (Form::TextOrList, text @ Value::String(_)) => json!([text]),
        (Form::Volumes, Value::String(text)) => Value::Object(parse_volume(&text)?),
        (Form::Volumes, Value::Object(mut volume)) => {
            if let Some(Value::String(target)) = volume.get_mut("target") {
                *target = clean(target);
            }
            Value::Object(volume)
        }
        (Form::Devices, Value::String(text)) => parse_device(&text)?,
        (Form::DependsOn | Form::EnvFile | Form::Ports | Form::Ssh | Form::Gpus | Form::Build, value)
            if !matches!(value, Value::Object(_) | Value::Array(_) | Value::Null) =>
        {
            return unexpected(&value);
        }
        (Form::External, value) if !value.is_null() => {
            return Err(format!("{path} must be a mapping"));
        }
        (_, value) => value,
    })
}

fn env_file(file: Value) -> Value {
    match file {
        Value::String(path) => json!({ "path": path, "required": true }),
        Value::Object(mut file) => {
            file.entry("required").or_insert(json!(true));
            Value::Object(file)
        }
        other => other,
    }
}

/// `external: {name: X}` is the deprecated way to say `external: true` and `name: X`.
fn external(mut resource: Mapping) -> Result<Mapping, String> {
    if let Some(Value::Object(named)) = resource.get("external") {
        let name = named.get("name").cloned();
        resource.insert("external".to_owned(), json!(true));
        if let Some(name) = name {
            match resource.get("name") {
                Some(other) if *other != name => {
                    return Err("name and external.name conflict; only use name".to_owned());
                }
                _ => drop(resource.insert("name".to_owned(), name)),
            }
        }
    }
    Ok(resource)
}

fn ssh(keys: &[Value]) -> Result<Mapping, String> {
    keys.iter()
        .map(|key| match text_of(key).split_once('=') {
            Some((id, path)) => Ok((id.to_owned(), json!(path))),
            None if key == "default" => Ok(("default".to_owned(), Value::Null)),
            None => Err(format!("invalid ssh key {key}: write ID=PATH, or default")),
        })
        .collect()
}
