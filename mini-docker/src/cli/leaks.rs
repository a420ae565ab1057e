//! `leaks`.

use clap::Args;

use super::{Outcome, print};
use crate::engine::Engine;

/// The exit code where there is a leak: neither an error's (1) nor a mistake's in the flags (125).
const LEAKY: u8 = 3;

#[derive(Debug, Args)]
#[command(after_help = "Exit code: 0 where there is nothing, 3 where there is something, 1 where it cannot be told.")]
pub(super) struct Leaks {
    /// Only print what there is, not what removes it
    #[arg(short, long)]
    quiet: bool,
}

impl Leaks {
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let leaks = engine.leaks()?;
        for leak in &leaks {
            let fix = if self.quiet { String::new() } else { format!("; {}", leak.fix) };
            print(format_args!("{:8} {}{fix}\n", leak.kind, leak.what));
        }
        if leaks.is_empty() && !self.quiet {
            print(format_args!("nothing stands that no container owns\n"));
        }
        Ok(if leaks.is_empty() { 0 } else { LEAKY })
    }
}
