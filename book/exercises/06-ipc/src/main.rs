//! Exercise 06: a container in the IPC namespace of another one, whose process is the number PARTNER.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{Container, Errno, Host, Inside, Primitive, Result, stage};

/// The IPC namespace of a process that runs.
#[derive(Debug)]
struct ShareIpc {
    partner: String,
}

impl Primitive for ShareIpc {
    fn name(&self) -> &'static str {
        "share"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        // A namespace that runs is a file: which one of the partner's? Open it, and keep it for the child.
        host.act(|| format!("open what is in /proc/{}", self.partner), || Ok(()))
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        // There is a system call that puts the caller into an open namespace.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-06", "Runs COMMAND in ROOTFS with the IPC of the process PARTNER", |invocation| {
        let partner = std::env::var("PARTNER").map_err(|e| format!("PARTNER: {e}; set it to a process's number"))?;
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(ShareIpc { partner }), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
