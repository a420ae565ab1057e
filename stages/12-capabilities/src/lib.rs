//! Stage 12: what root may do.
//!
//! capabilities(7): the kernel has cut root's rights into 41 pieces. A process has five sets of them. Here the bounding
//! set, which limits what any program can get by exec, and the sets that count now are cut to the same pieces; the two
//! that pass rights on to programs, inheritable and ambient, are emptied.
#![forbid(unsafe_code)]

mod set;

use nix::unistd::geteuid;
use process::{
    Errno, Inside, Primitive,
    sys::{self, Capabilities as Sets},
};
pub use set::{CapabilityError, CapabilitySet};

// ANCHOR: capabilities
/// Cuts the process's capabilities to `set`: root has them, and everybody else has none and can get no others.
///
/// It comes after the change of ids, which must leave the permitted capabilities in place: without `CAP_SETPCAP`
/// nobody can change the bounding set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// What remains.
    pub set: CapabilitySet,
}

const RAISE: usize = 0;
const BOUNDING: usize = 1;
const AMBIENT: usize = 2;
const SET: usize = 3;

impl Primitive for Capabilities {
    fn name(&self) -> &'static str {
        "capabilities"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(RAISE);
        let Sets { effective, permitted, inheritable } = sys::capabilities()?;
        // The change to another user has left them permitted, and not effective.
        if effective != permitted {
            sys::set_capabilities(Sets { effective: permitted, permitted, inheritable })?;
        }
        inside.at(BOUNDING);
        for number in (0..u64::BITS).filter(|&number| !self.set.contains(number)) {
            match sys::drop_bounding(number) {
                // The kernel has no more.
                Err(Errno::EINVAL) => break,
                // Nothing to drop, nothing missing.
                Err(Errno::EPERM) if sys::is_bounding(number) == Ok(false) => {}
                dropped => dropped?,
            }
        }
        inside.at(AMBIENT);
        sys::clear_ambient()?;
        inside.at(SET);
        let left = if geteuid().is_root() { self.set.bits() } else { 0 };
        // Now, not by the exec to come: an init never execs.
        sys::set_capabilities(Sets { effective: left, permitted: left, inheritable: 0 })
    }

    fn step(&self, step: u16) -> String {
        match usize::from(step) {
            RAISE => "capset(effective = permitted)".to_owned(),
            BOUNDING => format!("prctl(PR_CAPBSET_DROP) of all but {}", self.set),
            AMBIENT => "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)".to_owned(),
            _ => format!("capset({})", self.set),
        }
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        let hint = match usize::from(step) {
            BOUNDING => "CAP_SETPCAP is needed: it must be kept over the change of ids",
            SET => "some of them are missing here: drop them, or look for them in CapPrm of /proc/self/status",
            _ => return None,
        };
        (errno == Errno::EPERM).then(|| hint.to_owned())
    }
}
// ANCHOR_END: capabilities
