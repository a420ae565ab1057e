//! The servers that are asked about names that are not ours, and the sockets that questions go to them from.
//!
//! All of this is on the host's side: a socket belongs to the network namespace that it was made in, and these are made
//! by the process that serves. So they reach what the host reaches, such as a server on its 127.0.0.53, which the
//! container has no way to.

use std::{
    collections::HashMap,
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::EpollFlags,
    socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, connect, send, socket},
};
use process::{Errno, sys};

use crate::{
    frame::Framed,
    message::LONGEST_MESSAGE,
    poller::{Poller, Token},
};

/// Servers that are asked; more are not listened to, as by Docker and the C libraries.
const MOST_SERVERS: usize = 3;
/// Sockets for each server. Each question gets a new one, from a port of the kernel's random choice, until there are so
/// many; then they are shared, and there is the random id to guess still.
const SOCKETS_EACH: usize = 20;
/// How long a server that did not answer is asked last.
const PENANCE: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    mute_until: Option<Instant>,
}

/// A socket, connected: the kernel lets through what comes from that server's address and port, and nothing else.
#[derive(Debug)]
struct Socket {
    fd: OwnedFd,
    server: usize,
    /// The forward that waits for each id.
    waiting: HashMap<u16, u32>,
}

/// The servers and the sockets.
#[derive(Debug)]
pub(crate) struct Upstreams {
    servers: Vec<Server>,
    sockets: Vec<Option<Socket>>,
    buffer: Vec<u8>,
}

fn new_socket(address: SocketAddr, kind: SockType) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, kind, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(fd),
        Err(errno) => Err(errno),
    }
}

fn random() -> Result<u16, Errno> {
    let mut bytes = [0; 2];
    sys::random(&mut bytes)?;
    Ok(u16::from_ne_bytes(bytes))
}

impl Upstreams {
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        let servers = servers.into_iter().take(MOST_SERVERS);
        let servers = servers.map(|address| Server { address, mute_until: None }).collect();
        Self { servers, sockets: Vec::new(), buffer: Vec::new() }
    }

    /// Whom to ask, one after the other: in the given order, but those last that did not answer lately. A lone server
    /// gets a second chance, since datagrams get lost.
    pub(crate) fn order(&mut self, now: Instant) -> Vec<usize> {
        for server in &mut self.servers {
            server.mute_until = server.mute_until.filter(|until| *until > now);
        }
        let mut order: Vec<usize> = (0..self.servers.len()).collect();
        order.sort_by_key(|&server| self.servers[server].mute_until.is_some());
        if let [lone] = order[..] {
            order.push(lone);
        }
        order
    }

    /// Says whether a server has answered in time.
    pub(crate) fn judge(&mut self, server: usize, answered: bool, now: Instant) {
        self.servers[server].mute_until = (!answered).then(|| now + PENANCE);
    }

    // ANCHOR: ask
    /// Sends `query` under a new random id; the answer will be for `forward`. Returns the socket's place and the id.
    pub(crate) fn ask(
        &mut self,
        server: usize,
        query: &mut [u8],
        forward: u32,
        poller: &Poller,
    ) -> Result<(usize, u16), Errno> {
        let place = self.socket(server, poller)?;
        let socket = self.sockets[place].as_mut().ok_or(Errno::EBADF)?;
        let mut id = random()?;
        while socket.waiting.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        socket.waiting.insert(id, forward);
        query[..2].copy_from_slice(&id.to_be_bytes());
        let sent = send(socket.fd.as_raw_fd(), query, MsgFlags::MSG_NOSIGNAL);
        if let Err(errno) = sent {
            self.forget(place, id);
            return Err(errno);
        }
        Ok((place, id))
    }
    // ANCHOR_END: ask

    /// The place of a new socket to the server, or of the one that the fewest share.
    fn socket(&mut self, server: usize, poller: &Poller) -> Result<usize, Errno> {
        let taken = |place: &usize| self.sockets[*place].as_ref().is_some_and(|socket| socket.server == server);
        let places = (0..self.sockets.len()).filter(taken);
        if places.clone().count() >= SOCKETS_EACH {
            let shared = places.min_by_key(|&place| self.sockets[place].as_ref().map(|socket| socket.waiting.len()));
            return shared.ok_or(Errno::EMFILE);
        }
        let fd = new_socket(self.servers[server].address, SockType::Datagram)?;
        let free = self.sockets.iter().position(Option::is_none);
        let place = free.unwrap_or_else(|| {
            self.sockets.push(None);
            self.sockets.len() - 1
        });
        poller.add(&fd, Token::Socket(place as u32), EpollFlags::EPOLLIN)?;
        self.sockets[place] = Some(Socket { fd, server, waiting: HashMap::new() });
        Ok(place)
    }

    /// Nobody waits for the id any more; a socket that nobody waits at is closed, and its port not used again.
    pub(crate) fn forget(&mut self, place: usize, id: u16) {
        if let Some(socket) = &mut self.sockets[place] {
            socket.waiting.remove(&id);
            if socket.waiting.is_empty() {
                self.sockets[place] = None;
            }
        }
    }

    /// The next packet at a socket. EAGAIN: none; ECONNREFUSED and others: the network says that there is no server.
    pub(crate) fn receive(&mut self, place: usize) -> Result<&[u8], Errno> {
        let socket = self.sockets.get(place).and_then(Option::as_ref).ok_or(Errno::EAGAIN)?;
        // Asked for in one piece, the kernel gives of it what is used.
        if self.buffer.is_empty() {
            self.buffer = vec![0; LONGEST_MESSAGE];
        }
        let fd = socket.fd.as_raw_fd();
        let length = nix::sys::socket::recv(fd, &mut self.buffer, MsgFlags::MSG_DONTWAIT)?;
        Ok(&self.buffer[..length])
    }

    /// The forward that waits for an answer of that id at that socket.
    pub(crate) fn waiting(&self, place: usize, id: u16) -> Option<u32> {
        self.sockets.get(place)?.as_ref()?.waiting.get(&id).copied()
    }

    /// All forwards that wait at a socket.
    pub(crate) fn all_waiting(&self, place: usize) -> Vec<u32> {
        let socket = self.sockets.get(place).and_then(Option::as_ref);
        socket.map_or_else(Vec::new, |socket| socket.waiting.values().copied().collect())
    }

    /// All forwards that were sent under that id.
    pub(crate) fn sent_as(&self, id: u16) -> impl Iterator<Item = u32> {
        self.sockets.iter().flatten().filter_map(move |socket| socket.waiting.get(&id).copied())
    }

    /// Connects over TCP, and puts `query` in line under a new random id, which is returned too.
    pub(crate) fn connect(
        &self,
        server: usize,
        query: &mut [u8],
        forward: u32,
        poller: &Poller,
    ) -> Result<(Framed, u16), Errno> {
        let fd = new_socket(self.servers[server].address, SockType::Stream)?;
        let id = random()?;
        query[..2].copy_from_slice(&id.to_be_bytes());
        poller.add(&fd, Token::Upstream(forward), EpollFlags::EPOLLOUT)?;
        let mut framed = Framed::new(TcpStream::from(fd), LONGEST_MESSAGE);
        framed.queue(query);
        Ok((framed, id))
    }
}
