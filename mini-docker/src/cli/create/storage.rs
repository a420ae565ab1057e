//! Flags about what is mounted.

use std::path;

use clap::Args;

use super::mount::MountFlag;
use crate::engine::{Error, Request, Result, bytes::parse as bytes};

#[derive(Debug, Args)]
#[command(next_help_heading = "Storage")]
pub(super) struct StorageFlags {
    /// Bind mount a file or directory of the host, or mount a volume; without a source, an anonymous one
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:OPTIONS]", allow_hyphen_values = true)]
    volume: Vec<String>,
    /// Attach a filesystem mount: `type=bind|volume|tmpfs,src=…,dst=…[,readonly]…`
    #[arg(long, value_name = "MOUNT")]
    mount: Vec<MountFlag>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    tmpfs: Vec<String>,
    /// Mount volumes from the specified containers
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,
    /// Optional volume driver for the container: `local`
    #[arg(long, value_name = "DRIVER", default_value = "", hide_default_value = true)]
    volume_driver: String,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    shm_size: Option<u64>,
    /// Storage driver options for the container: there are none
    #[arg(long, value_name = "KEY=VALUE")]
    storage_opt: Vec<String>,
}

impl StorageFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        if let Some(option) = self.storage_opt.first() {
            return Err(Error::invalid(format!(
                "--storage-opt {option}: a container's writable layer takes no options, as its filesystem has no project quotas; leave it out"
            )));
        }
        let storage = &mut request.storage;
        for text in &self.volume {
            let (list, volume) = match split(text)? {
                // Docker's are relative to the root, too.
                Volume::Anonymous if !text.starts_with('/') => (&mut storage.anonymous, format!("/{text}")),
                Volume::Anonymous => (&mut storage.anonymous, text.clone()),
                Volume::From(bind) => (&mut storage.binds, bind),
            };
            // Twice the same is once, as in Docker.
            if !list.contains(&volume) {
                list.push(volume);
            }
        }
        storage.mounts = self.mount.iter().map(|mount| mount.0.clone()).collect();
        for text in &self.tmpfs {
            let (target, options) = text.split_once(':').unwrap_or((text, ""));
            storage.tmpfs.insert(target.to_owned(), options.to_owned());
        }
        storage.volumes_from.clone_from(&self.volumes_from);
        storage.volume_driver.clone_from(&self.volume_driver);
        // As in Docker, 0 is its own default.
        storage.shm_size = self.shm_size.filter(|size| *size > 0);
        storage.read_only = self.read_only;
        Ok(())
    }
}

enum Volume {
    Anonymous,
    /// As the engine takes it: a path of the host is absolute.
    From(String),
}

fn split(text: &str) -> Result<Volume> {
    if text.is_empty() {
        return Err(Error::invalid("invalid empty volume spec"));
    }
    let Some((source, rest)) = text.split_once(':') else { return Ok(Volume::Anonymous) };
    if source.is_empty() || rest.split(':').any(str::is_empty) {
        return Err(Error::invalid(format!("invalid spec: {text}: empty section between colons")));
    }
    let source = absolute(source).map_err(Error::invalid)?;
    Ok(Volume::From(format!("{source}:{rest}")))
}

/// What begins with a dot is a path from here.
pub(in crate::cli) fn absolute(source: &str) -> Result<String, String> {
    if !source.starts_with('.') {
        return Ok(source.to_owned());
    }
    let absolute = path::absolute(source).map_err(|e| format!("find the path {source}: {e}"))?;
    absolute.into_os_string().into_string().map_err(|_| format!("the path of {source} is not UTF-8"))
}
