//! `network rm` and `network prune`.

use clap::Args;
use jiff::{SignedDuration, Timestamp};

use super::list::{has_label, has_labels, parse};
use crate::{
    cli::{Outcome, confirm::confirmed, each_that, print},
    engine::{Engine, Error, Result, error::Kind, network::Config},
};

#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Networks, by name, id, or the beginning of an id
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
}

impl Remove {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        each_that(&self.networks, |name| match engine.network(name) {
            Err(e) if self.force && e.kind == Kind::NotFound => Ok(false),
            found => engine.remove_network(&found?).map(|()| true),
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Prune {
    /// Provide filter values: label, label!, until
    #[arg(long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

impl Prune {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let filters = parse(&self.filter, &["label", "label!", "until"])?;
        let until = filters.iter().find(|(key, _)| key == "until").map(|(_, value)| moment(value)).transpose()?;
        let warning = "WARNING! This will remove all custom networks not used by at least one container.";
        if !confirmed(self.force, warning) {
            return Ok(0);
        }
        let meant = |network: &Config| {
            let none_of = |(key, text): &(String, String)| key != "label!" || !has_label(network, text);
            has_labels(network, &filters, "label")
                && filters.iter().all(none_of)
                && until.is_none_or(|until| network.created < until)
        };
        let removed = engine.prune_networks(meant)?;
        if !removed.is_empty() {
            print(format_args!("Deleted Networks:\n{}\n\n", removed.join("\n")));
        }
        Ok(0)
    }
}

/// A time of RFC 3339, seconds since 1970, or how long ago: `10m`, `1h30m`.
fn moment(text: &str) -> Result<Timestamp> {
    let invalid = || {
        Error::invalid(format!(
            "invalid time {text:?} in the filter until: write it as 24h, or as 2006-01-02T15:04:05Z"
        ))
    };
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    if let Ok(seconds) = text.parse() {
        return Timestamp::from_second(seconds).map_err(|_| invalid());
    }
    let ago: SignedDuration = text.parse().map_err(|_| invalid())?;
    Timestamp::now().checked_sub(ago).map_err(|_| invalid())
}
