//! Stage 04: a UTS namespace.
//!
//! The names that uname(2) reports, host and domain, become the container's own (uts_namespaces(7)).
#![forbid(unsafe_code)]

use std::ffi::OsString;

use nix::unistd::sethostname;
use process::{CloneArgs, Errno, Inside, Primitive};

// ANCHOR: uts
/// A host name of the container's own.
#[derive(Debug)]
pub struct Uts {
    hostname: OsString,
}

impl Uts {
    /// `hostname` is at most 64 bytes; the kernel refuses a longer one.
    pub fn new(hostname: impl Into<OsString>) -> Self {
        Self { hostname: hostname.into() }
    }
}

impl Primitive for Uts {
    fn name(&self) -> &'static str {
        "uts"
    }

    fn clone_args(&self, args: &mut CloneArgs) {
        args.add(nix::libc::CLONE_NEWUTS);
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        sethostname(&self.hostname)
    }

    fn step(&self, _: u16) -> String {
        format!("sethostname(\"{}\")", self.hostname.display())
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::EINVAL).then(|| "a host name has at most 64 bytes".to_owned())
    }
}
// ANCHOR_END: uts
