//! Stage 04: a UTS namespace.
//!
//! The names that uname(2) reports, host and domain, become the container's own (uts_namespaces(7)).
#![forbid(unsafe_code)]

use std::{ffi::OsString, os::unix::ffi::OsStrExt};

use nix::unistd::sethostname;
use process::{CloneArgs, Errno, Inside, Primitive, sys};

// ANCHOR: uts
/// A host name of the container's own, and a domain name where there is one.
#[derive(Debug)]
pub struct Uts {
    hostname: OsString,
    domain: OsString,
}

impl Uts {
    /// `hostname` is at most 64 bytes; the kernel refuses a longer one.
    pub fn new(hostname: impl Into<OsString>) -> Self {
        Self { hostname: hostname.into(), domain: OsString::new() }
    }

    /// The domain (of NIS, not of DNS) that it shows beside; the caller's, if it is empty. At most 64 bytes, too.
    #[must_use]
    pub fn domain(mut self, domain: impl Into<OsString>) -> Self {
        self.domain = domain.into();
        self
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
        sethostname(&self.hostname)?;
        if !self.domain.is_empty() {
            inside.at(1);
            sys::set_domain_name(self.domain.as_bytes())?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        let (call, name) = if step == 0 { ("sethostname", &self.hostname) } else { ("setdomainname", &self.domain) };
        format!("{call}(\"{}\")", name.display())
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::EINVAL).then(|| "host and domain names have at most 64 bytes".to_owned())
    }
}
// ANCHOR_END: uts
