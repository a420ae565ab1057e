//! A project's networks and volumes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    execute::{Running, VERSION},
    service::Service,
    tree::text_of,
};
use crate::engine::{
    digest::Digest,
    error::{Error, Kind, Result},
    network,
    volume::NewVolume,
};

/// The label that tells from what description something was made.
const HASH: &str = "config-hash";

fn hash(resource: &Value) -> String {
    Digest::of(resource.to_string().as_bytes()).hex().to_owned()
}

impl<'a> Running<'a> {
    /// Networks or volumes of the description: key and what is said of it.
    pub(super) fn resources(&self, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.project.model.get(kind).and_then(Value::as_object).into_iter().flatten()
    }

    /// Those of them that these services use, or all where the user says so.
    pub(super) fn used(&self, kind: &str, by: &[Service]) -> impl Iterator<Item = (&'a String, &'a Value)> {
        let all = self.manner.all_resources;
        self.resources(kind).filter(move |(key, _)| all || by.iter().any(|service| service.uses(kind, key)))
    }

    /// The networks of these services that are described in another way than they were made.
    pub(super) fn outdated_networks(&self, by: &[Service]) -> Result<Vec<network::Config>> {
        let mut outdated = Vec::new();
        for (_, network) in self.used("networks", by).filter(|(_, network)| !is(network, "external")) {
            match self.engine.network(&text(network, "name")) {
                Ok(found) if self.is_outdated(&found.labels, network) => outdated.push(found),
                Err(e) if e.kind != Kind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(outdated)
    }

    /// Whether what has these labels was made by this project, from another description.
    fn is_outdated(&self, labels: &BTreeMap<String, String>, resource: &Value) -> bool {
        let label = |key: &str| labels.get(&format!("com.docker.compose.{key}"));
        label("project") == Some(&self.project.name) && label(HASH).is_some_and(|made| *made != hash(resource))
    }

    /// Makes the networks of these services that are missing.
    pub fn make_networks(&self, by: &[Service]) -> Result<()> {
        for (key, network) in self.used("networks", by) {
            let name = text(network, "name");
            match self.engine.network(&name) {
                Ok(_) => continue,
                Err(e) if e.kind != Kind::NotFound => return Err(e),
                Err(_) if is(network, "external") => {
                    return Err(Error::not_found(format!(
                        "network {name} declared as external, but could not be found: make it (mini-docker network create {name})"
                    )));
                }
                Err(_) => {}
            }
            let pools = network.pointer("/ipam/config").and_then(Value::as_array).into_iter().flatten();
            let pools: Vec<_> = pools.collect();
            let of = |part: &str| pools.iter().map(|pool| text(pool, part)).filter(|t| !t.is_empty()).collect();
            let reserved = pools.iter().flat_map(|pool| pairs(pool, "aux_addresses")).collect();
            self.say("Network", &name, "Creating");
            let made = self.engine.create_network(&network::Request {
                name: name.clone(),
                driver: text(network, "driver"),
                subnets: of("subnet"),
                gateways: of("gateway"),
                ranges: of("ip_range"),
                reserved,
                ipv4: network.get("enable_ipv4") != Some(&Value::Bool(false)),
                ipv6: is(network, "enable_ipv6"),
                internal: is(network, "internal"),
                attachable: is(network, "attachable"),
                labels: self.labels(network, "network", key),
                options: pairs(network, "driver_opts"),
                ..network::Request::default()
            });
            made.map_err(|e| self.at("networks", key, &e))?;
            self.say("Network", &name, "Created");
        }
        Ok(())
    }

    /// Makes the volumes of these services that are missing.
    pub fn make_volumes(&self, by: &[Service]) -> Result<()> {
        for (key, volume) in self.used("volumes", by) {
            let name = text(volume, "name");
            if is(volume, "external") {
                self.engine.volume(&name).map_err(|e| match e.kind {
                    Kind::NotFound => Error::not_found(format!(
                        "external volume {name:?} not found: make it (mini-docker volume create {name})"
                    )),
                    _ => e,
                })?;
                continue;
            }
            match self.engine.volume(&name) {
                Ok(found) => {
                    if self.is_outdated(&found.labels, volume) {
                        let place = self.project.place(&["volumes", key]);
                        tell!(
                            "mini-docker: warning: {place}volumes.{key}: it was made from another description, and is used as it is: remove it to have it made anew (mini-docker compose down, then mini-docker volume rm {name})"
                        );
                    }
                    continue;
                }
                Err(e) if e.kind != Kind::NotFound => return Err(e),
                Err(_) => {}
            }
            self.say("Volume", &name, "Creating");
            let made = self.engine.create_volume(NewVolume {
                name: name.clone(),
                driver: text(volume, "driver"),
                labels: self.labels(volume, "volume", key),
                options: pairs(volume, "driver_opts"),
                anonymous: false,
            });
            made.map_err(|e| self.at("volumes", key, &e))?;
            self.say("Volume", &name, "Created");
        }
        Ok(())
    }

    /// The same error, with the place of a network or volume.
    fn at(&self, kind: &str, key: &str, error: &Error) -> Error {
        Error::new(error.kind, format!("{}{kind}.{key}: {error}", self.project.place(&[kind, key])))
    }

    fn labels(&self, resource: &Value, kind: &str, key: &str) -> BTreeMap<String, String> {
        let mut labels = pairs(resource, "labels");
        labels.insert("com.docker.compose.project".to_owned(), self.project.name.clone());
        labels.insert(format!("com.docker.compose.{kind}"), key.to_owned());
        labels.insert(format!("com.docker.compose.{HASH}"), hash(resource));
        labels.insert("com.docker.compose.version".to_owned(), VERSION.to_owned());
        labels
    }
}

pub(super) fn text(value: &Value, key: &str) -> String {
    value.get(key).map(text_of).unwrap_or_default()
}

pub(super) fn is(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

pub(super) fn pairs(value: &Value, key: &str) -> BTreeMap<String, String> {
    let all = value.get(key).and_then(Value::as_object).into_iter().flatten();
    all.map(|(key, value)| (key.clone(), text_of(value))).collect()
}
