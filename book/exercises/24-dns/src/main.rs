//! Exercise 24: a server at 127.0.0.1:7777 of the container that is no process of the container.
#![forbid(unsafe_code)]

use std::{io::Write, net::TcpListener, os::fd::AsFd, process::ExitCode};

use chroot::Chroot;
use network::Network;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use process::{
    Child, Container, Errno, Inside, Primitive,
    foreground::{self, Signals},
    stage, sys,
};
use user::User;

/// The name of the descriptor that the parent looks for.
const GREETER: &str = "greeter";

/// A socket that listens in the container's network namespace, and is its parent's.
#[derive(Debug)]
struct Greeter;

impl Primitive for Greeter {
    fn name(&self) -> &'static str {
        GREETER
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // A socket belongs for life to the network namespace that it was made in. Make one, and send it to the parent.
        Ok(())
    }

    fn step(&self, _: u16) -> String {
        "nothing yet".to_owned()
    }
}

/// Waits for the child's end, and greets whoever comes meanwhile.
fn look_after(child: &mut Child, signals: &Signals) -> Result<i32, Errno> {
    let greeter = child.take_descriptor(GREETER).map(TcpListener::from);
    loop {
        let mut ready = vec![PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN)];
        ready.push(PollFd::new(signals.as_fd(), PollFlags::POLLIN));
        ready.extend(greeter.as_ref().map(|greeter| PollFd::new(greeter.as_fd(), PollFlags::POLLIN)));
        match poll(&mut ready, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        let is_ready = |at: usize| ready.get(at).is_some_and(|fd| fd.any().unwrap_or(false));
        let [ended, signalled, greets] = [is_ready(0), is_ready(1), is_ready(2)];
        if ended {
            return sys::wait_exit(child.pidfd.as_fd());
        }
        if signalled {
            signals.forward(child)?;
        }
        if let Some(Ok((mut client, _))) = greeter.as_ref().filter(|_| greets).map(TcpListener::accept) {
            // He may have gone.
            let _ = client.write_all(b"from outside\n");
        }
    }
}

fn main() -> ExitCode {
    let runner: stage::Runner = |container, process, host| foreground::run_with(container, process, host, look_after);
    stage::main_with("exercise-24", "Runs COMMAND in ROOTFS, with a greeter at 127.0.0.1:7777", runner, |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(Network), Box::new(Greeter), Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
