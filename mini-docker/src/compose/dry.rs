//! What `--dry-run` says: what would be done, a line each.

use super::{
    converge::Up,
    execute::{Running, label},
    plan::Act,
    resources::{is, text},
};
use crate::engine::{
    container::Container,
    error::{Kind, Result},
};

impl Running<'_> {
    /// What `up` would make, remove and start.
    pub fn would_bring_up(&self, up: &Up, starts: bool) -> Result<Vec<String>> {
        let services = self.ordered(&up.services, up.no_deps)?;
        let mut lines = Vec::new();
        for (_, network) in self.used("networks", &services).filter(|(_, network)| !is(network, "external")) {
            let name = text(network, "name");
            if matches!(self.engine.network(&name), Err(e) if e.kind == Kind::NotFound) {
                lines.push(format!("Network {name} Created"));
            }
        }
        for (_, volume) in self.used("volumes", &services).filter(|(_, volume)| !is(volume, "external")) {
            let name = text(volume, "name");
            if matches!(self.engine.volume(&name), Err(e) if e.kind == Kind::NotFound) {
                lines.push(format!("Volume {name} Created"));
            }
        }
        let outdated = self.outdated_networks(&services)?;
        lines.extend(outdated.iter().map(|network| format!("Network {} Recreated", network.name)));
        let containers = self.containers()?;
        for orphan in if up.remove_orphans { self.orphans()? } else { Vec::new() } {
            lines.push(format!("Container {} Removed", orphan.config.name));
        }
        let mut starting = Vec::new();
        for (service, acts) in self.plans(&services, up, &containers, &outdated)? {
            let found = |id: &str| containers.iter().find(|container| container.config.id == id);
            for act in acts {
                let (name, done) = match act {
                    Act::Remove(id) => (found(&id).map(|old| old.config.name.clone()).unwrap_or_default(), "Removed"),
                    Act::Make(number, None) => (service.container_name(number), "Created"),
                    Act::Make(number, Some(_)) => (service.container_name(number), "Recreated"),
                    Act::Keep(id) => match found(&id) {
                        Some(container) if container.status.state.is_active() => {
                            (container.config.name.clone(), "Running")
                        }
                        Some(container) => (container.config.name.clone(), ""),
                        None => continue,
                    },
                };
                if starts && !["Removed", "Running"].contains(&done) {
                    starting.push(format!("Container {name} Started"));
                }
                lines.extend((!done.is_empty()).then(|| format!("Container {name} {done}")));
            }
        }
        lines.append(&mut starting);
        Ok(lines)
    }

    /// What `down` would take away.
    pub fn would_take_down(&self, volumes: bool, orphans: bool) -> Result<Vec<String>> {
        let mut all = self.engine.containers()?;
        all.retain(|c| label(c, "project") == self.project.name && (orphans || !self.is_orphan(c)));
        let name = |container: &Container| container.config.name.clone();
        let stopped =
            all.iter().filter(|c| c.status.state.is_active()).map(|c| format!("Container {} Stopped", name(c)));
        let mut lines: Vec<_> = stopped.collect();
        lines.extend(all.iter().map(|c| format!("Container {} Removed", name(c))));
        for (kind, word) in [("networks", "Network"), ("volumes", "Volume")] {
            for (_, resource) in self.resources(kind).filter(|(_, resource)| !is(resource, "external")) {
                let name = text(resource, "name");
                let is_there = if kind == "networks" {
                    self.engine.network(&name).is_ok()
                } else {
                    volumes && self.engine.volume(&name).is_ok()
                };
                lines.extend(is_there.then(|| format!("{word} {name} Removed")));
            }
        }
        Ok(lines)
    }
}
