//! From a service of the model to what the engine is asked for: the one place where keys become a container.

mod hash;
mod hook;
mod keys;
mod limits;
mod network;
pub(super) mod rights;
mod storage;
mod supervision;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Project, duration, execute::VERSION, tree::text_of};
use crate::engine::{
    Request,
    docker_config::DockerConfig,
    error::{Error, Result},
    signal,
};

/// A service of a project.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    /// The whole.
    pub project: &'a Project,
    /// Its name.
    pub name: &'a str,
    /// Its keys.
    pub keys: &'a Value,
}

impl<'a> Service<'a> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(text_of)
    }

    fn flag(&self, key: &str) -> bool {
        self.get(key) == Some(&json!(true))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<Option<T>> {
        let text = self.text(key);
        text.map(|text| text.parse().map_err(|_| self.wrong(key, &format!("{text:?} is no such number")))).transpose()
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Value> {
        self.get(key).and_then(Value::as_array).into_iter().flatten()
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.list(key).map(text_of).collect()
    }

    fn entries(&self, key: &str) -> impl Iterator<Item = (&String, &Value)> {
        self.get(key).and_then(Value::as_object).into_iter().flatten()
    }

    /// An error about one of its keys, with the place where that stands.
    pub(super) fn wrong(&self, key: &str, why: &str) -> Error {
        let name = self.name;
        let keys: Vec<_> = ["services", name].into_iter().chain(key.split('.')).collect();
        Error::invalid(format!("{}services.{name}.{key}: {why}", self.project.place(&keys)))
    }

    /// The same error, with the place of one of its keys.
    pub(super) fn at(&self, key: &str, error: &Error) -> Error {
        Error::new(error.kind, self.wrong(key, &error.to_string()).to_string())
    }

    /// The same error, with its own place.
    pub fn in_it(&self, error: &Error) -> Error {
        let place = self.project.place(&["services", self.name]);
        Error::new(error.kind, format!("{place}services.{}: {error}", self.name))
    }

    /// The image that it runs.
    pub fn image(&self) -> String {
        self.text("image").unwrap_or_else(|| self.project.own_name(&[self.name]))
    }

    /// Whether its output is shown where nobody says otherwise.
    pub fn is_attached(&self) -> bool {
        self.get("attach") != Some(&json!(false))
    }

    /// How many containers it has where the command line does not say.
    pub fn scale(&self) -> usize {
        let replicas = self.get("deploy").and_then(|deploy| deploy.get("replicas"));
        let count = self.get("scale").or(replicas).and_then(Value::as_u64);
        count.and_then(|count| usize::try_from(count).ok()).unwrap_or(1)
    }

    /// The name of its container with this number.
    pub fn container_name(&self, number: usize) -> String {
        self.text("container_name").unwrap_or_else(|| self.project.own_name(&[self.name, &number.to_string()]))
    }

    /// A name is one container's.
    pub(super) fn check_scale(&self, scale: usize) -> Result<()> {
        match self.text("container_name").filter(|_| scale > 1) {
            Some(name) => {
                let why = format!("{name:?} is one container's name, and {scale} are wanted: leave it out");
                Err(self.wrong("container_name", &why))
            }
            None => Ok(()),
        }
    }

    /// What it waits for: the service, the condition, and whether it must be there.
    pub fn dependencies(&self) -> Vec<(&'a str, &'a str, bool)> {
        self.keys
            .get("depends_on")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(name, how)| {
                let condition = how.get("condition").and_then(Value::as_str).unwrap_or("service_started");
                (name.as_str(), condition, how.get("required") != Some(&json!(false)))
            })
            .collect()
    }

    /// The services whose containers' namespaces its own are in, and which.
    pub fn joined(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let modes = [("network_mode", "network namespace"), ("ipc", "IPC namespace"), ("pid", "PID namespace")];
        let modes = modes.map(|(key, what)| Some((what, self.keys.get(key)?.as_str()?)));
        modes.into_iter().flatten().filter_map(|(what, mode)| Some((what, mode.strip_prefix("service:")?)))
    }

    /// The services whose containers it shares something with, and what.
    pub fn donors(&self) -> impl Iterator<Item = (&'static str, String)> {
        let volumes = self.texts("volumes_from").into_iter().filter(|from| !from.starts_with("container:"));
        let volumes = volumes.map(|from| ("volume", from.split(':').next().unwrap_or_default().to_owned()));
        self.joined().map(|(what, other)| (what, other.to_owned())).chain(volumes)
    }

    /// The real names of its networks.
    pub fn networks(&self) -> impl Iterator<Item = String> {
        self.entries("networks").map(|(key, _)| self.resource("networks", key))
    }

    /// Whether it uses a network or a volume of the description; `kind` is `networks` or `volumes`.
    pub fn uses(&self, kind: &str, key: &str) -> bool {
        let volumes = self.get(kind).and_then(Value::as_array).into_iter().flatten();
        let mut volumes = volumes.filter(|mount| mount.get("type").is_some_and(|kind| kind == "volume"));
        self.entries(kind).any(|(other, _)| other == key)
            || volumes.any(|mount| mount.get("source").is_some_and(|source| source == key))
    }

    /// The services that it is to be restarted with.
    pub fn restarts_with(&self) -> impl Iterator<Item = &'a str> {
        let needs = self.keys.get("depends_on").and_then(Value::as_object).into_iter().flatten();
        needs.filter(|(_, how)| how.get("restart") == Some(&json!(true))).map(|(name, _)| name.as_str())
    }

    /// Its container with this number; `running` finds the container of another service.
    pub fn request(&self, number: usize, running: &dyn Fn(&str) -> Result<String>) -> Result<Request> {
        self.check()?;
        let variable = |(key, value): (&String, &Value)| {
            if value.is_null() { key.clone() } else { format!("{key}={}", text_of(value)) }
        };
        let mut request = Request {
            image: self.image(),
            command: self.texts("command"),
            entrypoint: self
                .get("entrypoint")
                .and_then(Value::as_array)
                .map(|words| words.iter().map(text_of).collect()),
            name: Some(self.container_name(number)),
            env: self.entries("environment").map(variable).collect(),
            working_dir: self.text("working_dir"),
            user: self.text("user"),
            hostname: self.text("hostname"),
            tty: self.flag("tty"),
            open_stdin: self.flag("stdin_open"),
            init: self.flag("init"),
            stop_signal: self
                .text("stop_signal")
                .map(|name| signal::parse(&name).map(|_| name).map_err(|e| self.at("stop_signal", &e)))
                .transpose()?,
            stop_timeout: self
                .nanoseconds("stop_grace_period", self.get("stop_grace_period"))?
                .map(|ns| i64::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(i64::MAX)),
            labels: self.labels(number),
            annotations: self.entries("annotations").map(|(key, value)| (key.clone(), text_of(value))).collect(),
            cgroup_parent: self.text("cgroup_parent"),
            ..Request::default()
        };
        request.env.extend(DockerConfig::read().proxy_variables(&request.env));
        self.fill_rights(&mut request)?;
        self.fill_limits(&mut request)?;
        self.fill_storage(&mut request, running)?;
        self.fill_network(&mut request, running)?;
        let other = |key: &str| match self.text(key) {
            Some(mode) => match mode.strip_prefix("service:") {
                Some(service) => running(service).map(|id| format!("container:{id}")),
                None => Ok(mode),
            },
            None => Ok(String::new()),
        };
        request.namespaces.ipc = other("ipc")?;
        request.namespaces.pid = other("pid")?;
        request.namespaces.uts = self.text("uts").unwrap_or_default();
        request.namespaces.user = self.text("userns_mode").unwrap_or_default();
        request.namespaces.cgroup = self.text("cgroup").unwrap_or_default();
        self.fill_supervision(&mut request)?;
        Ok(request)
    }

    fn labels(&self, number: usize) -> BTreeMap<String, String> {
        let mut labels: BTreeMap<_, _> =
            self.entries("labels").map(|(key, value)| (key.clone(), text_of(value))).collect();
        let depends_on = self.entries("depends_on").map(|(name, how)| {
            let condition = how.get("condition").map(text_of).unwrap_or_default();
            format!("{name}:{condition}:{}", how.get("restart") == Some(&json!(true)))
        });
        let files: Vec<_> = self.project.files.iter().map(|file| file.display().to_string()).collect();
        for (key, value) in [
            ("config-hash", self.hash()),
            ("container-number", number.to_string()),
            ("depends_on", depends_on.collect::<Vec<_>>().join(",")),
            ("oneoff", "False".to_owned()),
            ("project", self.project.name.clone()),
            ("project.config_files", files.join(",")),
            ("project.working_dir", self.project.directory.display().to_string()),
            ("service", self.name.to_owned()),
            ("version", VERSION.to_owned()),
        ] {
            labels.insert(format!("com.docker.compose.{key}"), value);
        }
        labels
    }

    fn nanoseconds(&self, key: &str, value: Option<&Value>) -> Result<Option<u64>> {
        let Some(text) = value.map(text_of) else { return Ok(None) };
        let number = duration::parse(&text).and_then(|ns| u64::try_from(ns).ok());
        number.map(Some).ok_or_else(|| self.wrong(key, &format!("{text:?} is no duration")))
    }
}
