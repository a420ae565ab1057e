//! One file over another: the specification's rules of merging
//! (<https://github.com/compose-spec/compose-spec/blob/main/13-merge.md>).

use serde_json::{Value, json};

use super::tree::{Mapping, Path, text_of};
use crate::engine::error::Result;

/// How two values of one key become one, where it is not the plain way: mappings by key, lists one after the other, and
/// anything else replaced.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The later replaces the earlier, lists too.
    Replace,
    /// Mappings and lists are lists of `KEY=value`, one after the other.
    Lists,
    /// The same, without what is there already.
    Hosts,
    /// A path is a mapping with a context.
    Build,
    /// Lists of names are mappings without values.
    Names,
    /// Lists of names are mappings to the usual condition.
    Dependencies,
    /// Options of another driver are replaced.
    Logging,
    /// Pools of one subnet are merged.
    Pools,
}

const RULES: &[(&str, Rule)] = &[
    ("networks.*.ipam.config", Rule::Pools),
    ("networks.*.labels", Rule::Lists),
    ("volumes.*.labels", Rule::Lists),
    ("services.*.annotations", Rule::Lists),
    ("services.*.build", Rule::Build),
    ("services.*.build.args", Rule::Lists),
    ("services.*.build.additional_contexts", Rule::Lists),
    ("services.*.build.extra_hosts", Rule::Hosts),
    ("services.*.build.labels", Rule::Lists),
    ("services.*.command", Rule::Replace),
    ("services.*.depends_on", Rule::Dependencies),
    ("services.*.deploy.labels", Rule::Lists),
    ("services.*.dns", Rule::Lists),
    ("services.*.dns_opt", Rule::Lists),
    ("services.*.dns_search", Rule::Lists),
    ("services.*.entrypoint", Rule::Replace),
    ("services.*.env_file", Rule::Lists),
    ("services.*.label_file", Rule::Lists),
    ("services.*.environment", Rule::Lists),
    ("services.*.extra_hosts", Rule::Hosts),
    ("services.*.healthcheck.test", Rule::Replace),
    ("services.*.labels", Rule::Lists),
    ("services.*.volumes.*.volume.labels", Rule::Lists),
    ("services.*.logging", Rule::Logging),
    ("services.*.models", Rule::Names),
    ("services.*.networks", Rule::Names),
    ("services.*.sysctls", Rule::Lists),
    ("services.*.tmpfs", Rule::Lists),
    ("services.*.ulimits.*", Rule::Replace),
];

/// The whole model of a later file over that of the earlier ones.
pub(super) fn merge(earlier: Mapping, later: Mapping) -> Result<Mapping> {
    mappings(earlier, later, &Path::default())
}

/// Two values of the same key.
pub(super) fn values(earlier: Value, later: Value, path: &Path) -> Result<Value> {
    if let Some(rule) = path.find(RULES) {
        return by_rule(*rule, earlier, later, path);
    }
    let cannot = || path.wrong("cannot override it: one is a mapping or a list, the other is not");
    Ok(match (earlier, later) {
        (earlier, Value::Null) => earlier,
        (Value::Object(earlier), Value::Object(later)) => Value::Object(mappings(earlier, later, path)?),
        (Value::Array(mut earlier), Value::Array(later)) => {
            earlier.extend(later);
            Value::Array(earlier)
        }
        (Value::Object(_) | Value::Array(_), _) => return Err(cannot()),
        (_, later) => later,
    })
}

fn mappings(mut earlier: Mapping, later: Mapping, path: &Path) -> Result<Mapping> {
    for (key, value) in later {
        let merged = match earlier.get_mut(&key) {
            Some(there) => values(there.take(), value, &path.next(&key))?,
            None => value,
        };
        earlier.insert(key, merged);
    }
    Ok(earlier)
}

fn by_rule(rule: Rule, earlier: Value, later: Value, path: &Path) -> Result<Value> {
    Ok(match rule {
        Rule::Replace => later,
        Rule::Lists => {
            let mut list = as_list(earlier);
            list.extend(as_list(later));
            Value::Array(list)
        }
        Rule::Hosts => {
            let mut list = as_list(earlier);
            for host in as_list(later) {
                if !list.contains(&host) {
                    list.push(host);
                }
            }
            Value::Array(list)
        }
        Rule::Build => Value::Object(mappings(as_build(earlier), as_build(later), path)?),
        Rule::Names => Value::Object(mappings(names(earlier, &Value::Null), names(later, &Value::Null), path)?),
        Rule::Dependencies => {
            let usual = json!({ "condition": "service_started", "required": true });
            Value::Object(mappings(names(earlier, &usual), names(later, &usual), path)?)
        }
        Rule::Logging => match (earlier, later) {
            (Value::Object(earlier), Value::Object(later)) => {
                let (before, after) = (earlier.get("driver"), later.get("driver"));
                let same = before.is_none() || after.is_none() || before == after;
                Value::Object(if same { mappings(earlier, later, path)? } else { later })
            }
            (earlier, Value::Null) => earlier,
            (_, later) => later,
        },
        Rule::Pools => Value::Array(pools(earlier, later, path)?),
    })
}

/// A mapping as sorted `KEY=value`; a list as it is.
fn as_list(value: Value) -> Vec<Value> {
    match value {
        Value::Object(mapping) => {
            let mut list = Vec::new();
            for (key, value) in mapping {
                match value {
                    Value::Null => list.push(key),
                    Value::Array(items) => list.extend(items.iter().map(|item| format!("{key}={}", text_of(item)))),
                    value => list.push(format!("{key}={}", text_of(&value))),
                }
            }
            list.sort();
            list.into_iter().map(Value::String).collect()
        }
        Value::Array(list) => list,
        text @ Value::String(_) => vec![text],
        _ => Vec::new(),
    }
}

fn as_build(value: Value) -> Mapping {
    match value {
        Value::Object(mapping) => mapping,
        context @ Value::String(_) => Mapping::from_iter([("context".to_owned(), context)]),
        _ => Mapping::new(),
    }
}

fn names(value: Value, meaning: &Value) -> Mapping {
    match value {
        Value::Object(mapping) => mapping,
        Value::Array(list) => list.iter().map(|name| (text_of(name), meaning.clone())).collect(),
        _ => Mapping::new(),
    }
}

fn pools(earlier: Value, later: Value, path: &Path) -> Result<Vec<Value>> {
    let (Value::Array(mut pools), Value::Array(later)) = (earlier, later) else {
        return Err(path.wrong("a list of pools is expected"));
    };
    for pool in later {
        match pools.iter_mut().find(|other| other.get("subnet") == pool.get("subnet")) {
            Some(other) => *other = values(other.take(), pool, &path.next("[]"))?,
            None => pools.push(pool),
        }
    }
    Ok(pools)
}
