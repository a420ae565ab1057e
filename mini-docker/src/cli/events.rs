//! `events`.

use std::{io::Write, os::fd::AsFd};

use clap::Args;
use jiff::{Timestamp, tz::TimeZone};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::{
    Outcome,
    out::{self, Stdout},
    template::{Data, Template},
};
use crate::engine::{
    Engine, Error, Result,
    events::{Event, Type},
    moment,
};

#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Filter output: container, event, image, label, network, type, volume, scope, each as KEY=VALUE
    #[arg(short, long, value_name = "FILTER", value_parser = Filter::parse)]
    filter: Vec<Filter>,
    /// Format output using a custom template: 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show all events created since a timestamp, or a duration before now
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Stream events until this timestamp, or a duration before now
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Timestamp>,
}

impl Events {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let template = match self.format.as_deref() {
            None | Some("" | "json" | "{{json .}}") => None,
            Some(text) => {
                Some(Template::parse(text).map_err(|e| Error::invalid(format!("template parsing error: {e}")))?)
            }
        };
        follow(engine, self.since, self.until, |event, time| {
            if self.wants(event) { self.line(template.as_ref(), event, time).map(Some) } else { Ok(None) }
        })
    }

    /// Filters of one key are alternatives; but an object has to have all the labels.
    fn wants(&self, event: &Event) -> bool {
        self.filter.iter().all(|filter| {
            filter.matches(event)
                || (filter.key != "label" && self.filter.iter().any(|f| f.key == filter.key && f.matches(event)))
        })
    }

    fn line(&self, template: Option<&Template>, event: &Event, time: Timestamp) -> Result<String> {
        let failed = |e: serde_json::Error| Error::system("print an event", &e.into());
        if let Some(template) = template {
            let document = document(event).map_err(failed)?;
            let text = template.render(&Data::document(&document));
            return text.map_err(|e| Error::invalid(format!("template parsing error: {e}")));
        }
        if self.format.as_deref().is_some_and(|format| !format.is_empty()) {
            return serde_json::to_string(event).map_err(failed);
        }
        let attributes: Vec<_> = event.actor.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let attributes = if attributes.is_empty() { String::new() } else { format!(" ({})", attributes.join(", ")) };
        let time = time.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string();
        let line = format!("{time} {} {} {}{attributes}", kind(event.kind), event.action, event.actor.id);
        // A label that goes on in another line would be an event.
        Ok(line.replace('\n', "\\n"))
    }
}

/// Prints a line for each event that `line` has one for, from `since` until `until` or for ever. Without either there are
/// only new ones.
pub(super) fn follow(
    engine: &Engine,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    line: impl Fn(&Event, Timestamp) -> Result<Option<String>>,
) -> Outcome {
    let mut events = engine.events()?;
    if let (Some(since), Some(until)) = (since, until)
        && since > until
    {
        return Err(Error::invalid(format!("`since` time ({since}) cannot be after `until` time ({until})")));
    }
    let since = since.or_else(|| until.is_none().then(Timestamp::now));
    loop {
        while let Some(event) = events.take()? {
            let time = Timestamp::from_nanosecond(event.time_nano.into()).unwrap_or_default();
            if until.is_some_and(|until| time > until) {
                return Ok(0);
            }
            if since.is_some_and(|since| time < since) {
                continue;
            }
            // A closed pipe: nobody wants to know more.
            if let Some(line) = line(&event, time)?
                && writeln!(Stdout, "{}", out::text(&line)).is_err()
            {
                return Ok(0);
            }
        }
        let left = until.map(|until| until.duration_since(Timestamp::now()));
        if left.is_some_and(|left| !left.is_positive()) {
            return Ok(0);
        }
        let timeout = left
            .map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX));
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(nix::Error::EINTR) | Ok(_) => events.clear(),
            Err(e) => return Err(Error::system("wait for events", &e.into())),
        }
    }
}

/// A value of `--since` or `--until`.
pub(super) fn moment(text: &str) -> Result<Timestamp, String> {
    moment::parse(text, Timestamp::now()).map_err(|e| e.to_string())
}

fn kind(kind: Type) -> &'static str {
    match kind {
        Type::Container => "container",
        Type::Image => "image",
        Type::Volume => "volume",
        Type::Network => "network",
        Type::Builder => "builder",
    }
}

/// An event with the names that Go's structure has in templates.
fn document(event: &Event) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(event)?;
    if let Some(fields) = document.as_object_mut() {
        let names = [
            ("Status", Value::from(event.status.as_str())),
            ("ID", event.id.as_str().into()),
            ("From", event.from.as_str().into()),
            ("Scope", event.scope.as_str().into()),
            ("Time", event.time.into()),
            ("TimeNano", event.time_nano.into()),
        ];
        fields.extend(names.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(document)
}

/// What an event has to be about.
#[derive(Debug, Clone)]
struct Filter {
    key: String,
    value: String,
}

impl Filter {
    fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once('=').ok_or_else(|| format!("invalid filter {text:?}: write KEY=VALUE"))?;
        let key = key.trim().to_ascii_lowercase();
        if ["container", "event", "image", "label", "network", "type", "volume", "scope", "daemon"]
            .contains(&key.as_str())
        {
            return Ok(Self { key, value: value.trim().to_owned() });
        }
        Err(format!(
            "invalid filter '{key}': there are container, event, image, label, network, type, volume and scope"
        ))
    }

    fn matches(&self, event: &Event) -> bool {
        let value = self.value.as_str();
        let attribute = |name: &str| event.actor.attributes.get(name).map_or("", String::as_str);
        let is = |kind| event.kind == kind && (event.actor.id.starts_with(value) || attribute("name") == value);
        match self.key.as_str() {
            "container" => is(Type::Container) || (event.kind != Type::Container && attribute("container") == value),
            "network" => is(Type::Network),
            "volume" => is(Type::Volume),
            "image" => {
                let without_tag = |image: &str| image.rsplit_once(':').map_or(image, |(name, _)| name).to_owned();
                let image = if event.kind == Type::Container { attribute("image") } else { attribute("name") };
                (event.kind == Type::Image && event.actor.id.trim_start_matches("sha256:").starts_with(value))
                    || event.actor.id == value
                    || image == value
                    || without_tag(image) == value
            }
            "type" => kind(event.kind) == value,
            "event" => event.action == value || event.action.split(':').next() == Some(value),
            "label" => match value.split_once('=') {
                Some((key, value)) => event.actor.attributes.get(key).is_some_and(|own| own == value),
                None => event.actor.attributes.contains_key(value),
            },
            "scope" => event.scope == value,
            // There is none to be another's.
            _ => true,
        }
    }
}
