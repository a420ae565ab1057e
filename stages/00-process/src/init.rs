//! Process 1 of a pid namespace: adopt and reap orphans, forward signals, end with the program's exit code.
//!
//! pid_namespaces(7): orphans inside become children of process 1, the kernel ends all others when it ends, and
//! signals that it has no handler for do not reach it.

use nix::{errno::Errno, sys::prctl, unistd::Pid};

use crate::{
    exec::Program,
    primitive::Inside,
    sys::{self, Cloned, CommandLine},
};

/// No descriptor that we opened is higher: they are few, and the kernel gives out the lowest.
const HIGHEST: i32 = 4095;

/// A terminal sends these to its whole foreground group, and where this process is in that, the program is too.
const OF_TERMINAL: [i32; 4] = [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP, libc::SIGWINCH];

/// What process 1 is called: it executes no program of its own, and would be called what the host's was, by its arguments
/// too, which name files of the host's and other containers' secrets.
#[derive(Debug)]
pub(crate) struct Title {
    place: CommandLine,
    text: Vec<u8>,
}

impl Title {
    /// As Docker's init is called before that program.
    pub(crate) fn before(program: &Program) -> Result<Self, Errno> {
        let mut text = b"/sbin/docker-init --".to_vec();
        for argument in program.arguments() {
            text.push(b' ');
            text.extend_from_slice(argument.as_bytes());
        }
        Ok(Self { place: CommandLine::find()?, text })
    }

    fn show(&self) {
        self.place.replace(&self.text);
        // It has a length that is always taken.
        let _ = prctl::set_name(c"docker-init");
    }
}

/// Runs as process 1, in the child: starts the program as process 2 and looks after it. Allocates nothing.
pub(crate) fn run(program: &Program, title: &Title, inside: &Inside) -> ! {
    title.show();
    // Before the program exists: a signal that comes early must wait, not kill.
    let started = sys::block_signals().and_then(|()| match sys::clone_child()? {
        Cloned::Child => {
            let _ = sys::default_signals();
            inside.fail(program.become_it(inside));
            sys::exit_now(127)
        }
        Cloned::Parent(pid, _) => Ok(pid),
    });
    match started {
        // The channel closes here and in the program's exec: then the parent knows that it runs.
        Ok(program) => {
            // Nobody inside may open this process's image, which is the host's program, through /proc/1/exe.
            let _ = prctl::set_dumpable(false);
            if sys::close_range(3, u32::MAX).is_err() {
                // A filter that does not know the call: the parent would wait for the end of its line for ever.
                sys::close_each(3..=HIGHEST);
            }
            look_after(program)
        }
        Err(errno) => {
            inside.fail(errno);
            sys::exit_now(127)
        }
    }
}

// ANCHOR: init
fn look_after(program: Pid) -> ! {
    loop {
        match sys::wait_signal() {
            Ok((libc::SIGCHLD, _)) => {
                while let Ok(Some((pid, code))) = sys::reap_any() {
                    if pid == program {
                        sys::exit_now(code);
                    }
                }
            }
            // ESRCH: the program has ended, with its SIGCHLD still to come.
            Ok((signal, of_kernel)) if !(of_kernel && OF_TERMINAL.contains(&signal)) => {
                let _ = sys::kill(program, signal);
            }
            _ => {}
        }
    }
}
// ANCHOR_END: init
