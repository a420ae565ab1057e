//! The last step: becoming the user's program.

use std::{
    ffi::{CStr, CString, NulError, OsStr},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use nix::errno::Errno;

use crate::{
    launch::Launcher,
    primitive::Inside,
    sys::{self, Pointers},
};

/// Where the kernel looks for programs when `PATH` is not set.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program with its arguments, environment and standard streams, all laid out before the clone.
#[derive(Debug)]
pub struct Program {
    arguments: Pointers,
    environment: Pointers,
    candidates: Vec<CString>,
    stdio: [Option<OwnedFd>; 3],
    launcher: Option<Launcher>,
}

impl Program {
    /// `arguments` begins with the program's name; a name without a slash is looked up in the `PATH` of `environment`
    /// (`KEY=value`), inside the container's root.
    ///
    /// # Errors
    /// A string with a null byte in it, which the kernel cannot take.
    pub fn new<A, E>(arguments: A, environment: E) -> Result<Self, NulError>
    where
        A: IntoIterator<Item: AsRef<OsStr>>,
        E: IntoIterator<Item: AsRef<OsStr>>,
    {
        let arguments = c_strings(arguments)?;
        let environment = c_strings(environment)?;
        let name = arguments.first().map_or(&b""[..], |a| a.as_bytes());
        let path =
            environment.iter().find_map(|e| e.as_bytes().strip_prefix(b"PATH=")).unwrap_or(DEFAULT_PATH.as_bytes());
        let candidates = if name.contains(&b'/') || name.is_empty() {
            vec![CString::new(name)?]
        } else {
            let join = |dir: &[u8]| CString::new([if dir.is_empty() { b"." } else { dir }, b"/", name].concat());
            path.split(|&b| b == b':').map(join).collect::<Result<_, _>>()?
        };
        Ok(Self {
            candidates,
            arguments: Pointers::new(arguments),
            environment: Pointers::new(environment),
            stdio: [None, None, None],
            launcher: None,
        })
    }

    /// Gives the program these standard streams (input, output, errors); `None` leaves the parent's.
    #[must_use]
    pub fn stdio(mut self, stdio: [Option<OwnedFd>; 3]) -> Self {
        self.stdio = stdio;
        self
    }

    /// Executes our own program first, in a way that the container cannot write it.
    #[must_use]
    pub fn launched(mut self, launcher: Launcher) -> Self {
        self.launcher = Some(launcher);
        self
    }

    /// The line is there.
    pub(crate) fn prepare(&mut self, line: BorrowedFd) {
        if let Some(launcher) = &mut self.launcher {
            launcher.prepare(line, &self.candidates, self.arguments.strings());
        }
    }

    /// Whether the name was looked up in `PATH`.
    pub fn searched(&self) -> bool {
        !self.name().contains(&b'/')
    }

    /// The program's name as given.
    pub fn name(&self) -> &[u8] {
        self.arguments.strings().first().map_or(b"", |a| a.as_bytes())
    }

    /// Its arguments, the name first.
    pub(crate) fn arguments(&self) -> &[CString] {
        self.arguments.strings()
    }

    pub(crate) fn step(&self, step: u16) -> String {
        match step as usize {
            STDIO => "dup2 standard input, output and errors".to_owned(),
            _ => format!("execve({:?})", String::from_utf8_lossy(self.name())),
        }
    }

    /// The words of what a launcher fails in.
    pub(crate) fn last_step(&self) -> String {
        self.step(EXECVE as u16)
    }

    /// The words of [`Self::close_others`].
    pub(crate) const CLOSE_OTHERS: &str = "close_range(3, ~0) but for this line and the streams";

    /// Closes all descriptors but `line` and the program's streams, and marks those as close-on-exec. Before the process's
    /// primitives: a path that an image names could lead through `/proc/self/fd` to what the engine has open
    /// (CVE-2024-21626), and a filter may not know the call. What the primitives open is close-on-exec by itself.
    pub(crate) fn close_others(&self, line: BorrowedFd, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        inside.forget_mounts();
        let [input, output, errors] = [0, 1, 2].map(|at: usize| self.stdio.get(at).and_then(Option::as_ref));
        let launcher = self.launcher.as_ref().map(Launcher::as_fd);
        let mut kept = [Some(line), launcher, input.map(AsFd::as_fd), output.map(AsFd::as_fd), errors.map(AsFd::as_fd)]
            .map(|fd| fd.map_or(-1, |fd| fd.as_raw_fd()));
        kept.sort_unstable();
        let mut from = FIRST;
        for fd in kept.into_iter().filter_map(|fd| u32::try_from(fd).ok()).filter(|fd| *fd >= FIRST) {
            if fd > from {
                sys::close_range(from, fd - 1)?;
            }
            from = fd + 1;
        }
        sys::close_range(from, u32::MAX)?;
        sys::close_from(FIRST)
    }

    /// Returns only on failure. ENOENT: no such program (of several in `PATH`); EACCES: one is there and cannot be
    /// executed.
    pub(crate) fn become_it(&self, inside: &Inside) -> Errno {
        inside.at(STDIO);
        for (target, fd) in self.stdio.iter().enumerate() {
            if let Some(fd) = fd
                && let Err(errno) = sys::duplicate_to(fd.as_fd(), target as i32)
            {
                return errno;
            }
        }
        inside.at(EXECVE);
        match &self.launcher {
            Some(launcher) => launcher.execute(inside.line(), &self.environment),
            None => execute_first(&self.candidates, |path| sys::execve(path, &self.arguments, &self.environment)),
        }
    }
}

/// Returns only on failure: that of the one that came nearest.
pub(crate) fn execute_first(candidates: &[CString], execute: impl Fn(&CStr) -> Errno) -> Errno {
    let mut denied = Errno::ENOENT;
    for candidate in candidates {
        match execute(candidate) {
            Errno::ENOENT | Errno::ENOTDIR if candidates.len() > 1 => {}
            Errno::EACCES if candidates.len() > 1 => denied = Errno::EACCES,
            errno => return errno,
        }
    }
    denied
}

/// The first descriptor that is no standard stream.
const FIRST: u32 = 3;

const STDIO: usize = 0;
const EXECVE: usize = 1;

fn c_strings<L: IntoIterator<Item: AsRef<OsStr>>>(list: L) -> Result<Vec<CString>, NulError> {
    list.into_iter().map(|s| CString::new(s.as_ref().as_bytes())).collect()
}
