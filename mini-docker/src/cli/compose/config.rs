//! `compose config`.

use std::{fs, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::{load, print_lines};
use crate::{
    cli::{Outcome, print, table::align},
    compose::{
        Options, Project,
        kubernetes::Manifests,
        service::Service,
        template::{self, Variable},
        yaml,
    },
    engine::error::{Context, Error, Result},
};

#[derive(Debug, Args)]
pub(super) struct Config {
    /// Format the output: yaml, which a compose file may be, or json, the values as they are, or manifests for Kubernetes; what cannot be carried over is named on standard error
    #[arg(long, default_value = "yaml", value_parser = ["yaml", "json", "kubernetes"])]
    format: String,
    /// Only validate the configuration, don't print anything
    #[arg(short, long)]
    quiet: bool,
    /// Print the service names, one per line
    #[arg(long)]
    services: bool,
    /// Print the volume names, one per line
    #[arg(long)]
    volumes: bool,
    /// Print the network names, one per line
    #[arg(long)]
    networks: bool,
    /// Print the model names, one per line
    #[arg(long)]
    models: bool,
    /// Print the image names, one per line
    #[arg(long)]
    images: bool,
    /// Print the profile names, one per line
    #[arg(long)]
    profiles: bool,
    /// Print the variables that interpolation uses, with their values
    #[arg(long)]
    environment: bool,
    /// Print the service config hash, one per line: of these services, with commas between, or of all with `*`
    #[arg(long, value_name = "SERVICES")]
    hash: Option<String>,
    /// Print the variables of the files with their defaults
    #[arg(long)]
    variables: bool,
    /// Don't interpolate environment variables
    #[arg(long)]
    no_interpolate: bool,
    /// Don't check that the parts of the model fit together
    #[arg(long)]
    no_consistency: bool,
    /// Don't resolve service env files
    #[arg(long)]
    no_env_resolution: bool,
    /// Save to file (default to stdout)
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The services to show, with what they depend on; all where none is named
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

impl Config {
    pub(super) fn services(&self) -> &[String] {
        &self.names
    }

    pub(super) fn run(self, options: &mut Options) -> Outcome {
        options.no_interpolate = self.no_interpolate;
        options.no_consistency = self.no_consistency;
        options.no_env_resolution = self.no_env_resolution;
        if self.variables {
            return print_variables(options);
        }
        let mut project = load(options)?;
        if !self.names.is_empty() {
            project.select(&self.names)?;
        }
        let project = project;
        let whole =
            || project.services().try_for_each(|(name, keys)| Service { project: &project, name, keys }.check_files());
        let names = |section: &str| project.model.get(section).and_then(Value::as_object).into_iter().flatten();
        if self.quiet {
            whole()?;
            return Ok(0);
        }
        if self.services {
            print_lines(names("services").map(|(name, _)| name));
        } else if self.volumes {
            print_lines(names("volumes").map(|(name, _)| name));
        } else if self.networks {
            print_lines(names("networks").map(|(name, _)| name));
        } else if self.models {
            print_lines(names("models").filter_map(|(_, model)| model.get("model")?.as_str()));
        } else if self.images {
            print_lines(images(&project));
        } else if self.profiles {
            print_lines(profiles(&project));
        } else if let Some(services) = &self.hash {
            print_lines(hashes(&project, services)?);
        } else if self.environment {
            print_lines(project.environment.0.iter().map(|(key, value)| format!("{key}={value}")));
        } else {
            whole()?;
            let text = match self.format.as_str() {
                "kubernetes" => manifests(&project)?,
                // What comes of a variable is not to be taken for another when the file is read again.
                "yaml" if !self.no_interpolate => in_order(&template::escape(&project.model)),
                "yaml" => in_order(&project.model),
                _ => json(&project.model)?,
            };
            match &self.output {
                Some(path) => fs::write(path, text).doing("write", path)?,
                None => print(format_args!("{text}")),
            }
        }
        Ok(0)
    }
}

/// What tells one configuration from another: the label `com.docker.compose.config-hash` of its containers.
fn hashes(project: &Project, services: &str) -> Result<Vec<String>> {
    let mut names: Vec<&str> = match services {
        "*" => project.services().map(|(name, _)| name.as_str()).collect(),
        names => names.split(',').map(str::trim).collect(),
    };
    let hash = |name: &str| {
        let found = project.services().find(|(other, _)| *other == name);
        let (name, keys) = found.ok_or_else(|| Error::not_found(format!("no such service: {name}")))?;
        let service = Service { project, name, keys };
        service.check_files()?;
        Ok(format!("{name} {}", service.hash()))
    };
    if services == "*" {
        names.sort_unstable();
    }
    names.into_iter().map(hash).collect()
}

/// The variables that the files name, as a table.
fn print_variables(options: &Options) -> Outcome {
    let rows = Project::variables(options)?.into_iter().map(|Variable { name, required, default, alternative }| {
        format!("{name}\t{required}\t{default}\t{alternative}\n")
    });
    let table: String =
        ["NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE\n".to_owned()].into_iter().chain(rows).collect();
    print(format_args!("{}", align(&table)));
    Ok(0)
}

fn images(project: &Project) -> Vec<String> {
    let image = |(name, service): (&String, &Value)| {
        let given = service.get("image").and_then(Value::as_str).map(str::to_owned);
        given.unwrap_or_else(|| project.own_name(&[name]))
    };
    let mut images: Vec<_> = project.services().map(image).collect();
    images.sort();
    images.dedup();
    images
}

fn profiles(project: &Project) -> Vec<String> {
    let disabled = project.disabled.as_object().into_iter().flatten();
    let lists = project.services().chain(disabled).filter_map(|(_, service)| service.get("profiles")?.as_array());
    let mut names: Vec<_> = lists.flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn manifests(project: &Project) -> Result<String> {
    let manifests = Manifests::of(project)?;
    for note in &manifests.notes {
        tell!("mini-docker: not carried over: {note}");
    }
    Ok(manifests.objects.iter().map(yaml::to_string).collect::<Vec<_>>().join("---\n"))
}

/// The sections in the order in which Docker prints them.
fn in_order(model: &Value) -> String {
    const FIRST: [&str; 6] = ["name", "services", "networks", "volumes", "secrets", "configs"];
    let mut sections: Vec<_> = model.as_object().into_iter().flatten().collect();
    sections.sort_by_key(|(key, _)| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    sections.into_iter().map(|(key, value)| yaml::to_string(&json!({ key: value }))).collect()
}

fn json(model: &Value) -> Result<String> {
    let failed = |e: serde_json::Error| Error::system("print the model", &e.into());
    Ok(format!("{}\n", serde_json::to_string_pretty(model).map_err(failed)?))
}
