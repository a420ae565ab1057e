//! Stage 10: a session, and a terminal of the container's own.
//!
//! A program on the host's terminal could push keys into its input (`TIOCSTI`) and read what is typed next. So the
//! container gets its own: a pseudo-terminal (pty(7)) from its own /dev/pts. The program has the one end as standard
//! streams, controlling terminal and /dev/console; the parent has the controlling end and copies ([`relay()`]).
#![forbid(unsafe_code)]

mod raw;
mod relay;

use std::os::fd::AsFd;

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
    unistd::setsid,
};
use process::{
    Errno, Inside, Primitive, TERMINAL,
    sys::{self, OpenTree},
};
pub use raw::RawMode;
pub use relay::{relay, run};

/// A session of the program's own, without a terminal (setsid(2)).
#[derive(Debug, Default)]
pub struct Session;

impl Primitive for Session {
    fn name(&self) -> &'static str {
        "session"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        setsid().map(drop)
    }

    fn step(&self, _: u16) -> String {
        "setsid()".to_owned()
    }
}

// ANCHOR: terminal
/// A session with a new pseudo-terminal of the container's /dev/pts.
#[derive(Debug)]
pub struct Terminal {
    /// Rows and columns in characters, where they are known at the start.
    pub size: Option<(u16, u16)>,
    /// Whether it is /dev/console: the container's first process has that, and no other.
    pub console: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { size: None, console: true }
    }
}

const STEPS: [&str; 6] = [
    "open(\"/dev/pts/ptmx\")",
    "ioctl(TIOCGPTPEER)",
    "sendmsg(SCM_RIGHTS, the controlling end)",
    "setsid(), ioctl(TIOCSCTTY)",
    "move_mount(\"/dev/console\")",
    "dup2 the terminal to standard input, output and errors",
];

impl Primitive for Terminal {
    fn name(&self) -> &'static str {
        "tty"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let controller = open(c"/dev/pts/ptmx", flags, Mode::empty())?;
        sys::pty_unlock(controller.as_fd())?;
        if let Some(size) = self.size {
            sys::set_window_size(controller.as_fd(), size)?;
        }
        inside.at(1);
        let terminal = sys::pty_peer(controller.as_fd())?;
        inside.at(2);
        inside.send_descriptor(TERMINAL, &controller)?;
        inside.at(3);
        setsid()?;
        sys::set_controlling_terminal(terminal.as_fd())?;
        if self.console {
            inside.at(4);
            console(&terminal)?;
        }
        inside.at(5);
        for target in 0..3 {
            sys::duplicate_to(terminal.as_fd(), target)?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        STEPS[usize::from(step).min(STEPS.len() - 1)].to_owned()
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        (step == 0 && errno == Errno::ENOENT).then(|| "the container has no /dev/pts: mount one (stage 08)".to_owned())
    }
}
// ANCHOR_END: terminal

/// Mounts the terminal on /dev/console by descriptor: no path that anyone could exchange.
fn console(terminal: &std::os::fd::OwnedFd) -> Result<(), Errno> {
    let tree = sys::open_tree(Some(terminal.as_fd()), c"", OpenTree::Clone)?;
    let flags = OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    drop(open(c"/dev/console", flags, Mode::from_bits_truncate(0o600))?);
    sys::move_mount(tree.as_fd(), None, c"/dev/console")
}
