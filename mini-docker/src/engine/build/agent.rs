//! The user's agent in a step: `RUN --mount=type=ssh`.
//!
//! An agent answers root and its owner (`SO_PEERCRED`), and a step's users are neither. So the step gets a socket of its
//! own, and a process passes on to the agent what comes there, as the user himself.

use std::{
    io,
    net::Shutdown,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            fs::{PermissionsExt, chown},
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::open,
    sys::{
        prctl,
        signal::{Signal, kill},
        stat::Mode,
        wait::waitpid,
    },
    unistd::{Pid, getppid},
};
use process::sys::{self, Cloned};

use super::onto::{self, Owner};
use crate::engine::error::{Context, Error, Result};

/// A socket that leads to an agent, once somebody passes on what comes.
#[derive(Debug)]
pub(super) struct Door {
    /// Where it is, outside.
    pub(super) path: PathBuf,
    listener: UnixListener,
    agent: PathBuf,
}

impl Door {
    /// Makes it in an empty directory, for its owner alone unless `mode` says otherwise.
    pub(super) fn new(directory: &Path, agent: &Path, (uid, gid): Owner, mode: u32) -> Result<Self> {
        let path = directory.join("agent");
        // An address has 108 bytes, and a path may have more.
        let parent: OwnedFd = open(directory, onto::DIRECTORY, Mode::empty()).doing("open", directory)?;
        let address = format!("/proc/self/fd/{}/agent", parent.as_raw_fd());
        let listener = UnixListener::bind(address).doing("make the socket", &path)?;
        chown(&path, Some(uid), Some(gid)).doing("give away", &path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).doing("chmod", &path)?;
        Ok(Self { path, listener, agent: agent.to_owned() })
    }
}

/// The process that passes on; it ends with this value, and with its parent.
#[derive(Debug)]
pub(super) struct Relay(Pid);

impl Relay {
    /// Starts it.
    pub(super) fn start(door: &Door) -> Result<Self> {
        let failed = |errno: Errno| Error::system("start what talks to the agent", &errno.into());
        let parent = Pid::this();
        match sys::fork().map_err(failed)? {
            Cloned::Parent(pid, _) => Ok(Self(pid)),
            Cloned::Child => {
                if prctl::set_pdeathsig(Signal::SIGKILL).is_ok() && getppid() == parent {
                    for step in door.listener.incoming().flatten() {
                        // One that is not there answers nobody: the step sees the end of its connection.
                        if let Ok(agent) = UnixStream::connect(&door.agent) {
                            // Without threads there is no talk either.
                            let _ = talk(step, agent);
                        }
                    }
                }
                sys::exit_now(1)
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // One that has ended is only waited for.
        let _ = kill(self.0, Signal::SIGKILL);
        while waitpid(self.0, None) == Err(Errno::EINTR) {}
    }
}

/// Both ways, each until its end.
fn talk(step: UnixStream, agent: UnixStream) -> io::Result<()> {
    let (from_step, from_agent) = (step.try_clone()?, agent.try_clone()?);
    for (mut from, mut to) in [(from_step, agent), (from_agent, step)] {
        thread::Builder::new().spawn(move || {
            // Who has gone needs no answer.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        })?;
    }
    Ok(())
}
