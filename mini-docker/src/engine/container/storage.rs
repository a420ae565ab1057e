//! What a container's root is made of beside its image's layers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Mounts and their kin: what was asked for, and what it came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    /// `HOST:CONTAINER[:OPTIONS]` and `NAME:CONTAINER[:OPTIONS]`, as Docker's API has them.
    pub binds: Vec<String>,
    /// Where a volume without a name is wanted: of `-v /PATH`, and of the image.
    pub anonymous: Vec<String>,
    /// The long form of both, and of others.
    pub mounts: Vec<MountRequest>,
    /// Options of a tmpfs, by its place.
    pub tmpfs: BTreeMap<String, String>,
    /// Containers whose volumes are wanted: `NAME[:ro]`.
    pub volumes_from: Vec<String>,
    /// The driver of volumes that are made for it; empty: `local`.
    pub volume_driver: String,
    /// Bytes of /dev/shm; `None`: Docker's 64 MiB.
    pub shm_size: Option<u64>,
    /// Whether the root can only be read.
    pub read_only: bool,
    /// What all of this came to when the container was made, parents before children.
    pub points: Vec<Point>,
}

impl Storage {
    /// Whether nothing is mounted that anybody else could have.
    pub fn is_plain(&self) -> bool {
        self.binds.is_empty() && self.anonymous.is_empty() && self.mounts.is_empty() && self.volumes_from.is_empty()
    }
}

/// One mount, as Docker's API has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountRequest {
    /// `bind`, `volume` or `tmpfs`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// A path of the host, or the name of a volume.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The place in the container.
    pub target: String,
    /// Whether it can only be read.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Of binds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bind_options: Option<BindOptions>,
    /// Of volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_options: Option<VolumeOptions>,
    /// Of a tmpfs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs_options: Option<TmpfsOptions>,
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// What is said of a bind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BindOptions {
    /// `private`, `slave`, `shared`, or with an `r` before it for the mounts below too.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub propagation: String,
    /// Without the mounts below.
    #[serde(skip_serializing_if = "is_false")]
    pub non_recursive: bool,
    /// A missing source is made: a directory.
    #[serde(skip_serializing_if = "is_false")]
    pub create_mountpoint: bool,
    /// The mounts below stay writable.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_non_recursive: bool,
    /// The mounts below are read-only too, or nothing is mounted.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only_force_recursive: bool,
}

/// What is said of a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeOptions {
    /// It is not filled from the image.
    #[serde(skip_serializing_if = "is_false")]
    pub no_copy: bool,
    /// Its labels, if it is made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver_config: Option<DriverConfig>,
    /// The directory of it that is mounted; empty: all of it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subpath: String,
}

/// What makes a volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DriverConfig {
    /// `local`, or empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// See [`crate::engine::volume::Volume::options`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

/// What is said of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TmpfsOptions {
    /// Bytes; 0: the kernel's default, half of the memory.
    #[serde(skip_serializing_if = "is_zero")]
    pub size_bytes: u64,
    /// Of its root; 0: the kernel's default, 1777.
    #[serde(skip_serializing_if = "is_no_mode")]
    pub mode: u32,
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_no_mode(mode: &u32) -> bool {
    *mode == 0
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// What is mounted.
    pub from: From,
    /// Where: absolute, without `.` and `..`.
    pub destination: String,
    /// The options as they were given.
    pub mode: String,
    /// Whether it can be written through this mount.
    pub access: Access,
    /// As [`BindOptions::propagation`]; empty for what is no bind.
    pub propagation: String,
}

/// Whether a mount can be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// It can.
    Write,
    /// It cannot, nor what is mounted below it.
    Read,
    /// It cannot; what is mounted below it is as it is.
    ReadTop,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// A file or directory of the host.
    Bind {
        /// Absolute.
        path: String,
        /// Whether it is made, as a directory, where it is missing.
        create: bool,
        /// Whether what is mounted below it comes along.
        recursive: bool,
    },
    /// A volume of the store.
    Volume {
        /// Its name.
        name: String,
        /// Whether it was made for this container, and goes with it.
        anonymous: bool,
        /// Whether it is filled from the image while it is empty.
        copy: bool,
        /// The directory of it that is mounted; empty: all of it.
        subpath: String,
    },
    /// A filesystem in memory, with these options: `size=64m,mode=1770`.
    Tmpfs(String),
}
