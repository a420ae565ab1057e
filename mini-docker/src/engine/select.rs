//! Which containers `ps` and the prunes mean.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    Engine,
    container::{Container, State},
    error::{Error, Kind, Result},
    events::Type,
    filter::{Filters, invalid},
    image::Listed,
};

/// The keys of `ps --filter`.
pub const KEYS: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

/// The keys of `container prune --filter`, and of `system prune`.
pub const PRUNE_KEYS: [&str; 3] = ["label", "label!", "until"];

/// The states that `status` takes: Docker's.
const STATES: [&str; 7] = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];

/// The keys that only the whole document answers, which takes longer than to read the container.
const OF_DOCUMENT: [&str; 5] = ["expose", "health", "network", "publish", "volume"];

impl Engine {
    /// Containers that the filters want, the newest first; without `all` or a filter for states only those that run. At
    /// most `limit`, which counts all states.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a value that a filter cannot have, [`Kind::NotFound`] for a container that a filter names.
    pub fn select(&self, filters: &Filters, all: bool, limit: Option<usize>) -> Result<Vec<Container>> {
        let exited = check(filters)?;
        let all = all || limit.is_some() || filters.has("status");
        // None is one of Swarm's.
        let is_task = filters.switch("is-task")? == Some(true);
        let images = self.descendants(filters.values("ancestor"))?;
        let mut selected = Vec::new();
        let needs_document = OF_DOCUMENT.iter().any(|key| filters.has(key));
        let containers = self.containers()?;
        let (before, since) = (self.bound(filters, "before")?, self.bound(filters, "since")?);
        for container in between(containers, before.as_ref(), since.as_ref()) {
            let (config, status) = (&container.config, &container.status);
            // Linux has one kind of isolation.
            let wanted = !is_task
                && filters.exact("isolation", "default")
                && (all || status.state.is_active())
                && filters.exact("status", status.state.name())
                && (!filters.has("exited") || (status.state == State::Exited && exited.contains(&status.exit_code)))
                && filters.found_in("id", &config.id)
                && (filters.found_in("name", &config.name) || filters.found_in("name", &format!("/{}", config.name)))
                && filters.labels(&config.labels)
                && (!filters.has("ancestor") || images.contains(&config.image));
            if !wanted {
                continue;
            }
            if !needs_document || is_like(filters, &self.inspect_container(&container)) {
                selected.push(container);
            }
            if limit == Some(selected.len()) {
                break;
            }
        }
        Ok(selected)
    }

    /// Removes containers that do not run and that the filters want. Their ids, and how many bytes they had written.
    pub fn prune_containers(&self, filters: &Filters) -> Result<(Vec<String>, u64)> {
        let until = filters.until()?;
        let mut pruned = (Vec::new(), 0);
        for container in self.containers()? {
            let config = &container.config;
            let is_meant = !container.status.state.is_active()
                && until.is_none_or(|until| config.created < until)
                && filters.labels(&config.labels);
            if !is_meant {
                continue;
            }
            let written = self.written(&container)?;
            match self.remove(&container, false, false) {
                Ok(()) => {
                    pruned.0.push(config.id.clone());
                    pruned.1 += written;
                }
                // Started or removed in the meantime.
                Err(e) if matches!(e.kind, Kind::Conflict | Kind::NotFound) => {}
                Err(e) => return Err(e),
            }
        }
        self.emit_prune(Type::Container, pruned.1);
        Ok(pruned)
    }

    /// The id of the container that a filter names.
    fn bound(&self, filters: &Filters, key: &str) -> Result<Option<String>> {
        filters.values(key).last().map(|name| self.container_id(name)).transpose()
    }

    /// The images of these names, and those that were built from them.
    fn descendants(&self, names: &[String]) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for name in names {
            let ancestor = match self.image(name) {
                // Docker shows nothing then.
                Err(e) if matches!(e.kind, Kind::NotFound | Kind::Invalid) => continue,
                image => image?,
            };
            for Listed { image, .. } in self.images()? {
                let (ours, theirs) = (&ancestor.config, &image.config);
                let is_built_from = theirs.rootfs.diff_ids.starts_with(&ours.rootfs.diff_ids)
                    && theirs.history.len() > ours.history.len();
                if is_built_from {
                    found.insert(image.id);
                }
            }
            found.insert(ancestor.id);
        }
        Ok(found)
    }
}

