//! Exercise 12: root whose only capability is to change owners, now and after every exec.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use process::{
    Container, Errno, Inside, Primitive, stage,
    sys::{self, Capabilities},
};

/// Bit 0: `CAP_CHOWN`.
const CHOWN: u64 = 1;

/// Takes all capabilities away but one.
#[derive(Debug)]
struct OnlyChown;

impl Primitive for OnlyChown {
    fn name(&self) -> &'static str {
        "only_chown"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        let now = sys::capabilities()?;
        // What does exec make of these, and of the sets that are not among them?
        sys::set_capabilities(Capabilities { effective: CHOWN, permitted: CHOWN, ..now })
    }

    fn step(&self, _: u16) -> String {
        "capset(CAP_CHOWN)".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-12", "Runs COMMAND in ROOTFS as root with CAP_CHOWN alone. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(OnlyChown));
        Ok((Container(vec![Box::new(root)]), process))
    })
}
