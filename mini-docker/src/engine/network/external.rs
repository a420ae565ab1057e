//! Drivers that are other people's programs. README.md says how they are asked.

use std::{
    env,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Config, Driver, state::Host};
use crate::{
    engine::{
        Engine,
        container::Config as ContainerConfig,
        error::{Error, Kind, Result},
    },
    runtime::Plugin,
};

/// The version of what is asked and answered.
const VERSION: u64 = 1;
/// Where drivers are looked for: directories with a colon between them.
const PATH: &str = "MINI_DOCKER_NETWORK_PLUGINS";
const DEFAULT_PATH: &str =
    "/etc/mini-docker/network-plugins:/usr/local/lib/mini-docker/network:/usr/lib/mini-docker/network";
/// How long one call may take, in seconds, where it is not [`DEFAULT_LIMIT`].
const LIMIT: &str = "MINI_DOCKER_NETWORK_PLUGIN_SECONDS";
const DEFAULT_LIMIT: u64 = 10;

/// The driver of that name.
///
/// # Errors
/// Docker's words where there is none, and where somebody else than root could change it.
pub(super) fn find(name: &str) -> Result<Plugin> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let path = env::var(PATH).ok().filter(|path| !path.is_empty()).unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let is_name = !name.starts_with('.') && name.len() <= 64 && name.chars().all(good);
    let mut candidates =
        path.split(':').filter(|dir| is_name && dir.starts_with('/')).map(|dir| Path::new(dir).join(name));
    let program = candidates.find(|path| path.is_file()).ok_or_else(|| {
        Error::not_found(format!(
            "could not find plugin {name} in v1 plugin registry: plugin not found: use the driver bridge, macvlan or ipvlan, or put a program {name} into a directory of {PATH} ({path})"
        ))
    })?;
    trusted(&program)?;
    let seconds = env::var(LIMIT).ok().and_then(|text| text.parse().ok()).filter(|limit| (1..=3600).contains(limit));
    Ok(Plugin { program, limit: Duration::from_secs(seconds.unwrap_or(DEFAULT_LIMIT)) })
}

/// It runs as root: so only root, or who runs us, may have written it.
fn trusted(program: &Path) -> Result<()> {
    let found = program.metadata().map_err(|e| Error::system(format_args!("read {}", program.display()), &e))?;
    let owner = [0, nix::unistd::geteuid().as_raw()].contains(&found.uid());
    if owner && found.permissions().mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Error::new(
        Kind::Denied,
        format!("the plug-in {} could be changed by others: chown root and chmod go-w it", program.display()),
    ))
}

impl Engine {
    /// Asks a network's driver whether it is one of those that we can talk to, and knows the network's options.
    pub(super) fn ask_driver(&self, network: &Config) -> Result<()> {
        let Driver::External(name) = &network.driver else { return Ok(()) };
        let plugin = find(name)?;
        let info = call(&plugin, &self.driver_request(network, "info", None))?;
        if info["version"].as_u64() != Some(VERSION) {
            return Err(Error::invalid(format!(
                "the driver {name} does not speak version {VERSION}: it says {}",
                info["version"]
            )));
        }
        if let Some(known) = info["options"].as_array() {
            let unknown = network.options.keys().find(|option| !known.iter().any(|known| known == option.as_str()));
            if let Some(option) = unknown {
                return Err(Error::invalid(format!(
                    "invalid driver option {option}: the driver {name} has no such option"
                )));
            }
        }
        Ok(())
    }

    /// Has the driver of a network do something.
    pub(super) fn call_driver(
        &self,
        network: &Config,
        verb: &str,
        host: Option<(&Host, &ContainerConfig)>,
    ) -> Result<()> {
        let Driver::External(name) = &network.driver else { return Ok(()) };
        call(&find(name)?, &self.driver_request(network, verb, host)).map(drop)
    }

    /// What a driver is asked.
    pub(super) fn driver_request(
        &self,
        network: &Config,
        verb: &str,
        host: Option<(&Host, &ContainerConfig)>,
    ) -> Value {
        let endpoint = host.map(|(host, container)| {
            json!({ "id": host.endpoint, "container": host.container, "name": container.name,
                "interface": host.interface, "addresses": host.addresses, "mac": host.mac })
        });
        json!({
            "version": VERSION,
            "verb": verb,
            "network": {
                "id": network.id,
                "name": network.name,
                "internal": network.internal,
                "options": network.options,
                "pools": network.pools.iter().map(|pool| json!({ "subnet": pool.subnet, "gateway": pool.gateway })).collect::<Vec<_>>(),
                "alias": super::create::alias(self.store.root(), network),
            },
            "endpoint": endpoint,
        })
    }

    /// Has the driver take down what it has for a container that leaves. The container leaves whatever the driver says: it
    /// may be gone for long.
    pub(super) fn tear_down(&self, network: &Config, id: &str) -> Result<()> {
        let Driver::External(name) = &network.driver else { return Ok(()) };
        let config = self.read_config(id)?;
        let host = self.host_on(network, id)?;
        let (Some(host), Some(config), Ok(plugin)) = (host, config, find(name)) else { return Ok(()) };
        let _ = call(&plugin, &self.driver_request(network, "teardown", Some((&host, &config))));
        Ok(())
    }
}

fn call(plugin: &Plugin, request: &Value) -> Result<Value> {
    let verb = request["verb"].as_str().unwrap_or_default();
    plugin.call(request).map_err(|words| Error::new(Kind::System, format!("{verb} of a network by a plug-in: {words}")))
}
