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
    /// Provenance attestation: none is made, so false
    #[arg(long, value_name = "false")]
    provenance: Option<String>,
    /// List of the image's packages: none is made, so false
    #[arg(long, value_name = "false")]
    sbom: Option<String>,
    /// Attestations, only to say that there are to be none
    #[arg(long, value_name = "type=TYPE,disabled=true")]
    attest: Vec<String>,
    /// The builder: default, the only one
    #[arg(long, value_name = "default")]
    builder: Option<String>,
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
        for (flag, value) in [("--provenance", &self.provenance), ("--sbom", &self.sbom)] {
            if let Some(value) = value.as_ref().filter(|value| !["", "false"].contains(&value.as_str())) {
                return Err(Error::invalid(format!(
                    "{flag}={value}: attestations are not made: leave it out, or say false"
                )));
            }
        }
        if let Some(text) = self.attest.iter().find(|text| !text.split(',').any(|field| field == "disabled=true")) {
            return Err(Error::invalid(format!("--attest={text}: attestations are not made: leave it out")));
        }
        if let Some(name) = self.builder.as_ref().filter(|name| !["", "default"].contains(&name.as_str())) {
            return Err(Error::invalid(format!("no builder {name:?} found: there is one, and its name is default")));
        }
        if self.squash {
            return Err(Error::invalid(
                "--squash is not supported: COPY --from=STAGE / / into a last stage FROM scratch",
            ));
        }
        Ok(())
    }
}
