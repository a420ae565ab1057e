//! From what was asked for to points, when a container is made.

use std::collections::BTreeMap;

use super::{
    bind::{self, parse_volumes_from},
    request::{self, place},
    tmpfs,
};
use crate::engine::{
    Engine,
    container::{
        Config, removed,
        storage::{Access, DriverConfig, From, Point, Storage},
    },
    error::{Error, Result},
    store::random_id,
    volume::NewVolume,
};

/// Points by their places.
type Points = BTreeMap<String, Point>;

impl Engine {
    /// Works out what the container is mounted from, and makes the volumes that are missing. The caller holds the lock of
    /// the volumes until the container's configuration names them.
    pub(in crate::engine) fn resolve_mounts(&self, config: &mut Config) -> Result<()> {
        let mut points = Points::new();
        let resolved = self.resolve_into(config, &mut points);
        // With an error too: what was made so far is to go again.
        config.storage.points = in_order(points);
        resolved
    }

    fn resolve_into(&self, config: &Config, points: &mut Points) -> Result<()> {
        self.take_from_others(&config.storage, points)?;
        let mut given = Vec::new();
        for text in &config.storage.binds {
            given.push((bind::parse(text)?, DriverConfig::default(), BTreeMap::new()));
        }
        for mount in &config.storage.mounts {
            let options = mount.volume_options.clone().unwrap_or_default();
            given.push((request::resolve(mount)?, options.driver_config.unwrap_or_default(), options.labels));
        }
        check(&config.storage, given.iter().map(|(point, ..)| point))?;
        for (mut point, mut driver, labels) in given {
            if driver.name.is_empty() {
                driver.name.clone_from(&config.storage.volume_driver);
            }
            if let From::Volume { name, .. } = &mut point.from {
                *name = self.volume_on_use(name, &driver, labels, config)?;
            }
            points.insert(point.destination.clone(), point);
        }
        for path in &config.storage.anonymous {
            let destination = place(path).map_err(|why| Error::invalid(format!("invalid volume {path:?}: {why}")))?;
            if points.contains_key(&destination) || config.storage.tmpfs.contains_key(&destination) {
                continue;
            }
            self.check_no_file(config, &destination)?;
            let driver = DriverConfig { name: config.storage.volume_driver.clone(), ..DriverConfig::default() };
            let name = self.volume_on_use("", &driver, BTreeMap::new(), config)?;
            points.insert(destination.clone(), anonymous(name, destination));
        }
        Ok(())
    }

    fn take_from_others(&self, storage: &Storage, points: &mut Points) -> Result<()> {
        for text in &storage.volumes_from {
            let (other, read_only) = parse_volumes_from(text)?;
            // Read as it stands: what would be settled about it waits for the lock that the caller has.
            let id = self.container_id(other)?;
            let config = self.read_config(&id)?.ok_or_else(|| removed(&id))?;
            for mut point in config.storage.points {
                if read_only && point.access == Access::Write {
                    point.access = Access::Read;
                }
                if let From::Volume { copy, .. } = &mut point.from {
                    *copy = false;
                }
                points.insert(point.destination.clone(), point);
            }
        }
        Ok(())
    }

    /// Makes the volume if it is missing; one without a name gets a random one.
    fn volume_on_use(
        &self,
        name: &str,
        driver: &DriverConfig,
        labels: BTreeMap<String, String>,
        config: &Config,
    ) -> Result<String> {
        let anonymous = name.is_empty();
        let name = if anonymous { random_id()? } else { name.to_owned() };
        let new = NewVolume { name, driver: driver.name.clone(), labels, options: driver.options.clone(), anonymous };
        // One that goes with its container need not outlive the machine's death.
        let durability = if anonymous { config.durability() } else { crate::engine::files::Durability::Machine };
        self.ensure_volume(new, durability).map(|volume| volume.name)
    }
}

fn anonymous(name: String, destination: String) -> Point {
    Point {
        from: From::Volume { name, anonymous: true, copy: true, subpath: String::new() },
        destination,
        mode: String::new(),
        access: Access::Write,
        propagation: String::new(),
    }
}

/// Before anything is made: no place twice, and options that can be read.
fn check<'a>(storage: &Storage, given: impl Iterator<Item = &'a Point>) -> Result<()> {
    let mut places: Vec<String> = Vec::new();
    for (target, options) in &storage.tmpfs {
        tmpfs::parse(options)?;
        places.push(place(target).map_err(|why| Error::invalid(format!("invalid tmpfs {target:?}: {why}")))?);
    }
    for point in given {
        if places.contains(&point.destination) {
            return Err(Error::invalid(format!("Duplicate mount point: {}", point.destination)));
        }
        places.push(point.destination.clone());
        if let From::Tmpfs(options) = &point.from {
            tmpfs::parse(options)?;
        }
    }
    Ok(())
}

/// Parents before children.
fn in_order(points: Points) -> Vec<Point> {
    let mut points: Vec<_> = points.into_values().collect();
    points.sort_by_key(|point| point.destination.split('/').count());
    points
}
