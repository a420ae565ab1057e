//! `compose events` and `compose wait`.

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::json;

use crate::{
    cli::{
        Outcome,
        events::{follow, moment},
        print,
    },
    compose::execute::Running,
    engine::{
        error::Error,
        events::{Event, Type},
    },
};

#[derive(Debug, Args)]
pub(super) struct Events {
    /// Output events as a stream of json objects
    #[arg(long)]
    json: bool,
    /// Show all events created since a timestamp, or a duration before now
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Stream events until this timestamp, or a duration before now
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

impl Events {
    pub(super) fn run(self, running: Running) -> Outcome {
        self.services.iter().try_for_each(|name| running.service(name).map(drop))?;
        follow(running.engine, self.since, self.until, |event, time| {
            Ok(self.wants(running, event).then(|| self.line(event, time)))
        })
    }

    fn wants(&self, running: Running, event: &Event) -> bool {
        let service = label(event, "service");
        event.kind == Type::Container
            && label(event, "project") == running.project.name
            && (self.services.is_empty() || self.services.iter().any(|name| name == service))
    }

    fn line(&self, event: &Event, time: Timestamp) -> String {
        let attributes = event.actor.attributes.iter().filter(|(key, _)| !key.starts_with("com.docker.compose."));
        if self.json {
            let attributes: serde_json::Map<_, _> =
                attributes.map(|(key, value)| (key.clone(), json!(value))).collect();
            let line = json!({
                "time": time.to_string(), "type": "container", "action": event.action, "id": event.actor.id,
                "service": label(event, "service"), "attributes": attributes,
            });
            return line.to_string();
        }
        let time = time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.6f").to_string();
        let attributes: Vec<_> = attributes.map(|(key, value)| format!("{key}={value}")).collect();
        format!("{time} container {} {} ({})", event.action, event.actor.id, attributes.join(", "))
    }
}

fn label<'a>(event: &'a Event, key: &str) -> &'a str {
    event.actor.attributes.get(&format!("com.docker.compose.{key}")).map_or("", String::as_str)
}

#[derive(Debug, Args)]
pub(super) struct Wait {
    /// Take the project down afterwards
    #[arg(long)]
    down_project: bool,
    /// The services
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
}

impl Wait {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    /// The exit code is that of the last that failed.
    pub(super) fn run(self, running: Running) -> Outcome {
        let containers = running.of(&self.services)?;
        if containers.is_empty() {
            return Err(Error::not_found(format!(
                "no containers for project {:?}: bring it up first",
                running.project.name
            )));
        }
        let mut code = 0;
        for container in &containers {
            let ended = running.engine.wait(container)?;
            print(format_args!("container {:?} exited with status code {ended}\n", container.config.name));
            code = if ended == 0 { code } else { u8::try_from(ended & 0xFF).unwrap_or(1) };
        }
        if self.down_project {
            running.down(None, false, true)?;
        }
        Ok(code)
    }
}
