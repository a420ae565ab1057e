//! The solution of exercise 18: a container that was moved here when its clocks showed 1,000,000 seconds.
#![forbid(unsafe_code)]

use std::{ffi::CString, process::ExitCode};

use chroot::Chroot;
use nix::{
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns, unshare},
    sys::stat::Mode,
    time::{ClockId, clock_gettime},
    unistd::write,
};
use process::{Container, Errno, Error, Host, Inside, Primitive, Result, stage};
use user::User;

/// What both clocks showed in seconds, where the container comes from.
const STOPPED_AT: i64 = 1_000_000;

/// Clocks that go on.
#[derive(Debug, Default)]
struct Moved {
    /// What the kernel is to be told; in `enter` there is no allocating any more.
    lines: CString,
}

impl Primitive for Moved {
    fn name(&self) -> &'static str {
        "moved"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        let offset = |clock| {
            let now = clock_gettime(clock).map_err(|errno| Error::new("moved", "clock_gettime()", errno))?;
            Ok(STOPPED_AT - now.tv_sec())
        };
        let (monotonic, boottime) = (offset(ClockId::CLOCK_MONOTONIC)?, offset(ClockId::CLOCK_BOOTTIME)?);
        self.lines = CString::new(format!("monotonic {monotonic} 0\nboottime {boottime} 0\n")).unwrap_or_default();
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        let flag = CloneFlags::from_bits_retain(nix::libc::CLONE_NEWTIME);
        inside.at(0);
        unshare(flag)?;
        inside.at(1);
        let offsets = open(c"/proc/self/timens_offsets", OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        write(&offsets, self.lines.to_bytes())?;
        inside.at(2);
        let children = open(c"/proc/self/ns/time_for_children", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        setns(children, flag)
    }

    fn step(&self, step: u16) -> String {
        match step {
            0 => "unshare(CLONE_NEWTIME)".to_owned(),
            1 => format!("write(timens_offsets, {:?})", self.lines),
            _ => "setns(time_for_children)".to_owned(),
        }
    }
}

fn main() -> ExitCode {
    stage::main("solution-18", "Runs COMMAND in ROOTFS, with clocks that go on from 1,000,000 seconds", |invocation| {
        let root = Chroot::new(&invocation.rootfs).map_err(|e| format!("ROOTFS: {e}"))?;
        let moved = Box::new(Moved::default());
        let container: Vec<Box<dyn Primitive>> = vec![Box::new(User::single()), moved, Box::new(root)];
        Ok((Container(container), invocation.process()?))
    })
}
