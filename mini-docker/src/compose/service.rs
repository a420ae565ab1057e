//! From a service of the model to what the engine is asked for: the one place where keys become a container.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Project, duration, tree::text_of};
use crate::engine::{
    Request,
    container::{
        devices::Device,
        network::{Endpoint, Network},
        rights::Rights,
        storage::{BindOptions, MountRequest, TmpfsOptions, VolumeOptions},
        supervision::{HealthCheck, LogConfig, RestartPolicy},
    },
    digest::Digest,
    error::{Error, Result},
    signal,
};

/// Docker's limit of processes where nothing is said, which is `run`'s too.
const PIDS: i64 = 2048;

/// What becomes a part of the container, or is done before it starts; every other key is refused by name.
const KEYS: &[&str] = &[
    "attach",
    "build",
    "cap_add",
    "cap_drop",
    "cgroup",
    "cgroup_parent",
    "command",
    "configs",
    "container_name",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "devices",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "environment",
    "expose",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "ipc",
    "labels",
    "logging",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "network_mode",
    "networks",
    "oom_score_adj",
    "pid",
    "pids_limit",
    "platform",
    "ports",
    "privileged",
    "profiles",
    "pull_policy",
    "read_only",
    "restart",
    "scale",
    "secrets",
    "security_opt",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "sysctls",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "userns_mode",
    "uts",
    "volumes",
    "working_dir",
];

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

    fn wrong(&self, key: &str, why: &str) -> Error {
        Error::invalid(format!("services.{}.{key}: {why}", self.name))
    }

    /// The image that it runs.
    pub fn image(&self) -> String {
        self.text("image").unwrap_or_else(|| format!("{}-{}", self.project.name, self.name))
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
        self.text("container_name").unwrap_or_else(|| format!("{}-{}-{number}", self.project.name, self.name))
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

    /// The services whose containers' namespaces its own are in.
    pub fn joined(&self) -> impl Iterator<Item = &'a str> {
        let modes = ["network_mode", "ipc", "pid"].map(|key| self.keys.get(key).and_then(Value::as_str));
        modes.into_iter().flatten().filter_map(|mode| mode.strip_prefix("service:"))
    }

    /// The services that it is to be restarted with.
    pub fn restarts_with(&self) -> impl Iterator<Item = &'a str> {
        let needs = self.keys.get("depends_on").and_then(Value::as_object).into_iter().flatten();
        needs.filter(|(_, how)| how.get("restart") == Some(&json!(true))).map(|(name, _)| name.as_str())
    }

    /// What tells this configuration from another: what changes no container does not count.
    pub fn hash(&self) -> String {
        let mut keys = self.keys.as_object().cloned().unwrap_or_default();
        for key in ["attach", "build", "depends_on", "profiles", "pull_policy", "scale"] {
            keys.remove(key);
        }
        if let Some(Value::Object(deploy)) = keys.get_mut("deploy") {
            deploy.remove("replicas");
        }
        Digest::of(Value::Object(keys).to_string().as_bytes()).hex().to_owned()
    }

    /// Refuses what nothing would come of.
    pub fn check(&self) -> Result<()> {
        let keys = self.keys.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
        for (key, _) in keys {
            if !KEYS.contains(&key.as_str()) && !key.starts_with("x-") {
                return Err(self.wrong(key, "not supported yet by `up`: leave it out"));
            }
        }
        let known: [(&str, &[&str]); 3] = [
            ("deploy", &["replicas", "resources", "labels", "mode"]),
            ("healthcheck", &["disable", "interval", "retries", "start_interval", "start_period", "test", "timeout"]),
            ("logging", &["driver", "options"]),
        ];
        for (key, parts) in known {
            if let Some((part, _)) = self.entries(key).find(|(part, _)| !parts.contains(&part.as_str())) {
                return Err(self.wrong(&format!("{key}.{part}"), "not supported yet by `up`: leave it out"));
            }
        }
        if self.get("deploy").and_then(|deploy| deploy.get("mode")).is_some_and(|mode| mode != "replicated") {
            return Err(self.wrong("deploy.mode", "there is `replicated` alone"));
        }
        Ok(())
    }

    /// Its container with this number; `running` finds the container of another service.
    pub fn request(&self, number: usize, running: &dyn Fn(&str) -> Result<String>) -> Result<Request> {
        self.check()?;
        let (entrypoint, command) = self.program();
        let variable = |(key, value): (&String, &Value)| {
            if value.is_null() { None } else { Some(format!("{key}={}", text_of(value))) }
        };
        let mut request = Request {
            image: self.image(),
            command,
            entrypoint,
            name: Some(self.container_name(number)),
            env: self.entries("environment").filter_map(variable).collect(),
            working_dir: self.text("working_dir"),
            user: self.text("user"),
            hostname: self.text("hostname"),
            tty: self.flag("tty"),
            open_stdin: self.flag("stdin_open"),
            init: self.flag("init"),
            stop_signal: self.text("stop_signal").map(|name| signal::parse(&name)).transpose()?,
            stop_timeout: self
                .nanoseconds("stop_grace_period", self.get("stop_grace_period"))?
                .map(|ns| i64::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(i64::MAX)),
            labels: self.labels(number),
            cgroup_parent: self.text("cgroup_parent"),
            ..Request::default()
        };
        self.fill_rights(&mut request)?;
        self.fill_limits(&mut request)?;
        self.fill_storage(&mut request)?;
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

    /// Entry point and command: the engine's entry point is one word, and the rest of it goes before the command.
    fn program(&self) -> (Option<String>, Vec<String>) {
        let command = self.texts("command");
        match self.get("entrypoint").and_then(Value::as_array) {
            None => (None, command),
            Some(words) => {
                let mut words = words.iter().map(text_of);
                let first = words.next().unwrap_or_default();
                (Some(first), words.chain(command).collect())
            }
        }
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
        ] {
            labels.insert(format!("com.docker.compose.{key}"), value);
        }
        labels
    }

    fn fill_rights(&self, request: &mut Request) -> Result<()> {
        let ulimits: Vec<_> = self.entries("ulimits").map(ulimit).collect();
        let mut rights =
            Rights::parse(&self.texts("cap_add"), &self.texts("cap_drop"), &ulimits, &self.texts("security_opt"))?;
        rights.privileged = self.flag("privileged");
        rights.groups = self.texts("group_add");
        rights.oom_score_adj = self.number("oom_score_adj")?.unwrap_or(0);
        rights.sysctls = self.entries("sysctls").map(|(key, value)| (key.clone(), text_of(value))).collect();
        for device in self.list("devices") {
            let part = |key: &str| device.get(key).map(text_of).unwrap_or_default();
            let parts = [part("source"), part("target"), part("permissions")];
            let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            rights.devices.push(Device::parse(&parts.join(":"))?);
        }
        request.rights = rights;
        Ok(())
    }

    fn fill_limits(&self, request: &mut Request) -> Result<()> {
        let resources = self.get("deploy").and_then(|deploy| deploy.get("resources"));
        let part = |part: &str, key: &str| resources?.get(part)?.get(key).map(text_of);
        if resources.and_then(|r| r.get("reservations")).is_some_and(|r| r.get("devices").is_some()) {
            return Err(self.wrong("deploy.resources.reservations.devices", "not supported: leave it out"));
        }
        let parse = |key: &str, text: Option<String>| -> Result<Option<u64>> {
            let wrong = |text: &str| self.wrong(key, &format!("{text:?} is no such number"));
            Ok(text.map(|text| text.parse().map_err(|_| wrong(&text))).transpose()?.filter(|&number| number > 0))
        };
        let limits = &mut request.limits;
        limits.memory = parse("mem_limit", self.text("mem_limit").or_else(|| part("limits", "memory")))?;
        let reserved = self.text("mem_reservation").or_else(|| part("reservations", "memory"));
        limits.memory_reservation = parse("mem_reservation", reserved)?;
        limits.memory_swap = self.number::<i64>("memswap_limit")?.filter(|&swap| swap != 0);
        limits.cpu_shares = self.number::<u64>("cpu_shares")?.filter(|&shares| shares > 0);
        limits.cpuset_cpus = self.text("cpuset").filter(|list| !list.is_empty());
        if let Some(text) = self.text("cpus").or_else(|| part("limits", "cpus")) {
            let cpus: f64 = text.parse().map_err(|_| self.wrong("cpus", &format!("{text:?} is no number")))?;
            // Billionths; the engine checks the range.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let nano = (cpus * 1e9).round() as u64;
            limits.nano_cpus = Some(nano).filter(|&nano| nano > 0);
        }
        let pids = self.text("pids_limit").or_else(|| part("limits", "pids"));
        let pids =
            pids.map(|text| text.parse().map_err(|_| self.wrong("pids_limit", "it is no number"))).transpose()?;
        limits.pids = Some(pids.unwrap_or(PIDS));
        Ok(())
    }

    fn fill_storage(&self, request: &mut Request) -> Result<()> {
        let storage = &mut request.storage;
        storage.read_only = self.flag("read_only");
        storage.shm_size = self.number::<u64>("shm_size")?.filter(|&size| size > 0);
        for text in self.texts("tmpfs") {
            let (target, options) = text.split_once(':').unwrap_or((&text, ""));
            storage.tmpfs.insert(target.to_owned(), options.to_owned());
        }
        for volume in self.list("volumes") {
            storage.mounts.push(self.mount(volume)?);
        }
        for (kind, directory) in [("secrets", "/run/secrets"), ("configs", "")] {
            for file in self.list(kind) {
                storage.mounts.push(self.file(kind, directory, file)?);
            }
        }
        Ok(())
    }

    fn mount(&self, volume: &Value) -> Result<MountRequest> {
        let text = |key: &str| volume.get(key).map(text_of).unwrap_or_default();
        let empty = Map::new();
        let part = |key: &str| volume.get(key).and_then(Value::as_object).unwrap_or(&empty);
        let mut mount = MountRequest {
            kind: text("type"),
            source: text("source"),
            target: text("target"),
            read_only: volume.get("read_only") == Some(&json!(true)),
            ..MountRequest::default()
        };
        match mount.kind.as_str() {
            "bind" => {
                let bind = part("bind");
                let word = |key: &str| bind.get(key).map(text_of).unwrap_or_default();
                if bind.contains_key("selinux") {
                    return Err(self.wrong("volumes.bind.selinux", "not supported: leave it out"));
                }
                mount.bind_options = Some(BindOptions {
                    propagation: word("propagation"),
                    create_mountpoint: bind.get("create_host_path") != Some(&json!(false)),
                    non_recursive: word("recursive") == "disabled",
                    read_only_non_recursive: word("recursive") == "writable",
                    read_only_force_recursive: word("recursive") == "readonly",
                });
            }
            "volume" => {
                let volume = part("volume");
                let labels = volume.get("labels").and_then(Value::as_object).unwrap_or(&empty);
                mount.volume_options = Some(VolumeOptions {
                    no_copy: volume.get("nocopy") == Some(&json!(true)),
                    labels: labels.iter().map(|(key, value)| (key.clone(), text_of(value))).collect(),
                    driver_config: None,
                    subpath: volume.get("subpath").map(text_of).unwrap_or_default(),
                });
                if !mount.source.is_empty() {
                    mount.source = self.resource("volumes", &mount.source);
                }
            }
            "tmpfs" => {
                let number = |key: &str| part("tmpfs").get(key).map(text_of).and_then(|text| text.parse().ok());
                mount.tmpfs_options = Some(TmpfsOptions {
                    size_bytes: number("size").unwrap_or(0),
                    mode: number("mode").and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0),
                });
            }
            other => return Err(self.wrong("volumes.type", &format!("{other:?} is not supported"))),
        }
        Ok(mount)
    }

    /// The real name of a network or volume.
    pub fn resource(&self, kind: &str, key: &str) -> String {
        let resource = self.project.model.get(kind).and_then(|all| all.get(key));
        resource.and_then(|resource| resource.get("name")).map_or_else(|| key.to_owned(), text_of)
    }

    /// A secret or configuration, which is a file of the host.
    fn file(&self, kind: &str, directory: &str, file: &Value) -> Result<MountRequest> {
        let source = file.get("source").map(text_of).unwrap_or_default();
        for key in ["uid", "gid", "mode"] {
            if file.get(key).is_some() {
                return Err(
                    self.wrong(&format!("{kind}.{key}"), "a file of the host keeps its owner and mode: leave it out")
                );
            }
        }
        let resource = self.project.model.get(kind).and_then(|all| all.get(&source));
        let path = resource.and_then(|resource| resource.get("file")).map(text_of);
        let path = path.ok_or_else(|| self.wrong(kind, &format!("{source}: only `file` is supported yet")))?;
        let target = file.get("target").map(text_of).filter(|target| !target.is_empty());
        let target = target.unwrap_or_else(|| source.clone());
        let target = if target.starts_with('/') { target } else { format!("{directory}/{target}") };
        Ok(MountRequest {
            kind: "bind".to_owned(),
            source: path,
            target,
            read_only: true,
            bind_options: Some(BindOptions::default()),
            ..MountRequest::default()
        })
    }

    fn fill_network(&self, request: &mut Request, running: &dyn Fn(&str) -> Result<String>) -> Result<()> {
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
        if let Some(mode) = self.text("network_mode") {
            request.network.mode = match mode.strip_prefix("service:") {
                Some(service) => format!("container:{}", running(service)?),
                None => mode,
            };
            if request.network.mode == "bridge" {
                request.network.endpoints.push(Endpoint { network: "bridge".to_owned(), ..Endpoint::default() });
            }
            return Ok(());
        }
        let mut endpoints = Vec::new();
        for (key, how) in self.entries("networks") {
            let text = |key: &str| how.get(key).map(text_of);
            for unknown in ["driver_opts", "interface_name", "link_local_ips"] {
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
                    ip: text("ipv4_address").map(|text| address("networks", text)).transpose()?,
                    ip6: text("ipv6_address").map(|text| address("networks", text)).transpose()?,
                    mac: text("mac_address"),
                    gateway_priority: text("gw_priority").and_then(|text| text.parse().ok()).unwrap_or(0),
                    ..Endpoint::default()
                },
            ));
        }
        endpoints.sort_by_key(|(priority, _)| *priority);
        request.network.endpoints = endpoints.into_iter().map(|(_, endpoint)| endpoint).collect();
        let first = request.network.endpoints.first().map(|endpoint| endpoint.network.clone());
        request.network.mode = first.unwrap_or_else(|| "none".to_owned());
        Ok(())
    }

    fn fill_supervision(&self, request: &mut Request) -> Result<()> {
        let supervision = &mut request.supervision;
        supervision.restart = RestartPolicy::parse(&self.text("restart").unwrap_or_default())?;
        if let Some(logging) = self.get("logging") {
            let options = logging.get("options").and_then(Value::as_object).into_iter().flatten();
            let options: Vec<_> = options.map(|(key, value)| format!("{key}={}", text_of(value))).collect();
            let driver = logging.get("driver").map(text_of).unwrap_or_default();
            supervision.log = LogConfig::parse(&driver, &options)?;
        }
        let Some(check) = self.get("healthcheck") else { return Ok(()) };
        let time = |key: &str| self.nanoseconds(&format!("healthcheck.{key}"), check.get(key));
        let test = if check.get("disable") == Some(&json!(true)) {
            vec!["NONE".to_owned()]
        } else {
            check.get("test").and_then(Value::as_array).into_iter().flatten().map(text_of).collect()
        };
        let retries = check.get("retries").and_then(Value::as_u64).unwrap_or(0);
        supervision.health = Some(HealthCheck {
            test,
            interval: time("interval")?.unwrap_or(0),
            timeout: time("timeout")?.unwrap_or(0),
            start_period: time("start_period")?.unwrap_or(0),
            start_interval: time("start_interval")?.unwrap_or(0),
            retries: u32::try_from(retries).unwrap_or(u32::MAX),
        });
        Ok(())
    }

    fn nanoseconds(&self, key: &str, value: Option<&Value>) -> Result<Option<u64>> {
        let Some(text) = value.map(text_of) else { return Ok(None) };
        let number = duration::parse(&text).and_then(|ns| u64::try_from(ns).ok());
        number.map(Some).ok_or_else(|| self.wrong(key, &format!("{text:?} is no duration")))
    }
}

/// `NAME=SOFT:HARD`.
pub(super) fn ulimit((name, limit): (&String, &Value)) -> String {
    match limit {
        Value::Object(both) => {
            let part = |key: &str| both.get(key).map(text_of).unwrap_or_default();
            format!("{name}={}:{}", part("soft"), part("hard"))
        }
        one => format!("{name}={}", text_of(one)),
    }
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
