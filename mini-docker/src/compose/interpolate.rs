//! Variables in a tree: filled in, and turned into what the key wants.

use serde_json::{Number, Value};

use super::{
    template::{Lookup, substitute},
    tree::{Mapping, Path},
};
use crate::engine::error::{Error, Result};

/// What a text becomes where the key wants something else.
#[derive(Debug, Clone, Copy)]
enum Cast {
    Integer,
    Float,
    Boolean,
}

use Cast::{Boolean, Float, Integer};

/// Keys whose value may come from a variable, and is no text.
const CASTS: &[(&str, Cast)] = &[
    ("services.*.cpu_count", Integer),
    ("services.*.cpu_percent", Float),
    ("services.*.cpu_period", Integer),
    ("services.*.cpu_quota", Integer),
    ("services.*.cpu_rt_period", Integer),
    ("services.*.cpu_rt_runtime", Integer),
    ("services.*.cpus", Float),
    ("services.*.cpu_shares", Integer),
    ("services.*.init", Boolean),
    ("services.*.depends_on.*.required", Boolean),
    ("services.*.depends_on.*.restart", Boolean),
    ("services.*.deploy.replicas", Integer),
    ("services.*.deploy.update_config.parallelism", Integer),
    ("services.*.deploy.update_config.max_failure_ratio", Float),
    ("services.*.deploy.rollback_config.parallelism", Integer),
    ("services.*.deploy.rollback_config.max_failure_ratio", Float),
    ("services.*.deploy.restart_policy.max_attempts", Integer),
    ("services.*.deploy.placement.max_replicas_per_node", Integer),
    ("services.*.healthcheck.retries", Integer),
    ("services.*.healthcheck.disable", Boolean),
    ("services.*.oom_kill_disable", Boolean),
    ("services.*.oom_score_adj", Integer),
    ("services.*.pids_limit", Integer),
    ("services.*.ports.[].target", Integer),
    ("services.*.privileged", Boolean),
    ("services.*.read_only", Boolean),
    ("services.*.scale", Integer),
    ("services.*.stdin_open", Boolean),
    ("services.*.tty", Boolean),
    ("services.*.ulimits.*", Integer),
    ("services.*.ulimits.*.hard", Integer),
    ("services.*.ulimits.*.soft", Integer),
    ("services.*.volumes.[].read_only", Boolean),
    ("services.*.volumes.[].volume.nocopy", Boolean),
    ("networks.*.external", Boolean),
    ("networks.*.internal", Boolean),
    ("networks.*.attachable", Boolean),
    ("networks.*.enable_ipv4", Boolean),
    ("networks.*.enable_ipv6", Boolean),
    ("volumes.*.external", Boolean),
    ("secrets.*.external", Boolean),
    ("configs.*.external", Boolean),
];

/// Bytes that variables may bring into one document.
const MOST: usize = 64 << 20;

/// Fills in the variables of all values; keys have none.
/// `missing` is told of each that is not set, and where.
pub(super) fn interpolate(
    model: &mut Mapping,
    value: &dyn Fn(&str) -> Option<String>,
    missing: &dyn Fn(&Path, &str),
) -> Result<()> {
    let mut filling = Filling { value, missing, left: MOST };
    model.iter_mut().try_for_each(|(key, value)| filling.walk(value, &Path::default().next(key)))
}

struct Filling<'a> {
    value: &'a dyn Fn(&str) -> Option<String>,
    missing: &'a dyn Fn(&Path, &str),
    /// Bytes that variables may still bring in.
    left: usize,
}

impl Filling<'_> {
    fn walk(&mut self, value: &mut Value, path: &Path) -> Result<()> {
        match value {
            Value::String(text) => {
                let failed =
                    |why: String| Error::invalid(format!("error while interpolating {path}: {why}")).about(path.keys());
                let lookup = Lookup { value: self.value, missing: &|name| (self.missing)(path, name) };
                let filled = substitute(text, lookup).map_err(|e| failed(e.to_string()))?;
                let brought = self.left.checked_sub(filled.len().saturating_sub(text.len()));
                self.left =
                    brought.ok_or_else(|| failed(format!("all values come to more than {} MiB", MOST >> 20)))?;
                *value = match path.find(CASTS) {
                    Some(cast) => cast_to(&filled, *cast)
                        .ok_or_else(|| failed(format!("{filled:?} is no {}", format!("{cast:?}").to_lowercase())))?,
                    None => Value::String(filled),
                };
            }
            Value::Array(items) => {
                items.iter_mut().enumerate().try_for_each(|(at, item)| self.walk(item, &path.element(at)))?;
            }
            Value::Object(below) => {
                below.iter_mut().try_for_each(|(key, value)| self.walk(value, &path.next(key)))?;
            }
            _ => {}
        }
        Ok(())
    }
}

fn cast_to(text: &str, cast: Cast) -> Option<Value> {
    match cast {
        Integer => text.parse::<i64>().ok().map(Value::from),
        Float => Number::from_f64(text.parse().ok()?).map(Value::Number),
        Boolean => boolean(text).map(Value::Bool),
    }
}

/// The words of YAML 1.1 for yes and no.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}
