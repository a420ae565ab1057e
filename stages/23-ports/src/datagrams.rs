//! Datagrams that nftables cannot lead to a container: see [`crate::Relay`]. A client is known by its address, and each has a
//! socket of its own towards the container, so that answers find back.

use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    cmsg_space,
    libc::{in6_addr, in6_pktinfo},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, sendmsg, setsockopt, sockopt},
    },
};
use process::Errno;

use crate::relay::{Target, errno, preferred};

/// Clients at a time: the one that was heard of longest ago makes room.
const MOST: usize = 256;
/// Who is silent for so long has gone, as with the kernel's own (nf_conntrack_udp_timeout_stream).
const SILENT: Duration = Duration::from_secs(120);
/// Datagrams of one socket in a row, so that it keeps nobody else waiting.
const TURNS: usize = 64;
/// The largest there is.
const LARGEST: usize = 64 << 10;
/// Bytes that wait to be read, the kernel's default. A held port that packets go past has next to none.
const RECEIVE_BUFFER: usize = 208 << 10;

/// A client of one of the ports.
struct Flow {
    port: usize,
    client: SocketAddrV6,
    /// The host's address that the client wrote to.
    host: Ipv6Addr,
    /// Connected to the container.
    socket: UdpSocket,
    heard: Instant,
}

/// Passes datagrams on.
pub(crate) struct Datagrams {
    epoll: Epoll,
    /// Each with the container's port.
    ports: Vec<(UdpSocket, u16)>,
    flows: Vec<Option<Flow>>,
    buffer: Vec<u8>,
}

impl Datagrams {
    /// Passes on what comes to these sockets. `None` where there are none.
    pub(crate) fn new(held: Vec<(OwnedFd, u16)>) -> Result<Option<Self>, Errno> {
        if held.is_empty() {
            return Ok(None);
        }
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut ports = Vec::new();
        for (number, (socket, container)) in held.into_iter().enumerate() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))?;
            ports.push((UdpSocket::from(socket), container));
        }
        Ok(Some(Self { epoll, ports, flows: Vec::new(), buffer: Vec::new() }))
    }

    /// Does what can be done now.
    pub(crate) fn handle(&mut self, target: &Target) -> Result<(), Errno> {
        let mut events = [EpollEvent::empty(); 64];
        let count = match self.epoll.wait(&mut events, EpollTimeout::ZERO) {
            Err(Errno::EINTR) => 0,
            waited => waited?,
        };
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(LARGEST, 0);
        for event in &events[..count] {
            let number = event.data() as usize;
            match number.checked_sub(self.ports.len()) {
                None => self.send_in(number, target, &mut buffer)?,
                Some(place) => self.send_out(place, &mut buffer),
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn send_in(&mut self, port: usize, target: &Target, buffer: &mut [u8]) -> Result<(), Errno> {
        for _ in 0..TURNS {
            let Ok((length, client, host)) = receive(&self.ports[port].0, buffer) else { return Ok(()) };
            let is_it = |flow: &&mut Flow| flow.port == port && flow.client == client && flow.host == host;
            let known = self.flows.iter_mut().flatten().find(is_it);
            match known {
                Some(flow) => {
                    flow.heard = Instant::now();
                    // Nobody there, or no room: as on every way that a datagram takes.
                    let _ = flow.socket.send(&buffer[..length]);
                }
                None => {
                    if let Some(socket) = self.begin(port, client, host, target)? {
                        let _ = socket.send(&buffer[..length]);
                    }
                }
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        port: usize,
        client: SocketAddrV6,
        host: Ipv6Addr,
        target: &Target,
    ) -> Result<Option<&UdpSocket>, Errno> {
        let Some(to) = preferred(&target((*client.ip()).into())) else { return Ok(None) };
        let Ok(socket) = connected((to, self.ports[port].1).into()) else { return Ok(None) };
        let now = Instant::now();
        for flow in &mut self.flows {
            // Its descriptor goes out of the set with it.
            flow.take_if(|flow| now.duration_since(flow.heard) > SILENT);
        }
        let place = self.flows.iter().position(Option::is_none).unwrap_or_else(|| {
            if self.flows.len() < MOST {
                self.flows.push(None);
                return self.flows.len() - 1;
            }
            let heard = |place: &usize| self.flows[*place].as_ref().map(|flow| flow.heard);
            (0..self.flows.len()).min_by_key(heard).unwrap_or(0)
        });
        self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, (self.ports.len() + place) as u64))?;
        let flow = self.flows[place].insert(Flow { port, client, host, socket, heard: now });
        Ok(Some(&flow.socket))
    }

    fn send_out(&mut self, place: usize, buffer: &mut [u8]) {
        let Some(Some(flow)) = self.flows.get_mut(place) else { return };
        for _ in 0..TURNS {
            match flow.socket.recv(buffer) {
                Ok(length) => {
                    flow.heard = Instant::now();
                    let _ = answer(&self.ports[flow.port].0, &buffer[..length], flow);
                }
                // Nobody listens there: whoever comes next may be heard.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Datagrams {
    /// Ready to read when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }
}

/// A datagram, who sent it and to which of the host's addresses (ipv6(7), IPV6_RECVPKTINFO).
fn receive(from: &UdpSocket, buffer: &mut [u8]) -> Result<(usize, SocketAddrV6, Ipv6Addr), Errno> {
    let mut parts = [IoSliceMut::new(buffer)];
    let mut space = cmsg_space!(in6_pktinfo);
    let received = recvmsg::<SockaddrIn6>(from.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())?;
    let host = received.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Ipv6Addr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    let client = received.address.map(SocketAddrV6::from).ok_or(Errno::EDESTADDRREQ)?;
    Ok((received.bytes, client, host.unwrap_or(Ipv6Addr::UNSPECIFIED)))
}

/// Answers from the address that the client wrote to: the kernel would choose that of the interface on the way back, which is
/// another one for a client behind a bridge, who would not take it.
fn answer(from: &UdpSocket, datagram: &[u8], flow: &Flow) -> Result<usize, Errno> {
    let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: flow.host.octets() }, ipi6_ifindex: 0 };
    let messages = [ControlMessage::Ipv6PacketInfo(&info)];
    let client = SockaddrIn6::from(flow.client);
    sendmsg(from.as_raw_fd(), &[IoSlice::new(datagram)], &messages, MsgFlags::empty(), Some(&client))
}

fn connected(to: SocketAddr) -> Result<UdpSocket, Errno> {
    let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let connected = UdpSocket::bind(SocketAddr::new(any, 0)).and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.connect(to).map(|()| socket)
    });
    connected.map_err(|e| errno(&e))
}
