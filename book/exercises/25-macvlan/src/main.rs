//! Exercise 25: a container on the wire `wire` that hears the machines there, and no other container.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bridge::{DefaultRoute, Settings};
use chroot::Chroot;
use network::Network;
use process::{
    Child, Container, Errno, Host, Inside, Primitive, Result,
    netlink::{Prefix, PrefixError},
    stage,
};

/// An interface on a wire, which hears no other one of the same kind there.
#[derive(Debug)]
struct Private {
    parent: &'static str,
    address: Prefix,
    /// What is to be done inside, laid out before the clone.
    settings: Option<Settings>,
}

impl Primitive for Private {
    fn name(&self) -> &'static str {
        "private"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        self.settings = Some(Settings::new("eth0", &[self.address], &DefaultRoute::None, true)?);
        Ok(())
    }

    fn attach(&mut self, _: &mut Host, child: &Child) -> Result<()> {
        // One message: a macvlan called eth0, of the parent, in the child's namespace, in the mode `private`.
        eprintln!("exercise-25: process {} has no place on {} yet", child.pid, self.parent);
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        inside.at(0);
        // Apply the settings.
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        self.settings.as_ref().map(|settings| settings.words(step)).unwrap_or_default()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-25", "Runs COMMAND in ROOTFS, as $ADDRESS on the wire `wire`. Needs root", |invocation| {
        let address = std::env::var("ADDRESS").map_err(|e| format!("ADDRESS: {e}"))?;
        let address = address.parse().map_err(|e: PrefixError| format!("ADDRESS: {e}"))?;
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let private = Private { parent: "wire", address, settings: None };
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Network), Box::new(private), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
