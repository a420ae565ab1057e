//! What is being done, for whoever watches: a line a step on standard error, in Docker's words.

use std::io::Write;

use super::execute::Running;
use crate::engine::container::Container;

impl Running<'_> {
    /// ` Network shop_default Created`, unless nothing is to be said.
    pub fn say(&self, kind: &str, name: &str, word: &str) {
        if !self.manner.quiet {
            // One write, for there are jobs beside this one. Nobody to read it is no failure.
            let _ = std::io::stderr().write_all(format!(" {kind} {name} {word}\n").as_bytes());
        }
    }

    /// The same of a container.
    pub fn say_of(&self, container: &Container, word: &str) {
        self.say("Container", &container.config.name, word);
    }
}
