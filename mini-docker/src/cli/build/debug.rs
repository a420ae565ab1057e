//! `--debug-shell`: a shell where a step has failed.

use std::{
    env,
    io::{self, IsTerminal},
    process::Command,
};

use crate::engine::{Engine, Error, error::Result, image::ImageConfig, store::RUN};

/// Runs a shell in a container of what there was before the step, and removes both when it ends. In a process of its own,
/// as whoever runs a container.
pub(super) fn shell(engine: &Engine, state: &ImageConfig) -> Result<()> {
    let failed = |e: io::Error| Error::system("start the shell", &e);
    let image = engine.record_state(state)?;
    tell!("A shell in the state before the failed step; leave it with exit.");
    let interactive = if io::stdin().is_terminal() && io::stdout().is_terminal() { "-it" } else { "-i" };
    let mut command = Command::new(env::current_exe().map_err(failed)?);
    command.env(RUN, engine.volatile()).arg("--root").arg(engine.root()).args([
        "run",
        "--rm",
        interactive,
        "--entrypoint",
        "/bin/sh",
    ]);
    let ended = command.arg(&image.id).status().map_err(failed);
    // The failure of the build is what counts.
    let _ = engine.remove_image(&image.id, false, false);
    ended.map(drop)
}
