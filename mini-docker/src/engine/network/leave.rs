//! A container leaves its networks when it ends, or somebody does for it.

use super::{Config, join::Presence};
use crate::engine::{
    Engine,
    container::Config as ContainerConfig,
    error::{Kind, Result},
    files::read_json,
};

impl Engine {
    /// Gives back all that a container has of its networks. What leads to its ports is removed later, by
    /// [`Engine::sweep_ports`]. Nothing there is success.
    pub(in crate::engine) fn leave_networks(&self, id: &str) -> Result<()> {
        let Some(presence) = self.presence(id)? else { return Ok(()) };
        if self.store.run(id).join("ports.json").exists() || self.may_publish(id) {
            self.discard_ports(id, &presence.owner)?;
        }
        self.leave_all(&presence, id)
    }

    /// The same for what never had ports.
    pub(in crate::engine) fn leave_networks_without_ports(&self, id: &str) -> Result<()> {
        self.presence(id)?.map_or(Ok(()), |presence| self.leave_all(&presence, id))
    }

    fn leave_all(&self, presence: &Presence, id: &str) -> Result<()> {
        presence.networks.iter().try_for_each(|network| self.leave_network(network, id))
    }

    /// Whether it may have ports of which nothing is written down yet.
    fn may_publish(&self, id: &str) -> bool {
        let config: Result<Option<ContainerConfig>> = self.read_config(id);
        config.ok().flatten().is_none_or(|config| !config.network.publish.is_empty() || config.network.publish_all)
    }

    /// Gives back a container's place in one network.
    pub(super) fn leave_network(&self, network: &str, id: &str) -> Result<()> {
        let Some(network) = read_json::<Config>(&self.network_file(network))? else { return Ok(()) };
        self.tear_down(&network, id)?;
        let _lock = match self.lock_network(&network) {
            Err(e) if e.kind == Kind::NotFound => return Ok(()),
            lock => lock?,
        };
        let was_there = self.places(&network.id)?.keep(|other| other != id)?;
        self.tell_resolvers()?;
        if was_there {
            self.emit_network(&network, "disconnect", Some(id));
        }
        Ok(())
    }
}
