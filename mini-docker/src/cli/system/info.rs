//! `info`.

use clap::Args;
use serde_json::Value;

use crate::{
    cli::{Outcome, format, print, units},
    engine::Engine,
};

#[derive(Debug, Args)]
pub(crate) struct Info {
    /// Format output using a custom template: 'json', or a Go template
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Lines of the listing: how far they are indented, their title, and the document's field.
const LINES: [(&str, &str, &str); 22] = [
    (" ", "Containers", "Containers"),
    ("  ", "Running", "ContainersRunning"),
    ("  ", "Paused", "ContainersPaused"),
    ("  ", "Stopped", "ContainersStopped"),
    (" ", "Images", "Images"),
    (" ", "Server Version", "ServerVersion"),
    (" ", "Storage Driver", "Driver"),
    (" ", "Logging Driver", "LoggingDriver"),
    (" ", "Cgroup Driver", "CgroupDriver"),
    (" ", "Cgroup Version", "CgroupVersion"),
    (" ", "Swarm", "Swarm"),
    (" ", "Default Runtime", "DefaultRuntime"),
    (" ", "Init Binary", "InitBinary"),
    (" ", "Kernel Version", "KernelVersion"),
    (" ", "Operating System", "OperatingSystem"),
    (" ", "OSType", "OSType"),
    (" ", "Architecture", "Architecture"),
    (" ", "CPUs", "NCPU"),
    (" ", "Total Memory", "MemTotal"),
    (" ", "Name", "Name"),
    (" ", "ID", "ID"),
    (" ", "Docker Root Dir", "DockerRootDir"),
];

impl Info {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let document = engine.info()?;
        if let Some(template) = self.format.filter(|template| !template.is_empty()) {
            return format::document(&template, &document);
        }
        let client = &document["ClientInfo"];
        print(format_args!(
            "Client:\n Version:    {}\n Context:    default\n Debug Mode: false\n\nServer:\n",
            text(&client["Version"])
        ));
        for (indent, title, field) in LINES {
            let value = match field {
                "Swarm" => text(&document[field]["LocalNodeState"]),
                "MemTotal" => units::memory(document[field].as_u64().unwrap_or(0)),
                field => text(&document[field]),
            };
            print(format_args!("{indent}{title}: {value}\n"));
        }
        let options = document["SecurityOptions"].as_array().into_iter().flatten();
        print(format_args!(" Security Options:\n"));
        for option in options.filter_map(Value::as_str) {
            let mut parts = option.split(',').filter_map(|part| part.split_once('='));
            print(format_args!("  {}\n", parts.next().map_or(option, |(_, name)| name)));
            parts.for_each(|(key, value)| {
                let title = if key == "profile" { "Profile" } else { key };
                print(format_args!("   {title}: {value}\n"));
            });
        }
        for warning in document["Warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            tell!("{warning}");
        }
        Ok(0)
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
