//! A network without rights on the host: a program passes the container's packets on through sockets of its own, as any
//! program of the user could.
//!
//! pasta (of passt, <https://passt.top>) and slirp4netns do that. They open a tap device in the container's network
//! namespace, and end with the container.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};
use ports::{Binding, Protocol};
use process::{Child, Container, Errno, Error, Host, Primitive, Process, Program, Result, Undo, spawn};
use serde_json::{Value, json};

/// The container's address, and the length of its network: slirp4netns always has these, and pasta is told.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
const GATEWAY: &str = "10.0.2.2";
/// How long the program may take until the network works, in milliseconds.
const LIMIT: u16 = 10_000;

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Has IPv6 and ping too, and is the faster one.
    Pasta,
    /// Has TCP and UDP over IPv4.
    Slirp4netns,
}

impl Kind {
    /// The better one first.
    pub const ALL: [Self; 2] = [Self::Pasta, Self::Slirp4netns];

    /// The program's name, and that of the network mode.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        }
    }

    /// Of a network mode.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Where it is installed: in `PATH`, or where the system's programs are.
    pub fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let usual = [process::DEFAULT_PATH].map(OsString::from);
        let directories = [path].into_iter().chain(usual);
        let all = directories.flat_map(|list| std::env::split_paths(&list).collect::<Vec<_>>());
        all.filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(self.name()))
            .find(|p| p.is_file())
    }
}

/// What passes packets on for a container.
#[derive(Debug, Clone)]
pub struct UserMode {
    /// Which program.
    pub kind: Kind,
    /// The file.
    pub program: PathBuf,
    /// Ports of the host that lead to the container: free when it starts.
    pub ports: Vec<Binding>,
    /// Where the program's words go.
    pub log: PathBuf,
    /// Where slirp4netns takes orders, of up to 107 bytes.
    pub socket: PathBuf,
}

/// The same, on its way.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) by: UserMode,
    /// Whether the program ends with the process that starts it.
    pub(super) die_with_parent: bool,
}

impl Connection {
    fn failed(&self, doing: &str) -> impl Fn(io::Error) -> Error {
        let doing = format!("{doing} {}", self.by.kind.name());
        move |e| Error::from_io("network", doing.clone(), &e)
    }

    /// It says that it is ready on its standard output or input: the only descriptors that it is given.
    fn arguments(&self, child: &Child) -> Vec<OsString> {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let mut all = vec![self.by.program.clone().into_os_string()];
        match self.by.kind {
            Kind::Pasta => {
                // Its first process has more rights than it leaves itself, so that it may not look for the namespace.
                all.extend(words(&[
                    "--quiet",
                    "--foreground",
                    "--netns",
                    "/proc/self/fd/0",
                    "--pid",
                    "/proc/self/fd/1",
                ]));
                all.extend(words(&["--config-net", "--ns-ifname", "eth0", "--no-map-gw"]));
                all.extend(words(&["--address", &ADDRESS.to_string(), "--netmask", "24", "--gateway", GATEWAY]));
                // What listens on one side is the other's only where somebody says so.
                all.extend(words(&["--tcp-ns", "none", "--udp-ns", "none"]));
                for (flag, protocol) in [("--tcp-ports", Protocol::Tcp), ("--udp-ports", Protocol::Udp)] {
                    let ports = pasta_ports(&self.by.ports, protocol);
                    all.extend(words(&if ports.is_empty() { vec![flag, "none"] } else { Vec::new() }));
                    all.extend(ports.iter().flat_map(|port| words(&[flag, port])));
                }
            }
            Kind::Slirp4netns => {
                all.extend(words(&["--configure", "--mtu=65520", "--disable-host-loopback", "--ready-fd=0"]));
                if !self.by.ports.is_empty() {
                    all.extend(["--api-socket".into(), self.by.socket.clone().into_os_string()]);
                }
                all.extend(words(&["--netns-type=path", &format!("/proc/{}/ns/net", child.pid), "eth0"]));
            }
        }
        all
    }

