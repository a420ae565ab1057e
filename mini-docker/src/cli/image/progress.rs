//! What pulling and pushing show: bars on a terminal, Docker's plain lines elsewhere.

use std::{
    collections::HashMap,
    io::{self, IsTerminal},
    sync::{Mutex, PoisonError},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    cli::print,
    engine::{
        reference::Reference,
        registry::{Event, Progress},
    },
};

/// Whether blobs come or go: Docker's words differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Pull,
    Push,
}

/// Shows nothing.
pub(super) struct Quiet;

impl Progress for Quiet {
    fn blob(&self, _: &str, _: Event) {}
    fn begin(&self, _: &Reference) {}
}

/// For this standard output.
pub(super) fn shown(direction: Direction, quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Quiet)
    } else if io::stdout().is_terminal() {
        Box::new(Bars {
            direction,
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            blobs: Mutex::default(),
        })
    } else {
        Box::new(Lines { direction, said: Mutex::default() })
    }
}

fn heading(direction: Direction, reference: &Reference) -> String {
    match direction {
        Direction::Pull => {
            let name = reference.digest().map_or_else(|| reference.tag().to_owned(), |_| reference.full());
            format!("{name}: Pulling from {}", reference.path())
        }
        Direction::Push => {
            format!("The push refers to repository [{}/{}]", reference.domain(), reference.path())
        }
    }
}

fn words(direction: Direction, event: Event) -> &'static str {
    match event {
        Event::Waiting if direction == Direction::Pull => "Pulling fs layer",
        Event::Waiting => "Preparing",
        Event::Exists => "Already exists",
        Event::Downloading(..) => "Downloading",
        Event::Downloaded => "Download complete",
        Event::Pulled => "Pull complete",
        Event::Uploading(..) => "Pushing",
        Event::Pushed => "Pushed",
        Event::Present => "Layer already exists",
        Event::Mounted => "Mounted from another repository",
    }
}

/// A line for each change.
struct Lines {
    direction: Direction,
    /// What was last said of each blob: the same layer may be there twice.
    said: Mutex<HashMap<String, &'static str>>,
}

impl Progress for Lines {
    fn blob(&self, name: &str, event: Event) {
        if matches!(event, Event::Downloading(..) | Event::Uploading(..)) {
            return;
        }
        let words = words(self.direction, event);
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.insert(name.to_owned(), words) != Some(words) {
            print(format_args!("{name}: {words}\n"));
        }
    }

    fn begin(&self, reference: &Reference) {
        print(format_args!("{}\n", heading(self.direction, reference)));
    }
}

/// A bar for each blob.
struct Bars {
    direction: Direction,
    all: MultiProgress,
    blobs: Mutex<HashMap<String, ProgressBar>>,
}

impl Progress for Bars {
    fn blob(&self, name: &str, event: Event) {
        let mut bars = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(name.to_owned()).or_insert_with(|| {
            let bar = self.all.add(ProgressBar::new(0));
            bar.set_prefix(name.to_owned());
            bar.set_style(style("{prefix}: {msg}"));
            bar
        });
        let words = words(self.direction, event);
        match event {
            Event::Downloading(done, of) | Event::Uploading(done, of) => {
                if bar.length() != Some(of) {
                    bar.set_length(of);
                    bar.set_style(style("{prefix}: {msg} [{bar:50.=>}] {bytes:>10}/{total_bytes}"));
                    bar.set_message(words);
                }
                bar.set_position(done);
            }
            Event::Waiting => bar.set_message(words),
            Event::Downloaded => {
                bar.set_style(style("{prefix}: {msg}"));
                bar.set_message(words);
            }
            _ => {
                bar.set_style(style("{prefix}: {msg}"));
                bar.finish_with_message(words);
            }
        }
    }

    fn begin(&self, reference: &Reference) {
        // Without a terminal there would be no bars.
        let _ = self.all.println(heading(self.direction, reference));
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
