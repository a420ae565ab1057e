//! How a service's containers are connected.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Service;
use crate::{
    compose::tree::text_of,
    engine::{
        Request,
        container::network::{Endpoint, Network},
        error::Result,
    },
};

impl Service<'_> {
    pub(super) fn fill_network(&self, request: &mut Request, running: &dyn Fn(&str) -> Result<String>) -> Result<()> {
        let address = |key: &str, text: String| {
            text.parse().map_err(|_| self.wrong(key, &format!("{text} is not an ip address")))
        };
        let network = Network {
            domainname: self.text("domainname").unwrap_or_default(),
            exposed: self.texts("expose"),
            dns: self.texts("dns").into_iter().map(|text| address("dns", text)).collect::<Result<_>>()?,
            dns_options: self.texts("dns_opt"),
            dns_search: self.texts("dns_search"),
            extra_hosts: self.texts("extra_hosts").iter().map(|text| text.replacen('=', ":", 1)).collect(),
            publish: self.list("ports").map(port).collect(),
            ..Network::default()
        };
        request.network = network;
        for link in self.texts("links") {
            let (service, alias) = link.split_once(':').unwrap_or((&link, &link));
            let other = self.project.services().find(|(name, _)| *name == service);
            let other = other.ok_or_else(|| self.wrong("links", &format!("there is no service {service:?}")))?;
            let other = Self { project: self.project, name: other.0, keys: other.1 };
            request.network.links.push(format!("{}:{alias}", other.container_name(1)));
        }
        request.network.links.extend(self.texts("external_links"));
        if let Some(mode) = self.text("network_mode") {
            request.network.mode = match mode.strip_prefix("service:") {
                Some(service) => format!("container:{}", running(service)?),
                None => mode,
            };
            if request.network.mode == "bridge" {
                let mac = self.text("mac_address");
                request.network.endpoints.push(Endpoint { network: "bridge".to_owned(), mac, ..Endpoint::default() });
            }
            return Ok(());
        }
        let mut endpoints = Vec::new();
        for (key, how) in self.entries("networks") {
            let text = |key: &str| how.get(key).map(text_of);
            for unknown in ["interface_name", "link_local_ips"] {
                if how.get(unknown).is_some() {
                    return Err(self.wrong(&format!("networks.{key}.{unknown}"), "not supported: leave it out"));
                }
            }
            let aliases = how.get("aliases").and_then(Value::as_array).into_iter().flatten().map(text_of);
            let priority = how.get("priority").and_then(Value::as_i64).unwrap_or(0);
            endpoints.push((
                std::cmp::Reverse(priority),
                Endpoint {
                    network: self.resource("networks", key),
                    aliases: [self.name.to_owned()].into_iter().chain(aliases).collect(),
                    links: Vec::new(),
                    ip: text("ipv4_address").map(|text| address("networks", text)).transpose()?,
                    ip6: text("ipv6_address").map(|text| address("networks", text)).transpose()?,
                    mac: text("mac_address"),
                    gateway_priority: text("gw_priority").and_then(|text| text.parse().ok()).unwrap_or(0),
                    options: how.get("driver_opts").map(options).unwrap_or_default(),
                },
            ));
        }
        endpoints.sort_by_key(|(priority, _)| *priority);
        request.network.endpoints = endpoints.into_iter().map(|(_, endpoint)| endpoint).collect();
        if let (Some(first), Some(mac)) = (request.network.endpoints.first_mut(), self.text("mac_address")) {
            first.mac.get_or_insert(mac);
        }
        let first = request.network.endpoints.first().map(|endpoint| endpoint.network.clone());
        request.network.mode = first.unwrap_or_else(|| "none".to_owned());
        Ok(())
    }
}

fn options(value: &Value) -> BTreeMap<String, String> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text_of(value))).collect()
}

/// A port in the short form.
fn port(port: &Value) -> String {
    let text = |key: &str| port.get(key).map(text_of).filter(|text| !text.is_empty());
    let address = text("host_ip")
        .map_or_else(String::new, |ip| if ip.contains(':') { format!("[{ip}]:") } else { format!("{ip}:") });
    let published = text("published").unwrap_or_default();
    let separator = if address.is_empty() && published.is_empty() { "" } else { ":" };
    format!(
        "{address}{published}{separator}{}/{}",
        text("target").unwrap_or_default(),
        text("protocol").unwrap_or_else(|| "tcp".to_owned())
    )
}
