//! What several containers write, line by line in one stream, each with the name of its own before it.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::BorrowedFd,
};

use jiff::Timestamp;

use crate::{
    cli::out::{Stderr, Stdout},
    compose::execute::Running,
    engine::{
        container::Container,
        error::{Error, Kind, Result},
        log::{Entry, Follower, Reader, Stream},
    },
};

/// Of the terminal: cyan, yellow, green, magenta, blue.
const COLORS: [u8; 5] = [36, 33, 32, 35, 34];

/// How it looks, and what of it is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    /// Whether there is no colour on a terminal either.
    pub(super) plain: bool,
    /// Whether the names are left out.
    pub(super) bare: bool,
    /// Whether each line says when it was written.
    pub(super) timestamps: bool,
    /// Lines of each container from the end; `None`: all.
    pub(super) tail: Option<usize>,
    /// What was written before is left out.
    pub(super) since: Option<Timestamp>,
    /// What was written after is left out.
    pub(super) until: Option<Timestamp>,
}

/// A container's log.
struct Source {
    id: String,
    name: String,
    prefix: String,
    /// `None`: nothing of it is shown.
    reader: Option<Reader>,
    follower: Option<Follower>,
    /// The entry to be printed next.
    next: Option<Entry>,
}

/// The logs of several containers.
pub(super) struct Show {
    sources: Vec<Source>,
    style: Style,
    /// Columns of the names.
    width: usize,
    colored: bool,
    /// Whether what they will write is shown, too.
    follow: bool,
    out: BufWriter<Stdout>,
    err: BufWriter<Stderr>,
    /// Whose line is not at its end.
    open: Option<(usize, Stream)>,
    /// Whether nobody reads any more.
    closed: bool,
}

/// A container's name without the project's.
pub(super) fn short_name<'a>(running: Running, container: &'a Container) -> &'a str {
    let name = container.config.name.as_str();
    name.strip_prefix(running.project.name.as_str()).and_then(|rest| rest.strip_prefix(['-', '_'])).unwrap_or(name)
}

impl Show {
    /// Of these containers, as far as they are to be shown; with `follow`, what they will write too.
    pub(super) fn new(
        running: Running,
        containers: &[Container],
        is_shown: &dyn Fn(&Container) -> bool,
        style: Style,
        follow: bool,
    ) -> Result<Self> {
        let width = containers.iter().filter(|c| is_shown(c)).map(|c| short_name(running, c).len()).max().unwrap_or(0);
        let colored = !style.plain && running.manner.colors.unwrap_or_else(|| io::stdout().is_terminal());
        let (out, err) = (BufWriter::new(Stdout), BufWriter::new(Stderr));
        let mut show = Self { sources: Vec::new(), style, width, colored, follow, out, err, open: None, closed: false };
        containers.iter().try_for_each(|container| show.add(running, container, is_shown).map(drop))?;
        Ok(show)
    }

    /// One more container; false where it is one of them already.
    pub(super) fn add(
        &mut self,
        running: Running,
        container: &Container,
        is_shown: &dyn Fn(&Container) -> bool,
    ) -> Result<bool> {
        if self.sources.iter().any(|source| source.id == container.config.id) {
            return Ok(false);
        }
        let (name, width) = (short_name(running, container), self.width);
        let reader = match running.engine.logs(container, self.style.tail) {
            _ if !is_shown(container) => None,
            // Its driver keeps nothing.
            Err(e) if e.kind == Kind::Conflict => None,
            reader => Some(reader?),
        };
        let color = COLORS[self.sources.len() % COLORS.len()];
        self.sources.push(Source {
            id: container.config.id.clone(),
            name: name.to_owned(),
            prefix: match (self.style.bare, self.colored) {
                (true, _) => String::new(),
                (false, false) => format!("{name:width$}  | "),
                (false, true) => format!("\x1b[{color}m{name:width$}  | \x1b[0m"),
            },
            reader,
            follower: if self.follow { Some(running.engine.follow(container)?) } else { None },
            next: None,
        });
        Ok(true)
    }

    /// Prints what there is by now, in the order in which it was written. False where nobody reads it.
    pub(super) fn print(&mut self) -> Result<bool> {
        loop {
            for source in &mut self.sources {
                if let (None, Some(reader)) = (&source.next, &mut source.reader) {
                    source.next = reader.take().map_err(|e| Error::system("read the logs", &e))?;
                }
            }
            let waiting = self.sources.iter().enumerate().filter_map(|(at, s)| Some((s.next.as_ref()?.time, at)));
            let Some((_, at)) = waiting.min() else { break };
            let Some(entry) = self.sources[at].next.take() else { break };
            let early = self.style.since.is_some_and(|since| entry.time < since);
            let late = self.style.until.is_some_and(|until| entry.time > until);
            if !early && !late {
                self.closed |= self.write(at, &entry).is_err();
            }
        }
        self.closed |= self.flush().is_err();
        Ok(!self.closed)
    }

    fn write(&mut self, at: usize, entry: &Entry) -> io::Result<()> {
        if self.open != Some((at, entry.stream)) {
            self.end_line()?;
            let prefix = self.sources[at].prefix.clone();
            let timestamps = self.style.timestamps;
            let to = self.stream(entry.stream)?;
            to.write_all(prefix.as_bytes())?;
            if timestamps {
                write!(to, "{:.9} ", entry.time)?;
            }
        }
        self.open = (!entry.ends_line()).then_some((at, entry.stream));
        self.stream(entry.stream)?.write_all(&entry.bytes())
    }

    /// Where this stream of the containers goes: to the same of this program, with all that comes before it on the other.
    fn stream(&mut self, stream: Stream) -> io::Result<&mut dyn Write> {
        if stream == Stream::Stderr {
            self.out.flush()?;
            return Ok(&mut self.err);
        }
        self.err.flush()?;
        Ok(&mut self.out)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().and(self.err.flush())
    }

    fn end_line(&mut self) -> io::Result<()> {
        match self.open.take() {
            Some((_, stream)) => self.stream(stream)?.write_all(b"\n"),
            None => Ok(()),
        }
    }

    /// Says whose output comes.
    pub(super) fn attach(&mut self) {
        let shown = self.sources.iter().filter(|source| source.reader.is_some());
        let names: Vec<_> = shown.map(|source| source.name.as_str()).collect();
        if !names.is_empty() {
            self.say(&format!("Attaching to {}", names.join(", ")));
        }
    }

    /// A line of this program's own.
    pub(super) fn say(&mut self, line: &str) {
        let said = self.end_line().and_then(|()| self.err.flush());
        let said = said.and_then(|()| writeln!(self.out, "{line}")).and_then(|()| self.out.flush());
        self.closed |= said.is_err();
    }

    /// The containers of which nothing more will come: to be asked before [`Show::print`].
    pub(super) fn over(&mut self) -> Result<Vec<String>> {
        let mut over = Vec::new();
        for source in &mut self.sources {
            if source.follower.as_mut().map_or(Ok(true), Follower::is_over)? {
                over.push(source.id.clone());
            }
        }
        Ok(over)
    }

    /// What becomes readable when there may be more.
    pub(super) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources.iter().filter_map(|source| source.follower.as_ref()).flat_map(Follower::fds)
    }

    /// Forgets what became readable.
    pub(super) fn clear(&mut self) {
        self.sources.iter_mut().filter_map(|source| source.follower.as_mut()).for_each(Follower::clear);
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        // A reader who has seen enough is no failure.
        let _ = self.end_line().and_then(|()| self.flush());
    }
}
