//! A container's ports as `ps` shows them.

use std::fmt::Write;

use serde_json::Value;

/// A port of the container, and where it is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    inside: u16,
    /// Empty where it is not published.
    address: String,
    outside: u16,
    protocol: String,
}

/// From the document's `NetworkSettings.Ports`: ports that follow one another as a range.
pub(super) fn shown(ports: &Value) -> String {
    let mut groups: Vec<(Port, u16)> = Vec::new();
    let mut done = Vec::new();
    let mut mapped = Vec::new();
    for port in all(ports) {
        if !port.address.is_empty() && port.inside != port.outside {
            mapped.push(format!(
                "{}->{}/{}",
                host(&port.address, &port.outside.to_string()),
                port.inside,
                port.protocol
            ));
            continue;
        }
        let same =
            groups.iter_mut().find(|(first, _)| first.address == port.address && first.protocol == port.protocol);
        match same {
            Some((_, last)) if port.inside == last.saturating_add(1) => *last = port.inside,
            Some(group) => {
                let inside = port.inside;
                done.push(range(&std::mem::replace(group, (port, inside))));
            }
            None => groups.push((port.clone(), port.inside)),
        }
    }
    done.extend(groups.iter().map(range));
    done.extend(mapped);
    done.join(", ")
}

fn all(ports: &Value) -> Vec<Port> {
    let mut all = Vec::new();
    for (key, bindings) in ports.as_object().into_iter().flatten() {
        let Some((Ok(inside), protocol)) = key.split_once('/').map(|(port, protocol)| (port.parse(), protocol)) else {
            continue;
        };
        let unpublished = Port { inside, address: String::new(), outside: 0, protocol: protocol.to_owned() };
        match bindings.as_array() {
            Some(bindings) if !bindings.is_empty() => all.extend(bindings.iter().map(|binding| Port {
                address: binding["HostIp"].as_str().unwrap_or_default().to_owned(),
                outside: binding["HostPort"].as_str().and_then(|port| port.parse().ok()).unwrap_or(0),
                ..unpublished.clone()
            })),
            _ => all.push(unpublished),
        }
    }
    all.sort();
    all
}

/// An address and a port, or a range of them.
fn host(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

fn range((first, last): &(Port, u16)) -> String {
    let mut ports = first.inside.to_string();
    if *last != first.inside {
        // Writing to a String cannot fail.
        let _ = write!(ports, "-{last}");
    }
    match first.address.as_str() {
        "" => format!("{ports}/{}", first.protocol),
        address => format!("{}->{ports}/{}", host(address, &ports), first.protocol),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::shown;

    #[test]
    fn ports_are_ranges_where_they_can() {
        let at = |address: &str, port: &str| json!({ "HostIp": address, "HostPort": port });
        for (ports, text) in [
            (json!(null), ""),
            (json!({ "80/tcp": null, "81/tcp": [], "83/tcp": null, "53/udp": null }), "80-81/tcp, 53/udp, 83/tcp"),
            (json!({ "80/tcp": [at("0.0.0.0", "8080"), at("::", "8080")] }), "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"),
            (json!({ "80/tcp": [at("0.0.0.0", "80")], "81/tcp": [at("0.0.0.0", "81")] }), "0.0.0.0:80-81->80-81/tcp"),
        ] {
            assert_eq!(shown(&ports), text);
        }
    }
}
