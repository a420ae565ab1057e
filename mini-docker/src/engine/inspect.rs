//! A container in the words of Docker's API, for `inspect`.

mod defaults;

use serde_json::{Value, json};

use super::{
    Engine,
    container::{Config, Container, State, health::Health},
    files::read_json,
    monitor::frame,
    mounts,
};

/// Docker's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Engine {
    /// The container as `docker inspect` prints it; fields that mean nothing here are left out.
    pub fn inspect_container(&self, container: &Container) -> Value {
        let Container { config, status } = container;
        let mut command = config.entrypoint.iter().chain(&config.command);
        let path = command.next().cloned().unwrap_or_default();
        let arguments: Vec<_> = command.cloned().collect();
        let time = |at: Option<jiff::Timestamp>| at.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
        let running = status.state.is_active();
        let file = |name| self.container_file(&config.id, name).display().to_string();
        let mut document = json!({
            "Id": config.id,
            "Created": config.created.to_string(),
            "Path": path,
            "Args": arguments,
            "State": {
                "Status": status.state,
                "Running": running,
                "Paused": status.state == State::Paused,
                "Restarting": status.state == State::Restarting,
                "OOMKilled": status.oom_killed,
                "Dead": false,
                "Pid": status.pid,
                "ExitCode": status.exit_code,
                "Error": status.error,
                "StartedAt": time(status.started),
                "FinishedAt": time(status.finished),
            },
            "Image": format!("sha256:{}", config.image),
            "LogPath": file("log.json"),
            "Name": format!("/{}", config.name),
            "RestartCount": status.restarts,
            "Driver": "overlay2",
            "Platform": "linux",
            "HostConfig": {
                "NetworkMode": config.network.mode,
                "AutoRemove": config.auto_remove,
                "Init": config.init,
                "CapAdd": or_null(&capabilities(&config.rights.cap_add)),
                "CapDrop": or_null(&capabilities(&config.rights.cap_drop)),
                "Ulimits": config.rights.ulimits.iter().map(|text| ulimit(text)).collect::<Vec<_>>(),
                "CgroupParent": config.cgroup_parent,
                "Annotations": config.annotations,
                "Memory": config.limits.memory.unwrap_or(0),
                // As much swap as memory, where nothing is said.
                "MemorySwap": config.limits.memory_swap.unwrap_or_else(|| {
                    i64::try_from(config.limits.memory.unwrap_or(0).saturating_mul(2)).unwrap_or(i64::MAX)
                }),
                "MemoryReservation": config.limits.memory_reservation.unwrap_or(0),
                "NanoCpus": config.limits.nano_cpus.unwrap_or(0),
                "CpuQuota": config.limits.cpu_quota.unwrap_or(0),
                "CpuPeriod": config.limits.cpu_period.unwrap_or(0),
                "CpuShares": config.limits.cpu_shares.unwrap_or(0),
                "CpusetCpus": config.limits.cpuset_cpus.as_deref().unwrap_or(""),
                "CpusetMems": config.limits.cpuset_mems.as_deref().unwrap_or(""),
                "PidsLimit": config.limits.pids,
                "BlkioWeight": config.limits.io_weight.unwrap_or(0),
                "LogConfig": { "Type": config.supervision.log.driver, "Config": config.supervision.log.options },
                "RestartPolicy": {
                    "Name": config.supervision.restart.name().0,
                    "MaximumRetryCount": config.supervision.restart.name().1,
                },
            },
            "GraphDriver": {
                "Name": "overlay2",
                "Data": {
                    "LowerDir": config.layers.iter().map(|l| self.store.layer(l).join("fs").display().to_string())
                        .collect::<Vec<_>>().join(":"),
                    "UpperDir": file("upper"),
                    "WorkDir": file("work"),
                },
            },
            "Mounts": self.inspect_mounts(config),
            "Config": own(config),
        });
        let health: Option<Health> = config
            .supervision
            .health
            .as_ref()
            .and_then(|_| read_json(&self.container_file(&config.id, "health.json")).ok()?);
        if let (Some(health), Some(state)) = (health, document["State"].as_object_mut()) {
            state.insert("Health".to_owned(), json!(health));
        }
        if let Some(host) = document["HostConfig"].as_object_mut() {
            host.extend(
                rights(config, self.is_host_root(config))
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            host.extend(mounts::host_config(config));
        }
        self.describe_network(container, &mut document);
        defaults::complete(&mut document["HostConfig"], defaults::host_config());
        defaults::complete(&mut document["Config"], defaults::config());
        defaults::complete(&mut document, json!({ "NetworkSettings": defaults::network_settings(container) }));
        defaults::complete(&mut document, defaults::document());
        document
    }
}

