//! What a manifest for Kubernetes must look like: rules of its published API (v1.31,
//! <https://kubernetes.io/docs/reference/kubernetes-api/>), as far as the project writes manifests.

use serde_json::Value;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
enum Is {
    Text,
    /// Text of a restricted kind.
    Ruled(fn(&str) -> bool),
    /// One of these words.
    Word(&'static [&'static str]),
    /// An integer from the first to the second.
    Number(i64, i64),
    Flag,
    Texts,
    Numbers,
    /// Keys and values of labels.
    Labels,
    /// Keys of annotations to text.
    Annotations,
    /// Keys of files to text.
    Files,
    Quantities,
    One(&'static str),
    Many(&'static str),
}

/// A field of a type: its name, whether it has to be there, and what it holds.
type Field = (&'static str, bool, Is);

const ANY: i64 = i64::MAX;
const META: Field = ("metadata", true, Is::One("ObjectMeta"));
const API: Field = ("apiVersion", true, Is::Text);
const KIND: Field = ("kind", true, Is::Text);

/// The API's types. Where it has more fields, the project writes none of them.
const TYPES: &[(&str, &[Field])] = &[
    ("Deployment", &[API, KIND, META, ("spec", true, Is::One("DeploymentSpec"))]),
    ("Job", &[API, KIND, META, ("spec", true, Is::One("JobSpec"))]),
    ("Service", &[API, KIND, META, ("spec", true, Is::One("ServiceSpec"))]),
    ("PersistentVolumeClaim", &[API, KIND, META, ("spec", true, Is::One("ClaimSpec"))]),
    ("ConfigMap", &[API, KIND, META, ("data", false, Is::Files), ("binaryData", false, Is::Files)]),
    ("Secret", &[API, KIND, META, ("type", false, Is::Text), ("data", false, Is::Files)]),
    (
        "ObjectMeta",
        &[
            ("name", true, Is::Ruled(is_subdomain)),
            ("labels", false, Is::Labels),
            ("annotations", false, Is::Annotations),
        ],
    ),
    ("TemplateMeta", &[("labels", false, Is::Labels), ("annotations", false, Is::Annotations)]),
    (
        "DeploymentSpec",
        &[
            ("replicas", false, Is::Number(0, ANY)),
            ("selector", true, Is::One("LabelSelector")),
            ("strategy", false, Is::One("DeploymentStrategy")),
            ("template", true, Is::One("PodTemplateSpec")),
        ],
    ),
    ("DeploymentStrategy", &[("type", false, Is::Word(&["Recreate", "RollingUpdate"]))]),
    (
        "JobSpec",
        &[
            ("backoffLimit", false, Is::Number(0, ANY)),
            ("completions", false, Is::Number(0, ANY)),
            ("parallelism", false, Is::Number(0, ANY)),
            ("template", true, Is::One("PodTemplateSpec")),
        ],
    ),
    ("LabelSelector", &[("matchLabels", true, Is::Labels)]),
    ("PodTemplateSpec", &[("metadata", true, Is::One("TemplateMeta")), ("spec", true, Is::One("PodSpec"))]),
    (
        "PodSpec",
        &[
            ("containers", true, Is::Many("Container")),
            ("volumes", false, Is::Many("Volume")),
            ("restartPolicy", false, Is::Word(&["Always", "OnFailure", "Never"])),
            ("hostname", false, Is::Ruled(is_label)),
            ("terminationGracePeriodSeconds", false, Is::Number(0, ANY)),
            ("hostNetwork", false, Is::Flag),
            ("hostPID", false, Is::Flag),
            ("hostIPC", false, Is::Flag),
            ("hostAliases", false, Is::Many("HostAlias")),
            ("dnsConfig", false, Is::One("PodDNSConfig")),
            ("nodeSelector", false, Is::Labels),
            ("securityContext", false, Is::One("PodSecurityContext")),
        ],
    ),
    ("HostAlias", &[("ip", true, Is::Ruled(is_address)), ("hostnames", false, Is::Texts)]),
    (
        "PodDNSConfig",
        &[("nameservers", false, Is::Texts), ("searches", false, Is::Texts), ("options", false, Is::Many("DNSOption"))],
    ),
    ("DNSOption", &[("name", true, Is::Text), ("value", false, Is::Text)]),
    ("PodSecurityContext", &[("supplementalGroups", false, Is::Numbers), ("sysctls", false, Is::Many("Sysctl"))]),
    ("Sysctl", &[("name", true, Is::Text), ("value", true, Is::Text)]),
    (
        "Container",
        &[
            ("name", true, Is::Ruled(is_label)),
            ("image", true, Is::Text),
            ("imagePullPolicy", false, Is::Word(&["Always", "Never", "IfNotPresent"])),
            ("command", false, Is::Texts),
            ("args", false, Is::Texts),
            ("workingDir", false, Is::Text),
            ("env", false, Is::Many("EnvVar")),
            ("ports", false, Is::Many("ContainerPort")),
            ("stdin", false, Is::Flag),
            ("tty", false, Is::Flag),
            ("resources", false, Is::One("ResourceRequirements")),
            ("readinessProbe", false, Is::One("Probe")),
            ("lifecycle", false, Is::One("Lifecycle")),
            ("securityContext", false, Is::One("SecurityContext")),
            ("volumeMounts", false, Is::Many("VolumeMount")),
        ],
    ),
    ("EnvVar", &[("name", true, Is::Ruled(is_variable)), ("value", false, Is::Text)]),
    (
        "ContainerPort",
        &[
            ("name", false, Is::Ruled(is_port)),
            ("containerPort", true, Is::Number(1, 65535)),
            ("protocol", false, PROTOCOL),
        ],
    ),
    ("ResourceRequirements", &[("limits", false, Is::Quantities), ("requests", false, Is::Quantities)]),
    (
        "Probe",
        &[
            ("exec", false, Is::One("ExecAction")),
            ("periodSeconds", false, Is::Number(1, ANY)),
            ("timeoutSeconds", false, Is::Number(1, ANY)),
            ("failureThreshold", false, Is::Number(1, ANY)),
        ],
    ),
    (
        "Lifecycle",
        &[("postStart", false, Is::One("LifecycleHandler")), ("preStop", false, Is::One("LifecycleHandler"))],
    ),
    ("LifecycleHandler", &[("exec", false, Is::One("ExecAction"))]),
    ("ExecAction", &[("command", false, Is::Texts)]),
    (
        "SecurityContext",
        &[
            ("allowPrivilegeEscalation", false, Is::Flag),
            ("capabilities", false, Is::One("Capabilities")),
            ("privileged", false, Is::Flag),
            ("readOnlyRootFilesystem", false, Is::Flag),
            ("runAsGroup", false, Is::Number(0, ANY)),
            ("runAsUser", false, Is::Number(0, ANY)),
            ("seccompProfile", false, Is::One("SeccompProfile")),
        ],
    ),
    ("Capabilities", &[("add", false, Is::Texts), ("drop", false, Is::Texts)]),
    ("SeccompProfile", &[("type", true, Is::Word(&["Localhost", "RuntimeDefault", "Unconfined"]))]),
    (
        "VolumeMount",
        &[
            ("name", true, Is::Ruled(is_label)),
            ("mountPath", true, Is::Ruled(is_mount_path)),
            ("subPath", false, Is::Text),
            ("readOnly", false, Is::Flag),
        ],
    ),
    (
        "Volume",
        &[
            ("name", true, Is::Ruled(is_label)),
            ("persistentVolumeClaim", false, Is::One("ClaimSource")),
            ("emptyDir", false, Is::One("EmptyDirSource")),
            ("secret", false, Is::One("SecretSource")),
            ("configMap", false, Is::One("ConfigMapSource")),
        ],
    ),
    ("ClaimSource", &[("claimName", true, Is::Ruled(is_subdomain))]),
    ("EmptyDirSource", &[("medium", false, Is::Word(&["", "Memory"])), ("sizeLimit", false, Is::Ruled(is_quantity))]),
    ("SecretSource", &[("secretName", false, Is::Ruled(is_subdomain)), ("defaultMode", false, Is::Number(0, 0o777))]),
    ("ConfigMapSource", &[("name", false, Is::Ruled(is_subdomain)), ("defaultMode", false, Is::Number(0, 0o777))]),
    (
        "ServiceSpec",
        &[
            ("type", false, Is::Word(&["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"])),
            ("clusterIP", false, Is::Word(&["None", ""])),
            ("selector", false, Is::Labels),
            ("ports", false, Is::Many("ServicePort")),
        ],
    ),
    (
        "ServicePort",
        &[
            ("name", false, Is::Ruled(is_port)),
            ("port", true, Is::Number(1, 65535)),
            ("targetPort", false, Is::Number(1, 65535)),
            ("protocol", false, PROTOCOL),
        ],
    ),
    ("ClaimSpec", &[("accessModes", true, Is::Texts), ("resources", true, Is::One("ResourceRequirements"))]),
];
const PROTOCOL: Is = Is::Word(&["TCP", "UDP", "SCTP"]);

/// What is wrong with a manifest: a line each.
pub fn mistakes(manifest: &Value) -> Vec<String> {
    let kind = manifest["kind"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    let versions = [("Deployment", "apps/v1"), ("Job", "batch/v1")];
    let version = versions.iter().find(|(other, _)| *other == kind).map_or("v1", |(_, version)| version);
    if manifest["apiVersion"] != version {
        found.push(format!("{kind}: apiVersion is not {version}"));
    }
    of_type(manifest, kind, kind, &mut found);
    semantics(manifest, kind, &mut found);
    found
}

fn of_type(value: &Value, name: &str, path: &str, found: &mut Vec<String>) {
    let Some((_, fields)) = TYPES.iter().find(|(other, _)| *other == name) else {
        return found.push(format!("{path}: no type {name:?}"));
    };
    let Some(object) = value.as_object() else { return found.push(format!("{path}: is no {name}")) };
    for (key, value) in object {
        match fields.iter().find(|(field, ..)| field == key) {
            Some((_, _, is)) => holds(value, *is, &format!("{path}.{key}"), found),
            None => found.push(format!("{path}: {name} has no field {key:?}")),
        }
    }
    for (field, ..) in fields.iter().filter(|(field, required, _)| *required && !object.contains_key(*field)) {
        found.push(format!("{path}: {field} is missing"));
    }
}

fn holds(value: &Value, is: Is, path: &str, found: &mut Vec<String>) {
    match is {
        Is::One(name) => return of_type(value, name, path, found),
        Is::Many(name) => {
            for (at, one) in value.as_array().into_iter().flatten().enumerate() {
                of_type(one, name, &format!("{path}[{at}]"), found);
            }
        }
        _ => {}
    }
    let pairs = |good: &dyn Fn(&str, &str) -> bool| {
        value.as_object().is_some_and(|map| map.iter().all(|(key, value)| value.as_str().is_some_and(|v| good(key, v))))
    };
    let list = |good: fn(&Value) -> bool| value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(good));
    let text = |good: &dyn Fn(&str) -> bool| value.as_str().is_some_and(good);
    let is_right = match is {
        Is::One(_) => true,
        Is::Many(_) => list(Value::is_object),
        Is::Text => text(&|_| true),
        Is::Ruled(rule) => text(&rule),
        Is::Word(words) => text(&|text| words.contains(&text)),
        Is::Number(least, most) => value.as_i64().is_some_and(|number| (least..=most).contains(&number)),
        Is::Flag => value.is_boolean(),
        Is::Texts => list(Value::is_string),
        Is::Numbers => list(Value::is_i64),
        Is::Labels => pairs(&|key, value| is_qualified(key) && (value.is_empty() || is_name(value))),
        Is::Annotations => pairs(&|key, _| is_qualified(key)),
        Is::Files => pairs(&|key, _| is_file(key)),
        Is::Quantities => pairs(&|_, value| is_quantity(value)),
    };
    if !is_right {
        found.push(format!("{path}: {value} is not {is:?}"));
    }
}

/// Rules that tie fields to each other.
fn semantics(manifest: &Value, kind: &str, found: &mut Vec<String>) {
    let template = &manifest["spec"]["template"];
    let pod = &template["spec"];
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    if kind == "Deployment" {
        let labels = &template["metadata"]["labels"];
        let selector = manifest["spec"]["selector"]["matchLabels"].as_object().cloned().unwrap_or_default();
        if selector.is_empty() || selector.iter().any(|(key, value)| labels[key] != *value) {
            found.push("Deployment: its selector does not select its own pods".to_owned());
        }
        if pod.get("restartPolicy").is_some_and(|policy| policy != "Always") {
            found.push("Deployment: its pods restart always".to_owned());
        }
    }
    if kind == "Job" && !["Never", "OnFailure"].contains(&pod["restartPolicy"].as_str().unwrap_or_default()) {
        found.push("Job: restartPolicy is Never or OnFailure".to_owned());
    }
    let volumes: Vec<_> = list(&pod["volumes"]).iter().map(|volume| volume["name"].clone()).collect();
    for container in list(&pod["containers"]) {
        for mount in list(&container["volumeMounts"]).iter().filter(|mount| !volumes.contains(&mount["name"])) {
            found.push(format!("{kind}: no volume {}", mount["name"]));
        }
        for (place, key, all) in
            [("mounts", "mountPath", &container["volumeMounts"]), ("ports", "name", &container["ports"])]
        {
            different(list(all).iter().map(|one| one[key].to_string()), &format!("{kind}: {place}"), found);
        }
    }
    different(volumes.iter().map(Value::to_string), &format!("{kind}: volumes"), found);
    if kind == "Service" {
        let spec = &manifest["spec"];
        different(list(&spec["ports"]).iter().map(|port| port["name"].to_string()), "Service: ports", found);
        if list(&spec["ports"]).is_empty() && spec["clusterIP"] != "None" {
            found.push("Service: only a headless one has no ports".to_owned());
        }
        if !is_label(manifest["metadata"]["name"].as_str().unwrap_or_default()) {
            found.push("Service: its name is no label of DNS".to_owned());
        }
    }
    for data in ["data", "binaryData"].iter().filter(|data| kind == "Secret" || **data == "binaryData") {
        let texts = manifest.get(*data).and_then(Value::as_object).into_iter().flatten();
        for (key, _) in texts.filter(|(_, text)| !text.as_str().is_some_and(is_base64)) {
            found.push(format!("{kind}: {data}.{key} is not base64"));
        }
    }
}

fn different(names: impl Iterator<Item = String>, what: &str, found: &mut Vec<String>) {
    let mut names: Vec<_> = names.collect();
    names.sort();
    found.extend(names.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| format!("{what}: {} twice", pair[0])));
}

/// RFC 1123: small letters, digits and `-`, 63 at most.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_name(text: &str) -> bool {
    let end = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(end)
        && text.ends_with(end)
        && text.chars().all(|c| end(c) || "-_.".contains(c))
}

