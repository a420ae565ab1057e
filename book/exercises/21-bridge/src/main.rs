//! Exercise 21: a cable from the host, 10.99.0.1, to the container, 10.99.0.2, with nothing in between.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use bridge::{DefaultRoute, Settings};
use chroot::Chroot;
use network::Network;
use process::{
    Child, Container, Errno, Error, Host, Inside, Primitive, Result,
    netlink::{Prefix, PrefixError},
    stage,
};

/// A cable with an address at each end.
#[derive(Debug)]
struct Cable {
    host: Prefix,
    container: Prefix,
    /// What is to be done inside, laid out before the clone.
    settings: Option<Settings>,
}

impl Primitive for Cable {
    fn name(&self) -> &'static str {
        "cable"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        self.settings = Some(Settings::new("eth0", &[self.container], &DefaultRoute::None, false)?);
        Ok(())
    }

    fn attach(&mut self, _: &mut Host, child: &Child) -> Result<()> {
        // The container's namespace is that of `child.pid`, and the child waits at the gate. Make the cable, with the name
        // `cable0` for this end, and give this end its address.
        let missing = format!("lay the cable from {} to process {}", self.host, child.pid);
        eprintln!("exercise-21: nobody did: {missing}");
        Ok::<(), Error>(())
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
    stage::main("exercise-21", "Runs COMMAND in ROOTFS, with a cable to the host. Needs root", |invocation| {
        let address = |text: &str| text.parse().map_err(|e: PrefixError| e.to_string());
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let cable = Cable { host: address("10.99.0.1/30")?, container: address("10.99.0.2/30")?, settings: None };
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(Network), Box::new(cable), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
