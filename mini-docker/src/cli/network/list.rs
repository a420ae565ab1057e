//! `network ls`.

use clap::Args;

use crate::{
    cli::{
        Outcome,
        format::{Listing, Row},
    },
    engine::{Engine, Error, Result, image::short, network::Config},
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
        let filters = parse(&self.filter, &["driver", "id", "label", "name", "scope", "type", "dangling"])?;
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
        LISTING.print(self.format.as_deref(), self.quiet, networks.iter().map(row))
    }
}

/// A filter: key and value.
pub(super) type Filters = Vec<(String, String)>;

/// Reads filters, and refuses those that are unknown.
pub(super) fn parse(texts: &[String], known: &[&str]) -> Result<Filters> {
    let mut filters = Vec::new();
    for text in texts {
        let (key, value) = text.split_once('=').ok_or_else(|| {
            Error::invalid(format!(
                "invalid argument {text:?} for \"-f, --filter\" flag: bad format of filter (expected name=value)"
            ))
        })?;
        let key = key.trim().to_ascii_lowercase();
        if !known.contains(&key.as_str()) {
            return Err(Error::invalid(format!("invalid filter '{key}': there are {}", known.join(", "))));
        }
        filters.push((key, value.trim().to_owned()));
    }
    Ok(filters)
}

/// Whether a network is meant: by one value of each key, and by all labels.
fn matches(engine: &Engine, network: &Config, filters: &Filters) -> Result<bool> {
    for key in ["driver", "id", "name", "scope", "type", "dangling"] {
        let mut values = filters.iter().filter(|(of, _)| of == key).map(|(_, value)| value.as_str()).peekable();
        if values.peek().is_none() {
            continue;
        }
        let mut any = false;
        for value in values {
            any |= match key {
                "driver" => network.driver.name() == value,
                "id" => network.id.starts_with(value),
                "name" => network.name.contains(value),
                "scope" => value == "local",
                "type" => match value {
                    "builtin" => network.is_predefined(),
                    "custom" => !network.is_predefined(),
                    _ => return Err(Error::invalid(format!("invalid filter 'type={value}': it is custom or builtin"))),
                },
                _ => {
                    let unused = !network.is_predefined() && !engine.network_is_used(network)?;
                    match value {
                        "true" | "1" => unused,
                        "false" | "0" => !unused,
                        _ => {
                            return Err(Error::invalid(format!(
                                "invalid filter 'dangling={value}': it is true or false"
                            )));
                        }
                    }
                }
            };
        }
        if !any {
            return Ok(false);
        }
    }
    Ok(has_labels(network, filters, "label"))
}

/// Whether a network has all the labels that filters of this key name: `KEY` or `KEY=VALUE`.
pub(super) fn has_labels(network: &Config, filters: &Filters, key: &str) -> bool {
    filters.iter().filter(|(of, _)| of == key).all(|(_, text)| has_label(network, text))
}

pub(super) fn has_label(network: &Config, text: &str) -> bool {
    match text.split_once('=') {
        Some((key, value)) => network.labels.get(key).is_some_and(|found| found == value),
        None => network.labels.contains_key(text),
    }
}
