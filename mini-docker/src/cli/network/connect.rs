//! `network connect` and `network disconnect`.

use std::net::IpAddr;

use clap::Args;

use crate::{
    cli::{Outcome, create::links},
    engine::{Engine, container::network::Endpoint, error::Kind},
};

#[derive(Debug, Args)]
pub(crate) struct Connect {
    /// The network, by name or id
    network: String,
    /// The container, by name or id
    container: String,
    /// Add network-scoped alias for the container
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,
    /// Add link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    link: Vec<String>,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::Ipv4Addr>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<std::net::Ipv6Addr>,
    /// Highest gw-priority provides the default gateway, from the next start on
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true)]
    gw_priority: i32,
}

impl Connect {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let endpoint = Endpoint {
            aliases: self.alias,
            links: links(&self.link)?,
            ip: self.ip.map(IpAddr::from),
            ip6: self.ip6.map(IpAddr::from),
            gateway_priority: self.gw_priority,
            ..Endpoint::default()
        };
        engine.connect(&engine.network(&self.network)?, &engine.container(&self.container)?, endpoint)?;
        Ok(0)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Disconnect {
    /// The network, by name or id
    network: String,
    /// The container, by name or id
    container: String,
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
}

impl Disconnect {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        match engine.network(&self.network) {
            Err(e) if self.force && e.kind == Kind::NotFound => engine.forget_network(&self.network, &container)?,
            network => engine.disconnect(&network?, &container, self.force)?,
        }
        Ok(0)
    }
}
