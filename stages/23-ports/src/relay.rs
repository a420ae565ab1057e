//! What nftables cannot do: a port in IPv6 that leads to a container without IPv6, and ::1, which no packet leaves the
//! host from. Connections to these are taken, and what comes in on one side is passed on to the other; so are datagrams.
//!
//! No thread and no loop of its own: whoever embeds it waits for its descriptor, and calls [`Relay::handle`].

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket},
};
use process::Errno;

use crate::{datagrams::Datagrams, holder::Held};

/// Connections at a time. Then whoever has the most of them makes room for others, and waits himself for his own to end.
const MOST: usize = 256;
/// Connections that wait. What is more is closed.
const WAITING: usize = 128;
/// Bytes that are read at once, and that one side may be ahead of the other.
const AHEAD: usize = 16 << 10;
/// Reads for one connection in a row, so that it keeps nobody else waiting.
const READS: usize = 64;

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// It waits for one of its ends.
    Waits,
    /// There is more to do at once.
    More,
    /// It is over.
    Over,
}

/// One way of a connection: what was read and not written yet.
#[derive(Debug, Default)]
struct Way {
    waiting: Vec<u8>,
    /// The reader has said that there is no more.
    ended: bool,
    /// And the writer was told.
    closed: bool,
}

impl Way {
    /// Moves what can be moved now, until one of the ends makes us wait.
    fn pump(&mut self, mut from: &TcpStream, mut to: &TcpStream, buffer: &mut [u8]) -> io::Result<Next> {
        for _ in 0..READS {
            while !self.waiting.is_empty() {
                match to.write(&self.waiting) {
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Next::Waits),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    written => drop(self.waiting.drain(..written?)),
                }
            }
            if self.ended {
                if !self.closed {
                    to.shutdown(Shutdown::Write)?;
                    self.closed = true;
                }
                return Ok(Next::Over);
            }
            match from.read(buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(Next::Waits),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(0) => self.ended = true,
                read => self.waiting.extend_from_slice(&buffer[..read?]),
            }
        }
        Ok(Next::More)
    }
}

/// A connection of a client's, and the one to the container.
#[derive(Debug)]
struct Pair {
    from: IpAddr,
    /// The event that it was last heard of by: the lowest number is the longest silence.
    heard: u64,
    client: TcpStream,
    container: TcpStream,
    connected: bool,
    to: Way,
    back: Way,
}

impl Pair {
    fn pump(&mut self, buffer: &mut [u8]) -> io::Result<Next> {
        if !self.connected {
            if let Some(e) = self.container.take_error()? {
                return Err(e);
            }
            match self.container.peer_addr() {
                Err(e) if e.kind() == ErrorKind::NotConnected => return Ok(Next::Waits),
                peer => drop(peer?),
            }
            self.connected = true;
        }
        let to = self.to.pump(&self.client, &self.container, buffer)?;
        let back = self.back.pump(&self.container, &self.client, buffer)?;
        Ok(match (to, back) {
            (Next::Over, Next::Over) => Next::Over,
            (Next::More, _) | (_, Next::More) => Next::More,
            _ => Next::Waits,
        })
    }
}

/// A client of one who has many already.
struct Waiting {
    client: TcpStream,
    from: IpAddr,
    listener: usize,
}

/// Where to lead one who comes from there: the container's addresses as they are now, or none, if he is to reach nobody.
pub type Target = Box<dyn Fn(IpAddr) -> Vec<IpAddr>>;

/// Holds ports of the host, and passes on what comes to those of IPv6.
pub struct Relay {
    epoll: Epoll,
    /// Each with the container's port.
    listeners: Vec<(TcpListener, u16)>,
    /// Those that packets go past.
    _held: Vec<OwnedFd>,
    pairs: Vec<Option<Pair>>,
    waiting: VecDeque<Waiting>,
    /// Events so far.
    events: u64,
    target: Target,
    paused: bool,
    datagrams: Option<Datagrams>,
}

/// What is ready when it is the datagrams.
const DATAGRAMS: u64 = u64::MAX;

impl Relay {
    /// Holds the ports. `None` where there are none.
    ///
    /// # Errors
    /// Of epoll(7).
    pub fn new(held: Vec<Held>, target: Target) -> Result<Option<Self>, Errno> {
        if held.is_empty() {
            return Ok(None);
        }
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let (relayed, held): (Vec<_>, Vec<_>) = held.into_iter().partition(Held::is_relayed);
        let held = held.into_iter().map(|held| held.socket).collect();
        let (datagrams, relayed): (Vec<_>, Vec<_>) = relayed.into_iter().partition(Held::is_datagrams);
        let datagrams = Datagrams::new(datagrams.into_iter().map(|held| (held.socket, held.container)).collect())?;
        if let Some(datagrams) = &datagrams {
            epoll.add(datagrams, EpollEvent::new(EpollFlags::EPOLLIN, DATAGRAMS))?;
        }
        let mut listeners = Vec::new();
        for (number, Held { socket, container, .. }) in relayed.into_iter().enumerate() {
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            listeners.push((TcpListener::from(socket), container));
        }
        let (pairs, waiting) = (Vec::new(), VecDeque::new());
        let relay = Self { epoll, listeners, _held: held, pairs, waiting, events: 0, target, paused: false, datagrams };
        Ok(Some(relay))
    }

