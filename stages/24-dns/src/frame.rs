//! Messages over TCP: two bytes of length before each (RFC 1035, 4.2.2).

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::epoll::EpollFlags;

/// A connection that never blocks.
#[derive(Debug)]
pub(crate) struct Framed {
    stream: TcpStream,
    /// The longest message that is taken, in bytes.
    limit: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Came {
    /// A whole message.
    Message(Vec<u8>),
    /// A part of one, or nothing.
    Nothing,
    /// The end, by the other's wish or by its fault.
    End,
}

impl Framed {
    /// `stream` is non-blocking.
    pub(crate) fn new(stream: TcpStream, limit: usize) -> Self {
        Self { stream, limit, input: Vec::new(), output: Vec::new(), written: 0 }
    }

    /// The next message. Reads not a byte more than it has: the rest waits in the kernel, which holds the sender back.
    pub(crate) fn receive(&mut self) -> Came {
        loop {
            let wanted = match self.input.first_chunk() {
                None => 2,
                Some(length) => 2 + usize::from(u16::from_be_bytes(*length)),
            };
            if wanted - 2 > self.limit {
                return Came::End;
            }
            if self.input.len() >= 2 && self.input.len() == wanted {
                return Came::Message(std::mem::take(&mut self.input).split_off(2));
            }
            let before = self.input.len();
            self.input.resize(wanted, 0);
            let read = self.stream.read(&mut self.input[before..]);
            self.input.truncate(before + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Came::End,
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Came::Nothing,
                Err(_) => return Came::End,
            }
        }
    }

    /// Puts a message in line; [`Framed::flush`] sends it.
    pub(crate) fn queue(&mut self, message: &[u8]) {
        self.output.extend_from_slice(&(message.len() as u16).to_be_bytes());
        self.output.extend_from_slice(message);
    }

    /// Sends what is in line, as far as that goes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.is_writing() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(written) => self.written += written,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        self.output = Vec::new();
        self.written = 0;
        Ok(())
    }

    /// Whether something is still in line.
    pub(crate) fn is_writing(&self) -> bool {
        self.written < self.output.len()
    }

    /// What to wait for: first to get rid of what is in line, then for more if that is `wanted`.
    pub(crate) fn interest(&self, wanted: bool) -> EpollFlags {
        match (self.is_writing(), wanted) {
            (true, _) => EpollFlags::EPOLLOUT,
            (false, true) => EpollFlags::EPOLLIN,
            (false, false) => EpollFlags::empty(),
        }
    }
}

impl AsFd for Framed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
