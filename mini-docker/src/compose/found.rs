//! A project without its files: what its containers, networks and volumes say of it.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Map, Value, json};

use super::{Project, execute::label, load::Environment};
use crate::engine::{
    Engine,
    error::{Error, Result},
};

impl Project {
    /// What there is of the project `name`: for commands that need no more than that.
    ///
    /// # Errors
    /// Where there is nothing of it.
    pub fn found(engine: &Engine, name: &str) -> Result<Self> {
        let mut services = Map::new();
        let mut files = Vec::new();
        let mut directory = PathBuf::new();
        for container in engine.containers()?.iter().filter(|c| label(c, "project") == name) {
            files = label(container, "project.config_files")
                .split(',')
                .filter(|f| !f.is_empty())
                .map(PathBuf::from)
                .collect();
            directory = label(container, "project.working_dir").into();
            let dependencies = label(container, "depends_on").split(',').filter_map(|text| {
                let mut parts = text.split(':');
                let service = parts.next().filter(|service| !service.is_empty())?;
                let condition = parts.next().filter(|c| !c.is_empty()).unwrap_or("service_started");
                Some((service.to_owned(), json!({ "condition": condition, "required": false })))
            });
            let dependencies: Map<_, _> = dependencies.collect();
            let service = json!({ "image": container.config.image_name, "depends_on": dependencies });
            services.insert(label(container, "service").to_owned(), service);
        }
        let of = |labels: &BTreeMap<String, String>, kind: &str| {
            let own = labels.get("com.docker.compose.project").is_some_and(|project| project == name);
            labels.get(&format!("com.docker.compose.{kind}")).filter(|_| own).cloned()
        };
        let networks: Map<_, _> = engine
            .networks()?
            .into_iter()
            .filter_map(|network| Some((of(&network.labels, "network")?, json!({ "name": network.name }))))
            .collect();
        let volumes: Map<_, _> = engine
            .volumes()?
            .into_iter()
            .filter_map(|volume| Some((of(&volume.labels, "volume")?, json!({ "name": volume.name }))))
            .collect();
        if services.is_empty() && networks.is_empty() && volumes.is_empty() {
            return Err(Error::not_found(format!(
                "no configuration file provided, and there is nothing of a project {name:?}: name a file with -f"
            )));
        }
        Ok(Self {
            missing: BTreeMap::new(),
            warnings: Vec::new(),
            name: name.to_owned(),
            separator: "-",
            directory,
            files,
            model: json!({ "name": name, "services": services, "networks": networks, "volumes": volumes }),
            disabled: Value::Object(Map::new()),
            environment: Environment(BTreeMap::new()),
            sources: Vec::new(),
        })
    }
}
