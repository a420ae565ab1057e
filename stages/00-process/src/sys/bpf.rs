//! Programs that the kernel asks (bpf(2)): of the one kind that decides about devices.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{check, check_fd};

/// `struct bpf_insn` of linux/bpf.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// The destination register in the lower four bits, the source register in the upper ones.
    pub registers: u8,
    /// How far to jump, in instructions from the next one, or where in memory to read.
    pub offset: i16,
    /// A number.
    pub immediate: i32,
}

/// What `BPF_PROG_LOAD` reads of `union bpf_attr`, up to `expected_attach_type`.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_kind: u32,
}

/// What `BPF_PROG_ATTACH` reads of it.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Those of the cgroups above are asked as well, whatever those allow.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Gives the kernel a program of the kind `BPF_PROG_TYPE_CGROUP_DEVICE`, to be asked about each device that is opened or
/// made: 1 allows, 0 is EPERM.
///
/// # Errors
/// EPERM: without `CAP_BPF` and `CAP_NET_ADMIN`, or `CAP_SYS_ADMIN`. EINVAL and EACCES: the kernel does not know the kind,
/// or cannot follow the program. ENOSYS: it has no programs.
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let load = Load {
        kind: BPF_PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        instructions: program.as_ptr() as u64,
        // It calls nothing of the kernel's that asks for a license.
        license: c"".as_ptr() as u64,
        attach_kind: BPF_CGROUP_DEVICE,
        ..Load::default()
    };
    // SAFETY: the kernel reads one structure of this size, the instructions that it counts, and the license up to its end.
    check_fd(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_LOAD, &raw const load, size_of::<Load>()) })
}

/// Has the kernel ask the program about the processes of a v2 cgroup and of those below it, until the cgroup is gone.
///
/// # Errors
/// EPERM as [`load_device_program`], or a program above does not share. EBADF: `cgroup` is none of v2.
pub fn attach_device_program(cgroup: BorrowedFd, program: BorrowedFd) -> Result<(), Errno> {
    let attach = Attach {
        target: cgroup.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        kind: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the kernel reads one structure of this size; both descriptors are open as long as the call takes.
    check(unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_ATTACH, &raw const attach, size_of::<Attach>()) }).map(drop)
}
