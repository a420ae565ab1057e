//! `check`.

use clap::Args;

use super::{Outcome, print};
use crate::engine::Engine;

#[derive(Debug, Args)]
pub(super) struct Check {
    /// Mend what can be mended: unpack layers again, remove names of nothing and images that cannot be
    /// whole, set containers aside that cannot be read
    #[arg(long)]
    repair: bool,
}

impl Check {
    /// The exit code is 1 where something is wrong and stays so.
    pub(super) fn run(self, engine: &Engine) -> Outcome {
        let damages = engine.check(self.repair)?;
        for damage in &damages {
            match damage.repaired {
                Some(done) => print(format_args!("repaired {}: {done}\n", damage.found)),
                None => print(format_args!("damaged  {}; {}\n", damage.found, damage.advice)),
            }
        }
        if damages.is_empty() {
            print(format_args!("the store at {} is whole\n", engine.root().display()));
        }
        Ok(u8::from(damages.iter().any(|damage| damage.repaired.is_none())))
    }
}
