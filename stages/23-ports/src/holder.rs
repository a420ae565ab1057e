//! Ports of the host, held so that nobody else gets them.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::libc::linger;
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    socket::{
        AddressFamily, Backlog, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrStorage, bind,
        getsockname, listen, setsockopt, socket, sockopt,
    },
};
use process::Errno;

use crate::publish::{Protocol, Publish};

/// A part of a published range: ports of the host in one family, and where they lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// TCP, UDP or SCTP.
    pub protocol: Protocol,
    /// The host's address; unspecified is all of its family.
    pub address: IpAddr,
    /// The first of the host's ports.
    pub host: u16,
    /// The first of the container's.
    pub container: u16,
    /// How many there are.
    pub count: u16,
}

/// A port of the host's that is bound.
#[derive(Debug)]
pub struct Held {
    pub(crate) socket: OwnedFd,
    protocol: Protocol,
    at: SocketAddr,
    pub(crate) container: u16,
}

impl Held {
    /// Whether somebody could come there past all rules: by IPv6, to a container without, or from ::1.
    pub(crate) fn is_relayed(&self) -> bool {
        self.at.is_ipv6()
    }

    /// Whether what comes there is datagrams, and not connections.
    pub(crate) fn is_datagrams(&self) -> bool {
        self.protocol == Protocol::Udp
    }
}

/// Binds the host's ports in the families `v4` and `v6`, and says what leads where. The sockets answer nobody: packets
/// go to the container before they could.
///
/// # Errors
/// EADDRINUSE where somebody has a port, with its number.
pub(crate) fn hold(publish: &Publish, v4: bool, v6: bool) -> Holding {
    let all = [(v4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)), (v6, IpAddr::V6(Ipv6Addr::UNSPECIFIED))];
    let addresses: Vec<IpAddr> = match publish.address {
        Some(address) => vec![address],
        None => all.into_iter().filter(|(has, _)| *has).map(|(_, address)| address).collect(),
    };
    let inside = publish.container.clone();
    let one = inside.len() == 1;
    match &publish.host {
        // Some to choose one from.
        Some(outside) if one => {
            let mut last = Errno::EADDRINUSE;
            for port in outside.clone() {
                match hold_at(publish.protocol, &addresses, port, *inside.start(), 1) {
                    Err((_, errno @ (Errno::EADDRINUSE | Errno::EACCES))) => last = errno,
                    held => return held,
                }
            }
            Err((*outside.start(), last))
        }
        Some(outside) => hold_at(publish.protocol, &addresses, *outside.start(), *inside.start(), inside.len() as u16),
        None => {
            let (mut bindings, mut sockets) = (Vec::new(), Vec::new());
            for port in inside {
                let (more, theirs) = choose(publish.protocol, &addresses, port)?;
                bindings.extend(more);
                sockets.extend(theirs);
            }
            Ok((bindings, sockets))
        }
    }
}

/// Binds once more what was bound: after the process that held it was killed. What somebody else has meanwhile is left
/// out.
pub fn hold_again(bindings: &[Binding]) -> Vec<Held> {
    let one = |binding: &Binding| {
        let Binding { protocol, address, host, container, count } = *binding;
        let ports = (0..count).map(|n| (SocketAddr::new(address, host + n), container + n));
        ports.filter_map(|(at, container)| hold_one(protocol, at, container).ok()).collect::<Vec<_>>()
    };
    with_many_files(|| bindings.iter().flat_map(one).collect())
}

