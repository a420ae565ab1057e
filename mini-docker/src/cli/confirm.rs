//! Asks before what cannot be undone.

use std::io::{self, BufRead, IsTerminal};

use super::{complain, print};
use crate::engine::error::Error;

/// Asks, unless `force` answers. Everything but yes is no, as in Docker; so is the end of the input.
pub(super) fn confirmed(force: bool, warning: &str) -> bool {
    if force {
        return true;
    }
    print(format_args!("{warning}\nAre you sure you want to continue? [y/N] "));
    let mut answer = String::new();
    // Read from no terminal, an answer is as good.
    let read = io::stdin().lock().read_line(&mut answer).is_ok();
    if answer.is_empty() && !io::stdin().is_terminal() {
        complain(&Error::invalid("nobody answers: pass -f to go on without being asked"));
    }
    read && matches!(answer.trim(), "y" | "Y")
}
