//! A project over an engine: its services, in order, and their containers.

use super::{Project, service::Service};
use crate::engine::{
    Engine, Request,
    container::Container,
    error::{Error, Result},
};

/// Of whom made something: the label `com.docker.compose.version`.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How a command does its work.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manner {
    /// How much is done at once; `None`: as much as may.
    pub parallel: Option<usize>,
    /// Whether the names of containers have colours; `None`: on a terminal.
    pub colors: Option<bool>,
    /// Whether nothing is said of what is done.
    pub quiet: bool,
    /// Whether nothing is done, and all of it said.
    pub dry: bool,
    /// Whether networks and volumes that no service uses are made too.
    pub all_resources: bool,
}

/// A project over an engine.
#[derive(Debug, Clone, Copy)]
pub struct Running<'a> {
    /// What is described.
    pub project: &'a Project,
    /// Where it runs.
    pub engine: &'a Engine,
    /// How it is wanted.
    pub manner: Manner,
}

/// A label of Docker's compose.
pub fn label<'a>(container: &'a Container, key: &str) -> &'a str {
    container.config.labels.get(&format!("com.docker.compose.{key}")).map_or("", String::as_str)
}

impl<'a> Running<'a> {
    /// Makes a container, with the label that says of which image.
    pub fn create(&self, request: &mut Request) -> Result<Container> {
        let image = self.engine.image(&request.image)?.id;
        request.labels.insert("com.docker.compose.image".to_owned(), format!("sha256:{image}"));
        self.engine.create(request)
    }

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

    /// The containers that `run` made of a service.
    pub fn one_offs(&self, service: &str) -> Result<Vec<Container>> {
        let mut all = self.engine.containers()?;
        all.retain(|c| {
            label(c, "project") == self.project.name && label(c, "oneoff") == "True" && label(c, "service") == service
        });
        Ok(all)
    }

    /// The containers that nothing asks for any more: of services that are not described, and of `run`, when they have ended.
    pub fn orphans(&self) -> Result<Vec<Container>> {
        let mut all = self.engine.containers()?;
        all.retain(|c| {
            let left = label(c, "oneoff") == "True" && !c.status.state.is_active();
            label(c, "project") == self.project.name && (left || self.is_orphan(c))
        });
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

    /// A service's container with this number, or its first that runs, or else one of `run` that does.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none.
    pub fn nth(&self, service: &str, index: Option<usize>) -> Result<Container> {
        let mut all = self.of(&[service.to_owned()])?.into_iter();
        let found = match index.filter(|&index| index > 0) {
            Some(index) => all.find(|c| number(c) == index),
            None => match all.find(|c| c.status.state.is_active()) {
                None => self.one_offs(service)?.into_iter().find(|c| c.status.state.is_active()),
                found => found,
            },
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

    /// Whether nothing describes it any more.
    pub fn is_orphan(&self, container: &Container) -> bool {
        let service = label(container, "service");
        self.service(service).is_err() && self.project.disabled.get(service).is_none()
    }

    /// The id of a service's first container.
    pub fn first_of(&self, service: &str) -> Result<String> {
        let all = self.of(&[service.to_owned()])?;
        let first = all.into_iter().next().map(|container| container.config.id);
        first.ok_or_else(|| Error::not_found(format!("service {service:?} has no container: bring it up first")))
    }
}

/// A container's number in its service.
pub fn number(container: &Container) -> usize {
    label(container, "container-number").parse().unwrap_or(1)
}
