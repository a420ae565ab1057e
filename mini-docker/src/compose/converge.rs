//! Making what is described: what is missing, what differs, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    execute::{Running, label, number},
    plan::{Act, Observed, Wanted, plan},
    service::Service,
};
use crate::engine::{
    container::{
        Container,
        storage::{From, MountRequest},
    },
    error::{Error, Kind, Result},
    network::Config as Network,
};

/// How to bring a project up.
#[derive(Debug, Clone, Default)]
pub struct Up {
    /// The services; none: all.
    pub services: Vec<String>,
    /// Without what they depend on.
    pub no_deps: bool,
    /// Whether the named services are made anew.
    pub force_recreate: bool,
    /// Whether what the named services depend on is made anew.
    pub recreate_dependencies: bool,
    /// Whether a container that replaces another begins with volumes of its own.
    pub renew_volumes: bool,
    /// Whether nothing is made anew.
    pub no_recreate: bool,
    /// Whether containers of services that are not described any more go.
    pub remove_orphans: bool,
    /// Whether nothing is said of such containers.
    pub ignore_orphans: bool,
    /// Numbers of containers over those of the description.
    pub scale: BTreeMap<String, usize>,
    /// Seconds to wait before a container that is to go is killed; `None`: its own.
    pub timeout: Option<i64>,
}

impl Up {
    /// How many containers the service is to have.
    fn scale_of(&self, service: &Service) -> usize {
        self.scale.get(service.name).copied().unwrap_or_else(|| service.scale())
    }
}

impl<'a> Running<'a> {
    /// Brings the project up; the images are there.
    pub fn up(&self, up: &Up) -> Result<()> {
        self.make(up)?;
        self.start_all(up)
    }

    /// Starts what does not run, after what it depends on.
    pub fn start_all(&self, up: &Up) -> Result<()> {
        self.start_services(&self.ordered(&up.services, up.no_deps)?, up.no_deps)
    }

    // ANCHOR: make
    /// Makes all that is missing or differs, and takes away what is too much. Nothing is started.
    pub fn make(&self, up: &Up) -> Result<()> {
        let services = self.ordered(&up.services, up.no_deps)?;
        for service in &services {
            service.check()?;
            service.check_scale(up.scale_of(service))?;
        }
        let _alone = self.engine.lock_project(&self.project.name)?;
        self.make_volumes(&services)?;
        if up.remove_orphans {
            self.remove_orphans(up.timeout)?;
        }
        if !up.ignore_orphans {
            self.name_orphans()?;
        }
        let mut containers = self.containers()?;
        containers.retain(|container| !self.is_orphan(container));
        if up.no_deps {
            check_donors(&services, &containers)?;
        }
        let outdated = self.outdated_networks(&services)?;
        let plans = self.plans(&services, up, &containers, &outdated)?;
        self.stop(&leaving(&plans, &containers), up.timeout)?;
        outdated.iter().try_for_each(|network| self.remove_network(network))?;
        self.make_networks(&services)?;
        for (service, acts) in plans {
            for act in acts {
                self.act(&service, act, up, &containers)?;
            }
        }
        Ok(())
    }
    // ANCHOR_END: make

    fn name_orphans(&self) -> Result<()> {
        let orphans = self.orphans()?;
        let names: Vec<_> = orphans.iter().map(|orphan| orphan.config.name.as_str()).collect();
        if !names.is_empty() {
            tell!(
                "mini-docker: warning: Found orphan containers ({}) for this project. If you removed or renamed this service in your compose file, you can run this command with the --remove-orphans flag to clean it up.",
                names.join(", ")
            );
        }
        Ok(())
    }

