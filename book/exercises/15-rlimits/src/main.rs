//! Exercise 15: a program with 32 files, which it may raise, and a second of processor time.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::libc::RLIMIT_NOFILE;
use process::{Container, Errno, Inside, Primitive, stage, sys};

/// Files and processor time.
#[derive(Debug)]
struct Little;

impl Primitive for Little {
    fn name(&self) -> &'static str {
        "little"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // Soft, and hard: what was that before?
        sys::set_limit(RLIMIT_NOFILE, 32, 32)
    }

    fn step(&self, _: u16) -> String {
        "prlimit(nofile=32:32)".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-15", "Runs COMMAND in ROOTFS with few files and little time", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(Little));
        Ok((Container(vec![Box::new(root)]), process))
    })
}
