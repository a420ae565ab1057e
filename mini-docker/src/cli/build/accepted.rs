//! Flags of Docker's whose one value here is what happens anyway.

use clap::Args;

use crate::engine::{Error, error::Result};

#[derive(Debug, Args)]
pub(super) struct AcceptedFlags {
    /// Remove intermediate containers after a successful build: always
    #[arg(long, value_name = "true", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    rm: Option<bool>,
    /// Always remove intermediate containers: that is so
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true")]
    force_rm: Option<bool>,
    /// Compress the build context: there is no daemon that it is sent to
    #[arg(long)]
    compress: bool,
    /// Skip image verification: only digests are verified, always
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "true")]
    disable_content_trust: Option<bool>,
    /// Squash newly built layers into a single new layer: refused
    #[arg(long, hide = true)]
    squash: bool,
}

impl AcceptedFlags {
    pub(super) fn check(&self) -> Result<()> {
        if self.rm == Some(false) {
            return Err(Error::invalid(
                "--rm=false: a step's container is never kept; see a failed one's with --debug-shell",
            ));
        }
        if self.disable_content_trust == Some(false) {
            return Err(Error::invalid(
                "--disable-content-trust=false: signatures are not verified: name images by digest",
            ));
        }
        if self.squash {
            return Err(Error::invalid(
                "--squash is not supported: COPY --from=STAGE / / into a last stage FROM scratch",
            ));
        }
        Ok(())
    }
}
