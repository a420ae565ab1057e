//! `port`.

use clap::Args;

use crate::{
    cli::{Outcome, print},
    engine::{Engine, Error, network::Published},
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
        let host = |port: &Published| std::net::SocketAddr::new(port.address, port.host);
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
        let name = format!("{number}/{protocol}");
        let mut found = published.iter().filter(|port| port.name() == name).peekable();
        if found.peek().is_none() {
            return Err(Error::not_found(format!(
                "no public port '{name}' published for {}; see `mini-docker port {0}`",
                self.container
            )));
        }
        for port in found {
            print(format_args!("{}\n", host(port)));
        }
        Ok(0)
    }
}
