//! A container with a resolver, and servers for it to ask, each test in a network namespace of its own.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    fs::File,
    io::{PipeWriter, Read, Write, pipe},
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    os::fd::AsFd,
    thread::{self, JoinHandle},
    time::Duration,
};

use dns::{
    ADDRESS, Listeners, Message, Name, Names, Resolver, Server, Zone,
    message::{Data, IN, Question, Record, flag, kind},
};
use network::Network;
use nix::sched::{CloneFlags, setns, unshare};
use process::sys;
use tests::container::{Running, shell, start};

/// Nothing here takes so long: what does has hung.
pub(crate) fn limit() -> Duration {
    tests::patience(20)
}

pub(crate) const RESOLVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 53);

/// A network namespace for this thread and the threads that it starts from now on: the "host" of one test.
pub(crate) fn own_network() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root");
    sys::loopback_up().unwrap();
}

/// A container whose resolver is being served.
pub(crate) struct Setup {
    pub(crate) running: Running,
    stop: Option<PipeWriter>,
    server: Option<JoinHandle<()>>,
}

impl Setup {
    pub(crate) fn new(zone: impl Zone + Send + 'static, upstreams: &[SocketAddr], timeout: Duration) -> Self {
        let script = shell("echo ready; exec sleep 1000");
        let mut running = start(vec![Box::new(Network), Box::new(Resolver::default())], script).unwrap();
        running.wait_for("ready");
        let listeners = Listeners::take(&mut running.child).expect("the resolver's sockets");
        let (until, stop) = pipe().unwrap();
        let upstreams = upstreams.to_vec();
        let server = thread::spawn(move || {
            let server = Server::new(listeners, Box::new(zone), upstreams).unwrap();
            server.timeout(timeout).run(until.as_fd()).unwrap();
        });
        Self { running, stop: Some(stop), server: Some(server) }
    }

    /// Does something in the container's network namespace.
    pub(crate) fn inside<R: Send>(&self, act: impl FnOnce() -> R + Send) -> R {
        let namespace = File::open(format!("/proc/{}/ns/net", self.running.child.pid)).unwrap();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
                act()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A client's socket inside.
    pub(crate) fn client(&self) -> UdpSocket {
        self.inside(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(RESOLVER).unwrap();
            socket.set_read_timeout(Some(limit())).unwrap();
            socket
        })
    }

    /// A client's connection inside.
    pub(crate) fn connect(&self) -> TcpStream {
        self.inside(|| {
            let stream = TcpStream::connect(RESOLVER).unwrap();
            stream.set_read_timeout(Some(limit())).unwrap();
            stream
        })
    }

    /// Asks over UDP.
    pub(crate) fn ask(&self, query: &Message) -> Message {
        ask(&self.client(), query)
    }

    /// Asks over TCP.
    pub(crate) fn ask_tcp(&self, query: &Message) -> Message {
        let mut stream = self.connect();
        send_framed(&mut stream, query);
        receive_framed(&mut stream).expect("an answer")
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        drop(self.stop.take());
        let served = self.server.take().map(JoinHandle::join);
        if !thread::panicking() {
            served.unwrap().expect("the server has not failed");
        }
    }
}

pub(crate) fn query(name: &str, kind: u16) -> Message {
    let question = Question { name: Name::from_text(name).unwrap(), kind, class: IN };
    Message { id: 0x1234, flags: flag::RECURSION_DESIRED, questions: vec![question], ..Message::default() }
}

/// The same from a client that takes so many bytes over UDP.
pub(crate) fn with_options(mut query: Message, size: u16) -> Message {
    let data = Data::Other(b"\0\x0a\0\x08cookie!!".to_vec());
    query.additional.push(Record { name: Name::root(), kind: kind::OPT, class: size, ttl: 0x8000, data });
    query
}

pub(crate) fn ask(client: &UdpSocket, query: &Message) -> Message {
    client.send(&query.write(4096)).unwrap();
    receive(client)
}

pub(crate) fn receive(client: &UdpSocket) -> Message {
    let mut buffer = vec![0; 65536];
    let length = client.recv(&mut buffer).expect("an answer");
    Message::read(&buffer[..length]).expect("a whole message")
}

pub(crate) fn send_framed(stream: &mut TcpStream, message: &Message) {
    let packet = message.write(65535);
    stream.write_all(&[&(packet.len() as u16).to_be_bytes()[..], &packet].concat()).unwrap();
}

pub(crate) fn receive_framed(stream: &mut TcpStream) -> Option<Message> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut packet).unwrap();
    Some(Message::read(&packet).expect("a whole message"))
}

pub(crate) fn code(message: &Message) -> u16 {
    message.flags & flag::CODE
}

/// The addresses of an answer, as text, in its order.
pub(crate) fn addresses(message: &Message) -> Vec<String> {
    let text = |record: &Record| match &record.data {
        Data::V4(address) => Some(address.to_string()),
        Data::V6(address) => Some(address.to_string()),
        _ => None,
    };
    message.answers.iter().filter_map(text).collect()
}

/// An answer to `query` that says `address`.
pub(crate) fn says(query: &Message, address: [u8; 4]) -> Message {
    let question = &query.questions[0];
    let data = Data::V4(Ipv4Addr::from(address));
    let record = Record { name: question.name.clone(), kind: kind::A, class: IN, ttl: 60, data };
    Message {
        flags: query.flags | flag::RESPONSE | flag::RECURSION_AVAILABLE,
        answers: vec![record],
        additional: Vec::new(),
        ..query.clone()
    }
}

/// A server at `address` that answers each question with the packets that `answer` makes of it, until none come for
/// [`limit`] or `answer` returns `None`.
pub(crate) fn upstream(
    address: &str,
    mut answer: impl FnMut(&Message) -> Option<Vec<Vec<u8>>> + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(limit())).unwrap();
    let at = socket.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let query = Message::read(&buffer[..length]).expect("the resolver asks in whole messages");
            let Some(packets) = answer(&query) else { return };
            for packet in packets {
                socket.send_to(&packet, from).unwrap();
            }
        }
    });
    (at, thread)
}

pub(crate) fn web() -> Names {
    let mut names = Names::default();
    names.add("web", [10, 0, 0, 2].into());
    names
}
