//! What a build shows: BuildKit's plain progress.

use std::{
    io::{self, Write},
    time::Instant,
};

use crate::engine::{
    build::{Event, Failure, dockerfile::Lines},
    error::Kind,
    reference::Reference,
};

/// Says what happens, as BuildKit's plain progress does.
pub(super) struct Printer {
    quiet: bool,
    number: usize,
    name: String,
    since: Instant,
    /// What the step has written last, for when it fails.
    output: Vec<u8>,
    /// Whether the output stands in the middle of a line.
    inside: bool,
}

/// Bytes of a step's output that are shown again when it fails.
const SHOWN: usize = 16 << 10;

impl Printer {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, number: 0, name: String::new(), since: Instant::now(), output: Vec::new(), inside: false }
    }

    fn say(&self, text: std::fmt::Arguments) {
        if !self.quiet {
            // The terminal may have gone; the build goes on.
            let _ = io::stderr().write_fmt(text);
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Step { number, name } => {
                self.number = *number;
                (*name).clone_into(&mut self.name);
                self.since = Instant::now();
                self.output.clear();
                self.inside = false;
                self.say(format_args!("#{number} {name}\n"));
            }
            Event::Cached => self.say(format_args!("#{} CACHED\n\n", self.number)),
            Event::Output(bytes) => {
                self.output.extend_from_slice(bytes);
                let surplus = self.output.len().saturating_sub(2 * SHOWN);
                if surplus > 0 {
                    self.output.drain(..surplus + SHOWN);
                }
                for line in String::from_utf8_lossy(bytes).split_inclusive('\n') {
                    if self.inside {
                        self.say(format_args!("{line}"));
                    } else {
                        self.say(format_args!("#{} {:.3} {line}", self.number, self.since.elapsed().as_secs_f64()));
                    }
                    self.inside = !line.ends_with('\n');
                }
            }
            Event::Done => {
                let end = if std::mem::take(&mut self.inside) { "\n" } else { "" };
                self.say(format_args!("{end}#{} DONE {:.1}s\n\n", self.number, self.since.elapsed().as_secs_f64()));
            }
        }
    }

    pub(super) fn finish(&self, id: &str, tags: &[Reference]) {
        let number = self.number + 1;
        self.say(format_args!("#{number} exporting to image\n#{number} writing image {id} done\n"));
        for tag in tags {
            self.say(format_args!("#{number} naming to {tag} done\n"));
        }
        self.say(format_args!("#{number} DONE\n"));
    }

    /// Shows the step that failed: what it wrote, and where it stands.
    pub(super) fn failure(&self, failure: &Failure, name: &str, dockerfile: &str) {
        let mut text = String::new();
        if self.number > 0 && failure.error.kind != Kind::NotFound {
            let output = String::from_utf8_lossy(&self.output);
            text = format!("------\n > {}:\n{output}", self.name);
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str("------\n");
        }
        if let Some(lines) = failure.lines {
            text.push_str(&excerpt(name, dockerfile, lines));
        }
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The lines around, the failed ones marked.
fn excerpt(name: &str, dockerfile: &str, lines: Lines) -> String {
    use std::fmt::Write;
    let mut text = format!("{name}:{}\n--------------------\n", lines.start);
    let first = lines.start.saturating_sub(2).max(1);
    for (number, line) in dockerfile.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if (first..=lines.end + 2).contains(&number) {
            let mark = if (lines.start..=lines.end).contains(&number) { ">>>" } else { "   " };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{number:4} | {mark} {line}");
        }
    }
    text.push_str("--------------------\n");
    text
}
