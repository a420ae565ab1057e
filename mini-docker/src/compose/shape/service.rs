//! The keys of a service (<https://github.com/compose-spec/compose-spec/blob/main/05-services.md>).

use super::{
    BYTES, CHOICE, COUNT, DRIVER_OPTIONS, DURATION, FLAG, FLOAT, Field, INTEGER, LABELS, NUMBER, PORT, Scalar, Shape,
    TEXT, TEXT_LIST, TIMEOUT, Types, key, needed,
};

/// A service.
pub(super) static SERVICE: Shape = Shape::Object(FIELDS);

const FIELDS: &[Field] = &[
    key("annotations", LABELS),
    key("attach", CHOICE),
    key("blkio_config", Shape::Closed(BLKIO)),
    key("build", Shape::Either(&[TEXT, Shape::Object(BUILD)])),
    key("cap_add", TEXT_LIST),
    key("cap_drop", TEXT_LIST),
    key("cgroup", Shape::Word(&["host", "private"])),
    key("cgroup_parent", TEXT),
    key("command", Shape::Command),
    key("configs", FILES),
    key("container_name", Shape::Ruled(is_container_name, "letters, digits, _ . and -")),
    key("cpu_count", Shape::Ranged(0, i64::MAX, Scalar::Integer)),
    key("cpu_percent", Shape::Ranged(0, 100, Scalar::Float)),
    key("cpu_period", NUMBER),
    key("cpu_quota", NUMBER),
    key("cpu_rt_period", NUMBER),
    key("cpu_rt_runtime", NUMBER),
    key("cpu_shares", NUMBER),
    key("cpus", FLOAT),
    key("cpuset", TEXT),
    key("credential_spec", Shape::Object(&[key("config", TEXT), key("file", TEXT), key("registry", TEXT)])),
    key("depends_on", Shape::Either(&[TEXT_LIST, Shape::Named(&Shape::Object(DEPENDENCY))])),
    key("deploy", Shape::Maybe(&Shape::Object(DEPLOY))),
    key("develop", Shape::Maybe(&Shape::Object(&[key("watch", Shape::List(&Shape::Object(WATCH), false))]))),
    key("device_cgroup_rules", TEXT_LIST),
    key("devices", Shape::List(&Shape::Either(&[TEXT, Shape::Object(DEVICE)]), false)),
    key("dns", Shape::Texts),
    key("dns_opt", TEXT_LIST),
    key("dns_search", Shape::Texts),
    key("domainname", TEXT),
    key("entrypoint", Shape::Command),
    key("env_file", Shape::Either(&[TEXT, Shape::List(&Shape::Either(&[TEXT, Shape::Closed(ENV_FILE)]), false)])),
    key("environment", Shape::Pairs(true)),
    key("expose", Shape::List(&Shape::One(Types::TEXT.or(Types::NUMBER), Scalar::Text), true)),
    key("extends", Shape::Either(&[TEXT, Shape::Closed(&[needed("service", TEXT), key("file", TEXT)])])),
    key("external_links", TEXT_LIST),
    key("extra_hosts", Shape::Hosts),
    key("gpus", Shape::Either(&[Shape::Word(&["all"]), Shape::List(&Shape::Object(GPU), false)])),
    key("group_add", Shape::List(&Shape::One(Types::TEXT.or(Types::NUMBER), Scalar::Text), true)),
    key("healthcheck", Shape::Object(HEALTHCHECK)),
    key("hostname", TEXT),
    key("image", TEXT),
    key("init", CHOICE),
    key("ipc", TEXT),
    key("isolation", TEXT),
    key("label_file", Shape::Either(&[TEXT, Shape::List(&TEXT, false)])),
    key("labels", LABELS),
    key("links", TEXT_LIST),
    key(
        "logging",
        Shape::Object(&[
            key("driver", TEXT),
            key("options", Shape::Options(Types::TEXT.or(Types::NUMBER).or(Types::NULL))),
        ]),
    ),
    key("mac_address", TEXT),
    key("mem_limit", BYTES),
    key("mem_reservation", BYTES),
    key("mem_swappiness", BYTES),
    key("memswap_limit", BYTES),
    key(
        "models",
        Shape::Either(&[
            TEXT_LIST,
            Shape::Named(&Shape::Maybe(&Shape::Object(&[key("endpoint_var", TEXT), key("model_var", TEXT)]))),
        ]),
    ),
    key("network_mode", TEXT),
    key("networks", Shape::Either(&[TEXT_LIST, Shape::Named(&Shape::Maybe(&Shape::Object(NETWORK)))])),
    key("oom_kill_disable", FLAG),
    key("oom_score_adj", Shape::Ranged(-1000, 1000, Scalar::Integer)),
    key("pid", Shape::One(Types::TEXT.or(Types::NULL), Scalar::Text)),
    key("pids_limit", NUMBER),
    key("platform", TEXT),
    key(
        "ports",
        Shape::List(
            &Shape::Either(&[Shape::One(Types::TEXT.or(Types::NUMBER), Scalar::Text), Shape::Object(PORTS)]),
            true,
        ),
    ),
    key("post_start", Shape::List(&Shape::Object(HOOK), false)),
    key("pre_start", Shape::List(&Shape::Object(PRE_START), false)),
    key("pre_stop", Shape::List(&Shape::Object(HOOK), false)),
    key("privileged", FLAG),
    key("profiles", TEXT_LIST),
    key("provider", Shape::Object(&[needed("type", TEXT), key("options", Shape::MultiOptions)])),
    key("pull_policy", Shape::Ruled(is_pull_policy, "always, never, missing, build, daily, weekly or every_DURATION")),
    key("pull_refresh_after", TEXT),
    key("read_only", FLAG),
    key("restart", TEXT),
    key("runtime", TEXT),
    key("scale", COUNT),
    key("secrets", FILES),
    key("security_opt", TEXT_LIST),
    key("shm_size", BYTES),
    key("stdin_open", FLAG),
    key("stop_grace_period", TIMEOUT),
    key("stop_signal", TEXT),
    key("storage_opt", Shape::Open),
    key("sysctls", LABELS),
    key("tmpfs", Shape::Texts),
    key("tty", FLAG),
    key("ulimits", Shape::Ulimits),
    key("use_api_socket", Shape::One(Types::BOOLEAN, Scalar::Flag)),
    key("user", TEXT),
    key("userns_mode", TEXT),
    key("uts", TEXT),
    key("volumes", Shape::List(&Shape::Either(&[TEXT, Shape::Object(VOLUME)]), true)),
    key("volumes_from", TEXT_LIST),
    key("working_dir", TEXT),
];

