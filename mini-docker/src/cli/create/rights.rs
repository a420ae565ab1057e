//! Flags about what the programs may do.

use clap::Args;

use crate::engine::{Request, Result, container::rights::Rights};

#[derive(Debug, Args)]
pub(super) struct RightsFlags {
    /// Add a capability to the default ones, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Security options: seccomp=FILE|builtin|unconfined filters system calls; no-new-privileges=false lets programs
    /// gain rights by set-user-id bits, as Docker's default does
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Limit each process, as nofile=1024:2048: open files, processes of the user, core dumps, ...
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<String>,
}

impl RightsFlags {
    pub(super) fn fill(&self, request: &mut Request) -> Result<()> {
        request.rights = Rights::parse(&self.cap_add, &self.cap_drop, &self.ulimit, &self.security_opt)?;
        Ok(())
    }
}
