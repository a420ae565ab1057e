//! Connections from the container: TCP is for answers that are too long for a datagram.

use std::{
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{libc, sys::epoll::EpollFlags};
use process::Errno;

use crate::{
    answer::LONGEST_QUERY,
    frame::{Came, Framed},
    poller::{Poller, Token},
};

/// Connections at one time. One more takes the place of the one that has been idle for the longest time; where none
/// is idle, it is closed at once.
pub const MOST_CONNECTIONS: usize = 16;
/// How long a connection may go without a whole question, or without taking its answer (RFC 7766, 6.2.3).
pub const IDLE: Duration = Duration::from_secs(10);

const OUT_OF_DESCRIPTORS: [Option<i32>; 3] = [Some(libc::EMFILE), Some(libc::ENFILE), Some(libc::ENOMEM)];

#[derive(Debug)]
struct Connection {
    number: u32,
    framed: Framed,
    /// Whether its question is on the way to an upstream server. It is read from no further until it is answered, so
    /// that it has one forward at a time.
    waiting: bool,
    deadline: Instant,
}

/// The listener and the connections that it has taken, the oldest first.
#[derive(Debug)]
pub(crate) struct Connections {
    listener: TcpListener,
    all: Vec<Connection>,
    next: u32,
    /// Until then no connection is taken: there are no descriptors left.
    paused: Option<Instant>,
}

impl Connections {
    pub(crate) fn new(listener: OwnedFd, poller: &Poller) -> Result<Self, Errno> {
        poller.add(&listener, Token::Listener, EpollFlags::EPOLLIN)?;
        Ok(Self { listener: listener.into(), all: Vec::new(), next: 0, paused: None })
    }

    /// Takes new connections; returns the ones that were closed for them.
    pub(crate) fn accept(&mut self, poller: &Poller, now: Instant) -> Result<Vec<u32>, Errno> {
        let mut closed = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                // Ready until somebody frees descriptors: not waited for, or this would turn in circles.
                Err(e) if OUT_OF_DESCRIPTORS.contains(&e.raw_os_error()) => {
                    self.paused = Some(now + Duration::from_secs(1));
                    poller.modify(&self.listener, Token::Listener, EpollFlags::empty())?;
                    break;
                }
                Err(_) => break,
            };
            if self.all.len() >= MOST_CONNECTIONS {
                let idle = self.all.iter().enumerate().filter(|(_, connection)| !connection.waiting);
                let Some((longest, _)) = idle.min_by_key(|(_, connection)| connection.deadline) else { continue };
                closed.push(self.all.remove(longest).number);
            }
            let number = self.next;
            self.next = self.next.wrapping_add(1);
            if stream.set_nonblocking(true).is_err()
                || poller.add(stream.as_fd(), Token::Connection(number), EpollFlags::EPOLLIN).is_err()
            {
                continue;
            }
            let framed = Framed::new(stream, LONGEST_QUERY);
            self.all.push(Connection { number, framed, waiting: false, deadline: now + IDLE });
        }
        Ok(closed)
    }

    /// The next question of a connection; `None`: there is none yet, or the connection has ended.
    pub(crate) fn receive(&mut self, number: u32) -> Option<Vec<u8>> {
        let at = self.all.iter().position(|connection| connection.number == number)?;
        let connection = &mut self.all[at];
        if connection.framed.is_writing() && connection.framed.flush().is_err() {
            self.all.remove(at);
            return None;
        }
        if connection.framed.is_writing() {
            return None;
        }
        // Nothing is waited for, and yet it is ready: it has broken down (epoll_ctl(2), `EPOLLHUP`).
        if connection.waiting {
            self.all.remove(at);
            return None;
        }
        match connection.framed.receive() {
            Came::Message(message) => Some(message),
            Came::Nothing => None,
            Came::End => {
                self.all.remove(at);
                None
            }
        }
    }

    /// Sends an answer on its way.
    pub(crate) fn reply(&mut self, number: u32, answer: &[u8], now: Instant) {
        if let Some(at) = self.all.iter().position(|connection| connection.number == number) {
            let connection = &mut self.all[at];
            connection.waiting = false;
            connection.deadline = now + IDLE;
            connection.framed.queue(answer);
            if connection.framed.flush().is_err() {
                self.all.remove(at);
            }
        }
    }

    /// The connection's question was forwarded.
    pub(crate) fn hold(&mut self, number: u32) {
        self.all.iter_mut().filter(|c| c.number == number).for_each(|connection| connection.waiting = true);
    }

    /// Waits for what the connection is at now; false: there is no such connection any more.
    pub(crate) fn watch(&self, number: u32, poller: &Poller) -> bool {
        self.all.iter().find(|connection| connection.number == number).is_some_and(
            |Connection { framed, waiting, .. }| {
                poller.modify(framed, Token::Connection(number), framed.interest(!waiting)).is_ok()
            },
        )
    }

    /// When [`Connections::expire`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let idle = self.all.iter().filter(|connection| !connection.waiting).map(|connection| connection.deadline);
        idle.chain(self.paused).min()
    }

    /// Closes what has been idle for too long.
    pub(crate) fn expire(&mut self, poller: &Poller, now: Instant) -> Result<(), Errno> {
        self.all.retain(|connection| connection.waiting || connection.deadline > now);
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            poller.modify(&self.listener, Token::Listener, EpollFlags::EPOLLIN)?;
        }
        Ok(())
    }
}
