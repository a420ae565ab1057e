//! The line between parent and child: one gate, and one fixed record per event.
//!
//! A socket pair (close-on-exec, one record a packet). The parent sends one packet to open the gate; its death closes
//! the gate for good. The child sends where it is (when traced), or at most one failure; end of file means that exec
//! succeeded. No strings: the parent owns the words.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockType, recv, send, setsockopt, socketpair, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
    time::{ClockId, clock_gettime},
};

use crate::sys;

/// One end of the line.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// What the child says.
#[derive(Debug)]
pub(crate) enum Record {
    /// It is about to take `step` of `primitive`; `at` is the time of day.
    Step { primitive: u16, step: u16, at: Duration },
    /// It failed there and has exited.
    Failure { primitive: u16, step: u16, errno: Errno },
    /// A descriptor that it made for the parent.
    Descriptor { name: String, fd: OwnedFd },
}

/// The primitive of a failure whose sender knows no number: a launcher, which executes the program.
pub(crate) const LAUNCHER: u16 = u16::MAX;

const STEP: u8 = 1;
const FAILURE: u8 = 2;
const DESCRIPTOR: u8 = 3;
/// kind, padding, primitive (2), step (2), errno (4), nanoseconds (8); a descriptor's name stands in the last twelve
const SIZE: usize = 18;
const NAME: std::ops::Range<usize> = 6..SIZE;

fn encode(kind: u8, primitive: u16, step: u16, errno: i32, nanos: u64) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[0] = kind;
    bytes[2..4].copy_from_slice(&primitive.to_ne_bytes());
    bytes[4..6].copy_from_slice(&step.to_ne_bytes());
    bytes[6..10].copy_from_slice(&errno.to_ne_bytes());
    bytes[10..18].copy_from_slice(&nanos.to_ne_bytes());
    bytes
}

/// A clock that parent and child share: the monotonic one is another in a time namespace.
pub(crate) fn now() -> Duration {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(Duration::ZERO, Duration::from)
}

impl Channel {
    /// The two ends: parent's, child's.
    pub(crate) fn pair(patience: Option<Duration>) -> Result<(Self, Self), Errno> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        if let Some(patience) = patience {
            setsockopt(&ours, ReceiveTimeout, &TimeVal::new(patience.as_secs() as i64, 0))?;
        }
        Ok((Self(ours), Self(theirs)))
    }

    /// The child's end, in what it has executed. `None` where that has none.
    pub(crate) fn inherited(number: i32) -> Option<Self> {
        let line = Self(sys::inherited(number)?);
        fcntl(&line.0, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_ok().then_some(line)
    }

    /// The descriptor, which outlives the closing of all others.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Child: closes its copy of the parent's end, which would keep the line from ending.
    pub(crate) fn close_copy(&self) {
        let own = self.0.as_raw_fd().cast_unsigned();
        let _ = sys::close_range(own, own);
    }

    // ANCHOR: gate
    /// Parent: lets the child go.
    pub(crate) fn open_gate(&self) -> Result<(), Errno> {
        send(self.0.as_raw_fd(), &[1], MsgFlags::MSG_NOSIGNAL).map(drop)
    }

    /// Child: waits for the parent; ECANCELED when it died instead.
    pub(crate) fn wait_at_gate(&self) -> Result<(), Errno> {
        match recv(self.0.as_raw_fd(), &mut [0], MsgFlags::empty())? {
            0 => Err(Errno::ECANCELED),
            _ => Ok(()),
        }
    }
    // ANCHOR_END: gate

    /// Child: whether the parent has died.
    pub(crate) fn peer_is_gone(&self) -> bool {
        let mut ends = [PollFd::new(self.0.as_fd(), PollFlags::empty())];
        let _ = poll(&mut ends, PollTimeout::ZERO);
        ends[0].revents().is_some_and(|events| events.contains(PollFlags::POLLHUP))
    }

    /// Child. A lost record costs a line of `--explain`, nothing else.
    pub(crate) fn send_step(&self, primitive: u16, step: u16) {
        let record = encode(STEP, primitive, step, 0, now().as_nanos() as u64);
        let _ = send(self.0.as_raw_fd(), &record, MsgFlags::MSG_NOSIGNAL);
    }

    /// Child. Where the parent is gone there is nobody left to tell.
    pub(crate) fn send_failure(&self, primitive: u16, step: u16, errno: Errno) {
        let record = encode(FAILURE, primitive, step, errno as i32, 0);
        let _ = send(self.0.as_raw_fd(), &record, MsgFlags::MSG_NOSIGNAL);
    }

    /// As [`Self::send_failure`], of a launcher.
    pub(crate) fn send_launch_failure(&self, errno: Errno) {
        self.send_failure(LAUNCHER, 0, errno);
    }

    /// Child. ENAMETOOLONG: a name of more than 12 bytes.
    pub(crate) fn send_descriptor(&self, name: &str, fd: BorrowedFd) -> Result<(), Errno> {
        let mut record = encode(DESCRIPTOR, 0, 0, 0, 0);
        record[NAME].get_mut(..name.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name.as_bytes());
        sys::send_fd(self.0.as_fd(), &record, fd)
    }

    /// Parent: the next record; `None` at the end, when the program runs; EAGAIN where patience has ended.
    pub(crate) fn receive(&self) -> Result<Option<Record>, Errno> {
        let mut bytes = [0; SIZE];
        let (length, fd) = loop {
            match sys::receive_fd(self.0.as_fd(), &mut bytes) {
                Err(Errno::EINTR) => {}
                received => break received?,
            }
        };
        if length < SIZE {
            return Ok(None);
        }
        let pair = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        let (primitive, step) = (pair(2), pair(4));
        Ok(match (bytes[0], fd) {
            (STEP, _) => {
                let nanos = u64::from_ne_bytes(bytes[10..18].try_into().unwrap_or_default());
                Some(Record::Step { primitive, step, at: Duration::from_nanos(nanos) })
            }
            (FAILURE, _) => {
                let errno = i32::from_ne_bytes(bytes[6..10].try_into().unwrap_or_default());
                Some(Record::Failure { primitive, step, errno: Errno::from_raw(errno) })
            }
            (DESCRIPTOR, Some(fd)) => {
                let name = String::from_utf8_lossy(&bytes[NAME]).trim_end_matches('\0').to_owned();
                Some(Record::Descriptor { name, fd })
            }
            _ => None,
        })
    }
}
