//! Who waits for a process in a container in the place of the command that started it.
//!
//! The kernel ends a pid namespace when all that were in it have been reaped, by parents outside too (pid_namespaces(7)). A command
//! may be stopped by its user (^Z), or wait for somebody who does not read what it writes: its container could not end. So
//! another process is the parent, in a session of its own, which does nothing but wait.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{errno::Errno, sys::wait::waitpid, unistd::Pid};
use process::sys::{self, Cloned};

use super::{Exec, title};
use crate::engine::{
    Engine,
    container::Container,
    error::{Error, Result},
    monitor::{self, frame},
};

/// The command's side of it.
#[derive(Debug)]
pub(super) struct Waiter {
    pid: Pid,
    line: UnixStream,
}

/// A process that has one.
pub(super) struct Awaited {
    pub(super) pidfd: OwnedFd,
    /// The controlling end of its terminal, if it has one.
    pub(super) terminal: Option<OwnedFd>,
    pub(super) waiter: Waiter,
}

impl Waiter {
    /// The exit code of the process, as [`sys::wait_exit`] has it.
    pub(super) fn wait(&self) -> Result<i32> {
        let mut code = [0; size_of::<i32>()];
        let read = (&self.line).read_exact(&mut code);
        // It has nothing more to do.
        let _ = waitpid(self.pid, None);
        match read {
            Ok(()) => Ok(i32::from_ne_bytes(code)),
            Err(_) => Err(Error::conflict(
                "how the process ended is not known: who waited for it was killed; mini-docker top shows whether it still runs",
            )),
        }
    }
}

impl Engine {
    /// Starts a process, with somebody who waits for it. The caller has one thread.
    pub(super) fn exec_awaited(
        &self,
        container: &Container,
        request: &Exec,
        id: &str,
        stdio: [Option<OwnedFd>; 3],
    ) -> Result<Awaited> {
        let failed = |e: io::Error| Error::system("start who waits for the process", &e);
        let (line, theirs) = UnixStream::pair().map_err(failed)?;
        match sys::fork().map_err(|e| failed(e.into()))? {
            Cloned::Child => {
                drop(line);
                let keep = stdio.iter().flatten().map(AsRawFd::as_raw_fd).chain([theirs.as_raw_fd()]);
                let _ = monitor::detach(&title(&container.config), &keep.collect::<Vec<_>>());
                let _ = self.wait_for(container, request, id, stdio, theirs);
                sys::exit_now(0)
            }
            Cloned::Parent(pid, _) => {
                drop((theirs, stdio));
                let waiter = Waiter { pid, line };
                monitor::await_start(&waiter.line).map_err(failed)??;
                let receive =
                    || sys::receive_fd(waiter.line.as_fd(), &mut [0]).and_then(|(_, fd)| fd.ok_or(Errno::EBADF));
                let pidfd = receive().map_err(|e| failed(e.into()))?;
                let terminal = request.tty.then(receive).transpose().map_err(|e| failed(e.into()))?;
                Ok(Awaited { pidfd, terminal, waiter })
            }
        }
    }

    /// Its life. Where the command has gone nobody listens, and the process goes on.
    fn wait_for(
        &self,
        container: &Container,
        request: &Exec,
        id: &str,
        stdio: [Option<OwnedFd>; 3],
        mut line: UnixStream,
    ) -> io::Result<()> {
        let mut child = match self.exec_with(container, request, id, stdio) {
            Ok(child) => child,
            Err(e) => {
                monitor::tell_failure(&line, &e);
                return Ok(());
            }
        };
        let terminal = child.take_descriptor(process::TERMINAL);
        let told = frame::write(&line, frame::Kind::Ready, &[]).and_then(|()| {
            let all = [child.pidfd.as_fd()].into_iter().chain(terminal.as_ref().map(AsFd::as_fd));
            Ok(all.into_iter().try_for_each(|fd| sys::send_fd(line.as_fd(), &[0], fd))?)
        });
        drop(terminal);
        sys::trim_memory();
        let code = sys::wait_exit(child.pidfd.as_fd())?;
        told.and_then(|()| line.write_all(&code.to_ne_bytes()))
    }
}
