//! What a build shows on a terminal: what is done goes up, what runs stays below, with its time and the last that it wrote.

use std::{collections::BTreeMap, time::Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Lines of a step's output that are shown while it runs.
const SHOWN: usize = 4;

/// The part of a terminal that changes.
pub(super) struct Screen {
    all: MultiProgress,
    head: ProgressBar,
    since: Instant,
    running: BTreeMap<usize, Running>,
    done: usize,
}

struct Running {
    name: String,
    since: Instant,
    bar: ProgressBar,
    output: Vec<ProgressBar>,
}

impl Screen {
    /// On standard error.
    pub(super) fn new() -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let head = all.add(line());
        let screen = Self { all, head, since: Instant::now(), running: BTreeMap::new(), done: 0 };
        screen.tick();
        screen
    }

    pub(super) fn begin(&mut self, number: usize, name: &str) {
        let bar = self.all.add(line());
        bar.set_message(format!(" => {}", printable(name)));
        let running = Running { name: printable(name), since: Instant::now(), bar, output: Vec::new() };
        self.running.insert(number, running);
        self.tick();
    }

    /// A step is over; `mark` stands before its name.
    pub(super) fn end(&mut self, number: usize, mark: &str) {
        let Some(running) = self.running.remove(&number) else { return };
        self.done += 1;
        self.remove(&running);
        self.above(&format!(" => {mark}{}  {:.1}s", running.name, running.since.elapsed().as_secs_f64()));
        self.tick();
    }

    pub(super) fn output(&mut self, number: usize, text: &str) {
        let Some(running) = self.running.get_mut(&number) else { return };
        for text in text.lines() {
            // A line that was written over is shown as it is now.
            let text = printable(text.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default());
            if running.output.len() < SHOWN {
                let below = running.output.last().unwrap_or(&running.bar);
                let bar = self.all.insert_after(below, line());
                bar.set_message(format!(" => => {text}"));
                running.output.push(bar);
                continue;
            }
            for at in 1..SHOWN {
                running.output[at - 1].set_message(running.output[at].message());
            }
            running.output[SHOWN - 1].set_message(format!(" => => {text}"));
        }
    }

    /// A line that stays.
    pub(super) fn above(&self, text: &str) {
        // The terminal may have gone; the build goes on.
        let _ = self.all.println(text);
    }

    /// Shows the time.
    pub(super) fn tick(&self) {
        let seconds = self.since.elapsed().as_secs_f64();
        self.head.set_message(format!("[+] Building {seconds:.1}s ({}/{})", self.done, self.done + self.running.len()));
        for running in self.running.values() {
            running.bar.set_prefix(format!("{:.1}s", running.since.elapsed().as_secs_f64()));
        }
    }

    /// Leaves the terminal to others.
    pub(super) fn close(&mut self, end: &str) {
        let (seconds, all) = (self.since.elapsed().as_secs_f64(), self.done + self.running.len());
        for running in std::mem::take(&mut self.running).values() {
            self.remove(running);
        }
        self.above(&format!("[+] Building {seconds:.1}s ({}/{all}){end}", self.done));
        self.head.finish_and_clear();
        self.all.remove(&self.head);
        self.all.set_draw_target(ProgressDrawTarget::hidden());
    }

    fn remove(&self, running: &Running) {
        for bar in running.output.iter().rev().chain([&running.bar]) {
            bar.finish_and_clear();
            self.all.remove(bar);
        }
    }
}

/// A line of the terminal: a text, and what stands at its right.
fn line() -> ProgressBar {
    // Without a length it has nothing of a bar's.
    let bar = ProgressBar::new_spinner();
    bar.set_style(
        ProgressStyle::with_template("{wide_msg} {prefix}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar
}

/// What a program writes may move the cursor, and does not here: without control characters, and what follows an escape.
fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => plain.push(' '),
            '\x1b' if chars.peek() == Some(&'[') => {
                // A control sequence ends with a letter or one of a few signs (ECMA-48, 5.4).
                chars.next();
                while chars.next().is_some_and(|c| !('\x40'..='\x7e').contains(&c)) {}
            }
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn a_program_does_not_move_the_cursor() {
        for (text, shown) in [
            ("plain", "plain"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("a\tb\x07\x08c", "a bc"),
            ("\x1b[", ""),
            ("\x1b]0;title\x07x", "]0;titlex"),
            ("\u{9b}2J", "2J"),
        ] {
            assert_eq!(printable(text), shown, "{text:?}");
        }
    }
}