    /// Does what can be done now.
    ///
    /// # Errors
    /// Of epoll(7). What a client or the container does wrong is none.
    pub fn handle(&mut self) -> Result<(), Errno> {
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Err(Errno::EINTR) => 0,
            waited => waited?,
        };
        let mut buffer = [0; AHEAD];
        for event in &events[..count] {
            self.events += 1;
            if event.data() == DATAGRAMS {
                self.datagrams.as_mut().map_or(Ok(()), |datagrams| datagrams.handle(&self.target))?;
                continue;
            }
            let number = event.data() as usize;
            match number.checked_sub(self.listeners.len()) {
                None => self.accept(number)?,
                Some(place) => self.pump(place, &mut buffer)?,
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) -> Result<(), Errno> {
        let (client, from) = match self.listeners[listener].0.accept() {
            Ok((client, from)) => (client, from.ip()),
            // Until one of the connections ends.
            Err(e) if [Some(nix::libc::EMFILE), Some(nix::libc::ENFILE)].contains(&e.raw_os_error()) => {
                return self.pause(true);
            }
            Err(_) => return Ok(()),
        };
        let mut counts = HashMap::new();
        for pair in self.pairs.iter().flatten() {
            *counts.entry(pair.from).or_insert(0) += 1;
        }
        if counts.values().sum::<usize>() >= MOST {
            let his = counts.get(&from).copied().unwrap_or(0);
            let most = counts.values().copied().max().unwrap_or(0);
            if his == most {
                if self.waiting.len() < WAITING {
                    self.waiting.push_back(Waiting { client, from, listener });
                }
                return Ok(());
            }
            let has_most = |pair: &&mut Option<Pair>| pair.as_ref().is_some_and(|pair| counts[&pair.from] == most);
            let silent = self.pairs.iter_mut().filter(has_most).min_by_key(|pair| pair.as_ref().map(|pair| pair.heard));
            silent.map(Option::take);
        }
        self.begin(Waiting { client, from, listener })
    }

    fn begin(&mut self, Waiting { client, from, listener }: Waiting) -> Result<(), Errno> {
        let target = preferred(&(self.target)(from));
        let port = self.listeners[listener].1;
        // Where there is nowhere to lead it to it is closed.
        let Some(container) = target.and_then(|to| connecting((to, port).into()).ok()) else { return Ok(()) };
        client.set_nonblocking(true).map_err(|e| errno(&e))?;
        let place = self.pairs.iter().position(Option::is_none).unwrap_or(self.pairs.len());
        if place == self.pairs.len() {
            self.pairs.push(None);
        }
        for end in [&client, &container] {
            self.epoll.add(end, self.event(place))?;
        }
        let (heard, to, back) = (self.events, Way::default(), Way::default());
        self.pairs[place] = Some(Pair { from, heard, client, container, connected: false, to, back });
        Ok(())
    }

    /// Told once each time that an end can be read from or written to again: a connection goes as far as it can.
    fn event(&self, place: usize) -> EpollEvent {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        EpollEvent::new(flags, (self.listeners.len() + place) as u64)
    }

    fn pump(&mut self, place: usize, buffer: &mut [u8]) -> Result<(), Errno> {
        let mut event = self.event(place);
        // It may have ended by an event before this one.
        let Some(Some(pair)) = self.pairs.get_mut(place) else { return Ok(()) };
        pair.heard = self.events;
        match pair.pump(buffer).unwrap_or(Next::Over) {
            Next::Waits => Ok(()),
            // It is told again of what can be done.
            Next::More => {
                self.epoll.modify(&pair.client, &mut event)?;
                self.epoll.modify(&pair.container, &mut event)
            }
            Next::Over => {
                self.pairs[place] = None;
                self.pause(false)?;
                // One who has nowhere to go takes no place.
                while self.pairs.iter().flatten().count() < MOST
                    && let Some(next) = self.waiting.pop_front()
                {
                    self.begin(next)?;
                }
                Ok(())
            }
        }
    }

    /// Takes no more connections, or takes them again.
    fn pause(&mut self, pause: bool) -> Result<(), Errno> {
        if self.paused != pause {
            let flags = if pause { EpollFlags::empty() } else { EpollFlags::EPOLLIN };
            for (number, (listener, _)) in self.listeners.iter().enumerate() {
                self.epoll.modify(listener, &mut EpollEvent::new(flags, number as u64))?;
            }
            self.paused = pause;
        }
        Ok(())
    }
}

impl AsFd for Relay {
    /// Ready to read when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// Who has come by IPv6 is led to IPv6, where there is some.
pub(crate) fn preferred(targets: &[IpAddr]) -> Option<IpAddr> {
    targets.iter().find(|to| to.is_ipv6()).or(targets.first()).copied()
}

pub(crate) fn errno(e: &io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn connecting(to: SocketAddr) -> Result<TcpStream, Errno> {
    let family = if to.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(errno) => Err(errno),
    }
}
