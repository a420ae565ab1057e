//! Further processes in a running container. No monitor has a part in it but where it checks a container's health itself: the
//! command that runs one leaves its parent behind.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl, open},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::Mode,
    unistd::{pipe2, read},
};
use process::{
    Child, Host, Journal,
    sys::{self, Cloned},
};

mod waiter;

use waiter::Waiter;

use super::{
    Engine,
    container::{Config, Container, State},
    error::{Error, Kind, Result},
    image::short,
    lifecycle::way_in,
    monitor::{self, frame},
    store::random_id,
};
use crate::runtime::{self, ProcessSpec, Running};

/// What to run in a container, over what the container says.
#[derive(Debug, Clone, Default)]
pub struct Exec {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// `KEY=value`, over the container's.
    pub env: Vec<String>,
    /// Over the container's; absolute, and it must exist.
    pub working_dir: Option<String>,
    /// Over the container's.
    pub user: Option<String>,
    /// With all capabilities. The filter of system calls stays.
    pub privileged: bool,
    /// On a terminal of its own, with these rows and columns where they are known.
    pub tty: bool,
    /// Rows and columns of that.
    pub size: Option<(u16, u16)>,
    /// Whether it gets an input; else it has /dev/null.
    pub stdin: bool,
}

/// A process that was started in a container.
#[derive(Debug)]
pub struct Executed {
    pidfd: OwnedFd,
    /// Its parent, where that is not this process.
    waiter: Option<Waiter>,
    /// What events call it: 64 hexadecimal digits.
    id: String,
    /// What it reads; with a terminal, the terminal. Does not block.
    pub stdin: Option<OwnedFd>,
    /// What it writes; with a terminal, the terminal. Does not block.
    pub stdout: Option<OwnedFd>,
    /// What it writes as errors; not with a terminal. Does not block.
    pub stderr: Option<OwnedFd>,
}

