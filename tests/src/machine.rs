//! Machines of a test's own: each a thread in a network namespace that dies with it.

use std::{
    fs::File,
    net::{TcpListener, TcpStream, ToSocketAddrs},
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::mpsc::{Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    libc,
    sched::{CloneFlags, setns, unshare},
};
use process::{
    netlink::{
        Message, Prefix, Socket,
        route::{self, link, link_header},
    },
    sys,
};

use crate::container::Running;

type Work = Box<dyn FnOnce() + Send>;

/// A thread with a network namespace of its own, where work is done in the order in which it is given.
#[derive(Debug)]
pub struct Machine {
    work: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    namespace: File,
}

impl Machine {
    /// A machine with loopback and no other link.
    ///
    /// # Panics
    /// Without root.
    pub fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "networks are tested as root");
        Self::entered(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("unshare(CLONE_NEWNET)");
            sys::loopback_up().expect("lo up");
        })
    }

    /// The network of a container, with the files and rights of the test.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn inside(container: &Running) -> Self {
        Self::of_process(container.child.pid.as_raw().into())
    }

    /// The network of a process, with the files and rights of the test.
    ///
    /// # Panics
    /// Where there is no such process.
    pub fn of_process(pid: i64) -> Self {
        let namespace = File::open(format!("/proc/{pid}/ns/net")).expect("a running process");
        Self::entered(move || setns(namespace, CloneFlags::CLONE_NEWNET).expect("setns(CLONE_NEWNET)"))
    }

    /// One more thread on the machine that this is called on.
    ///
    /// # Panics
    /// Never on Linux.
    pub fn inside_this() -> Self {
        let namespace = File::open("/proc/thread-self/ns/net").expect("a network namespace");
        Self::entered(move || setns(namespace, CloneFlags::CLONE_NEWNET).expect("setns(CLONE_NEWNET)"))
    }

    /// One more thread on that machine.
    ///
    /// # Panics
    /// Never on Linux.
    pub fn beside(other: &Self) -> Self {
        let namespace = other.namespace.try_clone().expect("dup");
        Self::entered(move || setns(namespace, CloneFlags::CLONE_NEWNET).expect("setns(CLONE_NEWNET)"))
    }

    fn entered(enter: impl FnOnce() + Send + 'static) -> Self {
        let (work, inbox) = channel::<Work>();
        let thread = thread::spawn(move || {
            enter();
            for work in inbox {
                work();
            }
        });
        let (sender, receiver) = channel();
        let open: Work = Box::new(move || sender.send(File::open("/proc/thread-self/ns/net").unwrap()).unwrap());
        work.send(open).unwrap();
        let namespace = receiver.recv().expect("the thread of a machine");
        Self { work: Some(work), thread: Some(thread), namespace }
    }

    /// Does something on this machine, and waits for it. Its panic is the caller's.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = channel();
        let work: Work = Box::new(move || drop(sender.send(catch_unwind(AssertUnwindSafe(work)))));
        self.work.as_ref().unwrap().send(work).unwrap();
        receiver.recv().expect("the thread of a machine").unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// A cable between two machines: a link `name` on each, with an address, up.
    pub fn connect(&self, name: &'static str, address: &str, other: &Self, address_there: &str) {
        let there = other.namespace.as_raw_fd().cast_unsigned();
        let (here, across): (Prefix, Prefix) = (address.parse().unwrap(), address_there.parse().unwrap());
        self.run(move || {
            let cable = Message::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &link_header(0, true))
                .string(libc::IFLA_IFNAME, name)
                .nest(libc::IFLA_LINKINFO, |m| {
                    m.string(libc::IFLA_INFO_KIND, "veth").nest(libc::IFLA_INFO_DATA, |m| {
                        m.nest(1, |m| {
                            let m = m.raw(&link_header(0, false)).string(libc::IFLA_IFNAME, name);
                            m.u32(libc::IFLA_NET_NS_FD, there)
                        })
                    })
                });
            Socket::route().unwrap().request(&[cable]).unwrap();
            address_of(name, here);
        });
        other.run(move || {
            let socket = Socket::route().unwrap();
            let index = link(&socket, name).unwrap().unwrap().index;
            socket.request(&[route::set_up(index)]).unwrap();
            address_of(name, across);
        });
    }

    /// Sends what goes to `network` to `gateway`.
    pub fn route(&self, network: &str, gateway: &str) {
        let (network, gateway) = (network.parse().unwrap(), gateway.parse().unwrap());
        self.run(move || Socket::route().unwrap().request(&[route::add_route(network, gateway)]).unwrap());
    }

    /// Connects from this machine, and returns what the other side says until it hangs up; an error's kind otherwise.
    pub fn read_from(&self, address: &str) -> Result<String, std::io::ErrorKind> {
        let address = address.to_owned();
        self.run(move || read_from(&address))
    }

    /// Listens on this machine, and tells whoever connects the address that he comes from. Until the test ends.
    pub fn tell_the_source_at(&self, address: &str) {
        let address = address.to_owned();
        let listener = self.run(move || TcpListener::bind(address).unwrap());
        thread::spawn(move || {
            use std::io::Write;
            while let Ok((mut stream, from)) = listener.accept() {
                // Who has left already need not know.
                let _ = stream.write_all(from.ip().to_canonical().to_string().as_bytes());
            }
        });
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.work.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn address_of(name: &str, prefix: Prefix) {
    let socket = Socket::route().unwrap();
    let index = link(&socket, name).unwrap().unwrap().index;
    socket.request(&[route::add_address(index, prefix)]).unwrap();
}

/// Connects from this thread, and returns what the other side says until it hangs up.
///
/// The kernel sets links up in the background, and a first packet that comes too early is sent again after a second:
/// after two of them, silence counts.
pub fn read_from(address: &str) -> Result<String, std::io::ErrorKind> {
    use std::io::Read;
    const LIMIT: Duration = Duration::from_millis(2500);
    let read = || {
        let address = address.to_socket_addrs()?.next().expect("an address");
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut said = String::new();
        stream.read_to_string(&mut said)?;
        Ok(said)
    };
    read().map_err(|e: std::io::Error| e.kind())
}
