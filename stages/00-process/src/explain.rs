//! The record of a container being made: which primitive asked the kernel for what, and how long it took.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// One act.
#[derive(Debug, Clone)]
pub struct Event {
    /// The primitive's name.
    pub primitive: &'static str,
    /// What it asked for.
    pub what: String,
    /// How long the kernel took.
    pub took: Duration,
    /// Whether the container's own process asked, between clone and exec.
    pub inside: bool,
}

/// All acts in order. Costs nothing while it is not enabled.
#[derive(Default)]
pub struct Trace {
    enabled: bool,
    events: Vec<Event>,
    observer: Option<Box<dyn FnMut(&str)>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("enabled", &self.enabled).field("events", &self.events).finish_non_exhaustive()
    }
}

impl Trace {
    pub(crate) fn enable(&mut self) {
        self.enabled = true;
    }

    pub(crate) fn enabled(&self) -> bool {
        self.enabled
    }

    pub(crate) fn observe(&mut self, observer: impl FnMut(&str) + 'static) {
        self.observer = Some(Box::new(observer));
    }

    pub(crate) fn before(&mut self, what: &impl Fn() -> String) {
        if let Some(observer) = &mut self.observer {
            observer(&what());
        }
    }

    pub(crate) fn add(&mut self, primitive: &'static str, what: &impl Fn() -> String, took: Duration) {
        if self.enabled {
            self.events.push(Event { primitive, what: what(), took, inside: false });
        }
    }

    pub(crate) fn add_inside(&mut self, primitive: &'static str, what: String, took: Duration) {
        self.events.push(Event { primitive, what, took, inside: true });
    }

    /// The acts, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }
}

/// A table: the primitive (named once a run of acts), who asked (`host` or `inside`), what, and the time in µs.
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDEST: usize = 96;
        let width = |text: &str| text.chars().count();
        let name = self.events.iter().map(|e| e.primitive.len()).max().unwrap_or(0).max("primitive".len());
        let what = self.events.iter().map(|e| width(&e.what)).max().unwrap_or(0).clamp(30, WIDEST);
        writeln!(f, "{:name$}  {:6}  {:what$}  {:>9}", "primitive", "where", "asked of the kernel", "took")?;
        let mut last = "";
        for event in &self.events {
            let shown = if event.primitive == last { "" } else { event.primitive };
            last = event.primitive;
            let place = if event.inside { "inside" } else { "host" };
            let mut call = event.what.clone();
            if width(&call) > WIDEST {
                call = call.chars().take(WIDEST - 1).collect();
                call.push('…');
            }
            writeln!(f, "{shown:name$}  {place:6}  {call:what$}  {:>6} µs", event.took.as_micros())?;
        }
        let mut total = String::new();
        let sum: Duration = self.events.iter().map(|e| e.took).sum();
        write!(total, "{} acts", self.events.len())?;
        writeln!(f, "{total:name$}  {:6}  {:what$}  {:>6} µs", "", "", sum.as_micros())
    }
}
