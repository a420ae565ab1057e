//! The solution of exercise 06: a container in the IPC namespace of another one, whose process is the number PARTNER.
#![forbid(unsafe_code)]

use std::{os::fd::OwnedFd, process::ExitCode};

use chroot::Chroot;
use nix::{
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns},
    sys::stat::Mode,
};
use process::{Container, Errno, Host, Inside, Primitive, Result, stage};

/// The IPC namespace of a process that runs.
#[derive(Debug)]
struct ShareIpc {
    partner: String,
    namespace: Option<OwnedFd>,
}

impl Primitive for ShareIpc {
    fn name(&self) -> &'static str {
        "share"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let path = format!("/proc/{}/ns/ipc", self.partner);
        let opened = host.act(
            || format!("open({path:?})"),
            || open(path.as_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()),
        );
        self.namespace = Some(opened?);
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        setns(self.namespace.as_ref().ok_or(Errno::EBADF)?, CloneFlags::CLONE_NEWIPC)
    }

    fn step(&self, _: u16) -> String {
        "setns(CLONE_NEWIPC)".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-06", "Runs COMMAND in ROOTFS with the IPC of the process PARTNER", |invocation| {
        let partner = std::env::var("PARTNER").map_err(|e| format!("PARTNER: {e}; set it to a process's number"))?;
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let share = ShareIpc { partner, namespace: None };
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(share), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
