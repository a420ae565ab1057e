//! Docker's config.json, as far as it is not about registries: how the user likes his lists, which keys leave a terminal,
//! and what containers are told of proxies.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::{files::read_json, registry::credentials};

/// The user's preferences. What the file has beside them is somebody else's.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DockerConfig {
    /// `--format` of `ps`, where none is given.
    pub ps_format: String,
    /// The same of `images`.
    pub images_format: String,
    /// The same of `volume ls`.
    pub volumes_format: String,
    /// The same of `network ls`.
    pub networks_format: String,
    /// The same of `stats`.
    pub stats_format: String,
    /// `--detach-keys`, where none are given.
    pub detach_keys: String,
    /// More values of `--filter` for each prune.
    prune_filters: Vec<String>,
    /// How the world is reached, by the daemon's address; here there is none but `default`.
    proxies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Keys of `proxies`, and the variables that programs know.
const PROXIES: [(&str, &str); 5] = [
    ("httpProxy", "HTTP_PROXY"),
    ("httpsProxy", "HTTPS_PROXY"),
    ("noProxy", "NO_PROXY"),
    ("ftpProxy", "FTP_PROXY"),
    ("allProxy", "ALL_PROXY"),
];

impl DockerConfig {
    /// Reads the file. One that cannot be read is as good as none, with a word about it, as for Docker.
    pub fn read() -> Self {
        Self::read_from(&credentials::path())
    }

    fn read_from(path: &Path) -> Self {
        match read_json(path) {
            Ok(read) => read.unwrap_or_default(),
            Err(e) => {
                eprintln!("WARNING: Error loading config file: {e}");
                Self::default()
            }
        }
    }

    /// What of the proxies is not in `env` yet, as variables in both spellings that programs know.
    pub fn proxy_variables(&self, env: &[String]) -> Vec<String> {
        let Some(proxy) = self.proxies.get("default") else { return Vec::new() };
        let is_set = |key: &str| env.iter().any(|variable| variable.split('=').next() == Some(key));
        let said = PROXIES.iter().filter_map(|(key, variable)| Some((*variable, proxy.get(*key)?)));
        let said = said.filter(|(_, value)| !value.is_empty());
        let both = said.flat_map(|(key, value)| [(key.to_owned(), value), (key.to_ascii_lowercase(), value)]);
        both.filter(|(key, _)| !is_set(key)).map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// The filters of a prune: those of the command, and those of the file that do not contradict them.
    pub fn prune_filters(&self, asked: &[String], keys: &[&str]) -> Vec<String> {
        let contradicts = |(key, value): (&str, &str)| {
            let opposite = match key {
                "label" => "label!",
                "label!" => "label",
                _ => return false,
            };
            asked.iter().any(|filter| filter.split_once('=') == Some((opposite, value)))
        };
        let ours = self.prune_filters.iter().filter(|filter| {
            filter.split_once('=').is_some_and(|(key, value)| keys.contains(&key) && !contradicts((key, value)))
        });
        asked.iter().chain(ours).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> DockerConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn proxies_give_way_to_what_is_set() {
        let config = config(
            r#"{"auths": {}, "proxies": {"default": {"httpProxy": "http://p", "noProxy": "a,b"}, "tcp://x": {"allProxy": "q"}}}"#,
        );
        let env = ["http_proxy=mine".to_owned(), "NO_PROXY".to_owned()];
        assert_eq!(config.proxy_variables(&env), ["HTTP_PROXY=http://p", "no_proxy=a,b"]);
    }

    #[test]
    fn filters_of_the_file_give_way_to_those_of_the_command() {
        let config = config(r#"{"pruneFilters": ["label!=keep", "label=old", "until=5m", "odd"]}"#);
        let asked = ["label=keep".to_owned()];
        assert_eq!(config.prune_filters(&asked, &["label", "label!"]), ["label=keep", "label=old"]);
        assert_eq!(config.prune_filters(&[], &["label", "label!", "until"]), ["label!=keep", "label=old", "until=5m"]);
    }
}
