//! Stage 11: who the program is.
//!
//! credentials(7): user, group and supplementary groups. They change in this order and before capabilities go: once
//! the process is no longer root, it may not choose its groups, and every group that it still has is an access that
//! nobody meant to give. The kernel takes the capabilities away with the user id; who has one more thing to do with them
//! first, as `capabilities` has, keeps them over the change.
#![forbid(unsafe_code)]

use nix::sys::prctl;
use process::{Errno, Inside, Primitive, sys};

// ANCHOR: ids
/// The ids that the program starts with, as seen in the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ids {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups; the kernel takes up to 65,536.
    pub groups: Vec<u32>,
    /// Leaves the permitted capabilities to a user that is not root (`PR_SET_KEEPCAPS` of prctl(2)), for a primitive
    /// after this one that takes them away for good. The effective ones go either way.
    pub keep_capabilities: bool,
}

impl Ids {
    /// The same, with capabilities kept.
    #[must_use]
    pub fn keeping_capabilities(self) -> Self {
        Self { keep_capabilities: true, ..self }
    }
}

const SET_GROUPS: usize = 0;
const SET_GID: usize = 1;
const KEEP: usize = 2;
const SET_UID: usize = 3;
const KEEP_NO_MORE: usize = 4;

impl Primitive for Ids {
    fn name(&self) -> &'static str {
        "ids"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(SET_GROUPS);
        sys::set_groups(&self.groups)?;
        inside.at(SET_GID);
        sys::set_gid(self.gid)?;
        if self.keep_capabilities {
            inside.at(KEEP);
            prctl::set_keepcaps(true)?;
        }
        inside.at(SET_UID);
        sys::set_uid(self.uid)?;
        if self.keep_capabilities {
            // For this change alone: an init that never execs would carry it on.
            inside.at(KEEP_NO_MORE);
            prctl::set_keepcaps(false)?;
        }
        Ok(())
    }

    fn step(&self, step: u16) -> String {
        let Self { uid, gid, groups, .. } = self;
        match usize::from(step) {
            SET_GROUPS => format!("setgroups({groups:?})"),
            SET_GID => format!("setresgid({gid}, {gid}, {gid})"),
            KEEP => "prctl(PR_SET_KEEPCAPS, 1)".to_owned(),
            KEEP_NO_MORE => "prctl(PR_SET_KEEPCAPS, 0)".to_owned(),
            _ => format!("setresuid({uid}, {uid}, {uid})"),
        }
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::EINVAL).then(|| {
            "the id is not mapped in the container's user namespace, which --userns=host would leave out".to_owned()
        })
    }
}
// ANCHOR_END: ids
