//! The primitive: a filter over the process's system calls.

use libc::sock_filter;
use process::{Errno, Inside, Primitive, sys};

use crate::{
    compile::{self, balanced, linear},
    compiled,
    error::ProfileError,
    profile::{Context, Profile},
    rules::Policy,
};

/// Docker's default in what programs can do, written by purpose and, in places, closed further.
pub const DEFAULT_PROFILE: &str = include_str!("default.json");

/// The longest program that the kernel takes (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

// ANCHOR: seccomp
/// Filters the system calls of the process and of all that it starts (seccomp(2)); nothing takes the filter away.
///
/// The kernel takes it from a process with `no_new_privs`, and then it comes last: what it forbids was needed before.
/// Without, it takes `CAP_SYS_ADMIN`, and it comes before the changes of ids and capabilities, which the profile has to
/// allow then.
#[derive(Clone)]
pub struct Seccomp {
    filter: Vec<sock_filter>,
    flags: u32,
}

impl Primitive for Seccomp {
    fn name(&self) -> &'static str {
        "seccomp"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        self.load()
    }

    fn step(&self, _: u16) -> String {
        format!("seccomp(SECCOMP_SET_MODE_FILTER, {:#x}, {} instructions)", self.flags, self.filter.len())
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        Some(match errno {
            Errno::EACCES => "it takes no_new_privs, or CAP_SYS_ADMIN while that is there".to_owned(),
            Errno::EINVAL => {
                format!("the kernel does not know a flag of the profile ({:#x}), or has no filters", self.flags)
            }
            Errno::ENOSYS => "the kernel is built without seccomp".to_owned(),
            Errno::ENOMEM => "all filters of a process together have at most 32768 instructions".to_owned(),
            _ => return None,
        })
    }
}
// ANCHOR_END: seccomp

impl Seccomp {
    /// The default profile, for a container with these capabilities (`CAP_…`).
    ///
    /// # Errors
    /// A machine without a table of system calls.
    pub fn default_profile(capabilities: &[&str]) -> Result<Self, ProfileError> {
        let context = Context::here(capabilities)?;
        match compiled::default_filter(&context) {
            Some(filter) => Ok(Self { filter, flags: 0 }),
            None => Self::new(&Profile::parse(DEFAULT_PROFILE)?, &context),
        }
    }

    /// A profile in Docker's format, or an OCI `linux.seccomp`, for a container with these capabilities (`CAP_…`).
    ///
    /// # Errors
    /// What is wrong with the profile, and in which element.
    pub fn profile(json: &str, capabilities: &[&str]) -> Result<Self, ProfileError> {
        Self::new(&Profile::parse(json)?, &Context::here(capabilities)?)
    }

    /// Compiles a profile for what `context` says.
    ///
    /// # Errors
    /// As [`Seccomp::profile`].
    pub fn new(profile: &Profile, context: &Context) -> Result<Self, ProfileError> {
        let resolved = profile.resolve(context)?;
        Self::compiled(&resolved.policy(), resolved.flags, balanced)
    }

    /// The same with one comparison a call, for measurements.
    ///
    /// # Errors
    /// As [`Seccomp::profile`].
    pub fn new_linear(profile: &Profile, context: &Context) -> Result<Self, ProfileError> {
        let resolved = profile.resolve(context)?;
        Self::compiled(&resolved.policy(), resolved.flags, linear)
    }

    fn compiled(policy: &Policy, flags: u32, search: compile::Search) -> Result<Self, ProfileError> {
        let filter = compile::filter(policy, search);
        if filter.len() > LONGEST {
            let problem = format!("it compiles to {} instructions, and the kernel takes {LONGEST}", filter.len());
            return Err(ProfileError::new("syscalls", problem));
        }
        Ok(Self { filter, flags })
    }

    /// Puts the filter over the calling thread.
    ///
    /// # Errors
    /// EACCES: neither `no_new_privs` nor `CAP_SYS_ADMIN`. EINVAL: a flag that the kernel does not know.
    pub fn load(&self) -> Result<(), Errno> {
        sys::set_filter(&self.filter, self.flags)
    }

    /// How many instructions the filter has.
    pub fn len(&self) -> usize {
        self.filter.len()
    }

    /// Whether it has none; it always has some.
    pub fn is_empty(&self) -> bool {
        self.filter.is_empty()
    }
}
