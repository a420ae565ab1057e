//! Docker's config.json, as far as it is not about registries: how the user likes his lists, which keys leave a terminal,
//! and what containers are told of proxies.

use std::{collections::BTreeMap, path::Path, sync::OnceLock};

use serde_json::{Map, Value};

use super::{files::read_json, registry::credentials};

/// The user's preferences. What the file has beside them is somebody else's.
#[derive(Debug, Default)]
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
    /// How the world is reached: keys of `proxies.default`, for here is no other daemon.
    proxies: BTreeMap<String, String>,
}

/// Keys of `proxies`, in small letters, and the variables that programs know.
const PROXIES: [(&str, &str); 5] = [
    ("httpproxy", "HTTP_PROXY"),
    ("httpsproxy", "HTTPS_PROXY"),
    ("noproxy", "NO_PROXY"),
    ("ftpproxy", "FTP_PROXY"),
    ("allproxy", "ALL_PROXY"),
];

impl DockerConfig {
    /// Reads the file, once. One that cannot be read is as good as none, with a word about it, as for Docker.
    pub fn read() -> &'static Self {
        static READ: OnceLock<DockerConfig> = OnceLock::new();
        READ.get_or_init(|| Self::read_from(&credentials::path()))
    }

    fn read_from(path: &Path) -> Self {
        let (config, wrong) = match read_json(path) {
            Ok(file) => Self::of(&file.unwrap_or_default()),
            Err(e) => (Self::default(), vec![e.to_string()]),
        };
        for why in wrong {
            tell!("WARNING: Error loading config file: {}: {why}", path.display());
        }
        config
    }

    /// Each key by itself: one that is wrong takes no other's meaning away. What is wrong is in the second part.
    fn of(file: &Map<String, Value>) -> (Self, Vec<String>) {
        let mut wrong = Vec::new();
        let mut config = Self::default();
        for (key, value) in file.iter().filter(|(_, value)| !value.is_null()) {
            let text = match key.to_ascii_lowercase().as_str() {
                "psformat" => &mut config.ps_format,
                "imagesformat" => &mut config.images_format,
                "volumesformat" => &mut config.volumes_format,
                "networksformat" => &mut config.networks_format,
                "statsformat" => &mut config.stats_format,
                "detachkeys" => &mut config.detach_keys,
                "prunefilters" => {
                    match serde_json::from_value(value.clone()) {
                        Ok(filters) => config.prune_filters = filters,
                        Err(_) => wrong.push(format!("{key} is no list of texts, and left out")),
                    }
                    continue;
                }
                "proxies" => {
                    if !value.is_object() {
                        wrong.push(format!("{key} is no object, and left out"));
                    }
                    let default = value.get("default").and_then(Value::as_object).into_iter().flatten();
                    let texts =
                        default.filter_map(|(key, value)| Some((key.to_lowercase(), value.as_str()?.to_owned())));
                    config.proxies = texts.collect();
                    continue;
                }
                _ => continue,
            };
            match value.as_str() {
                Some(value) => value.clone_into(text),
                None => wrong.push(format!("{key} is no text, and left out")),
            }
        }
        (config, wrong)
    }

    /// What of the proxies is not in `env` yet, as variables in both spellings that programs know.
    pub fn proxy_variables(&self, env: &[String]) -> Vec<String> {
        let is_set = |key: &str| env.iter().any(|variable| variable.split('=').next() == Some(key));
        let said = PROXIES.iter().filter_map(|(key, variable)| Some((*variable, self.proxies.get(*key)?)));
        let said = said.filter(|(_, value)| !value.is_empty());
        let both = said.flat_map(|(key, value)| [(key.to_owned(), value), (key.to_ascii_lowercase(), value)]);
        both.filter(|(key, _)| !is_set(key)).map(|(key, value)| format!("{key}={value}")).collect()
    }

    /// The filters of a prune: those of the command, and those of the file that do not contradict them.
    pub fn prune_filters(&self, asked: &[String]) -> Vec<String> {
        let contradicts = |(key, value): (&str, &str)| {
            let opposite = match key {
                "label" => "label!",
                "label!" => "label",
                _ => return false,
            };
            asked.iter().any(|filter| filter.split_once('=') == Some((opposite, value)))
        };
        let ours = &self.prune_filters;
        let ours = ours.iter().filter(|filter| filter.split_once('=').is_some_and(|pair| !contradicts(pair)));
        asked.iter().chain(ours).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> (DockerConfig, usize) {
        let (config, wrong) = DockerConfig::of(&serde_json::from_str(text).unwrap());
        (config, wrong.len())
    }

    #[test]
    fn proxies_give_way_to_what_is_set() {
        let (config, _) = config(
            r#"{"auths": {}, "proxies": {"default": {"httpProxy": "http://p", "noProxy": "a,b", "x": 5}, "tcp://x": {"allProxy": "q"}}}"#,
        );
        let env = ["http_proxy=mine".to_owned(), "NO_PROXY".to_owned()];
        assert_eq!(config.proxy_variables(&env), ["HTTP_PROXY=http://p", "no_proxy=a,b"]);
    }

    #[test]
    fn filters_of_the_file_give_way_to_those_of_the_command() {
        let (config, _) = config(r#"{"pruneFilters": ["label!=keep", "label=old", "until=5m", "odd"]}"#);
        let asked = ["label=keep".to_owned()];
        assert_eq!(config.prune_filters(&asked), ["label=keep", "label=old", "until=5m"]);
        assert_eq!(config.prune_filters(&[]), ["label!=keep", "label=old", "until=5m"]);
    }

    #[test]
    fn a_key_that_is_wrong_takes_no_other_away() {
        let (config, wrong) = config(
            r#"{"psFormat": 5, "PruneFilters": ["a=b"], "imagesFormat": null, "DETACHKEYS": "x", "proxies": 1}"#,
        );
        assert_eq!((wrong, config.detach_keys.as_str(), config.prune_filters(&[]).len()), (2, "x", 1));
    }
}
