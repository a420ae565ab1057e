//! `ps`.

use clap::Args;
use jiff::Timestamp;

use crate::{
    cli::{Outcome, print, table},
    engine::{
        Engine,
        container::{Container, State},
        image::short,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
}

impl Ps {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let containers = engine.containers()?;
        let shown = containers.iter().filter(|c| self.all || c.status.state == State::Running);
        let id = |c: &Container| {
            if self.no_trunc { c.config.id.clone() } else { short(&c.config.id).to_owned() }
        };
        if self.quiet {
            shown.for_each(|c| print(format_args!("{}\n", id(c))));
            return Ok(0);
        }
        let rows: Vec<_> = shown
            .map(|c| {
                vec![
                    id(c),
                    c.config.image_name.clone(),
                    command(c, self.no_trunc),
                    table::ago(c.config.created),
                    status(c),
                    String::new(),
                    c.config.name.clone(),
                ]
            })
            .collect();
        let heading = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
        print(format_args!("{}", table::render(&heading, &rows)));
        Ok(0)
    }
}

/// In quotes, and at most 20 characters of it.
fn command(container: &Container, whole: bool) -> String {
    let words: Vec<_> = container.config.entrypoint.iter().chain(&container.config.command).cloned().collect();
    let text = words.join(" ");
    if whole || text.chars().count() <= 20 {
        return format!("\"{text}\"");
    }
    format!("\"{}…\"", text.chars().take(19).collect::<String>())
}

fn status(container: &Container) -> String {
    let since =
        |at: Option<Timestamp>| table::duration(at.map_or(0, |at| Timestamp::now().duration_since(at).as_secs()));
    match container.status.state {
        State::Created => "Created".to_owned(),
        State::Running => format!("Up {}", since(container.status.started)),
        State::Exited => format!("Exited ({}) {} ago", container.status.exit_code, since(container.status.finished)),
    }
}
