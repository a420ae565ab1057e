//! Whether the parts of a project fit together: names that are used exist, and nothing is said twice in two ways.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::tree::{Mapping, Path, section, text_of};
use crate::engine::error::Result;

/// The key of a service, and what is wrong with it.
type Wrong = (&'static str, String);

/// Checks the canonical model; `disabled` are services that no profile asks for.
pub(super) fn check(model: &Mapping, disabled: &Mapping) -> Result<()> {
    let empty = Mapping::new();
    let services = section(model, "services").unwrap_or(&empty);
    let mut containers: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, service) in services {
        let fail = |(key, why): Wrong| {
            let path = ["services", name].into_iter().chain(key.split('.').filter(|part| !part.is_empty()));
            Err(Path::of(&path.collect::<Vec<_>>()).wrong(format!("service {name:?} {why}")))
        };
        let Value::Object(service) = service else {
            return fail(("", "has neither an image nor a build context specified".to_owned()));
        };
        if !["image", "build", "provider"].iter().any(|key| service.contains_key(*key)) {
            return fail(("", "has neither an image nor a build context specified".to_owned()));
        }
        build(service, services).or_else(fail)?;
        references(service, model).or_else(fail)?;
        dependencies(service, services, disabled).or_else(fail)?;
        limits(service).or_else(fail)?;
        mounts(service).or_else(fail)?;
        if let Some(container) = service.get("container_name").and_then(Value::as_str)
            && let Some(other) = containers.insert(container, name)
        {
            let why = format!("has the container name {container:?}, which is already in use by service {other}");
            return fail(("container_name", why));
        }
    }
    for (name, secret) in section(model, "secrets").into_iter().flatten() {
        let has = |key: &str| secret.get(key).is_some();
        if !has("external") && !has("file") && !has("environment") {
            let path = Path::of(&["secrets", name]);
            return Err(path.wrong(format!("secret {name:?} must declare either `file` or `environment`")));
        }
    }
    circles(services)
}

fn build(service: &Mapping, services: &Mapping) -> Result<(), Wrong> {
    let Some(build) = service.get("build") else { return Ok(()) };
    if build.get("dockerfile").is_some() && build.get("dockerfile_inline").is_some() {
        return Err((
            "build.dockerfile_inline",
            "declares mutually exclusive dockerfile and dockerfile_inline".to_owned(),
        ));
    }
    for (context, place) in build.get("additional_contexts").and_then(Value::as_object).into_iter().flatten() {
        let place = text_of(place);
        let Some(other) = place.strip_prefix("service:") else { continue };
        match services.get(other) {
            None => {
                return Err((
                    "build.additional_contexts",
                    format!("declares unknown service {other:?} as additional context {context}"),
                ));
            }
            Some(other_service) if other_service.get("build").is_none() => {
                return Err((
                    "build.additional_contexts",
                    format!("declares non-buildable service {other:?} as additional context {context}"),
                ));
            }
            Some(_) => {}
        }
    }
    let platforms = build.get("platforms").and_then(Value::as_array);
    match (service.get("platform"), platforms) {
        (Some(platform), Some(all)) if !all.is_empty() && !all.contains(platform) => {
            Err(("build.platforms", format!("build.platforms must include its platform {platform}")))
        }
        _ => Ok(()),
    }
}

/// Names of networks, volumes, secrets, configurations and models.
fn references(service: &Mapping, model: &Mapping) -> Result<(), Wrong> {
    let exists = |kind: &str, name: &str| section(model, kind).is_some_and(|all| all.contains_key(name));
    let networks = service.get("networks").and_then(Value::as_object);
    if service.contains_key("network_mode") && networks.is_some_and(|networks| !networks.is_empty()) {
        return Err(("network_mode", "declares mutually exclusive `network_mode` and `networks`".to_owned()));
    }
    if let Some(name) = networks.into_iter().flatten().map(|(name, _)| name).find(|name| !exists("networks", name)) {
        return Err(("networks", format!("refers to undefined network {name}")));
    }
    let list = |of: Option<&Value>| of.and_then(Value::as_array).cloned().unwrap_or_default();
    for volume in list(service.get("volumes")) {
        let source = volume.get("source").map(text_of).unwrap_or_default();
        if volume.get("type") == Some(&json!("volume")) && !source.is_empty() && !exists("volumes", &source) {
            return Err(("volumes", format!("refers to undefined volume {source}")));
        }
    }
    let build_secrets = service.get("build").and_then(|build| build.get("secrets"));
    for (kind, what, files) in [
        ("secrets", "secret", service.get("secrets")),
        ("secrets", "build secret", build_secrets),
        ("configs", "config", service.get("configs")),
    ] {
        for file in list(files) {
            let source = file.get("source").map(text_of).unwrap_or_default();
            if !exists(kind, &source) {
                return Err((
                    if what == "build secret" { "build.secrets" } else { kind },
                    format!("refers to undefined {what} {source}"),
                ));
            }
        }
    }
    let models = service.get("models").and_then(Value::as_object);
    match models.into_iter().flatten().map(|(name, _)| name).find(|name| !exists("models", name)) {
        Some(name) => Err(("models", format!("refers to undefined model {name}"))),
        None => Ok(()),
    }
}

