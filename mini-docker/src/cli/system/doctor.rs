//! `doctor`.

use std::path::PathBuf;

use clap::Args;
use nix::unistd::geteuid;

use crate::{
    cli::{Outcome, print},
    engine::{
        Engine,
        doctor::{Verdict, examine},
        error::Error,
    },
    rootless::Place,
};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    /// Needs no store; looks at the one at `root`, where there is one. The exit code is 1 where no container could run.
    pub(crate) fn run(self, root: Option<PathBuf>) -> Outcome {
        // An ordinary user looks at the machine from outside of his namespaces.
        let place = if geteuid().is_root() { Place::find(root).ok() } else { None };
        let store = place.filter(|place| place.root.is_dir());
        let engine = store.and_then(|place| Engine::open(&place.root, &place.run).ok());
        let findings = examine(engine.as_ref());
        if self.json {
            let text = serde_json::to_string(&findings).map_err(|e| Error::system("print", &e.into()))?;
            print(format_args!("{text}\n"));
        } else {
            for finding in &findings {
                let word = match finding.verdict {
                    Verdict::Good => "ok",
                    Verdict::Warning => "warning",
                    Verdict::Missing => "missing",
                };
                let fix = if finding.fix.is_empty() { String::new() } else { format!("; {}", finding.fix) };
                print(format_args!("{word:8} {}: {}{fix}\n", finding.name, finding.found));
            }
        }
        Ok(u8::from(findings.iter().any(|finding| finding.verdict == Verdict::Missing)))
    }
}
