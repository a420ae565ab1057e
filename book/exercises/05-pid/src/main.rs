//! Exercise 05: a program that is process 42 of its pid namespace.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use pid::PidNamespace;
use process::{Container, Errno, Inside, Primitive, stage};
use user::User;

/// The number that the next process gets.
#[derive(Debug)]
struct NextIs42;

impl Primitive for NextIs42 {
    fn name(&self) -> &'static str {
        "next"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // This runs in process 1. The next process that is made in here is the program.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

fn main() -> ExitCode {
    stage::main("exercise-05", "Runs COMMAND in ROOTFS as process 42", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(PidNamespace), Box::new(NextIs42), Box::new(root)];
        let mut process = invocation.process()?;
        process.init = true;
        Ok((Container(container), process))
    })
}
