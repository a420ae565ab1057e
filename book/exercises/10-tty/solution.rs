//! The solution of exercise 10: a container whose program is a session on a terminal of its own.
#![forbid(unsafe_code)]

use std::{os::fd::AsFd, process::ExitCode};

use ipc::Ipc;
use mount::{Mounts, default_table};
use network::Network;
use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::setsid,
};
use overlay::Overlay;
use pid::PidNamespace;
use process::{Container, Errno, Inside, Primitive, TERMINAL, stage, sys};
use user::User;

/// A terminal for the program.
#[derive(Debug)]
struct Terminal;

impl Primitive for Terminal {
    fn name(&self) -> &'static str {
        "terminal"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let controller = open(c"/dev/pts/ptmx", flags, Mode::empty())?;
        sys::pty_unlock(controller.as_fd())?;
        let terminal = sys::pty_peer(controller.as_fd())?;
        inside.send_descriptor(TERMINAL, &controller)?;
        inside.at(1);
        setsid()?;
        sys::set_controlling_terminal(terminal.as_fd())?;
        inside.at(2);
        for stream in 0..3 {
            sys::duplicate_to(terminal.as_fd(), stream)?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        ["make a terminal", "setsid(), ioctl(TIOCSCTTY)", "dup2 the terminal"][usize::from(step).min(2)].to_owned()
    }
}

fn main() -> ExitCode {
    stage::main_with("solution-10", "Runs COMMAND in ROOTFS on a terminal of its own", tty::run, |invocation| {
        let base = std::env::temp_dir().join(format!("solution-10-{}", std::process::id()));
        let mounts = Mounts::new(&base, default_table(64 << 20)).map_err(|e| format!("TMPDIR: {e}"))?;
        let container: Vec<Box<dyn Primitive>> = vec![
            Box::new(User::single()),
            Box::new(PidNamespace),
            Box::new(Ipc),
            Box::new(Network),
            Box::new(Overlay::new(vec![invocation.rootfs.clone()], base)),
            Box::new(mounts),
        ];
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(Terminal));
        Ok((Container(container), process))
    })
}
