//! Networks that only describe others (`--config-only`), and those that are made of them (`--config-from`).

use super::{Config, Pool, Request};
use crate::engine::{
    Engine,
    error::{Error, Result},
};

/// Refuses what makes no sense together, in Docker's words.
pub(super) fn check(request: &Request) -> Result<()> {
    let refused = |why: &str| Err(Error::invalid(why));
    if request.config_only && !request.config_from.is_empty() {
        return refused("a configuration network cannot depend on another configuration network: leave one flag out");
    }
    if request.config_only && (request.internal || request.attachable) {
        return refused(
            "configuration network can only contain network specific fields. Network operator fields like [ ingress | internal | attachable | scope ] are not supported: give them to what is made of it",
        );
    }
    if request.config_from.is_empty() {
        return Ok(());
    }
    if request.ipv6 || !request.labels.is_empty() || !request.subnets.is_empty() {
        return refused(
            "user specified configurations are not supported if the network depends on a configuration network: leave them out, or --config-from",
        );
    }
    if !request.options.is_empty() {
        return refused(
            "network driver options are not supported if the network depends on a configuration network: give them to that one",
        );
    }
    Ok(())
}

impl Engine {
    /// Fills in what the network that is named describes; returns the addresses that it chooses.
    pub(super) fn inherit(&self, config: &mut Config) -> Result<Vec<Pool>> {
        let found =
            self.other_networks()?.into_iter().find(|other| other.config_only && other.name == config.config_from);
        let found = found.ok_or_else(|| {
            Error::not_found(format!(
                "configuration network \"{}\" does not exist: make it with --config-only",
                config.config_from
            ))
        })?;
        config.ipv4 = found.ipv4;
        config.ipv6 = found.ipv6;
        config.labels = found.labels;
        config.options = found.options;
        Ok(found.pools)
    }

    /// Refuses to remove a description as long as there are networks that were made of it.
    pub(super) fn refuse_if_described(&self, network: &Config) -> Result<()> {
        if !network.config_only {
            return Ok(());
        }
        match self.other_networks()?.iter().find(|other| other.config_from == network.name) {
            Some(other) => Err(Error::conflict(format!(
                "configuration network \"{}\" is in use: remove first what was made of it (mini-docker network rm {})",
                network.name, other.name
            ))),
            None => Ok(()),
        }
    }
}
