//! The solution of exercise 14: a container that not even its root renames.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W, EPERM, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO,
    SECCOMP_RET_KILL_PROCESS, SYS_sethostname, sock_filter,
};
use process::{Container, Errno, Inside, Primitive, stage, sys};
use user::User;
use uts::Uts;

/// An instruction: `k` is its operand, `yes` and `no` how many instructions a comparison skips.
const fn op(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: yes, jf: no, k }
}

const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
const EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const AT_LEAST: u32 = BPF_JMP | BPF_JGE | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;

/// `AUDIT_ARCH_…` of linux/audit.h.
const ARCH: u32 = if cfg!(target_arch = "aarch64") { 0xc000_00b7 } else { 0xc000_003e };
/// Numbers from here on are x32's.
const X32: u32 = 0x4000_0000;

/// Looks at `struct seccomp_data`: the call's number is at byte 0, the architecture at byte 4.
const FILTER: [sock_filter; 8] = [
    op(LOAD, 4, 0, 0),
    op(EQUAL, ARCH, 1, 0),
    op(RETURN, SECCOMP_RET_KILL_PROCESS, 0, 0),
    op(LOAD, 0, 0, 0),
    op(AT_LEAST, X32, 1, 0),
    op(EQUAL, SYS_sethostname as u32, 0, 1),
    op(RETURN, SECCOMP_RET_ERRNO | EPERM as u32, 0, 0),
    op(RETURN, SECCOMP_RET_ALLOW, 0, 0),
];

/// Refuses sethostname(2).
#[derive(Debug)]
struct NameStays;

impl Primitive for NameStays {
    fn name(&self) -> &'static str {
        "name_stays"
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        inside.at(0);
        // Root of the user namespace may load it without no_new_privs.
        sys::set_filter(&FILTER, 0)
    }

    fn step(&self, _: u16) -> String {
        format!("seccomp(SECCOMP_SET_MODE_FILTER, {} instructions)", FILTER.len())
    }
}

fn main() -> ExitCode {
    stage::main("solution-14", "Runs COMMAND in ROOTFS, in a container whose name stays", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(Uts::new("container")), Box::new(root)];
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(NameStays));
        Ok((Container(container), process))
    })
}
