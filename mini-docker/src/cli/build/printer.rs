//! What a build shows: BuildKit's plain progress, or what changes on a terminal.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Instant,
};

use super::screen::Screen;
use crate::{
    engine::{
        build::{Event, Failure, dockerfile::Lines, lint::Warning},
        error::Kind,
        reference::Reference,
    },
    visible,
};

/// How it is shown.
pub(super) enum View {
    /// Not at all.
    Quiet,
    /// Line after line, as BuildKit's plain progress.
    Plain,
    /// On a terminal.
    Live(Screen),
}

/// Says what happens.
pub(super) struct Printer {
    view: View,
    warnings: Vec<Warning>,
    /// Of those that ran last, by their numbers.
    steps: BTreeMap<usize, Step>,
    last: usize,
}

struct Step {
    name: String,
    since: Instant,
    /// What it has written last, for when it fails.
    output: Vec<u8>,
    /// The bytes of it that have not been shown: a line without an end.
    pending: usize,
}

/// Bytes of a step's output that are shown again when it fails.
const SHOWN: usize = 16 << 10;

impl Printer {
    pub(super) fn new(view: View) -> Self {
        Self { view, warnings: Vec::new(), steps: BTreeMap::new(), last: 0 }
    }

    /// Says something in the plain view.
    fn say(&self, text: std::fmt::Arguments) {
        if matches!(self.view, View::Plain) {
            // The terminal may have gone; the build goes on.
            let _ = io::stderr().write_fmt(text);
        }
    }

    fn screen(&mut self) -> Option<&mut Screen> {
        match &mut self.view {
            View::Live(screen) => Some(screen),
            _ => None,
        }
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Step { number, name } => {
                let step = Step { name: (*name).to_owned(), since: Instant::now(), output: Vec::new(), pending: 0 };
                self.steps.insert(*number, step);
                self.last = self.last.max(*number);
                self.say(format_args!("#{number} {}\n", visible::line(name)));
                if let Some(screen) = self.screen() {
                    screen.begin(*number, name);
                }
            }
            Event::Cached { number } => {
                self.steps.remove(number);
                if let Some(screen) = self.screen() {
                    screen.end(*number, "CACHED ");
                }
                self.say(format_args!("#{number} CACHED\n\n"));
            }
            Event::Output { number, bytes } => self.output(*number, bytes),
            Event::Done { number } => {
                let Some(step) = self.steps.remove(number) else { return };
                let seconds = step.since.elapsed().as_secs_f64();
                if step.pending > 0 {
                    let line = &step.output[step.output.len() - step.pending..];
                    self.say(format_args!("#{number} {seconds:.3} {}\n", String::from_utf8_lossy(line)));
                }
                self.say(format_args!("#{number} DONE {seconds:.1}s\n\n"));
                if let Some(screen) = self.screen() {
                    screen.end(*number, "");
                }
            }
            Event::Tick => {
                if let Some(screen) = self.screen() {
                    screen.tick();
                }
            }
            Event::Pull(name) => {
                if let Some(screen) = self.screen() {
                    screen.above(&format!(" => pulling {name}"));
                }
            }
            Event::Warnings(warnings) => self.warnings = warnings.to_vec(),
        }
    }

    /// Whole lines, so that those of several steps can stand among each other.
    fn output(&mut self, number: usize, bytes: &[u8]) {
        let Some(step) = self.steps.get_mut(&number) else { return };
        step.output.extend_from_slice(bytes);
        step.pending += bytes.len();
        let new = &step.output[step.output.len() - step.pending..];
        // A line without an end is shown in pieces of what is kept.
        let end = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let end = if end == 0 && new.len() > SHOWN { new.len() } else { end };
        let seconds = step.since.elapsed().as_secs_f64();
        let lines = String::from_utf8_lossy(&new[..end]).into_owned();
        step.pending -= end;
        let surplus = step.output.len().saturating_sub(2 * SHOWN);
        if surplus > 0 {
            step.output.drain(..(surplus + SHOWN).min(step.output.len() - step.pending));
        }
        if let Some(screen) = self.screen() {
            screen.output(number, &lines);
        }
        for line in lines.lines() {
            self.say(format_args!("#{number} {seconds:.3} {line}\n"));
        }
    }

    /// Says that all is done; `image` is the one that was made, if one was, with its names.
    pub(super) fn finish(&mut self, image: Option<(&str, &[Reference])>) {
        if let Some(screen) = self.screen() {
            if let Some((id, tags)) = image {
                screen.above(&format!(" => writing image {id}"));
                for tag in tags {
                    screen.above(&format!(" => naming to {tag}"));
                }
            }
            screen.close(" FINISHED");
        } else if let Some((id, tags)) = image {
            self.wrote(id, tags);
        }
        self.warn();
    }

    fn warn(&self) {
        if self.warnings.is_empty() || matches!(self.view, View::Quiet) {
            return;
        }
        let (count, plural) = (self.warnings.len(), if self.warnings.len() == 1 { "" } else { "s" });
        let line =
            |warning: &Warning| format!(" - {}: {} (line {})\n", warning.rule, warning.text, warning.lines.start);
        let lines: String = self.warnings.iter().map(line).collect();
        let text = format!("\n {count} warning{plural} found (--check shows the lines):\n{lines}");
        let _ = io::stderr().write_all(visible::text(&text).as_bytes());
    }

    fn wrote(&self, id: &str, tags: &[Reference]) {
        let number = self.last + 1;
        self.say(format_args!("#{number} exporting to image\n#{number} writing image {id} done\n"));
        for tag in tags {
            self.say(format_args!("#{number} naming to {tag} done\n"));
        }
        self.say(format_args!("#{number} DONE\n"));
    }

    /// Shows the step that failed: what it wrote, and where it stands.
    pub(super) fn failure(&mut self, failure: &Failure, name: &str, dockerfile: &str) {
        if let Some(screen) = self.screen() {
            screen.close("");
        }
        if failure.is_lint {
            self.warn();
        }
        let mut text = String::new();
        let step = failure.step.and_then(|number| self.steps.get(&number));
        if let Some(step) = step.filter(|_| failure.error.kind != Kind::NotFound) {
            let output = String::from_utf8_lossy(&step.output);
            text = format!("------\n > {}:\n{output}", visible::line(&step.name));
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
pub(super) fn excerpt(name: &str, dockerfile: &str, lines: Lines) -> String {
    use std::fmt::Write;
    let mut text = format!("{name}:{}\n--------------------\n", lines.start);
    let first = lines.start.saturating_sub(2).max(1);
    for (number, line) in dockerfile.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        if (first..=lines.end + 2).contains(&number) {
            let mark = if (lines.start..=lines.end).contains(&number) { ">>>" } else { "   " };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{number:4} | {mark} {}", visible::text(line));
        }
    }
    text.push_str("--------------------\n");
    text
}
