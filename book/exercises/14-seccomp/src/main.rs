//! Exercise 14: a container that not even its root renames.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use chroot::Chroot;
use nix::libc::{BPF_K, BPF_RET, SECCOMP_RET_ALLOW, sock_filter};
use process::{Container, Errno, Inside, Primitive, stage, sys};
use user::User;
use uts::Uts;

/// An instruction: `k` is its operand, `yes` and `no` how many instructions a comparison skips.
const fn op(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: code as u16, jt: yes, jf: no, k }
}

/// Looks at `struct seccomp_data`: the call's number is at byte 0, the architecture at byte 4.
const FILTER: [sock_filter; 1] = [op(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0)];

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
    stage::main("exercise-14", "Runs COMMAND in ROOTFS, in a container whose name stays", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let container: Vec<Box<dyn Primitive>> =
            vec![Box::new(User::single()), Box::new(Uts::new("container")), Box::new(root)];
        let mut process = invocation.process()?;
        process.primitives.push(Box::new(NameStays));
        Ok((Container(container), process))
    })
}
