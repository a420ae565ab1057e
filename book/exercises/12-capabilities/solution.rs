//! The solution of exercise 12: root whose only capability is to change owners, now and after every exec.
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
        for number in (0..u64::BITS).filter(|number| CHOWN & 1 << number == 0) {
            match sys::drop_bounding(number) {
                // The kernel has no more.
                Err(Errno::EINVAL) => break,
                dropped => dropped?,
            }
        }
        inside.at(1);
        sys::clear_ambient()?;
        inside.at(2);
        sys::set_capabilities(Capabilities { effective: CHOWN, permitted: CHOWN, inheritable: 0 })
    }

    fn step(&self, step: u16) -> String {
        ["prctl(PR_CAPBSET_DROP)", "prctl(PR_CAP_AMBIENT)", "capset(CAP_CHOWN)"][usize::from(step).min(2)].to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("solution-12", "Runs COMMAND in ROOTFS as root with CAP_CHOWN alone. Needs root", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(OnlyChown));
        Ok((Container(vec![Box::new(root)]), process))
    })
}
