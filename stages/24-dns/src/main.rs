//! A program that finds others by name.
#![forbid(unsafe_code)]

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Arg, ArgAction, ArgMatches, builder::ValueParser, value_parser};
use dns::{Listeners, Name, Names, Networks, ResolvConf, Resolver, Server, Zone, time_left};
use ipc::Ipc;
use mount::{Mount, Mounts, Source, Target, default_table};
use network::Network;
use nix::poll::{PollFd, PollFlags, poll};
use overlay::Overlay;
use pid::PidNamespace;
use process::{
    Child, Container, Errno, Host, Primitive, Process,
    foreground::{self, Signals},
    stage::{self, Invocation},
    sys::{self, MountAttr},
};
use tty::Session;
use user::User;
use uts::Uts;

fn options() -> Vec<Arg> {
    let name = Arg::new("name").long("name").value_name("NAME=ADDRESS").action(ArgAction::Append);
    let state = Arg::new("network").long("network").value_name("DIRECTORY").action(ArgAction::Append);
    let upstream = Arg::new("upstream").long("upstream").value_name("ADDRESS[:PORT]").action(ArgAction::Append);
    let internal = Arg::new("internal").long("internal").action(ArgAction::SetTrue);
    vec![
        name.value_parser(ValueParser::new(parse_name))
            .help("A name that is known here; several make several addresses"),
        state
            .value_parser(value_parser!(PathBuf))
            .conflicts_with("name")
            .help("A network's directory, with a file for each that is on it, in the place of --name"),
        upstream
            .value_parser(ValueParser::new(parse_upstream))
            .help("A server to ask about other names; the host's own unless given"),
        internal.conflicts_with("network").help("Ask nobody about other names"),
    ]
}

fn parse_name(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("it is no NAME=ADDRESS")?;
    Name::from_text(name).filter(|parsed| *parsed != Name::root()).ok_or("it begins with no domain name")?;
    Ok((name.to_owned(), address.parse().map_err(|e| format!("{e}"))?))
}

fn parse_upstream(text: &str) -> Result<SocketAddr, String> {
    text.parse().ok().or_else(|| dns::server(text)).ok_or_else(|| "it is no address".to_owned())
}

fn zone(options: &ArgMatches) -> Box<dyn Zone> {
    if let Some(directories) = options.get_many::<PathBuf>("network") {
        return Box::new(Networks::new(directories.cloned()));
    }
    let mut names = Names::default();
    names.internal = options.get_flag("internal");
    for (name, address) in options.get_many::<(String, IpAddr)>("name").unwrap_or_default() {
        names.add(name, *address);
    }
    Box::new(names)
}

/// As [`foreground::run`], and answers questions meanwhile.
fn look_after(
    child: &mut Child,
    signals: &Signals,
    zone: Box<dyn Zone>,
    upstreams: Vec<SocketAddr>,
) -> Result<i32, Errno> {
    let listeners = Listeners::take(child).ok_or(Errno::EBADF)?;
    let mut server = Server::new(listeners, zone, upstreams)?;
    loop {
        let mut ready =
            [child.pidfd.as_fd(), signals.as_fd(), server.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut ready, time_left(server.deadline())) {
            Err(Errno::EINTR) => continue,
            polled => polled?,
        };
        let [ended, signalled, _] = ready.map(|fd| fd.any().unwrap_or(false));
        if ended {
            return sys::wait_exit(child.pidfd.as_fd());
        }
        if signalled {
            signals.forward(child)?;
        }
        server.handle()?;
    }
}

fn lists(invocation: &Invocation, conf: &ResolvConf) -> Result<(Container, Process), String> {
    // Both gone when the container ends: each primitive makes its own, and its undo removes it.
    let base = std::env::temp_dir().join(format!("stage-24-dns-{}", std::process::id()));
    let file = base.with_extension("resolv.conf");
    let null_byte = |e| format!("TMPDIR: {e}");
    let mut table = default_table(64 << 20);
    let source = std::ffi::CString::new(file.as_os_str().as_encoded_bytes()).map_err(null_byte)?;
    let path = Path::new("/etc/resolv.conf");
    table.push(Mount::new(path, Target::File, Source::Bind(source), MountAttr::default()).map_err(null_byte)?);
    let container: Vec<Box<dyn Primitive>> = vec![
        Box::new(User::single()),
        Box::new(Uts::new("container")),
        Box::new(PidNamespace),
        Box::new(Ipc),
        Box::new(Network),
        // Its address is one of loopback, which the network has just set up.
        Box::new(Resolver::new(&file, conf)),
        Box::new(Overlay::new(vec![invocation.rootfs.clone()], base.clone())),
        Box::new(Mounts::new(&base, table).map_err(null_byte)?),
    ];
    let mut process = invocation.process()?;
    process.init = true;
    process.primitives.push(Box::new(Session));
    Ok((Container(container), process))
}

fn main() -> ExitCode {
    stage::main_with_options(
        "stage-24-dns",
        "Runs COMMAND in ROOTFS with a resolver at 127.0.0.11. Works without root",
        options(),
        |invocation, options| {
            let conf = ResolvConf::read(Path::new("/etc/resolv.conf")).map_err(|e| format!("/etc/resolv.conf: {e}"))?;
            let (container, process) = lists(invocation, &conf)?;
            let zone = zone(options);
            let given: Vec<SocketAddr> = options.get_many("upstream").unwrap_or_default().copied().collect();
            let upstreams = if given.is_empty() { conf.servers } else { given };
            let runner = |container: &mut Container, process: &mut Process, host: &mut Host| {
                foreground::run_with(container, process, host, |child, signals| {
                    look_after(child, signals, zone, upstreams)
                })
            };
            Ok((container, process, runner))
        },
    )
}