fn dependencies(service: &Mapping, services: &Mapping, disabled: &Mapping) -> Result<(), Wrong> {
    for (name, dependency) in service.get("depends_on").and_then(Value::as_object).into_iter().flatten() {
        let optional = dependency.get("required") == Some(&json!(false));
        let may_be_missing = optional && disabled.contains_key(name);
        if !services.contains_key(name) && !may_be_missing {
            return Err(("depends_on", format!("depends on undefined service {name:?}")));
        }
    }
    let mode = service.get("network_mode").map(text_of).unwrap_or_default();
    if let Some(name) = mode.strip_prefix("service:")
        && !services.contains_key(name)
    {
        return Err(("network_mode", format!("has network_mode service:{name}, and there is no such service")));
    }
    let test = service.get("healthcheck").and_then(|check| check.get("test")).and_then(Value::as_array);
    match test.and_then(|words| words.first()).map(text_of).as_deref() {
        None | Some("CMD" | "CMD-SHELL" | "NONE") => Ok(()),
        Some(_) => Err((
            "healthcheck.test",
            "healthcheck.test must start either by \"CMD\", \"CMD-SHELL\" or \"NONE\"".to_owned(),
        )),
    }
}

/// What may be said on the service and under `deploy` must be the same.
fn limits(service: &Mapping) -> Result<(), Wrong> {
    let deploy = service.get("deploy");
    let replicas = deploy.and_then(|deploy| deploy.get("replicas")).and_then(Value::as_i64);
    let scale = service.get("scale").and_then(Value::as_i64);
    if scale.is_some() && replicas.is_some() && scale != replicas {
        return Err(("scale", "can't set distinct values on 'scale' and 'deploy.replicas'".to_owned()));
    }
    if scale.or(replicas).is_some_and(|count| count < 0) {
        return Err(("scale", "scale and deploy.replicas must be greater than or equal to 0".to_owned()));
    }
    if scale.or(replicas).is_some_and(|count| count > 1) && service.contains_key("container_name") {
        let key = if scale.is_some() { "scale" } else { "deploy.replicas" };
        return Err(("container_name", format!("can't set container_name and {key} as container name must be unique")));
    }
    let resources = deploy.and_then(|deploy| deploy.get("resources"));
    for (key, part, other) in [
        ("cpus", "limits", "cpus"),
        ("mem_limit", "limits", "memory"),
        ("mem_reservation", "reservations", "memory"),
        ("pids_limit", "limits", "pids"),
    ] {
        let part_of = resources.and_then(|resources| resources.get(part));
        if let (Some(own), Some(part_of)) = (service.get(key), part_of)
            && part_of.get(other) != Some(own)
        {
            return Err((key, format!("can't set distinct values on '{key}' and 'deploy.resources.{part}.{other}'")));
        }
    }
    let triggers = service.get("develop").and_then(|develop| develop.get("watch")).and_then(Value::as_array);
    for trigger in triggers.into_iter().flatten() {
        let action = trigger.get("action").map(text_of).unwrap_or_default();
        if trigger.get("target").is_none() && !matches!(action.as_str(), "rebuild" | "restart") {
            return Err(("develop.watch", "develop.watch: target is required for non-rebuild actions".to_owned()));
        }
    }
    Ok(())
}

fn mounts(service: &Mapping) -> Result<(), Wrong> {
    let mut seen: Vec<String> = Vec::new();
    let list = |key: &str| service.get(key).and_then(Value::as_array).into_iter().flatten();
    let tmpfs = list("tmpfs").map(|entry| text_of(entry).split(':').next().unwrap_or_default().to_owned());
    let volumes = list("volumes").map(|volume| volume.get("target").map(text_of).unwrap_or_default());
    for target in tmpfs.chain(volumes) {
        if seen.contains(&target) {
            return Err(("volumes", format!("has two mounts at {target}")));
        }
        seen.push(target);
    }
    Ok(())
}

/// No service may wait for itself.
fn circles(services: &Mapping) -> Result<()> {
    fn visit<'a>(name: &'a str, services: &'a Mapping, way: &mut Vec<&'a str>, done: &mut Vec<&'a str>) -> Result<()> {
        if done.contains(&name) {
            return Ok(());
        }
        if let Some(at) = way.iter().position(|other| *other == name) {
            let path = Path::of(&["services", name, "depends_on"]);
            return Err(path.wrong(format!("dependency cycle detected: {} -> {name}", way[at..].join(" -> "))));
        }
        way.push(name);
        let depends_on = services.get(name).and_then(|s| s.get("depends_on")).and_then(Value::as_object);
        for (other, _) in depends_on.into_iter().flatten() {
            visit(other, services, way, done)?;
        }
        way.pop();
        done.push(name);
        Ok(())
    }
    let mut done = Vec::new();
    services.keys().try_for_each(|name| visit(name, services, &mut Vec::new(), &mut done))
}
