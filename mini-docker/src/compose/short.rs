//! The short forms of ports, volumes and devices, written out.

use serde_json::{Value, json};

use super::tree::Mapping;

/// `SOURCE:TARGET[:OPTIONS]`, `TARGET`.
pub(super) fn parse_volume(text: &str) -> Result<Mapping, String> {
    let invalid = |why: &str| Err(format!("invalid spec: {text}: {why}"));
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let sections = sections(text);
    if sections.iter().any(String::is_empty) && text.len() > 2 {
        return invalid("empty section between colons");
    }
    let (source, target, options) = match sections.as_slice() {
        [target] => ("", target.as_str(), ""),
        [source, target] => (source.as_str(), target.as_str(), ""),
        [source, target, options] => (source.as_str(), target.as_str(), options.as_str()),
        _ => return invalid("too many colons"),
    };
    let mut volume = Mapping::new();
    let is_bind = is_path(source);
    volume.insert("type".to_owned(), json!(if is_bind { "bind" } else { "volume" }));
    if !source.is_empty() {
        volume.insert("source".to_owned(), json!(source));
    }
    volume.insert("target".to_owned(), json!(clean(target)));
    let (mut bind, mut named) = (Mapping::new(), Mapping::new());
    for option in options.split(',') {
        match option {
            "ro" => drop(volume.insert("read_only".to_owned(), json!(true))),
            "rw" => drop(volume.remove("read_only")),
            "nocopy" => drop(named.insert("nocopy".to_owned(), json!(true))),
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                bind.insert("propagation".to_owned(), json!(option));
            }
            "z" | "Z" => drop(bind.insert("selinux".to_owned(), json!(option))),
            // The specification lets engines ignore options that they do not know.
            _ => {}
        }
    }
    if is_bind {
        bind.insert("create_host_path".to_owned(), json!(true));
    }
    if is_bind || !bind.is_empty() {
        volume.insert("bind".to_owned(), Value::Object(bind));
    }
    if !is_bind || !named.is_empty() {
        volume.insert("volume".to_owned(), Value::Object(named));
    }
    Ok(volume)
}

/// Parts between colons that are none of a Windows drive or of a variable. `v:/v` is a volume, `c:/v:/v` a drive.
fn sections(text: &str) -> Vec<String> {
    let mut sections = vec![String::new()];
    let mut braces = 0usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        let after = &text[at + c.len_utf8()..];
        let is_letter = sections.last().is_some_and(|section| section.chars().count() == 1) && previous.is_alphabetic();
        let more = after.split_once(':').is_some_and(|(_, rest)| rest.starts_with(['/', '\\']));
        let drive = c == ':' && is_letter && (after.starts_with('\\') || after.starts_with('/') && more);
        match c {
            '{' if previous == '$' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        if c == ':' && !drive && braces == 0 {
            sections.push(String::new());
        } else if let Some(section) = sections.last_mut() {
            section.push(c);
        }
        previous = c;
    }
    sections
}

fn is_path(source: &str) -> bool {
    let mut chars = source.chars();
    let drive = chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':');
    source.starts_with(['.', '/', '~']) || source.starts_with(r"\\") || drive
}

/// A path without `.`, `..` and double slashes.
pub(super) fn clean(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// `[IP:][HOST[-HOST]:]PORT[-PORT][/PROTOCOL]`: an entry for each port.
pub(super) fn parse_port(text: &str) -> Result<Vec<Value>, String> {
    let publish: ports::Publish = text.parse().map_err(|e: ports::PublishError| e.to_string())?;
    let count = publish.container.end() - publish.container.start();
    let mut entries = Vec::new();
    for offset in 0..=count {
        let published = match &publish.host {
            None => String::new(),
            // One port of the container, to be published at any of several.
            Some(host) if count == 0 && host.start() != host.end() => format!("{}-{}", host.start(), host.end()),
            Some(host) => (host.start() + offset).to_string(),
        };
        let mut entry = Mapping::new();
        entry.insert("mode".to_owned(), json!("ingress"));
        if let Some(address) = publish.address {
            entry.insert("host_ip".to_owned(), json!(address.to_string()));
        }
        entry.insert("target".to_owned(), json!(publish.container.start() + offset));
        if !published.is_empty() {
            entry.insert("published".to_owned(), json!(published));
        }
        entry.insert("protocol".to_owned(), json!(publish.protocol.to_string()));
        entries.push(Value::Object(entry));
    }
    // Docker keeps them sorted by the text of the port.
    entries.sort_by_key(|entry| entry["target"].to_string());
    Ok(entries)
}

/// `SOURCE[:TARGET[:PERMISSIONS]]`.
pub(super) fn parse_device(text: &str) -> Result<Value, String> {
    let parts: Vec<_> = text.split(':').collect();
    let (source, target, permissions) = match parts.as_slice() {
        [source] => (*source, *source, "rwm"),
        [source, target] => (*source, *target, "rwm"),
        [source, target, permissions] => (*source, *target, *permissions),
        _ => return Err(format!("confusing device mapping, please use long syntax: {text}")),
    };
    let target = if target.is_empty() { source } else { target };
    Ok(json!({ "source": source, "target": target, "permissions": permissions }))
}
