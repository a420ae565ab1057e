//! `stats`: what containers use, once or live.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    thread::sleep,
    time::Duration,
};

use clap::Args;

use crate::{
    cli::{
        Outcome,
        format::{self, Listing, Row},
        out::Stdout,
        print, units,
    },
    engine::{
        Engine, Result,
        container::{Container, State},
        image::short,
        stats::Usage,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json', or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Containers, by name or id; none: those that run
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Over which processor time is measured, and how often the live view is made anew.
const PERIOD: Duration = Duration::from_secs(1);

const LISTING: Listing = Listing {
    headings: &[
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
        ("Name", "NAME"),
        ("CPUPerc", "CPU %"),
        ("MemUsage", "MEM USAGE / LIMIT"),
        ("MemPerc", "MEM %"),
        ("NetIO", "NET I/O"),
        ("BlockIO", "BLOCK I/O"),
        ("PIDs", "PIDS"),
    ],
    table: "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    quiet: "{{.ID}}",
    raw: None,
};

type Before = HashMap<String, Usage>;

impl Stats {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let format = format::choose(self.format.clone(), false, |own| &own.stats_format);
        let format = format.as_deref();
        // A template that cannot be read, or a name that nobody has, is said at once.
        LISTING.render(format, false, [])?;
        let mut before = self.look(engine)?.1;
        loop {
            sleep(PERIOD);
            let (containers, now) = self.look(engine)?;
            let rows = containers.iter().map(|(name, container)| self.row(name, container, &before, &now));
            let text = LISTING.render(format, false, rows)?;
            if self.no_stream {
                print(format_args!("{text}"));
                return Ok(0);
            }
            if !self.containers.is_empty() && now.is_empty() && !self.all {
                return Ok(0);
            }
            show(&text)?;
            before = now;
        }
    }

    /// The containers that are meant, by the names that they were meant by, and what those that run use.
    fn look(&self, engine: &Engine) -> Result<(Vec<(String, Container)>, Before)> {
        let containers: Vec<_> = if self.containers.is_empty() {
            let all = engine.containers()?.into_iter();
            let shown = all
                .filter(|container| self.all || container.status.state != State::Exited && container.status.pid != 0);
            shown.map(|container| (short(&container.config.id).to_owned(), container)).collect()
        } else {
            let named = self.containers.iter().map(|name| Ok((name.clone(), engine.container(name)?)));
            named.collect::<Result<_>>()?
        };
        let mut used = Before::new();
        for (_, container) in &containers {
            if let Some(usage) = engine.usage(container)? {
                used.insert(container.config.id.clone(), usage);
            }
        }
        Ok((containers, used))
    }

    fn row(&self, name: &str, container: &Container, before: &Before, now: &Before) -> Row {
        let id = &container.config.id;
        let shown = if self.no_trunc { id } else { short(id) };
        let usage = now.get(id);
        let percent = |value: f64| format!("{value:.2}%");
        let pair = |(first, second): (u64, u64)| format!("{} / {}", units::size(first), units::size(second));
        let processor = usage.zip(before.get(id)).map_or(0.0, |(now, before)| now.percent_since(before));
        let (memory, limit) = usage.map_or((0, 0), |usage| (usage.memory, usage.memory_limit));
        Row::new([
            ("Container", name.into()),
            ("ID", shown.into()),
            ("Name", container.config.name.as_str().into()),
            ("CPUPerc", percent(processor).into()),
            ("MemUsage", format!("{} / {}", units::memory(memory), units::memory(limit)).into()),
            ("MemPerc", percent(usage.map_or(0.0, Usage::memory_percent)).into()),
            ("NetIO", pair(usage.map_or((0, 0), |usage| usage.network)).into()),
            ("BlockIO", pair(usage.map_or((0, 0), |usage| usage.block)).into()),
            ("PIDs", usage.map_or(0, |usage| usage.pids).to_string().into()),
        ])
    }
}

/// Over what was there before; on what is no terminal, after it.
fn show(text: &str) -> Result<()> {
    use std::io::Write;
    let written = if io::stdout().is_terminal() {
        // Home, each line to its end, and the rest of the screen: no flicker.
        write!(Stdout, "\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"))
    } else {
        write!(Stdout, "{text}")
    };
    written.map_err(|e| crate::engine::Error::system("print", &e))
}
