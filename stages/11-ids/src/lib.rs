//! Stage 11: who the program is.
//!
//! credentials(7): user, group and supplementary groups. They change in this order and before capabilities go: once
//! the process is no longer root, it may not choose its groups, and every group that it still has is an access that
//! nobody meant to give.
#![forbid(unsafe_code)]

use process::{Errno, Inside, Primitive, sys};

// ANCHOR: ids
/// The ids that the program starts with, as seen in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Real, effective and saved user id.
    pub uid: u32,
    /// Real, effective and saved group id.
    pub gid: u32,
    /// Supplementary groups; the kernel takes up to 65,536.
    pub groups: Vec<u32>,
}

const SET_GROUPS: usize = 0;
const SET_GID: usize = 1;
const SET_UID: usize = 2;

impl Primitive for Ids {
    fn name(&self) -> &'static str {
        "ids"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(SET_GROUPS);
        sys::set_groups(&self.groups)?;
        inside.at(SET_GID);
        sys::set_gid(self.gid)?;
        inside.at(SET_UID);
        sys::set_uid(self.uid)
    }

    fn step(&self, step: u16) -> String {
        let Self { uid, gid, groups } = self;
        match usize::from(step) {
            SET_GROUPS => format!("setgroups({groups:?})"),
            SET_GID => format!("setresgid({gid}, {gid}, {gid})"),
            _ => format!("setresuid({uid}, {uid}, {uid})"),
        }
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        (errno == Errno::EINVAL).then(|| "the id is not mapped in the container's user namespace".to_owned())
    }
}
// ANCHOR_END: ids
