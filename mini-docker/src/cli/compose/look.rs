//! `compose ps` and `compose logs`.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
};

use clap::Args;

use super::print_lines;
use crate::{
    cli::{Outcome, print, table},
    compose::execute::{Running, label, number},
    engine::{
        container::{Container, State},
        error::Error,
    },
};

#[derive(Debug, Args)]
pub(super) struct Ps {
    /// Show all stopped containers
    #[arg(short, long)]
    all: bool,
    /// Only display IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display services
    #[arg(long)]
    services: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    names: Vec<String>,
}

impl Ps {
    pub(super) fn services(&self) -> &[String] {
        &self.names
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let mut containers = running.of(&self.names)?;
        containers.retain(|c| self.all || c.status.state.is_active());
        if self.quiet {
            print_lines(containers.iter().map(|c| &c.config.id));
        } else if self.services {
            let mut services: Vec<_> = containers.iter().map(|c| label(c, "service")).collect();
            services.dedup();
            print_lines(services);
        } else {
            let mut text = "NAME\tIMAGE\tSERVICE\tSTATUS\tPORTS\n".to_owned();
            for container in &containers {
                let config = &container.config;
                let _ = writeln!(
                    text,
                    "{}\t{}\t{}\t{}\t{}",
                    config.name,
                    config.image_name,
                    label(container, "service"),
                    status(container),
                    config.network.publish.join(", ")
                );
            }
            print(format_args!("{}", table::align(&text)));
        }
        Ok(0)
    }
}

fn status(container: &Container) -> String {
    match container.status.state {
        State::Exited => format!("Exited ({})", container.status.exit_code),
        state => state.name().to_owned(),
    }
}

#[derive(Debug, Args)]
pub(super) struct Logs {
    /// Number of lines to show from the end of the logs for each container
    #[arg(short = 'n', long, default_value = "all", value_name = "LINES")]
    tail: String,
    /// Produce monochrome output
    #[arg(long)]
    no_color: bool,
    /// Don't print prefix in logs
    #[arg(long)]
    no_log_prefix: bool,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// The services; all where none is named
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// Of the terminal: cyan, yellow, green, magenta, blue.
const COLORS: [u8; 5] = [36, 33, 32, 35, 34];

impl Logs {
    pub(super) fn services(&self) -> &[String] {
        &self.services
    }

    pub(super) fn run(self, running: Running) -> Outcome {
        let containers = running.of(&self.services)?;
        let name = |c: &Container| format!("{}-{}", label(c, "service"), number(c));
        let width = containers.iter().map(|c| name(c).len()).max().unwrap_or(0);
        let mut out = io::BufWriter::new(io::stdout().lock());
        let colored = !self.no_color && io::stdout().is_terminal();
        for (at, container) in containers.iter().enumerate() {
            let prefix = match (self.no_log_prefix, colored) {
                (true, _) => String::new(),
                (false, false) => format!("{:width$}  | ", name(container)),
                (false, true) => {
                    format!("\x1b[{}m{:width$}  | \x1b[0m", COLORS[at % COLORS.len()], name(container))
                }
            };
            let mut reader = running.engine.logs(container, self.tail.parse().ok())?;
            let mut begins = true;
            while let Some(entry) = reader.take().map_err(|e| Error::system("read the logs", &e))? {
                let mut line = Vec::new();
                if begins {
                    line.extend_from_slice(prefix.as_bytes());
                    if self.timestamps {
                        line.extend_from_slice(format!("{:.9} ", entry.time).as_bytes());
                    }
                }
                begins = entry.ends_line();
                line.extend_from_slice(&entry.bytes());
                if out.write_all(&line).is_err() {
                    // A reader who has seen enough is no failure.
                    return Ok(0);
                }
            }
            if !begins {
                let _ = out.write_all(b"\n");
            }
        }
        let _ = out.flush();
        Ok(0)
    }
}