fn is_qualified(text: &str) -> bool {
    text.rsplit_once('/').map_or_else(|| is_name(text), |(prefix, name)| is_subdomain(prefix) && is_name(name))
}

/// An IANA service name: 15 at most, a letter among them, no `--`.
fn is_port(text: &str) -> bool {
    text.len() <= 15 && is_label(text) && text.bytes().any(|byte| byte.is_ascii_lowercase()) && !text.contains("--")
}

fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'=')
}

fn is_file(text: &str) -> bool {
    (1..=253).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn is_mount_path(text: &str) -> bool {
    text.starts_with('/') && !text.contains(':')
}

fn is_address(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

/// A number with one of the suffixes.
fn is_quantity(text: &str) -> bool {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let suffix = &text[number.len()..];
    let suffixes = ["", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let digits = number.strip_prefix('-').unwrap_or(number);
    suffixes.contains(&suffix)
        && !digits.is_empty()
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.matches('.').count() <= 1
}

fn is_base64(text: &str) -> bool {
    text.len().is_multiple_of(4) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mistakes_are_found() {
        let service =
            |spec: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "a" }, "spec": spec });
        assert_eq!(mistakes(&service(json!({ "clusterIP": "None" }))), Vec::<String>::new());
        for spec in [
            json!({}),
            json!({ "ports": [{ "port": 0 }] }),
            json!({ "ports": [{ "port": 1, "name": "a-name-of-seventeen" }] }),
            json!({ "ports": [{ "port": 1, "name": "80" }] }),
            json!({ "ports": [{ "prot": 1, "port": 1 }] }),
            json!({ "clusterIP": "None", "selector": { "a b": "c" } }),
        ] {
            assert_eq!(mistakes(&service(spec.clone())).len(), 1, "{spec}");
        }
        assert!(
            is_quantity("500m") && is_quantity("1Gi") && is_quantity("0.5") && !is_quantity("1GB") && !is_quantity("m")
        );
    }
}