    /// What is to be done about each service's containers.
    pub(super) fn plans(
        &self,
        services: &[Service<'a>],
        up: &Up,
        containers: &[Container],
        outdated: &[Network],
    ) -> Result<Vec<(Service<'a>, Vec<Act>)>> {
        let mut images = BTreeMap::new();
        let mut remade = BTreeSet::new();
        let mut plans = Vec::new();
        for service in services {
            let name = service.image();
            let image = match images.get(&name) {
                Some(id) => String::clone(id),
                None => match self.engine.image(&name) {
                    // It would be had first.
                    Err(e) if self.manner.dry && e.kind == Kind::NotFound => String::new(),
                    image => image?.id,
                },
            };
            images.insert(name, image.clone());
            let own = containers.iter().filter(|container| label(container, "service") == service.name);
            let observed: Vec<_> = own
                .map(|c| Observed {
                    id: c.config.id.clone(),
                    number: number(c),
                    hash: label(c, "config-hash").to_owned(),
                    image: c.config.image.clone(),
                })
                .collect();
            let is_named = up.services.is_empty() || up.services.iter().any(|name| name == service.name);
            let wanted = Wanted {
                hash: service.hash(),
                image,
                scale: up.scale_of(service),
                force: (up.force_recreate && is_named)
                    || (up.recreate_dependencies && !is_named)
                    || service.networks().any(|name| outdated.iter().any(|network| network.name == name))
                    // It lives in a container that goes.
                    || service.joined().any(|(_, name)| remade.contains(name)),
                keep: up.no_recreate,
            };
            let acts = plan(&wanted, &observed);
            if acts.iter().any(|act| matches!(act, Act::Make(_, Some(_)))) {
                remade.insert(service.name);
            }
            plans.push((*service, acts));
        }
        Ok(plans)
    }

    fn act(&self, service: &Service, act: Act, up: &Up, containers: &[Container]) -> Result<()> {
        let find = |id: &str| containers.iter().find(|c| c.config.id == id);
        match act {
            Act::Keep(id) => {
                if let Some(running) = find(&id).filter(|container| container.status.state.is_active()) {
                    self.say_of(running, "Running");
                }
                Ok(())
            }
            Act::Remove(id) => find(&id).map_or(Ok(()), |old| self.remove(old, true)),
            Act::Make(number, old) => {
                let mut request = service.request(number, &|name| self.first_of(name))?;
                if up.no_deps {
                    // Nobody can be linked with who is not there.
                    let is_there =
                        |link: &String| self.engine.container_id(link.split(':').next().unwrap_or(link)).is_ok();
                    request.network.links.retain(is_there);
                }
                let old = old.and_then(|id| find(&id));
                if !up.renew_volumes {
                    inherit(&mut request.storage.mounts, old);
                }
                let name = service.container_name(number);
                let (doing, done) = if old.is_some() { ("Recreate", "Recreated") } else { ("Creating", "Created") };
                self.say("Container", &name, doing);
                old.map_or(Ok(()), |old| self.engine.remove(old, true, false))?;
                self.create(&mut request).map_err(|e| service.in_it(&e))?;
                self.say("Container", &name, done);
                Ok(())
            }
        }
    }
}

/// Those whose namespaces and volumes services share are there, where they are not made.
fn check_donors(services: &[Service], containers: &[Container]) -> Result<()> {
    for service in services {
        for (what, other) in service.donors() {
            let is_made = services.iter().any(|service| service.name == other);
            if !is_made && !containers.iter().any(|container| label(container, "service") == other) {
                let why = format!("cannot share {what} with service {other}: container missing: bring it up too");
                return Err(service.in_it(&Error::conflict(why)));
            }
        }
    }
    Ok(())
}

/// The containers that go, or stop because what they want restarted with them goes.
fn leaving(plans: &[(Service, Vec<Act>)], containers: &[Container]) -> Vec<Container> {
    let goes = |act: &Act| match act {
        Act::Make(_, Some(id)) | Act::Remove(id) => Some(id.clone()),
        Act::Make(_, None) | Act::Keep(_) => None,
    };
    let mut ids: BTreeSet<_> = plans.iter().flat_map(|(_, acts)| acts.iter().filter_map(goes)).collect();
    let remade = |name: &str| {
        let acts = plans.iter().filter(|(service, _)| service.name == name).flat_map(|(_, acts)| acts);
        acts.into_iter().any(|act| matches!(act, Act::Make(_, Some(_))))
    };
    for (service, acts) in plans {
        if service.restarts_with().any(remade) {
            ids.extend(acts.iter().filter_map(|act| if let Act::Keep(id) = act { Some(id.clone()) } else { None }));
        }
    }
    containers.iter().filter(|container| ids.contains(&container.config.id)).cloned().collect()
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
