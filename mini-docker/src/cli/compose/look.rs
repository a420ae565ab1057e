//! `compose ps`.

use clap::Args;
use serde_json::{Value, json};

use super::print_lines;
use crate::{
    cli::{
        Outcome,
        container::View,
        format::{Listing, Row},
    },
    compose::execute::{Running, label},
    engine::{
        container::{Container, State, health::Verdict},
        error::Result,
        filter::Filters,
    },
};

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Show all stopped containers
    #[arg(short, long)]
    all: bool,
    /// Filter services by a property: status=STATE
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Include orphaned services (not declared by project)
    #[arg(long, default_value = "true", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    orphans: bool,
    /// Only display IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display services
    #[arg(long)]
    services: bool,
    /// Filter services by status
    #[arg(long, value_name = "STATE", value_parser = ["paused", "restarting", "removing", "running", "dead", "created", "exited"])]
    status: Vec<String>,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

const LISTING: Listing = Listing {
    headings: &[
        ("Name", "NAME"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("Service", "SERVICE"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Ports", "PORTS"),
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Project", "PROJECT"),
        ("CreatedAt", "CREATED AT"),
        ("State", "STATE"),
        ("Health", "HEALTH"),
        ("ExitCode", "EXIT CODE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Size", "SIZE"),
        ("Publishers", "PUBLISHERS"),
    ],
    table: "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
    quiet: "{{.ID}}",
    raw: None,
};

impl Ps {
    pub(super) fn services(&self) -> &[String] {
        &self.names
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let filters = Filters::parse(&self.filter, &["status"])?;
        let states: Vec<_> = filters.values("status").iter().chain(&self.status).collect();
        let mut containers = if self.names.is_empty() { running.containers()? } else { running.of(&self.names)? };
        containers.retain(|c| {
            let state = c.status.state;
            let shown = if states.is_empty() {
                self.all || state.is_active()
            } else {
                states.iter().any(|wanted| **wanted == state.name())
            };
            shown && (self.orphans || !running.is_orphan(c))
        });
        if self.quiet {
            print_lines(containers.iter().map(|c| &c.config.id));
            return Ok(0);
        }
        if self.services {
            let mut services: Vec<_> = containers.iter().map(|c| label(c, "service")).collect();
            services.dedup();
            print_lines(services);
            return Ok(0);
        }
        let view = View::new(LISTING.fields(self.format.as_deref(), false), self.no_trunc, false);
        let rows: Result<Vec<_>> = containers.iter().map(|c| row(running, &view, c)).collect();
        LISTING.print(self.format.as_deref(), false, rows?)
    }
}

fn row(running: Running, view: &View, container: &Container) -> Result<Row> {
    let engine = running.engine;
    let row = view.row(engine, container)?;
    // Nobody has looked at one that never ran.
    let health = engine.health(container).filter(|_| container.status.started.is_some()).map_or("", Verdict::name);
    let ended = container.status.state == State::Exited;
    let ports = engine.ports_object(container).unwrap_or_default();
    Ok(row
        .with("Name", container.config.name.as_str().into())
        .with("Service", label(container, "service").into())
        .with("Project", running.project.name.as_str().into())
        .with("Health", health.into())
        .with("ExitCode", if ended { container.status.exit_code } else { 0 }.into())
        .with("Publishers", publishers(&ports)))
}

/// As `docker compose ps --format json` has them.
fn publishers(ports: &Value) -> Value {
    let mut all = Vec::new();
    for (name, bindings) in ports.as_object().into_iter().flatten() {
        let (target, protocol) = name.split_once('/').unwrap_or((name, "tcp"));
        let target: u16 = target.parse().unwrap_or(0);
        let one = |url: &Value, published: u16| json!({ "URL": url, "TargetPort": target, "PublishedPort": published, "Protocol": protocol });
        let before = all.len();
        for binding in bindings.as_array().into_iter().flatten() {
            let published = binding["HostPort"].as_str().and_then(|port| port.parse().ok()).unwrap_or(0);
            all.push(one(&binding["HostIp"], published));
        }
        if all.len() == before {
            all.push(one(&json!(""), 0));
        }
    }
    Value::Array(all)
}
