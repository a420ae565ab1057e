//! The networks of an ordinary user's containers, who may make no interfaces on the host: each has one of its own, which
//! a program connects.

use process::Errno;

use super::files::Facts;
use crate::{
    engine::{
        Engine,
        container::{Config as ContainerConfig, network::Network},
        error::{Error, Kind, Result},
        image::short,
    },
    runtime::{self, UserMode, user_mode},
};

/// What is refused, and why.
const OWN: &str = "without root there are no networks but each container's own: leave it out (in compose, say network_mode: pasta, or service:NAME to share one), or use root's engine";

impl Engine {
    /// Refuses what takes interfaces on the host.
    pub(super) fn refuse_without_root(&self) -> Result<()> {
        if self.is_rootless() { Err(Error::invalid(OWN)) } else { Ok(()) }
    }

    /// Chooses how a container is connected: by what is installed.
    pub(in crate::engine) fn resolve_user_mode(network: &mut Network) -> Result<()> {
        let [endpoint] = network.endpoints.as_slice() else {
            return if network.endpoints.is_empty() {
                Ok(())
            } else {
                Err(Error::invalid(format!("--network: {OWN}")))
            };
        };
        let name = endpoint.network.clone();
        let kind = match (name.as_str(), user_mode::Kind::parse(&name)) {
            ("bridge", _) => user_mode::Kind::ALL.into_iter().find(|kind| kind.find().is_some()),
            (_, Some(kind)) if kind.find().is_some() => Some(kind),
            (_, Some(kind)) => {
                return Err(Error::not_found(format!("--network {name}: {} is not installed", kind.name())));
            }
            _ => return Err(Error::invalid(format!("--network {name}: {OWN}"))),
        };
        if !network.links.is_empty() || endpoint.mac.is_some() || endpoint.ip.or(endpoint.ip6).is_some() {
            return Err(Error::invalid(format!("--link, --ip, --ip6 and --mac-address: {OWN}")));
        }
        if !endpoint.aliases.is_empty() {
            return Err(Error::invalid(format!("--network-alias: {OWN}")));
        }
        let Some(kind) = kind else {
            if !network.publish.is_empty() || network.publish_all {
                return Err(Error::not_found(
                    "publish ports: neither pasta nor slirp4netns is installed: install passt, or slirp4netns",
                ));
            }
            tell!(
                "mini-docker: neither pasta nor slirp4netns is installed: the container has no network but loopback; install passt"
            );
            "none".clone_into(&mut network.mode);
            network.endpoints.clear();
            return Ok(());
        };
        kind.name().clone_into(&mut network.mode);
        network.endpoints.clear();
        Ok(())
    }

    /// What the runtime has to make of it.
    pub(super) fn join_by(&self, config: &ContainerConfig, kind: user_mode::Kind) -> Result<runtime::Network> {
        let missing = || Error::not_found(format!("{} is not installed (any more): install it", kind.name()));
        let program = kind.find().ok_or_else(missing)?;
        let publish = config.network.published()?;
        let refused = |e: process::Error| {
            let kind = if e.errno == Errno::EADDRINUSE { Kind::Conflict } else { Kind::System };
            Error::new(kind, e.to_string())
        };
        let ports = ports::allocate(&publish, kind == user_mode::Kind::Pasta).map_err(refused)?;
        if !ports.is_empty() {
            self.write_ports(&config.id, &ports)?;
        }
        let resolver = super::join::has_resolver(config);
        let facts = Facts { addresses: vec![user_mode::ADDRESS.into()], resolver, ..Facts::default() };
        self.write_etc(config, &facts)?;
        let run = self.store.run(&config.id);
        // A socket's address is short, and an ordinary user's directories are long.
        let socket = self.store.run(&format!("{}.slirp", short(&config.id)));
        let by = UserMode { kind, program, ports, log: run.join("network.log"), socket };
        Ok(runtime::Network::Own { interfaces: Vec::new(), ports: None, resolver, by: Some(Box::new(by)) })
    }
}
