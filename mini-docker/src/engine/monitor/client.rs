//! Those who have attached to a container, and what goes into it.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use super::frame::{self, Kind, STDERR, STDOUT};
use crate::engine::log::Stream;

/// With more than this waiting for somebody, the container waits too: nothing is lost, and nothing grows.
pub(super) const MOST_WAITING: usize = 1 << 20;
/// So long may one of several readers take nothing and hold up the others.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody who has attached.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    pub(super) wants: u8,
    pub(super) received: Vec<u8>,
    pub(super) waiting: Vec<u8>,
    pub(super) gone: bool,
    /// Whether it knows the end already, and goes when it has read it.
    pub(super) leaving: bool,
    /// Since when it has taken nothing of what waits.
    stalled: Option<Instant>,
}

impl Client {
    pub(super) fn new(stream: UnixStream, wants: u8) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let (received, waiting) = (Vec::new(), Vec::new());
        Ok(Self { stream, wants, received, waiting, gone: false, leaving: false, stalled: None })
    }

    pub(super) fn wants(&self, stream: Stream) -> bool {
        let flag = if stream == Stream::Stdout { STDOUT } else { STDERR };
        !self.leaving && self.wants & flag != 0
    }

    pub(super) fn send(&mut self, kind: Kind, payload: &[u8]) {
        frame::push(&mut self.waiting, kind, payload);
        self.flush();
    }

    /// Tells it how the container ended. It gets what waits, and no more.
    pub(super) fn dismiss(&mut self, code: i32) {
        if !self.leaving {
            self.send(Kind::Exit, &code.to_be_bytes());
            self.leaving = true;
            self.gone |= self.waiting.is_empty();
        }
    }

    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() && !self.gone {
            match self.stream.write(&self.waiting) {
                Ok(length) => {
                    drop(self.waiting.drain(..length));
                    self.stalled = None;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    self.stalled.get_or_insert_with(Instant::now);
                    return;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
        // Not kept for the next flood.
        self.waiting.shrink_to(4 << 10);
        self.gone |= self.leaving;
    }

    fn is_full(&self) -> bool {
        !self.leaving && self.waiting.len() >= MOST_WAITING
    }
}

/// Whether all keep up, so that there can be more output.
pub(super) fn keep_up(clients: &[Client]) -> bool {
    !clients.iter().any(Client::is_full)
}

/// Lets go of readers who hold up others for too long, and says when that may happen next. One alone is as a pipe: the
/// container waits as long as it likes.
pub(super) fn lose_patience(clients: &mut Vec<Client>) -> Option<Duration> {
    if clients.iter().filter(|client| client.wants & frame::STREAMS != 0).count() < 2 {
        return None;
    }
    let mut next: Option<Duration> = None;
    for client in clients.iter_mut().filter(|client| client.is_full()) {
        let waited = client.stalled.map_or(Duration::ZERO, |since| since.elapsed());
        match PATIENCE.checked_sub(waited).filter(|left| !left.is_zero()) {
            None => client.gone = true,
            Some(left) => next = Some(next.map_or(left, |next| next.min(left))),
        }
    }
    clients.retain(|client| !client.gone);
    next
}

/// The container's standard input and what waits to go into it.
#[derive(Default)]
pub(super) struct Input {
    pub(super) fd: Option<File>,
    pub(super) waiting: Vec<u8>,
    /// Nothing more will come: close it when all is written.
    pub(super) ended: bool,
}

impl Input {
    pub(super) fn flush(&mut self) {
        while let Some(fd) = &mut self.fd {
            if self.waiting.is_empty() {
                break;
            }
            match fd.write(&self.waiting) {
                Ok(length) => drop(self.waiting.drain(..length)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.fd = None,
            }
        }
        self.waiting.shrink_to(4 << 10);
        if self.ended || self.fd.is_none() {
            self.fd = None;
            self.waiting.clear();
        }
    }
}
