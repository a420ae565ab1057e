//! A project's containers, networks and volumes: made, started, and taken away, by the engine.

use std::collections::BTreeMap;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::Value;

use super::{
    Project,
    plan::{Act, Observed, Wanted, plan},
    service::Service,
    tree::text_of,
};
use crate::engine::{
    Engine,
    container::{
        Container,
        storage::{From, MountRequest},
    },
    error::{Error, Kind, Result},
    monitor::Options,
    network,
    volume::NewVolume,
};

/// How to bring a project up.
#[derive(Debug, Clone, Default)]
pub struct Up {
    /// The services; none: all.
    pub services: Vec<String>,
    /// Without what they depend on.
    pub no_deps: bool,
    /// Whether all is made anew.
    pub force_recreate: bool,
    /// Whether what the named services depend on is made anew.
    pub recreate_dependencies: bool,
    /// Whether a container that replaces another begins with volumes of its own.
    pub renew_volumes: bool,
    /// Whether nothing is made anew.
    pub no_recreate: bool,
    /// Whether containers of services that are not described any more go.
    pub remove_orphans: bool,
    /// Numbers of containers over those of the description.
    pub scale: BTreeMap<String, usize>,
    /// Seconds to wait before a container that is to go is killed; `None`: its own.
    pub timeout: Option<i64>,
}

/// A project over an engine.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// What is described.
    pub project: &'a Project,
    /// Where it runs.
    pub engine: &'a Engine,
}

/// A label of Docker's compose.
pub fn label<'a>(container: &'a Container, key: &str) -> &'a str {
    container.config.labels.get(&format!("com.docker.compose.{key}")).map_or("", String::as_str)
}

