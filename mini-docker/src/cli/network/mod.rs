//! `network`: all that is done with networks.

mod connect;
mod create;
mod list;
mod remove;

use clap::Subcommand;

use super::{Outcome, format};
use crate::engine::Engine;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum Command {
    /// Connect a container to a network
    Connect(connect::Connect),
    /// Create a network
    Create(Box<create::Create>),
    /// Disconnect a container from a network
    Disconnect(connect::Disconnect),
    /// Display detailed information on one or more networks
    Inspect(Inspect),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(list::List),
    /// Remove all unused networks
    Prune(remove::Prune),
    /// Make again what is missing in the kernel, for example after `nft flush ruleset`
    Reload,
    /// Remove one or more networks
    #[command(visible_alias = "remove")]
    Rm(remove::Remove),
}

#[derive(Debug, clap::Args)]
pub(super) struct Inspect {
    /// Networks, by name, id, or the beginning of an id
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
    /// Format output using a custom template: `json`, or a Go template
    #[arg(short, long)]
    format: Option<String>,
    /// Verbose output for diagnostics: there is no more than is shown without
    #[arg(short, long)]
    verbose: bool,
}

impl Command {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        match self {
            Self::Connect(command) => command.run(engine),
            Self::Create(command) => command.run(engine),
            Self::Disconnect(command) => command.run(engine),
            Self::Inspect(command) => format::inspect(command.format.as_deref(), &command.networks, |name| {
                engine.inspect_network(&engine.network(name)?)
            }),
            Self::Ls(command) => command.run(engine),
            Self::Prune(command) => command.run(engine),
            Self::Reload => engine.reload_networks().map(|()| 0),
            Self::Rm(command) => command.run(engine),
        }
    }
}
