//! What secrets and configurations hold: files of the host, variables, or text of the compose file.

use std::path::PathBuf;

use serde_json::Value;

use super::{Project, tree::text_of};
use crate::engine::error::{Error, Result};

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// In a file of the host.
    File(PathBuf),
    /// Here.
    Text(String),
}

impl Project {
    /// Of a secret or configuration; `kind` is `secrets` or `configs`.
    ///
    /// # Errors
    /// Where it is of a store that only clusters have, or its variable is not set.
    pub fn contents(&self, kind: &str, name: &str) -> Result<Contents> {
        let resource = self.model.get(kind).and_then(|all| all.get(name)).unwrap_or(&Value::Null);
        let wrong = |why: &str| Err(Error::invalid(format!("{}{kind}.{name}: {why}", self.place(&[kind, name]))));
        let text = |key: &str| resource.get(key).filter(|value| !value.is_null()).map(text_of);
        for key in ["driver", "template_driver"] {
            if resource.get(key).is_some() {
                return wrong(&format!("{key} is not supported: leave it out"));
            }
        }
        if resource.get("external") == Some(&Value::Bool(true)) {
            return wrong("`external` is not supported, as only clusters keep them: use `file` or `environment`");
        }
        if let Some(path) = text("file") {
            return Ok(Contents::File(path.into()));
        }
        if let Some(variable) = text("environment") {
            let value = self.environment.get(&variable);
            return match value {
                Some(value) => Ok(Contents::Text(value)),
                None => wrong(&format!("environment variable {variable:?} required by it is not set")),
            };
        }
        match text("content") {
            Some(content) => Ok(Contents::Text(content)),
            None => wrong("it has neither `file` nor `environment` nor `content`"),
        }
    }
}
