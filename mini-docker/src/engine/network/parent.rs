//! The host's interfaces whose wires containers share: macvlan and ipvlan.

use process::netlink::{Socket, route};

use super::{Config, Driver, create::link_exists};
use crate::engine::{
    Engine,
    error::{Error, Kind, Result},
};

impl Engine {
    /// Makes the parent, if it is the network's own.
    pub(super) fn make_parent(&self, network: &Config) -> Result<()> {
        let name = network.link();
        if link_exists(&name) {
            return Ok(());
        }
        if !network.owns_parent {
            return Err(Error::not_found(format!(
                "the parent interface {name} of network {} does not exist on the host: see `ip link`",
                network.name
            )));
        }
        let made = match network.parent().and_then(vlan) {
            Some((below, number)) => macvlan::make_vlan(&name, below, number),
            None => macvlan::make_parent(&name),
        };
        made.map_err(|refusal| Error::system(format_args!("make the interface {name}"), &refusal.errno.into()))?;
        if let Ok(socket) = Socket::route()
            && let Ok(Some(link)) = route::link(&socket, &name)
        {
            self.label_link(&socket, link.index, network);
        }
        Ok(())
    }

    /// Removes the parent, if it is the network's own and no other network stands on it.
    pub(super) fn remove_parent(&self, network: &Config) -> Result<()> {
        let name = network.link();
        let shared = |other: &Config| other.id != network.id && other.parent() == Some(&name);
        if !network.owns_parent || self.networks_by_link(&name)?.iter().any(shared) {
            return Ok(());
        }
        macvlan::remove_parent(&name).map_err(|refusal| {
            Error::new(Kind::System, format!("remove the interface {name}: {}", refusal.errno.desc()))
        })
    }

    fn networks_by_link(&self, link: &str) -> Result<Vec<Config>> {
        let mut all = self.other_networks()?;
        all.retain(|network| network.link() == link);
        Ok(all)
    }
}

/// Decides on which interface a network stands: the user's, which must be there, or be a VLAN of one that is. Without
/// one the network is cut off from all others, as with Docker.
pub(super) fn choose_parent(config: &mut Config) -> Result<()> {
    if !matches!(config.driver, Driver::Macvlan | Driver::Ipvlan) {
        return Ok(());
    }
    let Some(parent) = config.parent() else {
        config.internal = true;
        config.owns_parent = true;
        return Ok(());
    };
    if link_exists(parent) {
        return Ok(());
    }
    if vlan(parent).is_none_or(|(below, _)| !link_exists(below)) {
        return Err(Error::invalid(format!(
            "the parent interface {parent} does not exist on the host: see `ip link`; a VLAN of one is written eth0.10"
        )));
    }
    config.owns_parent = true;
    Ok(())
}

/// `eth0.10`: the interface, and the number of the VLAN: 1 to 4094.
fn vlan(name: &str) -> Option<(&str, u16)> {
    let (below, number) = name.rsplit_once('.')?;
    let number = number.parse().ok().filter(|number| (1..=4094).contains(number))?;
    (!below.is_empty()).then_some((below, number))
}

#[cfg(test)]
mod tests {
    use super::vlan;

    #[test]
    fn vlans_are_told_by_their_names() {
        assert_eq!(vlan("eth0.10"), Some(("eth0", 10)));
        assert_eq!(vlan("a.b.4094"), Some(("a.b", 4094)));
        for other in ["eth0", ".10", "eth0.", "eth0.0", "eth0.4095", "eth0.x"] {
            assert_eq!(vlan(other), None, "{other}");
        }
    }
}
