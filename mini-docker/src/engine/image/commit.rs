//! An image from a container's changes.

use jiff::Timestamp;
use serde_json::json;

use super::{History, Image, ImageConfig, Notes, Take, config::RunConfig};
use crate::engine::{
    Engine, build,
    container::{Config, Container, State},
    digest::Digest,
    error::{Error, Kind, Result},
    mounts,
    reference::Reference,
};

/// What to make of a container's changes.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The image's name.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub message: String,
    /// Dockerfile instructions over the configuration.
    pub changes: Vec<String>,
    /// Whether a running container stands still meanwhile, so that its files fit together.
    pub pause: bool,
}

/// Where the runtime mounts something over the root: what is there below the mounts are only mount points.
pub(in crate::engine) const MOUNT_POINTS: [&[u8]; 8] =
    [b"dev", b"proc", b"sys", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf", b".dockerenv", b"run/.containerenv"];

/// The digest of an archive without entries: 1024 null bytes.
pub(super) fn is_empty(layer: &Digest) -> bool {
    layer.hex() == "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"
}

impl Engine {
    /// Makes an image of what the container has written, over the image that it was made from, and of its configuration.
    pub fn commit(&self, container: &Container, commit: &Commit) -> Result<Image> {
        let config = &container.config;
        let base = self.read_image(&config.image)?;
        let mut image = base.as_ref().map_or_else(|| orphaned(config), |base| Ok(base.config.clone()))?;
        image.config = run_config(config, base.as_ref().map(|base| &base.config.config));
        build::change(&mut image.config, &commit.changes)?;
        let intake = self.intake()?;
        intake.lease(&image.rootfs.diff_ids)?;
        let upper = self.container_file(&config.id, "upper");
        let pause = commit.pause && container.status.state == State::Running && self.may_pause(config);
        let paused = if pause { self.pause_to_commit(&config.id)? } else { None };
        let layer = if upper.exists() { Some(intake.tree(&upper, Take::Copy, &MOUNT_POINTS)) } else { None };
        if pause {
            match self.unpause(&config.id) {
                // It was killed, or let go on by somebody else.
                Err(e) if matches!(e.kind, Kind::Conflict | Kind::NotFound) => {}
                unpaused => unpaused?,
            }
        }
        drop(paused);
        let layer = layer.transpose()?;
        let layer = layer.filter(|layer| !is_empty(layer));
        let created = Some(Timestamp::now());
        image.created = created;
        image.author.clone_from(&commit.author);
        image.comment.clone_from(&commit.message);
        image.history.push(History {
            created,
            created_by: config
                .entrypoint
                .iter()
                .chain(&config.command)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(" "),
            author: commit.author.clone(),
            comment: commit.message.clone(),
            empty_layer: layer.is_none(),
        });
        image.rootfs.diff_ids.extend(layer);
        let bytes = serde_json::to_vec(&image).map_err(|e| Error::system("write the configuration", &e.into()))?;
        let notes = Notes { parent: base.and_then(|base| Digest::from_hex(&base.id)), tagged: None };
        let image = intake.finish(&bytes, None, &notes, commit.name.as_slice())?;
        if let Some(name) = &commit.name {
            self.emit_tag(&image.id, name);
        }
        let name = commit.name.as_ref().map(ToString::to_string).unwrap_or_default();
        let extra = [("comment", commit.message.as_str()), ("imageID", &image.digest()), ("imageRef", &name)];
        self.emit_container(config, "commit", &extra);
        Ok(image)
    }
}

/// For a container whose image has gone: its layers are still there.
fn orphaned(config: &Config) -> Result<ImageConfig> {
    let mut image = ImageConfig::new();
    let layers = config.layers.iter().rev().map(|layer| Digest::from_hex(layer));
    let layers = layers.collect::<Option<Vec<_>>>();
    image.rootfs.diff_ids = layers.ok_or_else(|| Error::invalid("the container's configuration is damaged"))?;
    image.history = image.rootfs.diff_ids.iter().map(|_| History::default()).collect();
    Ok(image)
}

/// The container's configuration as an image's.
fn run_config(config: &Config, base: Option<&RunConfig>) -> RunConfig {
    let mut run = base.cloned().unwrap_or_default();
    let own = |list: &[String]| if list.is_empty() { None } else { Some(list.to_vec()) };
    run.env = own(&config.env);
    run.entrypoint = own(&config.entrypoint);
    run.cmd = own(&config.command);
    run.user.clone_from(&config.user);
    run.working_dir.clone_from(&config.working_dir);
    run.labels = if config.labels.is_empty() { None } else { Some(config.labels.clone()) };
    let exposed = config.network.exposed_object();
    run.exposed_ports.extend(exposed.as_object().into_iter().flatten().map(|(port, _)| (port.clone(), json!({}))));
    let volumes = mounts::volumes(config);
    run.volumes.extend(volumes.as_object().into_iter().flatten().map(|(path, _)| (path.clone(), json!({}))));
    if let Some(signal) = &config.stop_signal_text {
        run.stop_signal.clone_from(signal);
    }
    run
}