/// Ends connections that came before the way led to the container, so that clients ask again and do not wait for ever. Those
/// that a relay will pass on wait for it.
pub(crate) fn turn_away(held: Held, relayed: bool) -> Held {
    if held.protocol != Protocol::Tcp || relayed && held.is_relayed() {
        return held;
    }
    let listener = TcpListener::from(held.socket);
    while let Ok((early, _)) = listener.accept() {
        // Without this it is closed in order, and the client reads an end.
        let _ = setsockopt(&early, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
    }
    Held { socket: listener.into(), ..held }
}

type Holding = Result<(Vec<Binding>, Vec<Held>), (u16, Errno)>;

/// Lets the kernel choose a port that is free in all families.
fn choose(protocol: Protocol, addresses: &[IpAddr], container: u16) -> Holding {
    let mut last = (0, Errno::EADDRNOTAVAIL);
    for _ in 0..64 {
        let Some(first) = addresses.first() else { break };
        let held = hold_one(protocol, SocketAddr::new(*first, 0), container).map_err(|errno| (0, errno))?;
        let port = held.at.port();
        match hold_at(protocol, &addresses[1..], port, container, 1) {
            Ok((mut bindings, mut sockets)) => {
                bindings.insert(0, Binding { protocol, address: *first, host: port, container, count: 1 });
                sockets.push(held);
                return Ok((bindings, sockets));
            }
            Err(taken) => last = taken,
        }
    }
    Err(last)
}

fn hold_at(protocol: Protocol, addresses: &[IpAddr], host: u16, container: u16, count: u16) -> Holding {
    let mut sockets = Vec::new();
    let mut bindings = Vec::new();
    for address in addresses {
        for port in host..=host + (count - 1) {
            let held = hold_one(protocol, SocketAddr::new(*address, port), container + (port - host));
            sockets.push(held.map_err(|errno| (port, errno))?);
        }
        bindings.push(Binding { protocol, address: *address, host, container, count });
    }
    Ok((bindings, sockets))
}

fn hold_one(protocol: Protocol, at: SocketAddr, container: u16) -> Result<Held, Errno> {
    let family = if at.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let kind = if protocol == Protocol::Udp { SockType::Datagram } else { SockType::Stream };
    let number = match protocol {
        Protocol::Tcp => SockProtocol::Tcp,
        Protocol::Udp => SockProtocol::Udp,
        Protocol::Sctp => return Err(Errno::EPROTONOSUPPORT),
    };
    let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, number)?;
    if at.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections of an earlier server that are still closing do not count.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(at))?;
    if protocol == Protocol::Tcp {
        // Only who listens has the port for himself. There is room for all who come too early: who finds none asks again in a
        // second, and does not hear of it when they are turned away.
        listen(&socket, Backlog::MAXCONN)?;
    } else {
        // What comes before the container can be reached is not kept.
        setsockopt(&socket, sockopt::RcvBuf, &1)?;
    }
    if at.port() != 0 {
        return Ok(Held { socket, protocol, at, container });
    }
    let bound: SockaddrStorage = getsockname(socket.as_raw_fd())?;
    let v6 = || bound.as_sockaddr_in6().map(SockaddrIn6::port);
    let port = bound.as_sockaddr_in().map(SockaddrIn::port).or_else(v6);
    let at = SocketAddr::new(at.ip(), port.ok_or(Errno::EAFNOSUPPORT)?);
    Ok(Held { socket, protocol, at, container })
}

/// Raises the limit of open files as far as this process may while `work` is done: descriptors above it stay open.
pub(crate) fn with_many_files<T>(work: impl FnOnce() -> T) -> T {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    if let Ok((_, hard)) = limits {
        // Where it does not work the sockets will say so.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    let done = work();
    if let Ok((soft, hard)) = limits {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
    done
}

/// Whether this machine has IPv6 at all.
pub(crate) fn has_ipv6() -> bool {
    let at = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0);
    hold_one(Protocol::Udp, at, 0).is_ok()
}

/// What the user can do about a port that could not be bound.
pub(crate) fn advice(errno: Errno, port: u16) -> Option<String> {
    match errno {
        Errno::EADDRINUSE => Some(format!("port {port} is already allocated: publish another one, or end who has it")),
        Errno::EADDRNOTAVAIL => Some("the host has no such address".to_owned()),
        Errno::EPROTONOSUPPORT => Some("ports of SCTP cannot be published yet".to_owned()),
        Errno::EACCES => {
            Some(format!("port {port} takes root; as root, sysctl -w net.ipv4.ip_unprivileged_port_start={port}"))
        }
        Errno::EMFILE => Some("a published port takes an open file: raise `ulimit -n`".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpStream, time::Duration};

    use super::*;

    #[test]
    fn who_came_too_early_is_told() {
        let publish: Publish = "127.0.0.1::80".parse().unwrap();
        let (bindings, sockets) = hold(&publish, true, false).unwrap();
        let at = SocketAddr::new(bindings[0].address, bindings[0].host);
        // With no room for them the third would wait for ever.
        let connect = |_| TcpStream::connect_timeout(&at, Duration::from_secs(60)).unwrap();
        let early: Vec<TcpStream> = (0..20).map(connect).collect();
        let _held: Vec<Held> = sockets.into_iter().map(|held| turn_away(held, true)).collect();
        for mut client in early {
            assert_eq!(client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
}
