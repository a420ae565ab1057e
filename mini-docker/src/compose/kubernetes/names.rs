//! What things may be called: names of DNS, labels, and ports.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    compose::Project,
    engine::error::{Error, Result},
};

/// The longest label of DNS.
const LONGEST: usize = 63;
/// The longest name of a port.
const LONGEST_PORT: usize = 15;

/// The names of a project's objects, by what they are and the file's keys.
#[derive(Debug)]
pub(super) struct Names(BTreeMap<(&'static str, String), String>);

impl Names {
    /// # Errors
    /// Where two keys become one name.
    pub(super) fn new(project: &Project) -> Result<Self> {
        let mut names = BTreeMap::new();
        for kind in ["services", "volumes", "secrets", "configs"] {
            let mut taken: BTreeMap<String, String> = BTreeMap::new();
            for (key, resource) in project.model.get(kind).and_then(Value::as_object).into_iter().flatten() {
                // One that exists keeps its own name.
                let own = resource.get("name").and_then(Value::as_str);
                let external = resource.get("external") == Some(&Value::Bool(true));
                let name = label(own.filter(|_| external).unwrap_or(key));
                if let Some(other) = taken.insert(name.clone(), key.clone()) {
                    return Err(Error::invalid(format!(
                        "{kind}.{key} and {kind}.{other} would both be called {name:?} in Kubernetes: rename one"
                    )));
                }
                names.insert((kind, key.clone()), name);
            }
        }
        Ok(Self(names))
    }

    /// A service's.
    pub(super) fn service(&self, key: &str) -> &str {
        self.of("services", key)
    }

    /// That of a service, volume, secret or configuration.
    pub(super) fn of(&self, kind: &'static str, key: &str) -> &str {
        self.0.get(&(kind, key.to_owned())).map_or("", String::as_str)
    }
}

/// The text as a label of DNS: small letters, digits and `-`, a letter first, no `-` at the end.
pub(super) fn label(text: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(good).collect();
    let name = name.trim_matches('-');
    let name = if name.starts_with(|c: char| c.is_ascii_lowercase()) { name.to_owned() } else { format!("x{name}") };
    name[..name.len().min(LONGEST)].trim_end_matches('-').to_owned()
}

/// Whether it can be the key of an annotation: `[PREFIX/]NAME`.
pub(super) fn is_qualified(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let is_end = |c: char| c.is_ascii_alphanumeric();
    let is_name = name.len() <= LONGEST
        && name.starts_with(is_end)
        && name.ends_with(is_end)
        && name.chars().all(|c| is_end(c) || "-_.".contains(c));
    let is_domain = |domain: &str| {
        let part = |part: &str| part == label(part) || (part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty());
        domain.len() <= 253 && domain.split('.').all(part)
    };
    is_name && prefix.is_none_or(is_domain)
}

/// Whether it can be the name of a port: at most 15 small letters, digits and single `-`, a letter among them.
pub(super) fn is_port(text: &str) -> bool {
    text.len() <= LONGEST_PORT
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// Whether it can be the name of an environment variable there: any printable ASCII but `=`.
pub(super) fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_dns() {
        for (text, name) in [("my_App", "my-app"), ("9lives", "x9lives"), ("-a-", "a"), ("_", "x"), ("a.b", "a-b")] {
            assert_eq!(label(text), name);
        }
        assert_eq!(label(&"a".repeat(80)).len(), 63);
        assert!(is_qualified("traefik.http.rule") && is_qualified("example.com/a_b") && !is_qualified("a b"));
        assert!(is_port("tcp-8080") && !is_port("8080") && !is_port("a--b") && !is_port("sixteen-letters-"));
    }
}
