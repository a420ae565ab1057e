//! The record of a container being made: which primitive asked the kernel for what, and how long it took.

use std::{fmt, time::Duration};

/// One act.
#[derive(Debug, Clone)]
pub struct Event {
    /// The primitive's name.
    pub primitive: &'static str,
    /// What it asked for.
    pub what: String,
    /// How long the kernel took; `None` for a part of an act that another event times.
    pub took: Option<Duration>,
    /// Whether the container's own process asked, between clone and exec.
    pub inside: bool,
}

type Observer = Box<dyn FnMut(&str)>;

/// All acts in order. Costs nothing while it is not enabled.
#[derive(Default)]
pub struct Trace {
    enabled: bool,
    events: Vec<Event>,
    observer: Option<Observer>,
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
            self.events.push(Event { primitive, what: what(), took: Some(took), inside: false });
        }
    }

    pub(crate) fn add_part(&mut self, primitive: &'static str, what: String) {
        if self.enabled {
            self.events.push(Event { primitive, what, took: None, inside: false });
        }
    }

    pub(crate) fn add_inside(&mut self, primitive: &'static str, what: String, took: Duration) {
        self.events.push(Event { primitive, what, took: Some(took), inside: true });
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
        let calls: Vec<String> = self.events.iter().map(|event| shorten(&event.what, WIDEST)).collect();
        let width = |text: &String| text.chars().count();
        let name = self.events.iter().map(|e| e.primitive.len()).max().unwrap_or(0).max("primitive".len());
        let what = calls.iter().map(width).max().unwrap_or(0).max(30);
        writeln!(f, "{:name$}  {:6}  {:what$}  {:>9}", "primitive", "where", "asked of the kernel", "took")?;
        let mut last = "";
        for (event, call) in self.events.iter().zip(&calls) {
            let shown = if event.primitive == last { "" } else { event.primitive };
            last = event.primitive;
            let place = if event.inside { "inside" } else { "host" };
            let took = event.took.map_or_else(String::new, |took| format!("{:>6} µs", took.as_micros()));
            writeln!(f, "{}", format!("{shown:name$}  {place:6}  {call:what$}  {took}").trim_end())?;
        }
        let sum: Duration = self.events.iter().filter_map(|e| e.took).sum();
        let total = format!("{} acts", self.events.len());
        writeln!(f, "{total:name$}  {:6}  {:what$}  {:>6} µs", "", "", sum.as_micros())
    }
}

/// Cuts digests to their first 12 digits, and the rest to `widest` characters.
fn shorten(call: &str, widest: usize) -> String {
    const DIGEST: usize = 64;
    let mut text = String::new();
    let mut rest = call;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b)).count();
        if digits == DIGEST {
            text.push_str(&rest[..12]);
            text.push('…');
        }
        let next = digits + rest[digits..].chars().next().map_or(0, char::len_utf8);
        text.push_str(&rest[if digits == DIGEST { digits } else { 0 }..next]);
        rest = &rest[next..];
    }
    if text.chars().count() > widest {
        text = text.chars().take(widest - 1).collect();
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn digests_and_long_calls_are_cut() {
        let digest = "0123456789abcdef".repeat(4);
        assert_eq!(shorten(&format!("mkdir(\"/x/{digest}/upper\")"), 96), "mkdir(\"/x/0123456789ab…/upper\")");
        assert_eq!(shorten(&format!("{digest}0"), 96), format!("{digest}0"));
        assert_eq!(shorten("ab µs …", 4), "ab …");
        assert_eq!(shorten("", 4), "");
    }
}
