//! The resolver's server: questions in, answers out, and no wait for anybody else in between.
//!
//! It has no thread and no loop of its own. Whoever embeds it waits for its descriptor ([`Server`] is `AsFd`) or its
//! deadline, beside whatever else there is to wait for, and calls [`Server::handle`].

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        epoll::EpollFlags,
        socket::{AddressFamily, SockFlag, SockType, SockaddrIn, getsockname, socket},
    },
};
use process::{Errno, sys};

use crate::{
    Listeners,
    answer::{Decision, LONGEST_QUERY, Transport, Turns, decide},
    burst::Burst,
    connections::Connections,
    forward::{Client, Forwarder, TIMEOUT},
    poller::{Poller, Token},
    upstream::Upstreams,
    zone::Zone,
};

/// Batches of questions that one call of `handle` answers before it lets its caller look after other things.
const BATCHES: usize = 8;
/// Calls of `handle` that may find questions over UDP before all else is looked at too.
const TURNS: u8 = 8;
/// How long one call of `handle` may stay with a burst of questions before it lets its caller look after other things.
const LONGEST_BURST: Duration = Duration::from_millis(2);

/// Answers a container's questions.
pub struct Server {
    poller: Poller,
    udp: OwnedFd,
    connections: Connections,
    forwarder: Forwarder,
    zone: Box<dyn Zone>,
    turns: Turns,
    /// Calls of `handle` in a row that have looked at nothing but UDP.
    skipped: u8,
    burst: Burst,
    buffers: Vec<[u8; LONGEST_QUERY]>,
}

impl Server {
    /// Serves on a container's sockets what `zone` knows, and asks `upstreams`, in order and at most three, about the
    /// rest. Without any, the rest fails (SERVFAIL).
    ///
    /// # Errors
    /// EMFILE and the like of epoll_create1(2) and epoll_ctl(2).
    pub fn new(listeners: Listeners, zone: Box<dyn Zone>, upstreams: Vec<SocketAddr>) -> Result<Self, Errno> {
        let poller = Poller::new()?;
        let Listeners { udp, tcp } = listeners;
        poller.add(&udp, Token::Udp, EpollFlags::EPOLLIN)?;
        let upstreams = without_us(upstreams, udp.as_fd())?;
        Ok(Self {
            connections: Connections::new(tcp, &poller)?,
            forwarder: Forwarder::new(Upstreams::new(upstreams), TIMEOUT),
            poller,
            udp,
            zone,
            turns: Turns::default(),
            skipped: 0,
            burst: Burst::default(),
            buffers: vec![[0; LONGEST_QUERY]; sys::BATCH],
        })
    }

    /// Gives each upstream server this long instead of [`TIMEOUT`].
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.forwarder.set_timeout(timeout);
        self
    }

    /// Knows other names from now on: those of a container that was put on another network.
    pub fn set_zone(&mut self, zone: Box<dyn Zone>) {
        self.zone = zone;
    }

    /// When to call [`Server::handle`] at the latest; `None`: not before the descriptor is ready.
    pub fn deadline(&self) -> Option<Instant> {
        self.forwarder.deadline().into_iter().chain(self.connections.deadline()).min()
    }

    // ANCHOR: handle
    /// Does what can be done now, and returns; in a burst of questions, after a moment without one or 2 ms.
    ///
    /// # Errors
    /// Of epoll(7) itself. What a client or a server does wrong is none.
    pub fn handle(&mut self) -> Result<(), Errno> {
        let now = Instant::now();
        // Most often it is this, and to ask first what it is costs as much as to try. What else is ready wakes our caller
        // again.
        if self.questions(now) && self.skipped < TURNS {
            self.skipped += 1;
        } else {
            self.skipped = 0;
            self.others(now)?;
        }
        self.forwarder.expire(&self.poller, now);
        self.connections.expire(&self.poller, now)?;
        self.deliver(now);
        Ok(())
    }
    // ANCHOR_END: handle

    fn others(&mut self, now: Instant) -> Result<(), Errno> {
        for token in self.poller.ready()? {
            match token {
                Token::Udp => {}
                Token::Listener => {
                    for number in self.connections.accept(&self.poller, now)? {
                        self.forwarder.cancel(Client::Tcp(number));
                    }
                }
                Token::Connection(number) => self.connection(number, now),
                Token::Socket(place) => self.forwarder.socket_ready(place as usize, &self.poller, now),
                Token::Upstream(number) => self.forwarder.connection_ready(number, &self.poller, now),
            }
        }
        Ok(())
    }

    /// Serves until `until` can be read from, for programs that have nothing else to do.
    pub fn run(&mut self, until: BorrowedFd) -> Result<(), Errno> {
        loop {
            let mut ready = [PollFd::new(until, PollFlags::POLLIN), PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            match poll(&mut ready, time_left(self.deadline())) {
                Err(Errno::EINTR) => continue,
                polled => polled?,
            };
            if ready[0].any().unwrap_or(false) {
                return Ok(());
            }
            self.handle()?;
        }
    }

    /// Answers questions over UDP, and those that soon follow; whether there were any.
    fn questions(&mut self, start: Instant) -> bool {
        if !self.datagrams(start) {
            return false;
        }
        let mut came = start;
        let mut now = Instant::now();
        while let Some(patience) = self.burst.asked(came).filter(|_| now < start + LONGEST_BURST) {
            self.burst.answered(now);
            let until = now + patience;
            loop {
                // To the client, where it waits for this processor.
                thread::yield_now();
                came = Instant::now();
                if self.datagrams(came) {
                    break;
                }
                if came >= until {
                    self.burst.over();
                    return true;
                }
            }
            now = Instant::now();
        }
        self.burst.answered(now);
        true
    }

    /// Answers questions over UDP that are here; whether there were any.
    fn datagrams(&mut self, now: Instant) -> bool {
        let mut from = [(0, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)); sys::BATCH];
        for batch in 0..BATCHES {
            let Ok(count) = sys::receive_many(self.udp.as_fd(), &mut self.buffers, &mut from) else { return batch > 0 };
            self.zone.refresh();
            let mut replies = Vec::with_capacity(count);
            for (buffer, &(length, client)) in self.buffers.iter().zip(&from[..count]) {
                // One that is too long was cut off, and is refused as what it looks like now.
                let packet = &buffer[..length.min(LONGEST_QUERY)];
                match decide(packet, Transport::Udp, self.zone.as_ref(), &mut self.turns) {
                    Decision::Drop => {}
                    Decision::Reply(reply) => replies.push((reply, client)),
                    Decision::Forward { question, limit } => {
                        let client = Client::Udp(client);
                        self.forwarder.start(client, packet.to_vec(), question, limit, &self.poller, now);
                    }
                }
            }
            send(self.udp.as_fd(), &replies);
            if count < sys::BATCH {
                break;
            }
        }
        true
    }

    fn connection(&mut self, number: u32, now: Instant) {
        // So many that one connection keeps nobody else waiting.
        for _ in 0..sys::BATCH {
            let Some(packet) = self.connections.receive(number) else { break };
            self.zone.refresh();
            match decide(&packet, Transport::Tcp, self.zone.as_ref(), &mut self.turns) {
                Decision::Drop => {}
                Decision::Reply(reply) => self.connections.reply(number, &reply, now),
                Decision::Forward { question, limit } => {
                    self.connections.hold(number);
                    self.forwarder.start(Client::Tcp(number), packet, question, limit, &self.poller, now);
                    break;
                }
            }
        }
        if !self.connections.watch(number, &self.poller) {
            self.forwarder.cancel(Client::Tcp(number));
        }
    }

    /// Sends what has come back from upstream.
    fn deliver(&mut self, now: Instant) {
        let mut datagrams = Vec::new();
        for (client, answer) in self.forwarder.done.drain(..) {
            match client {
                Client::Udp(client) => datagrams.push((answer, client)),
                Client::Tcp(number) => {
                    self.connections.reply(number, &answer, now);
                    self.connections.watch(number, &self.poller);
                }
            }
        }
        send(self.udp.as_fd(), &datagrams);
    }
}