impl Executed {
    /// Readable when it has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    pub(super) fn wait(&self) -> Result<i32> {
        match &self.waiter {
            Some(waiter) => waiter.wait(),
            None => sys::wait_exit(self.pidfd()).map_err(|e| Error::system("wait for the process", &e.into())),
        }
    }

    /// Whether it has.
    pub fn has_ended(&self) -> bool {
        poll(&mut [PollFd::new(self.pidfd(), PollFlags::POLLIN)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
    }

    /// Reads what a terminal shows, and forgets it, as long as somebody inside has it open.
    fn drain(&self) {
        let Some(terminal) = &self.stdout else { return };
        let mut buffer = [0; 4096];
        loop {
            let polled = poll(&mut [PollFd::new(terminal.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE);
            match polled.and_then(|_| read(terminal, &mut buffer)) {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Ok(length) if length > 0 => {}
                // EIO: nobody has it open any more.
                _ => return,
            }
        }
    }

    /// Sends it a signal, unless it has ended.
    pub fn signal(&self, signal: i32) {
        // ESRCH is the only error there is.
        let _ = sys::pidfd_send_signal(self.pidfd(), signal);
    }
}

impl Engine {
    /// Starts a process in a running container, whatever becomes of the caller. The caller has one thread.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it does not run; [`Kind::CommandNotFound`] or [`Kind::CannotExecute`] where the process
    /// could not be made.
    pub fn exec(&self, container: &Container, request: &Exec) -> Result<Executed> {
        let failed = |e: Errno| Error::system("make pipes", &io::Error::from(e));
        let mut streams = Executed::streams(request).map_err(failed)?;
        let stdio = std::mem::take(&mut streams.theirs);
        let id = random_id()?;
        let awaited = self.exec_awaited(container, request, &id, stdio)?;
        Executed::new(awaited.pidfd, Some(awaited.waiter), id, streams, awaited.terminal)
    }

    /// As [`Engine::exec`]; the caller is its parent, stops for nobody, and reads what it writes.
    pub(super) fn exec_as_parent(&self, container: &Container, request: &Exec) -> Result<Executed> {
        let mut streams = Executed::streams(request).map_err(|e| Error::system("make pipes", &e.into()))?;
        let stdio = std::mem::take(&mut streams.theirs);
        let id = random_id()?;
        let mut child = self.exec_with(container, request, &id, stdio)?;
        let terminal = child.take_descriptor(process::TERMINAL);
        Executed::new(child.pidfd, None, id, streams, terminal)
    }

    /// Starts a process in a running container and leaves it there, with /dev/null or a terminal that nobody sees.
    ///
    /// A process of ours stays with it, to say how it ended. If that is killed nobody says so, and it runs on: it ends with
    /// the container at the latest. The caller has one thread.
    pub fn exec_detached(&self, container: &Container, request: &Exec) -> Result<()> {
        let failed = |e: io::Error| Error::system("leave the process alone", &e);
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        match sys::fork().map_err(|e| failed(e.into()))? {
            Cloned::Parent(..) => {
                drop(theirs);
                monitor::await_start(&ours).map_err(failed)?.map(drop)
            }
            Cloned::Child => {
                drop(ours);
                let _ = monitor::detach(&title(&container.config), &[theirs.as_raw_fd()]);
                match self.exec_unseen(container, request) {
                    Err(e) => monitor::tell_failure(&theirs, &e),
                    Ok(executed) => {
                        // Whoever asked may have gone; the process runs all the same.
                        let _ = frame::write(&theirs, frame::Kind::Ready, &[]);
                        drop(theirs);
                        sys::trim_memory();
                        executed.drain();
                        let _ = self.await_executed(&container.config, &executed);
                    }
                }
                sys::exit_now(0)
            }
        }
    }

    fn exec_unseen(&self, container: &Container, request: &Exec) -> Result<Executed> {
        if request.tty {
            return self.exec_as_parent(container, request);
        }
        let null = || open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map(Some);
        let streams = (|| Ok([null()?, null()?, null()?]))();
        let streams = streams.map_err(|e: Errno| Error::system("open /dev/null", &e.into()))?;
        let id = random_id()?;
        let child = self.exec_with(container, request, &id, streams)?;
        Ok(Executed { pidfd: child.pidfd, waiter: None, id, stdin: None, stdout: None, stderr: None })
    }

    fn exec_with(&self, container: &Container, request: &Exec, id: &str, stdio: [Option<OwnedFd>; 3]) -> Result<Child> {
        let running = self.running(container)?;
        let spec = exec_spec(self, container, request)?;
        self.emit_exec(&container.config, id, &request.command);
        let mut host = Host::new(Journal::in_memory());
        let child = runtime::exec(&spec, &running, stdio, &mut host);
        child.map_err(|e| match (process::stage::exit_code(&e), e.errno) {
            (_, Errno::ESRCH) if e.primitive == "join" => not_running(container),
            (127, _) => Error::new(Kind::CommandNotFound, e.to_string()),
            // As Docker has it: whatever else kept it from running.
            _ => Error::new(Kind::CannotExecute, e.to_string()),
        })
    }

    /// Waits for the end of what was started in a container; its exit code: 128 + n after signal n.
    pub fn await_executed(&self, config: &Config, process: &Executed) -> Result<i32> {
        let code = process.wait()?;
        let extra = [("execID", process.id.as_str()), ("exitCode", &code.to_string())];
        self.emit_container(config, "exec_die", &extra);
        Ok(code)
    }

    /// Leaves a process in a container alone, by the user's keys. The caller has one thread, and ends then.
    pub fn leave_executed(&self, config: &Config, process: &Executed) -> Result<()> {
        self.emit_container(config, "exec_detach", &[("execID", &process.id)]);
        let failed = |e: Errno| Error::system("leave the process alone", &e.into());
        let Some(terminal) = &process.stdout else { return Ok(()) };
        let (detached, ours) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        match sys::fork().map_err(failed)? {
            Cloned::Parent(..) => {
                drop(ours);
                // Until it is in a session of its own, the end of this one hangs up on it too.
                let _ = read(&detached, &mut [0]);
                Ok(())
            }
            Cloned::Child => {
                let _ = monitor::detach(&title(config), &[terminal.as_raw_fd()]);
                process.drain();
                sys::exit_now(0)
            }
        }
    }

    /// The container for the runtime to join.
    fn running(&self, container: &Container) -> Result<Running> {
        if container.status.state == State::Paused {
            let name = &container.config.name;
            return Err(Error::conflict(format!(
                "container {name} is paused, unpause the container before exec: mini-docker unpause {name}"
            )));
        }
        if container.status.state != State::Running {
            return Err(not_running(container));
        }
        let (pid, pidfd) = way_in(container).ok_or_else(|| not_running(container))?;
        let cgroup = self.cgroup_path(&container.config);
        Ok(Running { pid, pidfd, cgroup })
    }
}

struct Streams {
    theirs: [Option<OwnedFd>; 3],
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Executed {
    fn new(
        pidfd: OwnedFd,
        waiter: Option<Waiter>,
        id: String,
        mut streams: Streams,
        terminal: Option<OwnedFd>,
    ) -> Result<Self> {
        if let Some(terminal) = terminal {
            let copy = terminal.try_clone().map_err(|e| Error::system("copy the terminal", &e))?;
            (streams.stdin, streams.stdout) = (Some(terminal), Some(copy));
        }
        for stream in [&streams.stdin, &streams.stdout, &streams.stderr].into_iter().flatten() {
            let set = fcntl(stream, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
            set.map_err(|e| Error::system("make pipes", &io::Error::from(e)))?;
        }
        let Streams { stdin, stdout, stderr, .. } = streams;
        Ok(Self { pidfd, waiter, id, stdin, stdout, stderr })
    }

    /// Pipes, and never the caller's own streams: a terminal among them could be read and typed on from inside.
    fn streams(request: &Exec) -> nix::Result<Streams> {
        if request.tty {
            return Ok(Streams { theirs: [None, None, None], stdin: None, stdout: None, stderr: None });
        }
        let (input, stdin) = if request.stdin {
            let (input, stdin) = pipe2(OFlag::O_CLOEXEC)?;
            (input, Some(stdin))
        } else {
            (open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?, None)
        };
        let (stdout, out) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, err) = pipe2(OFlag::O_CLOEXEC)?;
        Ok(Streams { theirs: [Some(input), Some(out), Some(err)], stdin, stdout: Some(stdout), stderr: Some(stderr) })
    }
}

/// The container's own process with the request's wishes over it.
fn exec_spec(engine: &Engine, container: &Container, request: &Exec) -> Result<ProcessSpec> {
    let strings = request.command.iter().chain(&request.env).chain(&request.working_dir).chain(&request.user);
    if strings.into_iter().any(|text| text.contains('\0')) {
        return Err(Error::invalid("an argument has a null byte in it, which the kernel cannot take"));
    }
    let mut spec = engine.process_spec(container)?;
    spec.arguments.clone_from(&request.command);
    if request.tty && !spec.environment.iter().any(|variable| variable.starts_with("TERM=")) {
        spec.environment.push("TERM=xterm".to_owned());
    }
    super::create::override_variables(&mut spec.environment, &request.env);
    if let Some(directory) = &request.working_dir {
        if !directory.starts_with('/') {
            let message = format!("the working directory {directory:?} is invalid, it needs to be an absolute path");
            return Err(Error::new(Kind::CannotExecute, message));
        }
        spec.working_dir.clone_from(directory);
    }
    if let Some(user) = &request.user {
        spec.user.clone_from(user);
    }
    if request.privileged {
        let all = capabilities::CapabilitySet::available();
        spec.capabilities = all.map_err(|e| Error::system("read the bounding set", &e.into()))?;
    }
    spec.terminal = request.tty;
    spec.size = request.size;
    Ok(spec)
}

fn not_running(container: &Container) -> Error {
    let name = &container.config.name;
    Error::conflict(format!("container {name} is not running: start it first (mini-docker start {name})"))
}

/// What is left with a process in a container is called.
fn title(config: &Config) -> String {
    format!("mini-docker exec {}", short(&config.id))
}