/// What it is, as `Config` has it.
fn own(config: &Config) -> Value {
    let mut own = json!({
        "Hostname": config.hostname,
        "User": config.user,
        "AttachStdin": config.supervision.attach & frame::INPUT != 0,
        "AttachStdout": config.supervision.attach & frame::STDOUT != 0,
        "AttachStderr": config.supervision.attach & frame::STDERR != 0,
        "Tty": config.tty,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": config.env,
        "Cmd": or_null(&config.command),
        "Image": config.image_name,
        "Volumes": mounts::volumes(config),
        "WorkingDir": config.working_dir,
        "Entrypoint": or_null(&config.entrypoint),
        "Labels": config.labels,
    });
    // Left out by Docker where nothing was said.
    let said = [
        ("Healthcheck", config.supervision.health.as_ref().map(|health| json!(health))),
        ("StopSignal", config.stop_signal_text.as_ref().map(|signal| json!(signal))),
        ("StopTimeout", config.stop_timeout.map(|seconds| json!(seconds))),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            own[name] = value;
        }
    }
    own
}

/// What it may do and shares, as `HostConfig` has it.
fn rights(config: &Config, is_host_root: bool) -> Value {
    let of_root: &[&str] = if is_host_root { &mount::MASKED_FROM_ROOT } else { &[] };
    json!({
        "Privileged": config.rights.privileged,
        "GroupAdd": config.rights.groups,
        "SecurityOpt": config.rights.security_options,
        "Sysctls": config.rights.sysctls,
        "OomScoreAdj": config.rights.oom_score_adj,
        "Devices": config.rights.devices.iter().map(|device| json!({
            "PathOnHost": device.host,
            "PathInContainer": device.container,
            "CgroupPermissions": device.permissions,
        })).collect::<Vec<_>>(),
        "DeviceCgroupRules": or_null(&config.rights.device_rules),
        "IpcMode": if config.namespaces.ipc.is_empty() { "private" } else { &config.namespaces.ipc },
        "PidMode": config.namespaces.pid,
        "UTSMode": config.namespaces.uts,
        "UsernsMode": config.namespaces.user,
        "CgroupnsMode": if config.namespaces.cgroup.is_empty() { "private" } else { &config.namespaces.cgroup },
        "MaskedPaths": hidden(config, &[&mount::MASKED[..], of_root].concat()),
        "ReadonlyPaths": hidden(config, &mount::READ_ONLY),
        "OomKillDisable": config.limits.oom_kill_disable,
        "MemorySwappiness": config.limits.swappiness,
    })
}

/// Paths that are kept from it, as Docker says it: null for a privileged one, and an empty list with
/// systempaths=unconfined.
fn hidden(config: &Config, paths: &[&str]) -> Value {
    match (config.rights.privileged, config.rights.unmasked) {
        (true, _) => Value::Null,
        (_, true) => json!([]),
        _ => json!(paths),
    }
}

/// Names as Docker shows them, however they were given: `CAP_NET_ADMIN`, and `ALL`.
fn capabilities(names: &[String]) -> Vec<String> {
    let whole = |name: &String| match name.to_uppercase() {
        name if name == "ALL" || name.starts_with("CAP_") => name,
        name => format!("CAP_{name}"),
    };
    names.iter().map(whole).collect()
}

/// Docker has null for an empty list.
fn or_null(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { json!(list) }
}

/// `NAME=SOFT[:HARD]` as the API has it.
fn ulimit(text: &str) -> Value {
    let (name, limits) = text.split_once('=').unwrap_or((text, ""));
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |text: &str| text.parse::<i64>().unwrap_or(-1);
    json!({ "Name": name, "Hard": number(hard), "Soft": number(soft) })
}