impl AsFd for Server {
    /// Ready to read when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// How long poll(2) may wait.
pub fn time_left(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    let left = deadline.saturating_duration_since(Instant::now());
    // Whole milliseconds: rounded down it would wake up too early, many times.
    PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX)
}

/// Sends datagrams, or does not: their clients ask again.
fn send(socket: BorrowedFd, mut datagrams: &[(Vec<u8>, SocketAddrV4)]) {
    while !datagrams.is_empty() {
        match sys::send_many(socket, datagrams) {
            Ok(sent) => datagrams = &datagrams[sent..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return,
            // The first one cannot be sent: the client has closed its socket, or a firewall forbids it.
            Err(_) => datagrams = &datagrams[1..],
        }
    }
}

/// The servers without this one, which would ask itself for ever.
///
/// 127.0.0.11 may well be another server: that of a container in which all this happens. Then it is in another network
/// namespace than our listener.
fn without_us(mut upstreams: Vec<SocketAddr>, listener: BorrowedFd) -> Result<Vec<SocketAddr>, Errno> {
    let own: SockaddrIn = getsockname(listener.as_raw_fd())?;
    let here = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let elsewhere = match (sys::network_cookie(here.as_fd()), sys::network_cookie(listener)) {
        (Ok(here), Ok(there)) => here != there,
        // A kernel that does not tell.
        _ => false,
    };
    upstreams.retain(|&upstream| elsewhere || upstream != SocketAddr::V4(own.into()));
    Ok(upstreams)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;
    use crate::Names;

    /// One client with one question on its way: without a burst each one takes a call.
    #[test]
    fn one_call_stays_for_questions_that_soon_follow() {
        const QUESTIONS: usize = 5000;
        let (udp, tcp) = (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        let address = udp.local_addr().unwrap();
        let mut names = Names::default();
        names.add("web", [10, 0, 0, 2].into());
        let listeners = Listeners { udp: udp.into(), tcp: tcp.into() };
        let mut server = Server::new(listeners, Box::new(names), Vec::new()).unwrap();
        let client = thread::spawn(move || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(address).unwrap();
            let packet = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03web\0\0\x01\0\x01";
            for _ in 0..QUESTIONS {
                socket.send(packet).unwrap();
                socket.recv(&mut [0; LONGEST_QUERY]).unwrap();
            }
        });
        let mut calls = 0;
        while !client.is_finished() {
            let mut ready = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
            if poll(&mut ready, 10_u8).unwrap() > 0 {
                server.handle().unwrap();
                calls += 1;
            }
        }
        client.join().unwrap();
        assert!(calls < QUESTIONS, "{calls} calls for {QUESTIONS} questions");
    }
}
