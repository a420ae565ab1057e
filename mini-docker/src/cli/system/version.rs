//! `version`.

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{Outcome, format, print},
    engine::about,
};

#[derive(Debug, Args)]
pub(crate) struct Version {
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

impl Version {
    /// Needs no store.
    pub(crate) fn run(self) -> Outcome {
        let document = about::version();
        if let Some(template) = self.format.filter(|template| !template.is_empty()) {
            return format::document(&template, &document);
        }
        let text = |part: &str, field: &str| document[part][field].as_str().unwrap_or_default().to_owned();
        let line = |indent: &str, name: &str, value: &str| print(format_args!("{indent}{name:18} {value}\n"));
        for (part, title, indent) in [("Client", "Client:", " "), ("Server", "\nServer:\n Engine:", "  ")] {
            print(format_args!("{title}\n"));
            line(indent, "Version:", &text(part, "Version"));
            let api = text(part, "ApiVersion");
            let least = document[part]["MinAPIVersion"].as_str();
            line(
                indent,
                "API version:",
                &least.map_or(api.clone(), |least| format!("{api} (minimum version {least})")),
            );
            line(indent, "OS/Arch:", &format!("{}/{}", text(part, "Os"), text(part, "Arch")));
            match &document[part]["KernelVersion"] {
                Value::String(kernel) => line(indent, "Kernel:", kernel),
                _ => line(indent, "Context:", &text(part, "Context")),
            }
        }
        Ok(0)
    }
}
