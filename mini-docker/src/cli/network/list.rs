//! `network ls`.

use clap::Args;

use crate::{
    cli::{
        Outcome,
        format::{self, Listing, Row},
    },
    engine::{Engine, Error, Result, filter::Filters, image::short, network::Config},
};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Provide filter values: driver, id, label, name, scope, type, dangling
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Format output using a custom template: `table`, `table TEMPLATE`, `json`, or a Go template
    #[arg(long)]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

const LISTING: Listing = Listing {
    headings: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    quiet: "{{.ID}}",
    raw: Some("network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"),
};

impl List {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let filters = Filters::parse(&self.filter, &["driver", "id", "label", "name", "scope", "type", "dangling"])?;
        if let Some(value) =
            filters.values("type").iter().find(|value| !["builtin", "custom"].contains(&value.as_str()))
        {
            return Err(Error::invalid(format!("invalid filter 'type={value}': it is custom or builtin")));
        }
        let mut networks = Vec::new();
        for network in engine.networks()? {
            if matches(engine, &network, &filters)? {
                networks.push(network);
            }
        }
        let row = |network: &Config| {
            let id = if self.no_trunc { network.id.as_str() } else { short(&network.id) };
            let created = network.created.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string();
            Row::new([
                ("CreatedAt", created.into()),
                ("Driver", network.driver.name().into()),
                ("ID", id.into()),
                ("IPv4", network.ipv4.to_string().into()),
                ("IPv6", network.ipv6.to_string().into()),
                ("Internal", network.internal.to_string().into()),
                ("Name", network.name.as_str().into()),
                ("Scope", "local".into()),
            ])
            .labels(&network.labels)
        };
        let format = format::choose(self.format, self.quiet, |own| &own.networks_format);
        LISTING.print(format.as_deref(), self.quiet, networks.iter().map(row))
    }
}

/// Whether a network is meant.
fn matches(engine: &Engine, network: &Config, filters: &Filters) -> Result<bool> {
    let of_type = |value: &str| (value == "builtin") == network.is_predefined();
    let meant = filters.exact("driver", network.driver.name())
        && filters.any("id", |value| network.id.starts_with(value))
        && filters.found_in("name", &network.name)
        && filters.exact("scope", "local")
        && filters.any("type", of_type)
        && filters.labels(&network.labels);
    Ok(meant
        && match filters.switch("dangling")? {
            Some(unused) => unused != (network.is_predefined() || engine.network_is_used(network)?),
            None => true,
        })
}
