//! What a container's log says of each entry beside what was written: some of its labels and variables, and a tag
//! (<https://docs.docker.com/engine/logging/log_tags/>).

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::Config;

/// Whether `--log-opt NAME=…` is about such details.
pub(super) fn is_one(name: &str) -> bool {
    ["labels", "labels-regex", "env", "env-regex", "tag"].contains(&name)
}

/// What is wrong with the value of such an option.
pub(super) fn check(name: &str, value: &str) -> Result<(), String> {
    match name {
        "labels-regex" | "env-regex" => Regex::new(value).map(drop).map_err(|e| e.to_string()),
        "tag" => tag(value, &|_| Some(String::new())).map(drop),
        _ => Ok(()),
    }
}

impl Config {
    /// The details by name.
    pub fn log_details(&self) -> BTreeMap<String, String> {
        let options = &self.supervision.log.options;
        let mut details = BTreeMap::new();
        let mut add = |list: &str, pattern: &str, pairs: &mut dyn Iterator<Item = (&str, &str)>| {
            let names: Vec<_> = options.get(list).map(|names| names.split(',').collect()).unwrap_or_default();
            let pattern = options.get(pattern).and_then(|pattern| Regex::new(pattern).ok());
            for (key, value) in pairs {
                if names.contains(&key) || pattern.as_ref().is_some_and(|pattern| pattern.is_match(key)) {
                    details.insert(key.to_owned(), value.to_owned());
                }
            }
        };
        add("labels", "labels-regex", &mut self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        add("env", "env-regex", &mut self.env.iter().filter_map(|pair| pair.split_once('=')));
        let tag = options.get("tag").and_then(|text| tag(text, &|field| self.field(field)).ok());
        details.extend(tag.map(|tag| ("tag".to_owned(), tag)));
        details
    }

    fn field(&self, name: &str) -> Option<String> {
        let short = |id: &str| id.chars().take(12).collect();
        Some(match name {
            "ID" => short(&self.id),
            "FullID" => self.id.clone(),
            "Name" => self.name.clone(),
            "ImageID" => short(&self.image),
            "ImageFullID" => format!("sha256:{}", self.image),
            "ImageName" => self.image_name.clone(),
            "DaemonName" => "docker".to_owned(),
            _ => return None,
        })
    }
}

/// Fills in the fields of a tag: `{{.Name}}`.
fn tag(text: &str, field: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    const FIELDS: [&str; 7] = ["ID", "FullID", "Name", "ImageID", "ImageFullID", "ImageName", "DaemonName"];
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or("a field has no end: write it as {{.Name}}")?;
        let known = name.trim().strip_prefix('.').filter(|name| FIELDS.contains(name));
        filled.push_str(before);
        filled.push_str(&known.and_then(field).ok_or_else(|| format!("its fields are {}", FIELDS.join(", ")))?);
        rest = after;
    }
    Ok(filled + rest)
}
