//! `logs`.

use std::io::{self, BufWriter, Write};

use clap::Args;
use jiff::Timestamp;

use crate::{
    cli::{
        Outcome,
        events::moment,
        out::{Stderr, Stdout},
    },
    engine::{
        Engine, Error,
        container::Container,
        log::{self, Entry, Stream},
        registry::escape,
    },
};

#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The container, by name, id, or the beginning of its id
    container: String,
    /// Show extra details provided to logs: the labels, variables and the tag that `--log-opt` names
    #[arg(long)]
    details: bool,
    /// Follow log output until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Show logs since a timestamp (2026-01-02T13:23:37Z) or a duration before now (42m)
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    since: Option<Timestamp>,
    /// Show logs before a timestamp (2026-01-02T13:23:37Z) or a duration before now (42m)
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Timestamp>,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Number of lines to show from the end of the logs, or `all`
    #[arg(short = 'n', long, default_value = "all", value_name = "LINES", allow_negative_numbers = true)]
    tail: String,
}

impl Logs {
    pub(crate) fn run(self, engine: &Engine) -> Outcome {
        let container = engine.container(&self.container)?;
        // A negative number, or a word, means all, as in Docker.
        let mut reader = engine.logs(&container, self.tail.parse().ok())?;
        let mut follower = self.follow.then(|| engine.follow(&container)).transpose()?;
        let details = self.details.then(|| details(&container));
        let mut printer = Printer::new(self.timestamps, details);
        loop {
            // Asked first, read then: what it wrote before its end is in there.
            let over = follower.as_mut().map_or(Ok(true), log::Follower::is_over)?;
            loop {
                let entry = reader.take().map_err(|e| Error::system("read the logs", &e))?;
                let Some(entry) = entry else { break };
                if self.until.is_some_and(|until| entry.time > until) {
                    return Ok(printer.end());
                }
                if self.since.is_none_or(|since| entry.time >= since) && printer.print(&entry).is_err() {
                    return Ok(0);
                }
            }
            let left = self.until.map(|until| until.duration_since(Timestamp::now()));
            match &mut follower {
                Some(follower) if !over && left.is_none_or(|left| left.is_positive()) => {
                    if printer.flush().is_err() {
                        return Ok(0);
                    }
                    follower.wait(left.map(jiff::SignedDuration::unsigned_abs))?;
                }
                _ => return Ok(printer.end()),
            }
        }
    }
}

/// `NAME=value,…` in the order of names, and what would end one of them escaped, as in an address.
fn details(container: &Container) -> String {
    let details = container.config.log_details().into_iter();
    let details: Vec<_> = details.map(|(name, value)| format!("{}={}", escape(&name), escape(&value))).collect();
    details.join(",")
}

/// Writes entries to the stream that they came from.
struct Printer {
    out: BufWriter<Stdout>,
    err: BufWriter<Stderr>,
    last: Stream,
    timestamps: bool,
    /// Before each line.
    details: Option<String>,
    /// Whether the next entry of a stream begins a line.
    begins: [bool; 2],
}

impl Printer {
    fn new(timestamps: bool, details: Option<String>) -> Self {
        let (out, err) = (BufWriter::new(Stdout), BufWriter::new(Stderr));
        Self { out, err, last: Stream::Stdout, timestamps, details, begins: [true; 2] }
    }

    fn print(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.stream != self.last {
            // Where both lead to one place, the order is kept.
            self.flush()?;
            self.last = entry.stream;
        }
        let begins = std::mem::replace(&mut self.begins[entry.stream as usize], entry.ends_line());
        let to: &mut dyn Write = if entry.stream == Stream::Stderr { &mut self.err } else { &mut self.out };
        if begins && self.timestamps {
            write!(to, "{:.9} ", entry.time)?;
        }
        if let Some(details) = self.details.as_ref().filter(|_| begins) {
            write!(to, "{details} ")?;
        }
        to.write_all(&entry.bytes())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.err.flush()
    }

    /// The exit code: a reader who has seen enough is no failure.
    fn end(mut self) -> u8 {
        let _ = self.flush();
        0
    }
}
