//! What Docker tells of each kind of object beside its id.

use std::collections::BTreeMap;

use super::{Event, Type};
use crate::engine::{
    Engine,
    container::{
        Config,
        storage::{Access, From},
    },
    network,
    reference::Reference,
    volume::LOCAL,
};

fn owned(attributes: &[(&str, &str)]) -> BTreeMap<String, String> {
    attributes.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Engine {
    /// Writes down that `action` was done to an object. Its failure is nobody's concern: the action itself is done.
    pub fn emit(&self, kind: Type, action: &str, id: &str, attributes: &[(&str, &str)]) {
        self.write_down(&[Event::new(kind, action, id, owned(attributes))]);
    }

    /// That all of a kind were removed that nobody needs, and how many bytes that gave back.
    pub(in crate::engine) fn emit_prune(&self, kind: Type, reclaimed: u64) {
        self.emit(kind, "prune", "", &[("reclaimed", &reclaimed.to_string())]);
    }

    /// As [`Engine::emit`] for a container, with what Docker says of it beside `extra`.
    pub fn emit_container(&self, config: &Config, action: &str, extra: &[(&str, &str)]) {
        self.write_down(&[container(config, action, extra)]);
    }

    /// That it runs, with the volumes that it has taken.
    pub(in crate::engine) fn emit_start(&self, config: &Config, attached: bool) {
        let mut events = Vec::new();
        events.extend(attached.then(|| container(config, "attach", &[])));
        events.extend(mounts(config, "mount"));
        events.push(container(config, "start", &[]));
        self.write_down(&events);
    }

    /// That it has given its volumes back.
    pub(in crate::engine) fn emit_unmounts(&self, config: &Config) {
        self.write_down(&mounts(config, "unmount"));
    }

    /// Of a process in a container: that it is about to be, and is.
    pub(in crate::engine) fn emit_exec(&self, config: &Config, id: &str, command: &[String]) {
        // Docker's words: the command is a part of the action.
        let [first, rest @ ..] = command else { return };
        let command = format!("{first} {}", rest.join(" "));
        let event = |action: &str| container(config, &format!("{action}: {command}"), &[("execID", id)]);
        self.write_down(&[event("exec_create"), event("exec_start")]);
    }

    /// As [`Engine::emit`] for a network; `container` comes to it, or leaves it.
    pub(in crate::engine) fn emit_network(&self, network: &network::Config, action: &str, container: Option<&str>) {
        let mut attributes = vec![("name", network.name.as_str()), ("type", network.driver.name())];
        attributes.extend(container.map(|id| ("container", id)));
        self.emit(Type::Network, action, &network.id, &attributes);
    }

    /// As [`Engine::emit`] for an image, whose id is its name here, as with Docker.
    pub(in crate::engine) fn emit_image(&self, action: &str, id: &str) {
        let name = format!("sha256:{id}");
        self.write_down(&[Event::new(Type::Image, action, &name, self.of_image(id, &name))]);
    }

    /// That an image has got a name.
    pub(in crate::engine) fn emit_tag(&self, id: &str, name: &Reference) {
        let attributes = self.of_image(id, &name.to_string());
        self.write_down(&[Event::new(Type::Image, "tag", &format!("sha256:{id}"), attributes)]);
    }

    /// That an image has come from a registry, or gone there.
    pub(in crate::engine) fn emit_transfer(&self, action: &str, reference: &Reference) {
        let id = self.read_name(reference).unwrap_or_default();
        let attributes = self.of_image(&id, &reference.repository());
        self.write_down(&[Event::new(Type::Image, action, &reference.to_string(), attributes)]);
    }

    /// An image's labels, as long as it is there, and a name.
    fn of_image(&self, id: &str, name: &str) -> BTreeMap<String, String> {
        let image = self.read_image(id).ok().flatten();
        let mut attributes = image.and_then(|image| image.config.config.labels).unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        attributes
    }
}

fn container(config: &Config, action: &str, extra: &[(&str, &str)]) -> Event {
    let mut attributes = config.labels.clone();
    attributes.extend(owned(&[("image", config.image_name.as_str()), ("name", config.name.as_str())]));
    attributes.extend(owned(extra));
    Event::new(Type::Container, action, &config.id, attributes)
}

fn mounts(config: &Config, action: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for point in &config.storage.points {
        let From::Volume { name, .. } = &point.from else { continue };
        let mut attributes = owned(&[("container", &config.id), ("driver", LOCAL)]);
        if action == "mount" {
            let writable = if point.access == Access::Write { "true" } else { "false" };
            attributes.extend(owned(&[
                ("destination", &point.destination),
                ("propagation", &point.propagation),
                ("read/write", writable),
            ]));
        }
        events.push(Event::new(Type::Volume, action, name, attributes));
    }
    events
}
