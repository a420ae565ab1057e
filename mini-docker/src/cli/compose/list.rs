//! What there is: `compose images`, `ls`, `volumes`, `version`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Outcome,
        format::{Listing, Row},
        print, units,
    },
    compose::execute::{Running, label},
    engine::{
        Engine,
        container::{Container, State},
        error::{Kind, Result},
        filter::Filters,
        image::short,
        reference::Reference,
    },
};

#[derive(Debug, Args)]
pub(super) struct Images {
    /// Format the output: table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display IDs
    #[arg(short, long)]
    quiet: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

const IMAGES: Listing = Listing {
    headings: &[
        ("ContainerName", "CONTAINER"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Platform", "PLATFORM"),
        ("ID", "IMAGE ID"),
        ("Size", "SIZE"),
        ("Created", "CREATED"),
    ],
    table: "{{.ContainerName}}\t{{.Repository}}\t{{.Tag}}\t{{.Platform}}\t{{.ID}}\t{{.Size}}\t{{.Created}}",
    quiet: "{{.ID}}",
    raw: None,
};

impl Images {
    pub(super) fn run(self, running: Running) -> Outcome {
        let containers = running.of(&self.services)?;
        if self.quiet {
            let mut ids: Vec<_> = containers.iter().map(|c| c.config.image.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            super::print_lines(ids);
            return Ok(0);
        }
        let rows: Result<Vec<_>> = containers.iter().map(|c| image_row(running.engine, c)).collect();
        IMAGES.print(self.format.as_deref(), false, rows?)
    }
}

fn image_row(engine: &Engine, container: &Container) -> Result<Row> {
    let config = &container.config;
    let name = Reference::parse(&config.image_name).ok();
    let part = |of: fn(&Reference) -> String| name.as_ref().map_or_else(|| "<none>".to_owned(), of);
    let image = match engine.image(&config.image) {
        Err(e) if e.kind == Kind::NotFound => None,
        image => Some(image?),
    };
    let of = |part: &dyn Fn(&crate::engine::image::Image) -> String| image.as_ref().map_or_else(String::new, part);
    let platform = |image: &crate::engine::image::Image| format!("{}/{}", image.config.os, image.config.architecture);
    Ok(Row::new([
        ("ContainerName", config.name.as_str().into()),
        ("Repository", part(Reference::repository).into()),
        ("Tag", part(|name| name.tag().to_owned()).into()),
        ("Platform", of(&platform).into()),
        ("ID", short(&config.image).into()),
        ("Size", of(&|image| units::size(image.size(engine))).into()),
        ("Created", of(&|image| image.config.created.map_or_else(|| "N/A".to_owned(), units::ago)).into()),
    ]))
}

#[derive(Debug, Args)]
pub(super) struct Ls {
    /// Show all stopped Compose projects
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided: name=PATTERN
    #[arg(long, value_name = "FILTER")]
    filter: Vec<String>,
    /// Format the output: table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display project names
    #[arg(short, long)]
    quiet: bool,
}

const PROJECTS: Listing = Listing {
    headings: &[("Name", "NAME"), ("Status", "STATUS"), ("ConfigFiles", "CONFIG FILES")],
    table: "{{.Name}}\t{{.Status}}\t{{.ConfigFiles}}",
    quiet: "{{.Name}}",
    raw: None,
};

/// A project by its containers.
#[derive(Default)]
struct Found {
    /// How many are in each state.
    states: BTreeMap<&'static str, usize>,
    files: String,
    runs: bool,
}

impl Ls {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let filters = Filters::parse(&self.filter, &["name"])?;
        let mut projects: BTreeMap<String, Found> = BTreeMap::new();
        for container in engine.containers()? {
            let name = label(&container, "project");
            if name.is_empty() || label(&container, "oneoff") == "True" || !filters.found_in("name", name) {
                continue;
            }
            let project = projects.entry(name.to_owned()).or_default();
            let state = container.status.state;
            *project.states.entry(state.name()).or_default() += 1;
            project.runs |= state != State::Exited && state != State::Created;
            label(&container, "project.config_files").clone_into(&mut project.files);
        }
        projects.retain(|_, project| self.all || project.runs);
        let status = |project: &Found| {
            let states = project.states.iter().map(|(state, count)| format!("{state}({count})"));
            states.collect::<Vec<_>>().join(", ")
        };
        if self.format.as_deref() == Some("json") && !self.quiet {
            let all: Vec<_> = projects
                .iter()
                .map(|(name, p)| json!({ "Name": name, "Status": status(p), "ConfigFiles": p.files }))
                .collect();
            print(format_args!("{}\n", json!(all)));
            return Ok(0);
        }
        let rows = projects.iter().map(|(name, project)| {
            Row::new([
                ("Name", name.as_str().into()),
                ("Status", status(project).into()),
                ("ConfigFiles", project.files.as_str().into()),
            ])
        });
        PROJECTS.print(self.format.as_deref(), self.quiet, rows)
    }
}

#[derive(Debug, Args)]
pub(super) struct Volumes {
    /// Format the output: table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

const VOLUMES: Listing = Listing {
    headings: &[("Driver", "DRIVER"), ("Name", "VOLUME NAME")],
    table: "{{.Driver}}\t{{.Name}}",
    quiet: "{{.Name}}",
    raw: None,
};

impl Volumes {
    pub(super) fn run(self, running: Running) -> Outcome {
        let used: Vec<String> = self
            .services
            .iter()
            .map(|name| running.service(name))
            .collect::<Result<Vec<_>>>()?
            .iter()
            .flat_map(|service| service.keys.get("volumes").and_then(|v| v.as_array()).cloned().unwrap_or_default())
            .filter_map(|volume| volume.get("source")?.as_str().map(str::to_owned))
            .collect();
        let project = running.project.name.as_str();
        let mut volumes = running.engine.volumes()?;
        volumes.retain(|volume| {
            let label = |key: &str| volume.labels.get(&format!("com.docker.compose.{key}")).map(String::as_str);
            let wanted = self.services.is_empty() || used.iter().any(|key| label("volume") == Some(key));
            label("project") == Some(project) && wanted
        });
        volumes.sort_by(|a, b| a.name.cmp(&b.name));
        let rows = volumes.iter().map(|v| Row::new([("Driver", "local".into()), ("Name", v.name.as_str().into())]));
        VOLUMES.print(self.format.as_deref(), self.quiet, rows)
    }
}

#[derive(Debug, Args)]
pub(super) struct Version {
    /// Format the output: pretty or json
    #[arg(short, long, default_value = "pretty", value_parser = ["pretty", "json"])]
    format: String,
    /// Show only the version number
    #[arg(long)]
    short: bool,
}

impl Version {
    pub(super) fn run(self) -> Outcome {
        let version = env!("CARGO_PKG_VERSION");
        if self.short {
            print(format_args!("{version}\n"));
        } else if self.format == "json" {
            print(format_args!("{}\n", json!({ "version": version })));
        } else {
            print(format_args!("mini-docker compose version {version}\n"));
        }
        Ok(0)
    }
}
