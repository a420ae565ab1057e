//! The fields of Docker's document that say what is always so here, for the templates and programs that read them.

use serde_json::{Map, Value, json};

use crate::engine::container::Container;

/// Adds to `object` what it has not.
pub(super) fn complete(object: &mut Value, defaults: Value) {
    if let (Some(object), Value::Object(defaults)) = (object.as_object_mut(), defaults) {
        for (name, value) in defaults {
            object.entry(name).or_insert(value);
        }
    }
}

/// Of the whole document.
pub(super) fn document() -> Value {
    json!({ "MountLabel": "", "ProcessLabel": "", "AppArmorProfile": "", "ExecIDs": null })
}

/// Of `Config`.
pub(super) fn config() -> Value {
    json!({
        "Domainname": "",
        "AttachStdin": false,
        "AttachStdout": false,
        "AttachStderr": false,
        "OnBuild": null,
    })
}

/// Of `HostConfig`.
pub(super) fn host_config() -> Value {
    let processes = json!({
        "RestartPolicy": { "Name": "no", "MaximumRetryCount": 0 },
        "ContainerIDFile": "",
        "ConsoleSize": [0, 0],
        "GroupAdd": null,
        "OomScoreAdj": 0,
        "Privileged": false,
        "SecurityOpt": null,
        "CgroupnsMode": "private",
        "IpcMode": "private",
        "PidMode": "",
        "UTSMode": "",
        "UsernsMode": "",
        "Cgroup": "",
        "Runtime": "mini-docker",
        "Isolation": "",
    });
    let networks = json!({
        "PortBindings": {},
        "PublishAllPorts": false,
        "Dns": [],
        "DnsOptions": [],
        "DnsSearch": [],
        "ExtraHosts": null,
        "Links": null,
    });
    let resources = json!({
        "Devices": [],
        "DeviceRequests": null,
        "BlkioWeightDevice": [],
        "BlkioDeviceReadBps": [],
        "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [],
        "BlkioDeviceWriteIOps": [],
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpuCount": 0,
        "CpuPercent": 0,
        "IOMaximumIOps": 0,
        "IOMaximumBandwidth": 0,
        "MemorySwappiness": null,
        "OomKillDisable": null,
    });
    let parts = [processes, networks, resources];
    Value::Object(parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten().collect())
}

/// `NetworkSettings` of a container without a network of its own.
pub(super) fn network_settings(container: &Container) -> Value {
    let nothing = json!({
        "IPAMConfig": null,
        "Links": null,
        "Aliases": null,
        "MacAddress": "",
        "DriverOpts": null,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": null,
    });
    let mut networks = Map::new();
    networks.insert(container.config.network.mode.clone(), nothing);
    json!({
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": {},
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
        "Networks": networks,
    })
}