const FILES: Shape = Shape::List(&Shape::Either(&[TEXT, Shape::Object(FILE)]), false);
const FILE: &[Field] = &[
    key("source", TEXT),
    key("target", TEXT),
    key("uid", TEXT),
    key("gid", TEXT),
    key("mode", Shape::One(Types::TEXT.or(Types::NUMBER), Scalar::Mode)),
];
const RATES: Shape = Shape::List(&Shape::Closed(&[key("path", TEXT), key("rate", BYTES)]), false);
const BLKIO: &[Field] = &[
    key("device_read_bps", RATES),
    key("device_read_iops", RATES),
    key("device_write_bps", RATES),
    key("device_write_iops", RATES),
    key("weight", INTEGER),
    key("weight_device", Shape::List(&Shape::Closed(&[key("path", TEXT), key("weight", INTEGER)]), false)),
];
const BUILD: &[Field] = &[
    key("additional_contexts", LABELS),
    key("args", Shape::Pairs(true)),
    key("cache_from", Shape::List(&TEXT, false)),
    key("cache_to", Shape::List(&TEXT, false)),
    key("context", TEXT),
    key("dockerfile", TEXT),
    key("dockerfile_inline", TEXT),
    key("entitlements", Shape::List(&TEXT, false)),
    key("extra_hosts", Shape::Hosts),
    key("isolation", TEXT),
    key("labels", LABELS),
    key("network", TEXT),
    key("no_cache", FLAG),
    key("no_cache_filter", Shape::Texts),
    key("platforms", Shape::List(&TEXT, false)),
    key("privileged", FLAG),
    key("provenance", Shape::One(Types::TEXT.or(Types::BOOLEAN), Scalar::Text)),
    key("pull", FLAG),
    key("sbom", Shape::One(Types::TEXT.or(Types::BOOLEAN), Scalar::Text)),
    key("secrets", FILES),
    key("shm_size", BYTES),
    key("ssh", Shape::Keys),
    key("tags", Shape::List(&TEXT, false)),
    key("target", TEXT),
    key("ulimits", Shape::Ulimits),
];
const DEPENDENCY: &[Field] = &[
    needed("condition", Shape::Word(&["service_started", "service_healthy", "service_completed_successfully"])),
    key("required", Shape::One(Types::BOOLEAN, Scalar::Choice)),
    key("restart", FLAG),
];
const UPDATE: &[Field] = &[
    key("delay", DURATION),
    key("failure_action", TEXT),
    key("max_failure_ratio", FLOAT),
    key("monitor", DURATION),
    key("order", Shape::Word(&["start-first", "stop-first"])),
    key("parallelism", COUNT),
];
const DEPLOY: &[Field] = &[
    key("endpoint_mode", TEXT),
    key("labels", LABELS),
    key("mode", TEXT),
    key(
        "placement",
        Shape::Object(&[
            key("constraints", Shape::List(&TEXT, false)),
            key("max_replicas_per_node", INTEGER),
            key("preferences", Shape::List(&Shape::Object(&[key("spread", TEXT)]), false)),
        ]),
    ),
    key("replicas", COUNT),
    key(
        "resources",
        Shape::Object(&[
            key("limits", Shape::Object(&[key("cpus", FLOAT), key("memory", MEMORY), key("pids", INTEGER)])),
            key("reservations", Shape::Object(RESERVATIONS)),
        ]),
    ),
    key(
        "restart_policy",
        Shape::Object(&[
            key("condition", TEXT),
            key("delay", TIMEOUT),
            key("max_attempts", COUNT),
            key("window", TIMEOUT),
        ]),
    ),
    key("rollback_config", Shape::Object(UPDATE)),
    key("update_config", Shape::Object(UPDATE)),
];
const MEMORY: Shape = Shape::One(Types::TEXT, Scalar::Bytes);
const RESERVATIONS: &[Field] = &[
    key("cpus", FLOAT),
    key(
        "devices",
        Shape::List(
            &Shape::Object(&[
                needed("capabilities", TEXT_LIST),
                key("count", DEVICES),
                key("device_ids", TEXT_LIST),
                key("driver", TEXT),
                key("options", LABELS),
            ]),
            false,
        ),
    ),
    key(
        "generic_resources",
        Shape::List(
            &Shape::Object(&[key("discrete_resource_spec", Shape::Object(&[key("kind", TEXT), key("value", COUNT)]))]),
            false,
        ),
    ),
    key("memory", MEMORY),
];
const DEVICES: Shape = Shape::One(Types::TEXT.or(Types::INTEGER), Scalar::Devices);
const GPU: &[Field] = &[
    key("capabilities", TEXT_LIST),
    key("count", DEVICES),
    key("device_ids", TEXT_LIST),
    key("driver", TEXT),
    key("options", LABELS),
];
const WATCH: &[Field] = &[
    needed("path", TEXT),
    needed("action", Shape::Word(&["rebuild", "sync", "restart", "sync+restart", "sync+exec"])),
    key("exec", Shape::Object(HOOK)),
    key("ignore", Shape::Texts),
    key("include", Shape::Texts),
    key("initial_sync", Shape::One(Types::BOOLEAN, Scalar::Flag)),
    key("target", TEXT),
];
const DEVICE: &[Field] = &[needed("source", TEXT), key("target", TEXT), key("permissions", TEXT)];
const ENV_FILE: &[Field] = &[
    needed("path", TEXT),
    key("format", TEXT),
    key("required", Shape::One(Types::BOOLEAN.or(Types::TEXT), Scalar::OptOut)),
];
const HEALTHCHECK: &[Field] = &[
    key("disable", FLAG),
    key("interval", TIMEOUT),
    key("retries", Shape::One(Types::NUMBER.or(Types::TEXT), Scalar::Count)),
    key("start_interval", TIMEOUT),
    key("start_period", TIMEOUT),
    key("test", Shape::Test),
    key("timeout", TIMEOUT),
];
const HOOK: &[Field] = &[
    needed("command", Shape::Command),
    key("environment", Shape::Pairs(true)),
    key("privileged", FLAG),
    key("user", TEXT),
    key("working_dir", TEXT),
];
const PRE_START: &[Field] = &[
    key("command", Shape::Command),
    key("environment", Shape::Pairs(true)),
    key("image", TEXT),
    key("per_replica", FLAG),
    key("privileged", FLAG),
    key("user", TEXT),
    key("working_dir", TEXT),
];
const PRIORITY: Shape = Shape::One(Types::NUMBER, Scalar::Integer);
const NETWORK: &[Field] = &[
    key("aliases", TEXT_LIST),
    key("driver_opts", DRIVER_OPTIONS),
    key("gw_priority", PRIORITY),
    key("interface_name", TEXT),
    key("ipv4_address", TEXT),
    key("ipv6_address", TEXT),
    key("link_local_ips", TEXT_LIST),
    key("mac_address", TEXT),
    key("priority", PRIORITY),
];
const PORTS: &[Field] = &[
    key("app_protocol", TEXT),
    key("host_ip", TEXT),
    key("mode", TEXT),
    key("name", TEXT),
    key("protocol", TEXT),
    key("published", PORT),
    key("target", INTEGER),
];
const VOLUME: &[Field] = &[
    needed("type", Shape::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])),
    key(
        "bind",
        Shape::Object(&[
            key("create_host_path", Shape::One(Types::BOOLEAN.or(Types::TEXT), Scalar::OptOut)),
            key("propagation", TEXT),
            key("recursive", Shape::Word(&["enabled", "disabled", "writable", "readonly"])),
            key("selinux", Shape::Word(&["z", "Z"])),
        ]),
    ),
    key("consistency", TEXT),
    key("image", Shape::Object(&[key("subpath", TEXT)])),
    key("read_only", FLAG),
    key("source", TEXT),
    key("target", TEXT),
    key("tmpfs", Shape::Object(&[key("mode", NUMBER), key("size", Shape::Ranged(0, i64::MAX, Scalar::Bytes))])),
    key("volume", Shape::Object(&[key("labels", LABELS), key("nocopy", FLAG), key("subpath", TEXT)])),
];

/// Somewhere in the name, as the specification's pattern has no anchors.
fn is_container_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    bytes.windows(2).any(|pair| pair[0].is_ascii_alphanumeric() && good(pair[1]))
}

/// Somewhere in the text too.
fn is_pull_policy(text: &str) -> bool {
    let words = ["always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"];
    let every = text.split_once("every_").is_some_and(|(_, rest)| {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with(['w', 'd', 'h', 'm', 's'])
    });
    every || words.iter().any(|word| text.contains(word))
}