impl<'a> Running<'a> {
    /// A service of the description.
    pub fn service(&self, name: &str) -> Result<Service<'a>> {
        let found = self.project.services().find(|(other, _)| *other == name);
        let found = found.ok_or_else(|| Error::not_found(format!("no such service: {name}")))?;
        Ok(Service { project: self.project, name: found.0, keys: found.1 })
    }

    /// All containers of the project but those of `run`, by service and number.
    pub fn containers(&self) -> Result<Vec<Container>> {
        let mut all = self.engine.containers()?;
        all.retain(|c| label(c, "project") == self.project.name && label(c, "oneoff") != "True");
        all.sort_by_key(|c| (label(c, "service").to_owned(), number(c)));
        Ok(all)
    }

    /// The containers of these services, or of all that are described.
    pub fn of(&self, services: &[String]) -> Result<Vec<Container>> {
        for name in services {
            self.service(name)?;
        }
        let mut all = self.containers()?;
        all.retain(|c| {
            let service = label(c, "service");
            if services.is_empty() { self.service(service).is_ok() } else { services.iter().any(|s| s == service) }
        });
        Ok(all)
    }

    /// A service's container with this number, or its first that runs.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none.
    pub fn nth(&self, service: &str, index: Option<usize>) -> Result<Container> {
        let mut all = self.of(&[service.to_owned()])?.into_iter();
        let found = match index.filter(|&index| index > 0) {
            Some(index) => all.find(|c| number(c) == index),
            None => all.find(|c| c.status.state.is_active()),
        };
        let which = index.map_or_else(String::new, |index| format!(" container #{index}"));
        found.ok_or_else(|| Error::not_found(format!("service {service:?} is not running{which}: bring it up first")))
    }

    /// These services and what they depend on, dependencies first.
    pub fn ordered(&self, services: &[String], no_deps: bool) -> Result<Vec<Service<'a>>> {
        let mut ordered = Vec::new();
        if services.is_empty() {
            for (name, _) in self.project.services() {
                self.visit(name, false, &mut ordered)?;
            }
        }
        for name in services {
            self.visit(name, no_deps, &mut ordered)?;
        }
        Ok(ordered)
    }

    fn visit(&self, name: &str, no_deps: bool, ordered: &mut Vec<Service<'a>>) -> Result<()> {
        if ordered.iter().any(|service| service.name == name) {
            return Ok(());
        }
        let service = self.service(name)?;
        for (other, _, required) in service.dependencies() {
            if !no_deps && (required || self.service(other).is_ok()) {
                self.visit(other, false, ordered)?;
            }
        }
        ordered.push(service);
        Ok(())
    }

    /// Brings the project up; the images are there.
    pub fn up(&self, up: &Up) -> Result<()> {
        self.make(up)?;
        self.start_all(up)
    }

    /// Makes all that is missing or differs, and takes away what is too much. Nothing is started.
    pub fn make(&self, up: &Up) -> Result<()> {
        let services = self.ordered(&up.services, up.no_deps)?;
        for service in &services {
            service.check()?;
        }
        let _alone = self.engine.lock_project(&self.project.name)?;
        self.make_networks()?;
        self.make_volumes()?;
        if up.remove_orphans {
            let orphans: Vec<_> = self.containers()?.into_iter().filter(|c| self.is_orphan(c)).collect();
            self.take_down(&orphans, up.timeout, false)?;
        }
        for service in &services {
            self.converge(service, up)?;
        }
        Ok(())
    }

    /// Starts what does not run, after what it depends on.
    pub fn start_all(&self, up: &Up) -> Result<()> {
        self.ordered(&up.services, up.no_deps)?.iter().try_for_each(|service| self.start(service, up.no_deps))
    }

    /// Whether nothing describes it any more.
    pub fn is_orphan(&self, container: &Container) -> bool {
        let service = label(container, "service");
        self.service(service).is_err() && self.project.disabled.get(service).is_none()
    }

    fn converge(&self, service: &Service, up: &Up) -> Result<()> {
        let containers = self.of(&[service.name.to_owned()])?;
        let observed = |c: &Container| Observed {
            id: c.config.id.clone(),
            number: number(c),
            hash: label(c, "config-hash").to_owned(),
            image: c.config.image.clone(),
        };
        let wanted = Wanted {
            hash: service.hash(),
            image: self.engine.image(&service.image())?.id,
            scale: up.scale.get(service.name).copied().unwrap_or_else(|| service.scale()),
            force: up.force_recreate
                || (up.recreate_dependencies && !up.services.iter().any(|name| name == service.name)),
            keep: up.no_recreate,
        };
        let find = |id: &str| containers.iter().find(|c| c.config.id == id).cloned();
        for act in plan(&wanted, &containers.iter().map(observed).collect::<Vec<_>>()) {
            match act {
                Act::Keep(_) => {}
                Act::Remove(id) => self.take_down(find(&id).as_slice(), up.timeout, true)?,
                Act::Make(number, old) => {
                    let mut request = service.request(number, &|name| self.first_of(name))?;
                    let old = old.and_then(|id| find(&id));
                    if !up.renew_volumes {
                        inherit(&mut request.storage.mounts, old.as_ref());
                    }
                    self.take_down(old.as_slice(), up.timeout, false)?;
                    self.engine.create(&request)?;
                }
            }
        }
        Ok(())
    }

    /// The id of a service's first container.
    pub fn first_of(&self, service: &str) -> Result<String> {
        let all = self.of(&[service.to_owned()])?;
        let first = all.into_iter().next().map(|container| container.config.id);
        first.ok_or_else(|| Error::not_found(format!("service {service:?} has no container: bring it up first")))
    }

    fn start(&self, service: &Service, no_deps: bool) -> Result<()> {
        if !no_deps {
            self.await_dependencies(service)?;
        }
        for container in self.of(&[service.name.to_owned()])? {
            self.engine.start_unless_active(&container.config.id, Options::default())?;
        }
        Ok(())
    }

    /// Waits until what the service depends on is as it wants it.
    pub fn await_dependencies(&self, service: &Service) -> Result<()> {
        for (name, condition, required) in service.dependencies() {
            if self.service(name).is_err() {
                continue;
            }
            for container in self.of(&[name.to_owned()])? {
                let awaited = match condition {
                    "service_completed_successfully" => self.await_end(name, &container),
                    "service_healthy" => self.await_health(&container),
                    _ => Ok(()),
                };
                if required {
                    awaited?;
                }
            }
        }
        Ok(())
    }

    fn await_end(&self, name: &str, container: &Container) -> Result<()> {
        match self.engine.wait(container)? {
            0 => Ok(()),
            code => Err(Error::conflict(format!("service {name:?} didn't complete successfully: exit {code}"))),
        }
    }

    /// Waits for a container's health check to succeed; woken by the engine's events.
    pub fn await_health(&self, container: &Container) -> Result<()> {
        let name = &container.config.name;
        let failed = |why: String| Err(Error::conflict(format!("dependency failed to start: container {name} {why}")));
        let mut events = self.engine.events()?;
        loop {
            // First all that has happened, then the look: what happens after it wakes the wait.
            while events.take()?.is_some() {}
            let container = self.engine.load(&container.config.id)?;
            if !container.status.state.is_active() {
                return failed(format!("exited ({})", container.status.exit_code));
            }
            let document = self.engine.inspect_container(&container);
            match document.pointer("/State/Health/Status").and_then(Value::as_str) {
                Some("healthy") => return Ok(()),
                Some("unhealthy") => return failed("is unhealthy".to_owned()),
                Some(_) => {}
                None => return failed("has no healthcheck configured".to_owned()),
            }
            let fd = std::os::fd::AsFd::as_fd(&events);
            match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => events.clear(),
                Err(e) => return Err(Error::system("wait for events", &e.into())),
            }
        }
    }

    /// Networks or volumes of the description: key and what is said of it.
    fn resources(&self, kind: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.project.model.get(kind).and_then(Value::as_object).into_iter().flatten()
    }

    /// Makes the project's networks that are missing.
    pub fn make_networks(&self) -> Result<()> {
        for (key, network) in self.resources("networks") {
            let name = text(network, "name");
            match self.engine.network(&name) {
                Ok(_) => continue,
                Err(e) if e.kind != Kind::NotFound => return Err(e),
                Err(_) if is(network, "external") => {
                    return Err(Error::not_found(format!(
                        "network {name} declared as external, but could not be found: make it (mini-docker network create {name})"
                    )));
                }
                Err(_) => {}
            }
            let pools = network.pointer("/ipam/config").and_then(Value::as_array).into_iter().flatten();
            let pools: Vec<_> = pools.collect();
            let of = |part: &str| pools.iter().map(|pool| text(pool, part)).filter(|t| !t.is_empty()).collect();
            let reserved = pools.iter().flat_map(|pool| pairs(pool, "aux_addresses")).collect();
            self.engine.create_network(&network::Request {
                name,
                driver: text(network, "driver"),
                subnets: of("subnet"),
                gateways: of("gateway"),
                ranges: of("ip_range"),
                reserved,
                ipv4: network.get("enable_ipv4") != Some(&Value::Bool(false)),
                ipv6: is(network, "enable_ipv6"),
                internal: is(network, "internal"),
                attachable: is(network, "attachable"),
                labels: self.labels(network, "network", key),
                options: pairs(network, "driver_opts"),
            })?;
        }
        Ok(())
    }

    /// Makes the project's volumes that are missing.
    pub fn make_volumes(&self) -> Result<()> {
        for (key, volume) in self.resources("volumes") {
            let name = text(volume, "name");
            if is(volume, "external") {
                self.engine.volume(&name).map_err(|e| match e.kind {
                    Kind::NotFound => Error::not_found(format!(
                        "external volume {name:?} not found: make it (mini-docker volume create {name})"
                    )),
                    _ => e,
                })?;
                continue;
            }
            self.engine.create_volume(NewVolume {
                name,
                driver: text(volume, "driver"),
                labels: self.labels(volume, "volume", key),
                options: pairs(volume, "driver_opts"),
                anonymous: false,
            })?;
        }
        Ok(())
    }

    fn labels(&self, resource: &Value, kind: &str, key: &str) -> BTreeMap<String, String> {
        let mut labels = pairs(resource, "labels");
        labels.insert("com.docker.compose.project".to_owned(), self.project.name.clone());
        labels.insert(format!("com.docker.compose.{kind}"), key.to_owned());
        labels
    }

    /// Stops containers: dependants first, all that are independent of each other at once.
    pub fn stop(&self, containers: &[Container], timeout: Option<i64>) -> Result<()> {
        let mut rest: Vec<&Container> = containers.iter().collect();
        while !rest.is_empty() {
            let needed: Vec<String> = rest
                .iter()
                .filter_map(|c| self.service(label(c, "service")).ok())
                .flat_map(|s| s.dependencies().into_iter().map(|(name, ..)| name.to_owned()).collect::<Vec<_>>())
                .collect();
            let (later, now): (Vec<_>, Vec<_>) =
                rest.iter().copied().partition(|c| needed.iter().any(|name| name == label(c, "service")));
            let now = if now.is_empty() { rest.clone() } else { now };
            let begun: Vec<_> = now.iter().map(|c| self.engine.begin_stop(c, None, timeout)).collect();
            for stopping in begun {
                self.engine.finish_stop(stopping?)?;
            }
            rest = later;
            rest.retain(|c| !now.iter().any(|other| other.config.id == c.config.id));
        }
        Ok(())
    }

    /// Stops and removes containers.
    pub fn take_down(&self, containers: &[Container], timeout: Option<i64>, volumes: bool) -> Result<()> {
        self.stop(containers, timeout)?;
        containers.iter().try_for_each(|container| self.engine.remove(container, true, volumes))
    }

    /// Takes the project away; with `volumes` its data too.
    pub fn down(&self, timeout: Option<i64>, volumes: bool, orphans: bool) -> Result<()> {
        let _alone = self.engine.lock_project(&self.project.name)?;
        let mut all = self.engine.containers()?;
        all.retain(|c| label(c, "project") == self.project.name && (orphans || !self.is_orphan(c)));
        self.take_down(&all, timeout, volumes)?;
        for (_, network) in self.resources("networks").filter(|(_, network)| !is(network, "external")) {
            match self.engine.network(&text(network, "name")) {
                Ok(network) => self.engine.remove_network(&network)?,
                Err(e) if e.kind == Kind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        for (_, volume) in self.resources("volumes").filter(|(_, volume)| volumes && !is(volume, "external")) {
            self.engine.remove_volume(&text(volume, "name"), true)?;
        }
        Ok(())
    }
}

/// A container's number in its service.
pub fn number(container: &Container) -> usize {
    label(container, "container-number").parse().unwrap_or(1)
}

/// Data in volumes without a name goes on in the container that replaces another.
fn inherit(mounts: &mut Vec<MountRequest>, old: Option<&Container>) {
    for point in old.iter().flat_map(|container| &container.config.storage.points) {
        let From::Volume { name, anonymous: true, .. } = &point.from else { continue };
        mounts.retain(|mount| mount.target != point.destination || !mount.source.is_empty());
        if !mounts.iter().any(|mount| mount.target == point.destination) {
            mounts.push(MountRequest {
                kind: "volume".to_owned(),
                source: name.clone(),
                target: point.destination.clone(),
                ..MountRequest::default()
            });
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).map(text_of).unwrap_or_default()
}

fn is(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

fn pairs(value: &Value, key: &str) -> BTreeMap<String, String> {
    let all = value.get(key).and_then(Value::as_object).into_iter().flatten();
    all.map(|(key, value)| (key.clone(), text_of(value))).collect()
}
