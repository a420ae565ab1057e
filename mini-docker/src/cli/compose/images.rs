//! The images of services: there before the containers are made.

use crate::{
    cli::image::pull::{When, before},
    compose::{execute::Running, service::Service},
    engine::error::Result,
};

/// What the command line says about them.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    /// Over what the services say.
    pub(super) pull: Option<When>,
    /// Without progress.
    pub(super) quiet: bool,
}

/// Sees to it that the services' images are there.
pub(super) fn ensure(running: Running, services: &[Service], how: &Images) -> Result<()> {
    for service in services {
        before(running.engine, &service.image(), how.pull.unwrap_or(When::Missing), None, how.quiet)?;
    }
    Ok(())
}
