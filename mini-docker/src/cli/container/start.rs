//! `start`.

use clap::Args;

use super::session::{Manner, stay, terminal_size};
use crate::{
    cli::{Outcome, complain, detach_keys::DetachKeys, print, warn},
    engine::{
        Engine, Error,
        monitor::{
            Options,
            frame::{INPUT, STREAMS},
        },
    },
};

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// Containers, by name, id, or the beginning of an id
    #[arg(value_name = "CONTAINER", required = true)]
    containers: Vec<String>,
    /// Attach standard output and error, and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Override the key sequence for detaching a container, ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS", value_parser = DetachKeys::parse)]
    detach_keys: Option<DetachKeys>,
    /// Attach the container's standard input
    #[arg(short, long)]
    interactive: bool,
}

impl Start {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        if self.attach || self.interactive {
            let [name] = self.containers.as_slice() else {
                return Err(Error::invalid("you cannot start and attach multiple containers at once"));
            };
            return self.start_and_stay(engine, name);
        }
        let mut failed = Vec::new();
        for name in &self.containers {
            let started = engine.container_id(name).and_then(|id| engine.start_unless_active(&id, Options::default()));
            match started {
                Ok(started) => {
                    started.iter().flat_map(|started| &started.warnings).for_each(|text| warn(text));
                    print(format_args!("{name}\n"));
                }
                Err(e) => {
                    complain(&e);
                    failed.push(name.as_str());
                }
            }
        }
        if failed.is_empty() {
            return Ok(0);
        }
        Err(Error::conflict(format!("failed to start containers: {}", failed.join(", "))))
    }

    fn start_and_stay(&self, engine: &Engine, name: &str) -> Outcome {
        let container = engine.container(name)?;
        let interactive = self.interactive && container.config.open_stdin;
        let keys = DetachKeys::choose(self.detach_keys.clone(), interactive)?;
        let wants = if interactive { STREAMS | INPUT } else { STREAMS };
        let started = engine.start_unless_active(
            &container.config.id,
            Options { attach: wants, explain: false, size: terminal_size(&container.config) },
        )?;
        let line = match started {
            Some(started) => {
                started.warnings.iter().for_each(|text| warn(text));
                started.line
            }
            // It runs already: as `attach`.
            None => engine.attach(&engine.container(name)?, wants)?,
        };
        let manner = Manner { interactive, sig_proxy: true, keys };
        Ok(stay(engine, &container, line, manner)?.code(0))
    }
}
