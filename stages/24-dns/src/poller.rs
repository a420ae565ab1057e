//! One descriptor that stands for all of a resolver's (epoll(7)).

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use process::Errno;

/// Whose descriptor is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Questions over UDP.
    Udp,
    /// New connections.
    Listener,
    /// The connection of that place.
    Connection(u32),
    /// The socket of that place, which questions went upstream from.
    Socket(u32),
    /// The connection to an upstream server of the forward with that number.
    Upstream(u32),
}

impl Token {
    fn number(self) -> u64 {
        let (kind, number) = match self {
            Self::Udp => (0, 0),
            Self::Listener => (1, 0),
            Self::Connection(number) => (2, number),
            Self::Socket(number) => (3, number),
            Self::Upstream(number) => (4, number),
        };
        kind << 32 | u64::from(number)
    }

    fn from_number(number: u64) -> Self {
        match (number >> 32, number as u32) {
            (0, _) => Self::Udp,
            (1, _) => Self::Listener,
            (2, number) => Self::Connection(number),
            (3, number) => Self::Socket(number),
            (_, number) => Self::Upstream(number),
        }
    }
}

/// The set of descriptors, itself one that can be waited for.
#[derive(Debug)]
pub(crate) struct Poller(Epoll);

impl Poller {
    pub(crate) fn new() -> Result<Self, Errno> {
        Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map(Self)
    }

    /// A closed descriptor leaves the set by itself: none here has a copy.
    pub(crate) fn add(&self, fd: impl AsFd, token: Token, interest: EpollFlags) -> Result<(), Errno> {
        self.0.add(fd, EpollEvent::new(interest, token.number()))
    }

    pub(crate) fn modify(&self, fd: impl AsFd, token: Token, interest: EpollFlags) -> Result<(), Errno> {
        self.0.modify(fd, &mut EpollEvent::new(interest, token.number()))
    }

    /// What is ready now, up to as many as a call of `handle` looks after.
    pub(crate) fn ready(&self) -> Result<impl Iterator<Item = Token> + use<>, Errno> {
        let mut events = [EpollEvent::empty(); 64];
        let count = self.0.wait(&mut events, EpollTimeout::ZERO)?;
        Ok(events.into_iter().take(count).map(|event| Token::from_number(event.data())))
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.0.as_fd()
    }
}
