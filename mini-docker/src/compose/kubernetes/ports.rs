//! How a service is found, and what it publishes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Export, names};
use crate::compose::tree::text_of;

/// A port: its name, its number and its protocol.
type Port = (String, u16, String);

impl Export<'_> {
    /// The ports of the container: those published, and those exposed.
    fn targets(&self) -> Vec<Port> {
        let mut ports: BTreeMap<(u16, String), String> = BTreeMap::new();
        for port in self.list("ports") {
            let text = |key: &str| port.get(key).map(text_of).filter(|text| !text.is_empty());
            let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
            if let Some(number) = text("target").and_then(|text| text.parse().ok()) {
                let name =
                    text("name").filter(|name| names::is_port(name) && !ports.values().any(|other| other == name));
                let name = name.unwrap_or_else(|| format!("{protocol}-{number}"));
                ports.entry((number, protocol)).or_insert(name);
            }
        }
        for text in self.list("expose").iter().map(text_of) {
            let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
            let mut ends = number.splitn(2, '-').filter_map(|end| end.parse::<u16>().ok());
            let Some(first) = ends.next() else { continue };
            for number in first..=ends.next().unwrap_or(first) {
                ports.entry((number, protocol.to_owned())).or_insert_with(|| format!("{protocol}-{number}"));
            }
        }
        ports.into_iter().map(|((number, protocol), name)| (name, number, protocol.to_uppercase())).collect()
    }

    pub(super) fn container_ports(&self) -> Vec<Value> {
        let port = |(name, number, protocol)| json!({ "name": name, "containerPort": number, "protocol": protocol });
        self.targets().into_iter().map(port).collect()
    }

    /// The Services: by its name and each alias, and for what it publishes.
    pub(super) fn services(&mut self) -> Vec<Value> {
        let ports: Vec<_> = self
            .targets()
            .into_iter()
            .map(|(name, number, protocol)| {
                json!({ "name": name, "port": number, "targetPort": number, "protocol": protocol })
            })
            .collect();
        let mut all: Vec<String> = vec![self.name().to_owned()];
        for (_, network) in self.entries("networks") {
            for alias in network.get("aliases").and_then(Value::as_array).into_iter().flatten().map(text_of) {
                let name = names::label(&alias);
                if name != alias {
                    self.note("networks", &format!("the alias {alias:?} is called {name:?} there"));
                }
                if !all.contains(&name) {
                    all.push(name);
                }
            }
            for key in ["ipv4_address", "ipv6_address", "mac_address"] {
                if network.get(key).is_some() {
                    self.note("networks", &format!("{key}: the cluster gives addresses"));
                }
            }
        }
        let mut services: Vec<_> = all.iter().map(|name| self.inner(name, &ports)).collect();
        services.extend(self.published());
        services
    }

    /// By which the others find it. Without ports that are known, its name leads to the pods themselves.
    fn inner(&self, name: &str, ports: &[Value]) -> Value {
        let mut spec = json!({ "selector": self.labels() });
        if ports.is_empty() {
            spec["clusterIP"] = json!("None");
        } else {
            spec["ports"] = json!(ports);
        }
        let metadata = json!({ "name": name, "labels": self.labels() });
        json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec })
    }

    /// By which the world does, at the ports of the host.
    fn published(&mut self) -> Option<Value> {
        let mut ports: Vec<Value> = Vec::new();
        for port in self.list("ports") {
            let text = |key: &str| port.get(key).map(text_of).filter(|text| !text.is_empty());
            let (Some(target), Some(published)) = (text("target"), text("published")) else { continue };
            if let Some(address) = text("host_ip").filter(|address| !["0.0.0.0", "::"].contains(&address.as_str())) {
                let command = format!("kubectl port-forward service/{} {published}:{target}", self.name());
                self.note("ports", &format!("{published} is on {address} alone: {command}"));
                continue;
            }
            let protocol = text("protocol").unwrap_or_else(|| "tcp".to_owned());
            match (published.parse::<u16>(), target.parse::<u16>()) {
                (Ok(published), Ok(target)) if published > 0 => ports.push(json!({
                    "name": format!("{protocol}-{published}"), "port": published, "targetPort": target,
                    "protocol": protocol.to_uppercase(),
                })),
                _ => self.note("ports", &format!("{published:?} is no single port")),
            }
        }
        ports.dedup();
        if ports.is_empty() {
            return None;
        }
        let name = names::label(&format!("{:.53}-published", self.name()));
        let metadata = json!({ "name": name, "labels": self.labels() });
        let spec = json!({ "type": "LoadBalancer", "selector": self.labels(), "ports": ports });
        Some(json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec }))
    }
}
