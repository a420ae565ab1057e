//! The engine as an ordinary user.

mod life;
mod limits;
mod network;
mod refused;
mod walls;

use tests::ordinary_user::OrdinaryUser;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mini-docker");

pub(crate) fn user() -> OrdinaryUser {
    OrdinaryUser::with_busybox(BINARY)
}

/// A command without a network, which needs no program that is installed.
pub(crate) const RUN: [&str; 4] = ["run", "--rm", "--network", "none"];
/// One that goes on.
pub(crate) const START: [&str; 4] = ["run", "-d", "--network", "none"];