/// Refuses values that make no sense. The exit codes of `exited`.
fn check(filters: &Filters) -> Result<Vec<i32>> {
    if let Some(state) = filters.values("status").iter().find(|state| !STATES.contains(&state.as_str())) {
        return Err(Error::invalid(format!("invalid filter 'status={state}': there are {}", STATES.join(", "))));
    }
    let healths = ["starting", "healthy", "unhealthy", "none"];
    if let Some(health) = filters.values("health").iter().find(|health| !healths.contains(&health.as_str())) {
        return Err(invalid("health", health));
    }
    for key in ["publish", "expose"] {
        if let Some(port) = filters.values(key).iter().find(|port| parse_ports(port).is_none()) {
            return Err(invalid(key, port));
        }
    }
    filters.values("exited").iter().map(|code| code.parse().map_err(|_| invalid("exited", code))).collect()
}

/// Those older than one and younger than another, of a list with the newest first.
fn between(
    containers: Vec<Container>,
    before: Option<&String>,
    since: Option<&String>,
) -> impl Iterator<Item = Container> {
    let place = |id: &String| containers.iter().position(|container| container.config.id == *id);
    let first = before.and_then(place).map_or(0, |at| at + 1);
    let last = since.and_then(place).unwrap_or(containers.len());
    containers.into_iter().take(last).skip(first)
}

/// What only the whole document tells.
fn is_like(filters: &Filters, document: &Value) -> bool {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let volume = |wanted: &str| {
        let mounts = document["Mounts"].as_array().into_iter().flatten();
        let mut places =
            mounts.flat_map(|mount| [text(&mount["Name"]), text(&mount["Source"]), text(&mount["Destination"])]);
        places.any(|place| place == wanted)
    };
    let network = |wanted: &str| {
        let mut networks = document["NetworkSettings"]["Networks"].as_object().into_iter().flatten();
        networks.any(|(name, network)| {
            name == wanted || (wanted.len() >= 12 && text(&network["NetworkID"]).starts_with(wanted))
        })
    };
    let health = document["State"]["Health"]["Status"].as_str().unwrap_or("none");
    filters.any("volume", volume)
        && filters.any("network", network)
        && filters.exact("health", health)
        && filters.any("publish", |wanted| {
            has_port(&document["HostConfig"]["PortBindings"], wanted) || has_published(document, wanted)
        })
        && filters.any("expose", |wanted| {
            has_port(&document["Config"]["ExposedPorts"], wanted)
                || has_port(&document["NetworkSettings"]["Ports"], wanted)
        })
}

/// `PORT[-PORT][/PROTOCOL]`.
fn parse_ports(text: &str) -> Option<(std::ops::RangeInclusive<u16>, &str)> {
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty() && matches!(protocol, "tcp" | "udp" | "sctp")).then_some((range, protocol))
}

/// Whether a map by `PORT/PROTOCOL` has one of these ports.
fn has_port(ports: &Value, wanted: &str) -> bool {
    let Some((range, protocol)) = parse_ports(wanted) else { return false };
    let mut keys = ports.as_object().into_iter().flatten().filter_map(|(key, _)| parse_ports(key));
    keys.any(|(port, other)| other == protocol && range.contains(port.start()))
}

/// Whether one of these ports is published now, on whichever port of the host.
fn has_published(document: &Value, wanted: &str) -> bool {
    let ports = document["NetworkSettings"]["Ports"].as_object().into_iter().flatten();
    ports.filter(|(_, bindings)| bindings.as_array().is_some_and(|list| !list.is_empty())).any(|(key, _)| {
        let key = serde_json::json!({ key.as_str(): null });
        has_port(&key, wanted)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_tell_mounts_networks_and_ports() {
        let document = json!({
            "State": { "Health": { "Status": "healthy" } },
            "HostConfig": { "PortBindings": { "80/tcp": [{ "HostPort": "8080" }] } },
            "Config": { "ExposedPorts": { "80/tcp": {}, "90/udp": {} } },
            "Mounts": [{ "Type": "volume", "Name": "data", "Source": "/s", "Destination": "/d" }],
            "NetworkSettings": { "Ports": { "81/tcp": [{ "HostPort": "9" }], "82/tcp": null }, "Networks": { "bridge": {} } },
        });
        for (text, is_it) in [
            ("volume=data", true),
            ("volume=/d", true),
            ("volume=dat", false),
            ("network=bridge", true),
            ("network=host", false),
            ("health=healthy", true),
            ("health=none", false),
            ("publish=80", true),
            ("publish=70-81/tcp", true),
            ("publish=82", false),
            ("publish=80/udp", false),
            ("expose=90/udp", true),
            ("expose=82", true),
            ("expose=91", false),
        ] {
            let filters = Filters::parse(&[text.to_owned()], &KEYS).expect(text);
            assert_eq!(is_like(&filters, &document), is_it, "{text}");
        }
        for text in ["status=rubbish", "exited=x", "health=x", "publish=x", "expose=2-1"] {
            assert!(check(&Filters::parse(&[text.to_owned()], &KEYS).expect(text)).is_err(), "{text}");
        }
    }
}
