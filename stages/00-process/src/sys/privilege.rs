//! What a process may do: capabilities, filters, limits. By the bare calls: glibc's change all threads or need a list.

use std::ptr;

use nix::{errno::Errno, unistd::Pid};

use super::check;

/// The three sets of capset(2), one bit a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What the kernel asks for.
    pub effective: u64,
    /// What the process may make effective.
    pub permitted: u64,
    /// What passes through exec of a program with inheritable capabilities.
    pub inheritable: u64,
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3` of linux/capability.h: sets of 64 bits, in two halves.
const VERSION: u32 = 0x2008_0522;

/// The three sets of the calling thread (capget(2)).
pub fn capabilities() -> Result<Capabilities, Errno> {
    let mut header = CapHeader { version: VERSION, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: this version of the header stands for two structures, which the kernel fills.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let join = |half: fn(&CapData) -> u32| u64::from(half(&data[0])) | u64::from(half(&data[1])) << 32;
    Ok(Capabilities {
        effective: join(|d| d.effective),
        permitted: join(|d| d.permitted),
        inheritable: join(|d| d.inheritable),
    })
}

/// Sets the three sets of the calling thread (capset(2)).
///
/// # Errors
/// EPERM: more than the old permitted set, or effective more than permitted, or, without `CAP_SETPCAP`, inheritable
/// more than both.
pub fn set_capabilities(sets: Capabilities) -> Result<(), Errno> {
    let half = |shift: u32| CapData {
        effective: (sets.effective >> shift) as u32,
        permitted: (sets.permitted >> shift) as u32,
        inheritable: (sets.inheritable >> shift) as u32,
    };
    let header = CapHeader { version: VERSION, pid: 0 };
    let data = [half(0), half(32)];
    // SAFETY: this version of the header stands for two structures, which the kernel reads.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Takes a capability out of the bounding set (`PR_CAPBSET_DROP` of prctl(2)).
///
/// # Errors
/// EINVAL: the kernel has no capability of that number. EPERM: without `CAP_SETPCAP`.
pub fn drop_bounding(capability: u32) -> Result<(), Errno> {
    prctl(libc::PR_CAPBSET_DROP, u64::from(capability)).map(drop)
}

/// Whether a capability is in the bounding set (`PR_CAPBSET_READ` of prctl(2)).
///
/// # Errors
/// EINVAL: the kernel has no capability of that number.
pub fn is_bounding(capability: u32) -> Result<bool, Errno> {
    prctl(libc::PR_CAPBSET_READ, u64::from(capability)).map(|is| is == 1)
}

/// Empties the ambient set (`PR_CAP_AMBIENT_CLEAR_ALL` of prctl(2)).
pub fn clear_ambient() -> Result<(), Errno> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64).map(drop)
}

fn prctl(operation: i32, argument: u64) -> Result<libc::c_long, Errno> {
    // SAFETY: the operations above take one integer, and zeros where nothing is meant.
    check(unsafe { libc::syscall(libc::SYS_prctl, operation, argument, 0, 0, 0) })
}

/// Puts a filter over the system calls of the calling thread and of all that it starts (seccomp(2)). `flags` are
/// `SECCOMP_FILTER_FLAG_…`.
///
/// # Errors
/// EACCES: without `no_new_privs` and `CAP_SYS_ADMIN`. EINVAL: no valid program, or flags that the kernel does not know.
pub fn set_filter(filter: &[libc::sock_filter], flags: u32) -> Result<(), Errno> {
    let length = u16::try_from(filter.len()).map_err(|_| Errno::EINVAL)?;
    let program = libc::sock_fprog { len: length, filter: filter.as_ptr().cast_mut() };
    // SAFETY: length and pointer are those of one slice, which the kernel only reads.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
        .map(drop)
}

/// Sets the domain name of the calling process's UTS namespace (setdomainname(2)).
///
/// # Errors
/// EPERM: without `CAP_SYS_ADMIN` there. EINVAL: more than 64 bytes.
pub fn set_domain_name(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    check(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) }).map(drop)
}

/// A soft and a hard limit of getrlimit(2); `u64::MAX` is no limit.
pub fn limit(resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a null new limit changes nothing; the kernel writes one rlimit64.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, ptr::null::<libc::rlimit64>(), &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets a soft and a hard limit of the calling process (prlimit(2)).
///
/// # Errors
/// EPERM: the hard limit would rise, without `CAP_SYS_RESOURCE` outside every user namespace; or more files than
/// /proc/sys/fs/nr_open. EINVAL: soft above hard.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    set_limit_of(Pid::from_raw(0), resource, soft, hard)
}

/// As [`set_limit`], of another process; 0 is the calling one.
///
/// # Errors
/// EPERM also where it has other ids than the caller, without `CAP_SYS_RESOURCE`.
pub fn set_limit_of(pid: Pid, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads one rlimit64, and writes none through null.
    check(unsafe {
        let none = ptr::null_mut::<libc::rlimit64>();
        libc::syscall(libc::SYS_prlimit64, pid.as_raw(), resource, &raw const limit, none)
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capget_says_what_proc_says() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let sets = capabilities().unwrap();
        assert_eq!(sets.effective, field("CapEff:"));
        assert_eq!(sets.permitted, field("CapPrm:"));
        assert_eq!(sets.inheritable, field("CapInh:"));
        assert_eq!(is_bounding(0), Ok(field("CapBnd:") & 1 == 1));
        assert_eq!(is_bounding(63), Err(Errno::EINVAL));
    }
}
