//! A process that has ended, for what the kernel keeps of it.

use std::{
    ffi::{c_int, c_void},
    ptr,
};

use nix::{errno::Errno, unistd::Pid};

use super::check;

/// Enough for a function that does nothing. A stack is aligned to 16 bytes.
#[repr(C, align(16))]
struct Stack([u8; 4096]);

extern "C" fn end(_: *mut c_void) -> c_int {
    0
}

/// A process that has ended, and for which nobody has waited yet: until then the kernel keeps it, and /proc shows its user
/// namespace. It is waited for when this is dropped.
#[derive(Debug)]
pub struct Ended(Pid);

impl Ended {
    /// Makes a process with the new namespaces of `flags` (`CLONE_NEW…` of clone(2)) that ends at once.
    ///
    /// It has our memory, as of vfork(2): nothing is copied for a process that does nothing. No signal tells of its end.
    ///
    /// # Errors
    /// EPERM (a namespace that needs `CAP_SYS_ADMIN`), ENOSPC (a limit in /proc/sys/user), EAGAIN (a limit of processes).
    pub fn with(flags: c_int) -> Result<Self, Errno> {
        let mut stack = Stack([0; 4096]);
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | flags;
        // SAFETY: `end` has a stack of its own, which is there until it has ended: CLONE_VFORK holds this thread until then.
        let pid = unsafe {
            let top = stack.0.as_mut_ptr().add(stack.0.len());
            check(libc::clone(end, top.cast(), flags, ptr::null_mut()).into())?
        };
        Ok(Self(Pid::from_raw(pid as i32)))
    }

    /// Its number, which no other process has until this is dropped.
    pub fn pid(&self) -> Pid {
        self.0
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // A child without a signal is waited for only by who asks for such children too.
        // SAFETY: no status is asked for.
        let wait = || check(unsafe { libc::waitpid(self.0.as_raw(), ptr::null_mut(), libc::__WALL) }.into());
        while wait() == Err(Errno::EINTR) {}
    }
}
