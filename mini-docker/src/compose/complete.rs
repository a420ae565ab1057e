//! What follows from what is written: defaults, names, implied dependencies and networks.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::{
    load::Environment,
    tree::{Mapping, Path, section, text_of},
};
use crate::engine::error::{Error, Result};

/// Fills in what a key has where nothing is said.
pub(super) fn defaults(model: &mut Mapping) {
    each_service(model, |_, service| {
        if let Some(Value::Object(build)) = service.get_mut("build") {
            build.entry("context").or_insert(json!("."));
        }
        each_of(service.get_mut("secrets"), |secret| {
            let target = format!("/run/secrets/{}", secret.get("source").map(text_of).unwrap_or_default());
            secret.entry("target").or_insert(json!(target));
        });
        each_of(service.get_mut("ports"), |port| {
            port.entry("protocol").or_insert(json!("tcp"));
            port.entry("mode").or_insert(json!("ingress"));
        });
        each_of(service.get_mut("gpus"), count_devices);
        let reservations = ["deploy", "resources", "reservations", "devices"];
        let devices = reservations[1..]
            .iter()
            .try_fold(service.get_mut(reservations[0]), |value, key| Some(value?.get_mut(*key)))
            .flatten();
        each_of(devices, count_devices);
    });
}

fn count_devices(request: &mut Mapping) {
    if !request.contains_key("count") && !request.contains_key("device_ids") {
        request.insert("count".to_owned(), json!("all"));
    }
}

/// What the shape alone cannot tell: keys that exclude each other, addresses that are none.
pub(super) fn check(model: &Mapping) -> Result<()> {
    for (kind, keys) in [("configs", &["file", "environment", "content"][..]), ("secrets", &["file", "environment"])] {
        for (name, resource) in section(model, kind).into_iter().flatten() {
            let Value::Object(resource) = resource else { continue };
            let set = keys.iter().filter(|key| resource.contains_key(**key)).count();
            if set > 1 {
                return Err(wrong(kind, name, &format!("{} attributes are mutually exclusive", keys.join("|"))));
            }
            if set == 0 && !resource.contains_key("external") && !resource.contains_key("driver") {
                return Err(wrong(kind, name, &format!("one of {} must be set", keys.join("|"))));
            }
        }
    }
    for (name, volume) in section(model, "volumes").into_iter().flatten() {
        let Value::Object(volume) = volume else { continue };
        let other = |key: &&String| !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-");
        if volume.get("external") == Some(&json!(true))
            && let Some(key) = volume.keys().find(other)
        {
            let why = format!("conflicting parameters \"external\" and {key:?} specified");
            return Err(wrong("volumes", name, &why));
        }
    }
    for (name, service) in section(model, "services").into_iter().flatten() {
        check_service(name, service)?;
    }
    Ok(())
}

fn wrong(kind: &str, name: &str, why: &str) -> Error {
    Path::of(&[kind, name]).wrong(why)
}

fn check_service(name: &str, service: &Value) -> Result<()> {
    let list = |key: &str| service.get(key).and_then(Value::as_array).into_iter().flatten();
    for port in list("ports") {
        if let Some(address) = port.get("host_ip").map(text_of)
            && address.parse::<IpAddr>().is_err()
        {
            return Err(wrong("services", name, &format!("ports: invalid ip address: {address}")));
        }
    }
    let watch = service.get("develop").and_then(|develop| develop.get("watch")).and_then(Value::as_array);
    if watch.into_iter().flatten().any(|trigger| trigger.get("path") == Some(&json!(""))) {
        return Err(wrong("services", name, "develop.watch.path: value can't be blank"));
    }
    for volume in list("volumes") {
        if volume.get("type") == Some(&json!("bind")) && volume.get("source").is_none() {
            return Err(wrong("services", name, "invalid mount config for type \"bind\": source must not be empty"));
        }
    }
    let resources = service.get("deploy").and_then(|deploy| deploy.get("resources"));
    let reserved = resources.and_then(|resources| resources.get("reservations")).and_then(|r| r.get("devices"));
    let requests = reserved.and_then(Value::as_array).into_iter().flatten().chain(list("gpus"));
    for request in requests {
        if request.get("count").is_some() && request.get("device_ids").is_some() {
            return Err(wrong("services", name, "\"count\" and \"device_ids\" attributes are exclusive"));
        }
    }
    Ok(())
}

/// Values that come from variables without being written as such.
pub(super) fn environment(model: &mut Mapping, environment: &Environment) {
    each_service(model, |_, service| {
        if let Some(Value::Array(variables)) = service.get_mut("environment") {
            for variable in variables {
                if let Value::String(name) = variable
                    && let Some(value) = environment.get(name)
                {
                    *name = format!("{name}={value}");
                }
            }
        }
    });
    if let Some(Value::Object(configs)) = model.get_mut("configs") {
        for config in configs.values_mut().filter_map(Value::as_object_mut) {
            if let Some(value) = config.get("environment").and_then(|name| environment.get(name.as_str()?)) {
                config.insert("content".to_owned(), json!(value));
            }
        }
    }
}

