//! What a container's programs may do: capabilities and the other fences of `--security-opt`.

use capabilities::CapabilitySet;
use serde::{Deserialize, Serialize};

use super::error::{Error, Result};

/// Rights beside or below the default ones, in Docker's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Capabilities over the default ones, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities not to have, or `ALL`.
    pub cap_drop: Vec<String>,
    /// Whether a program may gain rights by set-user-id bits and capabilities of files. Docker's default is yes.
    pub new_privileges: bool,
}

impl Rights {
    /// From the values of `--cap-add`, `--cap-drop` and `--security-opt`.
    ///
    /// # Errors
    /// [`super::error::Kind::Invalid`] for what is unknown here.
    pub fn parse(cap_add: &[String], cap_drop: &[String], options: &[String]) -> Result<Self> {
        let mut rights = Self { cap_add: cap_add.to_vec(), cap_drop: cap_drop.to_vec(), new_privileges: false };
        rights.capabilities()?;
        for option in options {
            rights.option(option)?;
        }
        Ok(rights)
    }

    /// Root's capabilities.
    pub fn capabilities(&self) -> Result<CapabilitySet> {
        let available = CapabilitySet::available().map_err(|e| Error::system("read the bounding set", &e.into()))?;
        let set = CapabilitySet::DEFAULT.adjusted(&self.cap_add, &self.cap_drop, available);
        set.map_err(|e| Error::invalid(e.to_string()))
    }

    fn option(&mut self, option: &str) -> Result<()> {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => self.new_privileges = false,
            ("no-new-privileges", "false") => self.new_privileges = true,
            // There is none to leave.
            ("apparmor", "unconfined") | ("label", "disable") => {}
            _ => {
                return Err(Error::invalid(format!(
                    "invalid --security-opt {option:?}: there are no-new-privileges[=BOOL], apparmor=unconfined and label=disable"
                )));
            }
        }
        Ok(())
    }
}
