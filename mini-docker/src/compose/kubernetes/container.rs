//! What a container is, as a pod has it.

use serde_json::{Map, Value, json};

use super::{Export, names};
use crate::compose::{duration, tree::text_of};

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

impl Export<'_> {
    /// The container, without its mounts.
    pub(super) fn container(&mut self) -> Value {
        let mut container = json!({ "name": self.name(), "image": self.service.image() });
        let policy = match self.text("pull_policy").as_deref() {
            Some("always") => Some("Always"),
            Some("never") => Some("Never"),
            Some("missing" | "if_not_present" | "build") => Some("IfNotPresent"),
            Some(_) => {
                self.note("pull_policy", "a cluster pulls always, never, or what is missing");
                None
            }
            None => None,
        };
        let words = |words: Vec<Value>| words.iter().map(|word| escaped(&text_of(word))).collect::<Vec<_>>();
        let command = words(self.list("entrypoint"));
        let arguments = words(self.list("command"));
        let parts = [
            ("imagePullPolicy", policy.map(|policy| json!(policy))),
            ("command", some(&command)),
            ("args", some(&arguments)),
            ("workingDir", self.text("working_dir").map(|directory| json!(directory))),
            ("env", some(&self.variables())),
            ("ports", some(&self.container_ports())),
            ("stdin", self.flag("stdin_open").then_some(json!(true))),
            ("tty", self.flag("tty").then_some(json!(true))),
            ("resources", self.resources()),
            ("readinessProbe", self.probe()),
            ("lifecycle", self.lifecycle()),
            ("securityContext", self.rights()),
        ];
        for (key, value) in parts {
            if let Some(value) = value {
                container[key] = value;
            }
        }
        container
    }

    fn variables(&mut self) -> Vec<Value> {
        let mut variables = Vec::new();
        for (name, value) in self.entries("environment") {
            if value.is_null() {
                self.note("environment", &format!("{name} has no value: it was to come from the shell"));
            } else if names::is_variable(&name) {
                variables.push(json!({ "name": name, "value": escaped(&text_of(&value)) }));
            } else {
                self.note("environment", &format!("{name:?} is no name for a variable"));
            }
        }
        variables
    }

    /// What it may use and what is kept for it, as quantities.
    fn resources(&mut self) -> Option<Value> {
        let mut resources = Map::new();
        let parts = [
            (
                "limits",
                self.text("cpus").or_else(|| self.text("deploy.resources.limits.cpus")),
                self.text("mem_limit").or_else(|| self.text("deploy.resources.limits.memory")),
            ),
            (
                "requests",
                self.text("deploy.resources.reservations.cpus"),
                self.text("mem_reservation").or_else(|| self.text("deploy.resources.reservations.memory")),
            ),
        ];
        for (kind, cpu, memory) in parts {
            let mut part = Map::new();
            if let Some(cpu) = cpu.and_then(|cpu| cpu.parse::<f64>().ok()).filter(|&cpu| cpu > 0.0) {
                part.insert("cpu".to_owned(), json!(format!("{:.0}m", (cpu * 1000.0).ceil())));
            }
            if let Some(memory) = memory.filter(|memory| memory != "0") {
                part.insert("memory".to_owned(), json!(memory));
            }
            if !part.is_empty() {
                resources.insert(kind.to_owned(), Value::Object(part));
            }
        }
        some_object(resources)
    }

    /// Its health check: whether others are sent to it. Nothing restarts what is unhealthy, as here.
    fn probe(&mut self) -> Option<Value> {
        let check = self.service.keys.get("healthcheck")?.clone();
        let words: Vec<_> = check.get("test").and_then(Value::as_array).into_iter().flatten().map(text_of).collect();
        let command = match words.split_first() {
            _ if check.get("disable") == Some(&json!(true)) => return None,
            Some((kind, rest)) if kind == "CMD" => rest.to_vec(),
            Some((kind, [line])) if kind == "CMD-SHELL" => ["/bin/sh", "-c", line].map(str::to_owned).to_vec(),
            Some((kind, _)) if kind == "NONE" => return None,
            _ => {
                self.note("healthcheck", "the image's own check is not known to a cluster: say its `test` here");
                return None;
            }
        };
        let seconds = |key: &str| check.get(key).map(text_of).and_then(|text| seconds(&text));
        let retries = check.get("retries").and_then(Value::as_u64).filter(|&retries| retries > 0).unwrap_or(3);
        Some(json!({
            "exec": { "command": command },
            "periodSeconds": seconds("interval").unwrap_or(30).max(1),
            "timeoutSeconds": seconds("timeout").unwrap_or(30).max(1),
            "failureThreshold": retries,
        }))
    }

    fn lifecycle(&mut self) -> Option<Value> {
        let mut lifecycle = Map::new();
        for (key, moment) in [("post_start", "postStart"), ("pre_stop", "preStop")] {
            let hooks = self.list(key);
            let Some(hook) = hooks.first() else { continue };
            if hooks.len() > 1 {
                self.note(key, "there is one alone: the first");
            }
            if let Some(part) =
                hook.as_object().into_iter().flatten().map(|(part, _)| part).find(|part| *part != "command")
            {
                self.note(key, &format!("`{part}` is lost: a hook runs as the container does"));
            }
            lifecycle.insert(moment.to_owned(), json!({ "exec": { "command": hook.get("command") } }));
        }
        some_object(lifecycle)
    }

    fn rights(&mut self) -> Option<Value> {
        let mut rights = Map::new();
        let mut set = |key: &str, value: Value| drop(rights.insert(key.to_owned(), value));
        let bare = |list: Vec<Value>| -> Vec<String> {
            let name = |word: &Value| text_of(word).to_uppercase();
            list.iter().map(|word| name(word).trim_start_matches("CAP_").to_owned()).collect()
        };
        let mut capabilities = Map::new();
        for (key, list) in [("add", bare(self.list("cap_add"))), ("drop", bare(self.list("cap_drop")))] {
            if !list.is_empty() {
                capabilities.insert(key.to_owned(), json!(list));
            }
        }
        if let Some(capabilities) = some_object(capabilities) {
            set("capabilities", capabilities);
        }
        if self.flag("privileged") {
            set("privileged", json!(true));
        }
        if self.flag("read_only") {
            set("readOnlyRootFilesystem", json!(true));
        }
        if let Some(user) = self.text("user") {
            let mut parts = user.splitn(2, ':');
            for key in ["runAsUser", "runAsGroup"] {
                match parts.next().map(str::parse::<i64>) {
                    Some(Ok(id)) => set(key, json!(id)),
                    Some(Err(_)) => self.note("user", "a cluster knows ids alone, no names: write it as numbers"),
                    None => {}
                }
            }
        }
        for option in self.list("security_opt").iter().map(text_of) {
            match option.split_once(['=', ':']).unwrap_or((&option, "true")) {
                ("no-new-privileges", "true") => set("allowPrivilegeEscalation", json!(false)),
                ("no-new-privileges", "false") => set("allowPrivilegeEscalation", json!(true)),
                ("seccomp", "unconfined") => set("seccompProfile", json!({ "type": "Unconfined" })),
                _ => {
                    self.note("security_opt", &format!("{option:?} has no counterpart: see the pod's securityContext"));
                }
            }
        }
        some_object(rights)
    }
}

/// Text in which the kubelet would fill in variables, `$(NAME)`, without that.
fn escaped(text: &str) -> String {
    text.replace("$(", "$$(")
}

/// Whole seconds of a duration, rounded up.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let nanoseconds = i128::from(duration::parse(text)?);
    i64::try_from((nanoseconds + SECOND - 1) / SECOND).ok()
}

/// What is not empty.
pub(super) fn some<T: serde::Serialize>(list: &[T]) -> Option<Value> {
    (!list.is_empty()).then(|| json!(list))
}

/// What is not empty.
pub(super) fn some_object(map: Map<String, Value>) -> Option<Value> {
    (!map.is_empty()).then_some(Value::Object(map))
}