    fn start(&self, host: &mut Host, child: &Child) -> Result<()> {
        let failed = self.failed("start");
        let network = format!("/proc/{}/ns/net", child.pid);
        let mut options = OpenOptions::new();
        let log = options.create(true).append(true).mode(0o600).open(&self.by.log).map_err(&failed)?;
        let null = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        let (ready, theirs) = pipe2(OFlag::O_CLOEXEC).map_err(|errno| failed(errno.into()))?;
        let (input, output) = match self.by.kind {
            Kind::Pasta => (File::open(&network).map(OwnedFd::from).map_err(&failed)?, theirs),
            Kind::Slirp4netns => (theirs, null().map_err(&failed)?),
        };
        let program = Program::new(self.arguments(child), ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]);
        let program = program.map_err(|e| failed(e.into()))?;
        let mut process = Process::new(program.stdio([Some(input), Some(output), Some(log.into())]));
        process.die_with_parent = self.die_with_parent;
        // Journaled there, before it is executed.
        let helper = spawn(&mut Container::default(), &mut process, host)?;
        // Its ends of the pipe are its own now.
        drop(process);
        self.wait(&helper, ready)
    }

    /// Until the container's interface is there.
    fn wait(&self, helper: &Child, ready: OwnedFd) -> Result<()> {
        let mut ended = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
        let polled = loop {
            match poll(&mut ended, PollTimeout::from(LIMIT)) {
                Err(Errno::EINTR) => {}
                polled => break polled,
            }
        };
        let said = if polled == Ok(0) { Ok(0) } else { File::from(ready).read(&mut [0; 16]) };
        if matches!(said, Ok(length) if length > 0) {
            return Ok(());
        }
        let _ = process::sys::pidfd_send_signal(helper.pidfd.as_fd(), libc::SIGKILL);
        let _ = process::sys::wait_exit(helper.pidfd.as_fd());
        let said = fs::read_to_string(&self.by.log).unwrap_or_default();
        // Of the last words some are about others.
        let is_reason = |line: &&str| !line.trim().is_empty() && !line.contains("syslog") && !line.ends_with(" failed");
        let last = said.lines().rfind(is_reason);
        let why = last.map_or_else(|| "it said nothing".to_owned(), printable);
        let hint = if why.contains("tun") {
            "; as root, chmod 666 /dev/net/tun, or modprobe tun"
        } else {
            "; run without a network of its own: --network none"
        };
        let doing = format!("connect the container by {}", self.by.kind.name());
        Err(Error::new("network", doing, Errno::EIO).hint(format!("{} said: {why}{hint}", self.by.kind.name())))
    }

    /// Asks slirp4netns to pass connections on.
    fn forward(&self, host: &mut Host) -> Result<()> {
        if self.by.kind == Kind::Pasta || self.by.ports.is_empty() {
            return Ok(());
        }
        for binding in self.by.ports.iter().filter(|binding| binding.address.is_ipv4()) {
            for number in 0..binding.count {
                let request = json!({ "execute": "add_hostfwd", "arguments": {
                    "proto": binding.protocol.to_string(),
                    "host_addr": binding.address.to_string(),
                    "host_port": binding.host + number,
                    "guest_addr": ADDRESS.to_string(),
                    "guest_port": binding.container + number,
                }});
                let mut why = String::new();
                let asked = host.act(
                    || format!("add_hostfwd {}:{}", binding.address, binding.host + number),
                    || {
                        ask(&self.by.socket, &request).map_err(|words| {
                            why = words;
                            Errno::EIO
                        })
                    },
                );
                asked.map_err(|e| e.hint(format!("slirp4netns said: {}", printable(&why))))?;
            }
        }
        Ok(())
    }
}

impl Primitive for Connection {
    fn name(&self) -> &'static str {
        "network"
    }

    fn attach(&mut self, host: &mut Host, child: &Child) -> Result<()> {
        if self.by.kind == Kind::Slirp4netns && !self.by.ports.is_empty() {
            host.undo(Undo::RemoveFile(self.by.socket.clone()))?;
        }
        self.start(host, child)?;
        self.forward(host)
    }
}

/// `[ADDRESS/]HOST-HOST:PORT-PORT`, one for each range; one without an address is for both families.
fn pasta_ports(bindings: &[Binding], protocol: Protocol) -> Vec<String> {
    let theirs = || bindings.iter().filter(|binding| binding.protocol == protocol);
    // That of IPv4 stands for both where there is one of IPv6 too.
    let is_both = |binding: &Binding| {
        let same = |other: &Binding| {
            (other.host, other.container, other.count) == (binding.host, binding.container, binding.count)
        };
        binding.address.is_unspecified()
            && theirs().any(|other| other.address.is_unspecified() && other.address != binding.address && same(other))
    };
    let spec = |binding: &Binding| {
        let Binding { host, container, count, .. } = *binding;
        let ports = format!("{host}-{}:{container}-{}", host + (count - 1), container + (count - 1));
        match binding.address {
            IpAddr::V6(_) if is_both(binding) => None,
            IpAddr::V4(_) if is_both(binding) => Some(ports),
            address => Some(format!("{address}/{ports}")),
        }
    };
    theirs().filter_map(spec).collect()
}

/// One order, and its answer.
fn ask(socket: &Path, request: &Value) -> Result<(), String> {
    let said = || -> io::Result<String> {
        let mut line = UnixStream::connect(socket)?;
        line.write_all(request.to_string().as_bytes())?;
        line.shutdown(std::net::Shutdown::Write)?;
        let mut said = String::new();
        line.take(4096).read_to_string(&mut said)?;
        Ok(said)
    };
    let said = said().map_err(|e| e.to_string())?;
    let answer: Value = serde_json::from_str(&said).map_err(|_| said.clone())?;
    match answer.get("error") {
        Some(error) => Err(error["desc"].as_str().unwrap_or(&said).to_owned()),
        None => Ok(()),
    }
}

/// What a program says, fit for a terminal and one line.
fn printable(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_pasta_reads_them() {
        let binding = |protocol, address: &str, host, container, count| {
            let address = address.parse().unwrap();
            Binding { protocol, address, host, container, count }
        };
        let all = [
            binding(Protocol::Tcp, "0.0.0.0", 8080, 80, 1),
            binding(Protocol::Tcp, "::", 8080, 80, 1),
            binding(Protocol::Tcp, "127.0.0.1", 9000, 90, 3),
            binding(Protocol::Tcp, "::1", 9000, 90, 3),
            binding(Protocol::Udp, "0.0.0.0", 53, 53, 1),
        ];
        let tcp = ["8080-8080:80-80", "127.0.0.1/9000-9002:90-92", "::1/9000-9002:90-92"];
        assert_eq!(pasta_ports(&all, Protocol::Tcp), tcp);
        assert_eq!(pasta_ports(&all, Protocol::Udp), ["0.0.0.0/53-53:53-53"]);
    }
}
