//! What has happened, in the words of Docker's API: one JSON object a line, in a file of the store.
//!
//! Whoever does something appends its lines with one write(2); there is no daemon to tell. A line that is lost with the
//! machine is lost: nothing waits for a disk. At [`LARGEST`] bytes the file becomes `events.json.1`, and the one before
//! it goes.

mod follow;
mod objects;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::PathBuf,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use follow::Follower;

use super::{
    Engine,
    files::{Lock, Locking},
};

/// Bytes of one file of events: some ten thousand.
const LARGEST: u64 = 4 << 20;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    /// A container.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// The builder.
    Builder,
}

/// Whom an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The object's id, or its name where it has none.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name, labels, and what belongs to the action.
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// An event, as Docker's API has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The action again, for containers and images.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub status: String,
    /// The id again, for containers and images.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The image, for containers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// What it is about.
    #[serde(rename = "Type")]
    pub kind: Type,
    /// What was done.
    #[serde(rename = "Action")]
    pub action: String,
    /// To whom.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// `local`.
    pub scope: String,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

impl Event {
    /// An event of now.
    fn new(kind: Type, action: &str, id: &str, attributes: BTreeMap<String, String>) -> Self {
        let now = Timestamp::now();
        let old_fields = matches!(kind, Type::Container | Type::Image);
        let from = if kind == Type::Container { attributes.get("image").cloned() } else { None };
        let of_old = |text: &str| if old_fields { text.to_owned() } else { String::new() };
        Self {
            status: of_old(action),
            id: of_old(id),
            from: from.unwrap_or_default(),
            kind,
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            time: now.as_second(),
            time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
        }
    }
}

impl Engine {
    /// Writes them down, one after the other and nothing between them.
    fn write_down(&self, events: &[Event]) {
        // The disk may be full: what has happened has happened.
        let _ = self.append(events);
    }

    fn append(&self, events: &[Event]) -> io::Result<()> {
        let mut lines = Vec::new();
        for event in events {
            serde_json::to_writer(&mut lines, event)?;
            lines.push(b'\n');
        }
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.events_path();
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        // The file may have had its turn between the opening and this; then they are the last of the old one.
        file.write_all(&lines)?;
        if file.metadata()?.len() > LARGEST {
            self.rotate(&file);
        }
        Ok(())
    }

    /// Begins a new file, if `full` is still the current one. Only one of many at once does it.
    fn rotate(&self, full: &File) {
        let path = self.events_path();
        let Ok(Some(_alone)) = Lock::take(&path.with_extension("lock"), Locking::Try) else { return };
        let inode = |metadata: fs::Metadata| metadata.ino();
        if fs::metadata(&path).map(inode).ok() == full.metadata().map(inode).ok() {
            let _ = fs::rename(&path, path.with_extension("json.1"));
        }
    }

    /// The file that new events go to.
    pub(super) fn events_path(&self) -> PathBuf {
        self.store.root().join("events.json")
    }
}
