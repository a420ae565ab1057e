//! The primitive: two sockets, made inside and served outside.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    net::Ipv4Addr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, setsockopt, socket,
    sockopt::{RcvBuf, RcvBufForce},
};
use process::{Child, Errno, Error, Host, Inside, Primitive, Result, Undo};

use crate::ResolvConf;

/// Where a container's resolver is, as Docker's is: an address of loopback, so that every container has one without a
/// route, and none that another server in the container, at 127.0.0.1 or at all addresses, is likely to want.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
const PORT: u16 = 53;
/// Bytes of questions that wait in the kernel: some thousand, where its default is full after two hundred.
const QUEUE: usize = 1 << 20;
const UDP: &str = "dns-udp";
const TCP: &str = "dns-tcp";

// ANCHOR: resolver
/// The sockets of a resolver at 127.0.0.11:53 of the container's network, and the file that points to it.
///
/// A socket belongs for life to the network namespace that it was made in (network_namespaces(7)), whoever holds it. So
/// the child makes them, in its namespace, and hands them to its parent ([`Listeners::take`]), which answers
/// ([`crate::Server`]) from where the host's network is. The container's processes never have these descriptors.
#[derive(Debug, Default)]
pub struct Resolver {
    file: Option<(PathBuf, String)>,
}

const UDP_SOCKET: usize = 0;
const UDP_BIND: usize = 1;
const TCP_SOCKET: usize = 2;
const TCP_BIND: usize = 3;
const TCP_LISTEN: usize = 4;
const SEND: usize = 5;

impl Primitive for Resolver {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn prepare(&mut self, host: &mut Host) -> Result<()> {
        let Some((path, text)) = &self.file else { return Ok(()) };
        host.undo(Undo::RemoveFile(path.clone()))?;
        host.act(
            || format!("write {}", path.display()),
            || write(path, text).map_err(|e| Error::from_io("", "", &e).errno),
        )
    }

    fn enter(&self, inside: &Inside) -> std::result::Result<(), Errno> {
        let at = |step| inside.at(step);
        let (udp, tcp) = (udp(&at)?, tcp(&at)?);
        inside.at(SEND);
        inside.send_descriptor(UDP, &udp)?;
        inside.send_descriptor(TCP, &tcp)
    }

    fn step(&self, step: u16) -> String {
        match usize::from(step) {
            UDP_SOCKET => "socket(AF_INET, SOCK_DGRAM)".to_owned(),
            UDP_BIND => format!("bind(UDP, {ADDRESS}:{PORT})"),
            TCP_SOCKET => "socket(AF_INET, SOCK_STREAM)".to_owned(),
            TCP_BIND => format!("bind(TCP, {ADDRESS}:{PORT})"),
            TCP_LISTEN => "listen()".to_owned(),
            _ => "sendmsg(SCM_RIGHTS, both sockets)".to_owned(),
        }
    }

    fn hint(&self, _: u16, errno: Errno) -> Option<String> {
        match errno {
            Errno::EADDRINUSE => Some("a network namespace has one resolver, and this one has it already".to_owned()),
            Errno::EACCES => Some("port 53 takes CAP_NET_BIND_SERVICE over the network namespace".to_owned()),
            _ => None,
        }
    }
}
// ANCHOR_END: resolver

fn udp(at: &dyn Fn(usize)) -> std::result::Result<OwnedFd, Errno> {
    at(UDP_SOCKET);
    let udp = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    at(UDP_BIND);
    bind(udp.as_raw_fd(), &address())?;
    // Beyond net.core.rmem_max only with the host's CAP_NET_ADMIN; what comes in too great a burst is asked again.
    let _ = setsockopt(&udp, RcvBufForce, &QUEUE).or_else(|_| setsockopt(&udp, RcvBuf, &QUEUE));
    Ok(udp)
}

fn tcp(at: &dyn Fn(usize)) -> std::result::Result<OwnedFd, Errno> {
    at(TCP_SOCKET);
    let tcp = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, None)?;
    at(TCP_BIND);
    bind(tcp.as_raw_fd(), &address())?;
    at(TCP_LISTEN);
    listen(&tcp, Backlog::MAXCONN)?;
    Ok(tcp)
}

fn address() -> SockaddrIn {
    let [a, b, c, d] = ADDRESS.octets();
    SockaddrIn::new(a, b, c, d, PORT)
}

impl Resolver {
    /// A resolver whose container finds it by the file `path`, which is made here, outside the container, with
    /// [`ResolvConf::for_container`] of `host`, and is removed when the journal is undone. The caller mounts it at
    /// /etc/resolv.conf: what the image has there is covered, not touched.
    pub fn new(path: &Path, host: &ResolvConf) -> Self {
        Self { file: Some((path.to_owned(), host.for_container().to_string())) }
    }
}

/// A new file, readable by the container's users whatever the umask.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}

/// A resolver's sockets, which belong to the container's network namespace and keep it alive: drop them with the
/// container.
#[derive(Debug)]
pub struct Listeners {
    /// Bound, non-blocking.
    pub udp: OwnedFd,
    /// Bound, listening, non-blocking.
    pub tcp: OwnedFd,
}

impl Listeners {
    /// Makes them in the network namespace of the calling thread: for a container whose first ones are lost.
    ///
    /// # Errors
    /// EADDRINUSE where there are some already.
    pub fn bind() -> std::result::Result<Self, Errno> {
        Ok(Self { udp: udp(&|_| ())?, tcp: tcp(&|_| ())? })
    }

    /// What a [`Resolver`] among the child's primitives has sent; `None` where there was none.
    pub fn take(child: &mut Child) -> Option<Self> {
        let udp = child.take_descriptor(UDP)?;
        // In a user namespace its maker might not.
        let _ = setsockopt(&udp, RcvBufForce, &QUEUE);
        Some(Self { udp, tcp: child.take_descriptor(TCP)? })
    }
}