/// Gives everything its name, every service its networks and its implied dependencies.
pub(super) fn normalise(model: &mut Mapping, project: &str, environment: &Environment) {
    networks(model);
    each_service(model, |_, service| {
        if service.get("pull_policy") == Some(&json!("if_not_present")) {
            service.insert("pull_policy".to_owned(), json!("missing"));
        }
        if let Some(Value::Object(build)) = service.get_mut("build") {
            build.entry("context").or_insert(json!("."));
            if !build.contains_key("dockerfile_inline") {
                build.entry("dockerfile").or_insert(json!("Dockerfile"));
            }
            if let Some(args) = build.get_mut("args") {
                resolve(args, environment, false);
            }
        }
        if let Some(variables) = service.get_mut("environment") {
            resolve(variables, environment, true);
        }
        dependencies(service);
        inherit_image(service);
    });
    for kind in ["networks", "volumes", "configs", "secrets"] {
        let Some(Value::Object(resources)) = model.get_mut(kind) else { continue };
        for (key, resource) in resources {
            if !resource.is_object() {
                *resource = json!({});
            }
            let Value::Object(resource) = resource else { continue };
            if resource.get("name").is_none_or(Value::is_null) {
                let external = resource.get("external").is_some_and(|e| text_of(e) == "true");
                let name = if external { key.clone() } else { format!("{project}_{key}") };
                resource.insert("name".to_owned(), json!(name));
            }
        }
    }
}

/// A hook before the start runs in the service's image, unless it names another.
fn inherit_image(service: &mut Mapping) {
    let Some(image) = service.get("image").cloned() else { return };
    each_of(service.get_mut("pre_start"), |hook| {
        hook.entry("image").or_insert_with(|| image.clone());
    });
}

fn networks(model: &mut Mapping) {
    let mut default = false;
    each_service(model, |_, service| {
        if service.contains_key("provider") || service.contains_key("network_mode") {
            return;
        }
        let networks = service.entry("networks").or_insert_with(|| json!({ "default": null }));
        if networks.as_object().is_none_or(Mapping::is_empty) {
            *networks = json!({ "default": null });
        }
        default |= networks.get("default").is_some();
    });
    if default {
        let networks = model.entry("networks").or_insert_with(|| json!({}));
        if let Value::Object(networks) = networks {
            networks.entry("default").or_insert(Value::Null);
        }
    }
}

/// Variables without a value: the environment's, or none.
fn resolve(variables: &mut Value, environment: &Environment, keep: bool) {
    match variables {
        Value::Array(list) => list.retain_mut(|entry| {
            let name = text_of(entry);
            if name.contains('=') {
                return true;
            }
            match environment.get(&name) {
                Some(value) => *entry = json!(format!("{name}={value}")),
                None => return keep,
            }
            true
        }),
        Value::Object(mapping) => mapping.retain(|name, value| {
            if value.is_null() {
                *value = environment.get(name).map_or(Value::Null, Value::String);
            }
            keep || !value.is_null()
        }),
        _ => {}
    }
}

/// Links and shared namespaces and volumes make a service depend on another.
fn dependencies(service: &mut Mapping) {
    let mut implied: Vec<(String, bool)> = Vec::new();
    let texts = |key: &str| service.get(key).and_then(Value::as_array).into_iter().flatten().map(text_of);
    implied.extend(texts("links").map(|link| (link.split(':').next().unwrap_or_default().to_owned(), true)));
    for key in ["network_mode", "ipc", "pid", "uts", "cgroup"] {
        let mode = service.get(key).map(text_of).unwrap_or_default();
        implied.extend(mode.strip_prefix("service:").map(|name| (name.to_owned(), true)));
    }
    for source in texts("volumes_from").filter(|source| !source.starts_with("container:")) {
        implied.push((source.split(':').next().unwrap_or_default().to_owned(), false));
    }
    if implied.is_empty() {
        return;
    }
    let depends_on = service.entry("depends_on").or_insert_with(|| json!({}));
    if let Value::Object(depends_on) = depends_on {
        for (name, restart) in implied {
            depends_on
                .entry(name)
                .or_insert_with(|| json!({ "condition": "service_started", "restart": restart, "required": true }));
        }
    }
}

fn each_service(model: &mut Mapping, mut act: impl FnMut(&str, &mut Mapping)) {
    if let Some(Value::Object(services)) = model.get_mut("services") {
        for (name, service) in services {
            if let Value::Object(service) = service {
                act(name, service);
            }
        }
    }
}

fn each_of(list: Option<&mut Value>, act: impl FnMut(&mut Mapping)) {
    let items = list.and_then(Value::as_array_mut).into_iter().flatten();
    items.filter_map(Value::as_object_mut).for_each(act);
}
