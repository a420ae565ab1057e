//! One container more of a service, for one command: `compose run`.

use serde_json::{Value, json};

use super::{
    execute::Running,
    service::Service,
    short::parse_volume,
    tree::{Mapping, text_of},
};
use crate::engine::{
    Request,
    error::{Error, Result},
    store::random_id,
};

/// What differs from the service's description.
#[derive(Debug, Clone, Default)]
pub struct OneOff {
    /// In place of the service's; empty: its own.
    pub command: Vec<String>,
    /// In place of the service's, whose command goes with it.
    pub entrypoint: Option<Vec<String>>,
    /// `KEY=value`, over the service's.
    pub env: Vec<String>,
    /// `KEY=value`, over the service's.
    pub labels: Vec<String>,
    /// A name, in place of one that is made up.
    pub name: Option<String>,
    /// Over the service's.
    pub user: Option<String>,
    /// Over the service's.
    pub working_dir: Option<String>,
    /// More volumes, in the short form; a path of the host is absolute.
    pub volumes: Vec<String>,
    /// Ports to publish.
    pub publish: Vec<String>,
    /// Whether the service's own ports are published.
    pub service_ports: bool,
    /// Whether others find it by the service's names.
    pub aliases: bool,
    /// Capabilities beside the service's.
    pub cap_add: Vec<String>,
    /// Capabilities to take away.
    pub cap_drop: Vec<String>,
    /// Whether it gets a terminal.
    pub tty: bool,
    /// Whether its standard input is open.
    pub stdin: bool,
    /// Whether it goes when it ends.
    pub remove: bool,
    /// Whether nobody stays with it.
    pub detach: bool,
}

impl Running<'_> {
    /// The container that the command runs in. It restarts by no policy: it is for one run.
    pub fn one_off(&self, service: &Service, how: &OneOff) -> Result<Request> {
        let slug = random_id()?;
        let mut keys = service.keys.as_object().cloned().unwrap_or_default();
        let name = how.name.clone().unwrap_or_else(|| self.project.own_name(&[service.name, "run", &slug[..12]]));
        keys.insert("container_name".to_owned(), json!(name));
        for key in ["restart", "scale"] {
            keys.remove(key);
        }
        if !how.service_ports {
            keys.remove("ports");
        }
        how.change(&mut keys)?;
        let keys = Value::Object(keys);
        let mut request = Service { keys: &keys, ..*service }.request(1, &|name| self.first_of(name))?;
        request.network.publish.extend(how.publish.iter().cloned());
        if !how.aliases {
            request.network.endpoints.iter_mut().for_each(|endpoint| endpoint.aliases.clear());
        }
        request.supervision.restart = crate::engine::container::supervision::RestartPolicy::No;
        request.auto_remove = how.remove;
        request.stdin_once = how.stdin && !how.detach;
        for (key, value) in [("oneoff", "True"), ("slug", &slug)] {
            request.labels.insert(format!("com.docker.compose.{key}"), value.to_owned());
        }
        Ok(request)
    }
}

impl OneOff {
    fn change(&self, keys: &mut Mapping) -> Result<()> {
        if let Some(words) = &self.entrypoint {
            keys.insert("entrypoint".to_owned(), json!(words));
            keys.remove("command");
        }
        if !self.command.is_empty() {
            keys.insert("command".to_owned(), json!(self.command));
        }
        keys.insert("tty".to_owned(), json!(self.tty));
        keys.insert("stdin_open".to_owned(), json!(self.stdin));
        for (key, value) in [("user", &self.user), ("working_dir", &self.working_dir)] {
            if let Some(value) = value {
                keys.insert(key.to_owned(), json!(value));
            }
        }
        for (key, pairs) in [("environment", &self.env), ("labels", &self.labels)] {
            let own = keys.entry(key).or_insert_with(|| json!({}));
            let own = own.as_object_mut().into_iter();
            own.for_each(|own| {
                own.extend(pairs.iter().map(|pair| {
                    match pair.split_once('=') {
                        Some((key, value)) => (key.to_owned(), json!(value)),
                        // A variable without a value takes the image's away.
                        None => (pair.clone(), if key == "labels" { json!("") } else { Value::Null }),
                    }
                }));
            });
        }
        for (key, more, less) in
            [("cap_add", &self.cap_add, &self.cap_drop), ("cap_drop", &self.cap_drop, &self.cap_add)]
        {
            let own = keys.entry(key).or_insert_with(|| json!([]));
            if let Value::Array(own) = own {
                own.retain(|word| !less.contains(&text_of(word)));
                own.extend(more.iter().map(|word| json!(word)));
            }
        }
        for text in &self.volumes {
            let volume = parse_volume(text).map_err(Error::invalid)?;
            let own = keys.entry("volumes").or_insert_with(|| json!([]));
            if let Value::Array(own) = own {
                own.retain(|other| other.get("target") != volume.get("target"));
                own.push(Value::Object(volume));
            }
        }
        Ok(())
    }
}
