//! `port`.

use std::net::SocketAddr;

use clap::Args;

use crate::{
    cli::{Outcome, print},
    engine::{Engine, Error, Result, container::Container, network::Published},
};

#[derive(Debug, Args)]
pub(crate) struct Port {
    /// The container, by name, id, or the beginning of its id
    container: String,
    /// One of its ports; all where there is none
    #[arg(value_name = "PRIVATE_PORT[/PROTO]")]
    port: Option<String>,
}

impl Port {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        let published = engine.published_ports(&container)?;
        let host = |port: &Published| SocketAddr::new(port.address, port.host);
        let Some(wanted) = self.port else {
            for port in &published {
                print(format_args!("{} -> {}\n", port.name(), host(port)));
            }
            return Ok(0);
        };
        let (number, protocol) = wanted.split_once('/').unwrap_or((&wanted, "tcp"));
        if number.parse::<u16>().is_err() {
            return Err(Error::invalid(format!("invalid port {wanted:?}: write it as PORT or PORT/PROTOCOL")));
        }
        for address in addresses(engine, &container, &format!("{number}/{protocol}"))? {
            print(format_args!("{address}\n"));
        }
        Ok(0)
    }
}

/// Where the host serves that port of the container's (`80/tcp`): IPv4 first, and at least one address.
///
/// # Errors
/// It is not published.
pub(in crate::cli) fn addresses(engine: &Engine, container: &Container, port: &str) -> Result<Vec<SocketAddr>> {
    let mut found = engine.published_ports(container)?;
    found.retain(|published| published.name() == port);
    if found.is_empty() {
        let name = &container.config.name;
        return Err(Error::not_found(format!(
            "no public port '{port}' published for {name}; see `mini-docker port {name}`"
        )));
    }
    Ok(found.iter().map(|port| SocketAddr::new(port.address, port.host)).collect())
}
