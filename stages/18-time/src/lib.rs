//! Stage 18: a time namespace.
//!
//! time_namespaces(7): the clocks that count from boot (`CLOCK_MONOTONIC`, `CLOCK_BOOTTIME`, and with them /proc/uptime)
//! show another number in it. A container then does not learn how long its host has been up, and one that was moved
//! here from another machine sees its clocks go on. The time of day is the same for all.
//!
//! The offsets can be written as long as no process is in the namespace. So clone3(2) with `CLONE_NEWTIME` comes too
//! early, its child is in; and unshare(2) makes a namespace only for children to come. The way here works for the
//! process itself, and on every kernel that has time namespaces (5.6): unshare, write, and then enter by setns(2) what
//! /proc/self/ns/time_for_children names.
#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};

use nix::{
    fcntl::{OFlag, open},
    libc,
    sched::{CloneFlags, setns, unshare},
    sys::{prctl, stat::Mode},
    time::{ClockId, clock_gettime},
    unistd::write,
};
use process::{Errno, Error, Host, Inside, Primitive, Result};

const OFFSETS: &CStr = c"/proc/self/timens_offsets";
const CHILDREN: &CStr = c"/proc/self/ns/time_for_children";
/// The kernel's `KTIME_SEC_MAX` is what a clock can show, and a namespace may use half of it: some 146 years.
const MOST: i64 = i64::MAX / 1_000_000_000 / 2;
const NANOS: i128 = 1_000_000_000;

/// What is added to the host's clock, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Offset {
    /// A given number.
    By(i128),
    /// As much as makes it show 0 when the container starts.
    ToZero,
}

// ANCHOR: time
/// A time namespace with two clocks of its own. It has to be entered before the mounts hide the host's /proc.
#[derive(Debug)]
pub struct Time {
    monotonic: Offset,
    boottime: Offset,
    /// The lines for /proc/self/timens_offsets.
    lines: CString,
}

const UNSHARE: usize = 0;
const WRITE: usize = 1;
const ENTER: usize = 2;

impl Time {
    /// Adds these nanoseconds, which may be negative, to the host's `CLOCK_MONOTONIC` and `CLOCK_BOOTTIME`. The results
    /// must not be, nor more than some 146 years.
    pub fn new(monotonic: i128, boottime: i128) -> Self {
        Self { monotonic: Offset::By(monotonic), boottime: Offset::By(boottime), lines: CString::default() }
    }

    /// Both clocks begin at 0 when the container is made: it is its own boot.
    pub fn from_zero() -> Self {
        Self { monotonic: Offset::ToZero, boottime: Offset::ToZero, lines: CString::default() }
    }
}

impl Primitive for Time {
    fn name(&self) -> &'static str {
        "time"
    }

    fn prepare(&mut self, _: &mut Host) -> Result<()> {
        let clocks = [
            ("monotonic", ClockId::CLOCK_MONOTONIC, self.monotonic),
            ("boottime", ClockId::CLOCK_BOOTTIME, self.boottime),
        ];
        let line = |(name, clock, offset)| {
            let (seconds, nanos) = check(name, clock, offset)?;
            Ok(format!("{name} {seconds} {nanos}\n"))
        };
        let lines: String = clocks.into_iter().map(line).collect::<Result<_>>()?;
        self.lines = CString::new(lines).unwrap_or_default();
        Ok(())
    }

    fn enter(&self, inside: &Inside) -> Result<(), Errno> {
        let flag = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);
        inside.at(UNSHARE);
        unshare(flag)?;
        inside.at(WRITE);
        write_offsets(&self.lines)?;
        inside.at(ENTER);
        setns(open(CHILDREN, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?, flag)
    }

    fn step(&self, step: u16) -> String {
        match usize::from(step) {
            UNSHARE => "unshare(CLONE_NEWTIME)".to_owned(),
            WRITE => format!("write({OFFSETS:?}, {:?})", self.lines),
            _ => format!("setns({CHILDREN:?})"),
        }
    }

    fn hint(&self, step: u16, errno: Errno) -> Option<String> {
        match (usize::from(step), errno) {
            (_, Errno::EPERM) => Some("it takes root (CAP_SYS_ADMIN, CAP_SYS_TIME), or a user namespace".to_owned()),
            (UNSHARE, Errno::EINVAL) => {
                Some("this kernel has no time namespaces: CONFIG_TIME_NS, Linux 5.6".to_owned())
            }
            (UNSHARE, Errno::ENOSPC) => Some("/proc/sys/user/max_time_namespaces is reached: raise it".to_owned()),
            (WRITE, Errno::ERANGE) => Some("a clock would show less than 0, or more than 146 years".to_owned()),
            (WRITE | ENTER, Errno::ENOENT) => Some("it needs the host's /proc: put it before the mounts".to_owned()),
            _ => None,
        }
    }
}
// ANCHOR_END: time

/// Where a map gave the process another user id on the host, the kernel takes its own files in /proc from it
/// (proc(5), /proc/PID/…), until it says that it may be dumped again. For this one write, before the program is there.
fn write_offsets(lines: &CStr) -> Result<(), Errno> {
    let write_only = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = match open(OFFSETS, write_only, Mode::empty()) {
        Err(Errno::EACCES) => {
            prctl::set_dumpable(true)?;
            let opened = open(OFFSETS, write_only, Mode::empty());
            prctl::set_dumpable(false)?;
            opened?
        }
        opened => opened?,
    };
    write(file, lines.to_bytes()).map(drop)
}

/// The offset as seconds and nanoseconds (0 to 999,999,999), where the kernel will take it.
fn check(name: &str, clock: ClockId, offset: Offset) -> Result<(i64, i64)> {
    let doing = |nanos: i128| {
        let (sign, size, second) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs(), NANOS.unsigned_abs());
        format!("set {name} by {sign}{}.{:09} s", size / second, size % second)
    };
    let now = clock_gettime(clock).map_err(|errno| Error::new("time", format!("read {name}"), errno))?;
    let now = i128::from(now.tv_sec()) * NANOS + i128::from(now.tv_nsec());
    let nanos = match offset {
        Offset::By(nanos) => nanos,
        Offset::ToZero => -now,
    };
    if !(0..=i128::from(MOST) * NANOS).contains(&now.saturating_add(nanos)) {
        let hint =
            format!("the host's shows {}.{:09} s, and the result ranges from 0 to {MOST} s", now / NANOS, now % NANOS);
        return Err(Error::new("time", doing(nanos), Errno::ERANGE).hint(hint));
    }
    // Euclid's division: -0.5 s is -1 s and 500,000,000 ns.
    Ok((nanos.div_euclid(NANOS) as i64, nanos.rem_euclid(NANOS) as i64))
}
