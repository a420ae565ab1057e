//! Published ports, from every side, between machines of the test's own.

use std::{
    io::ErrorKind,
    net::{IpAddr, TcpListener, UdpSocket},
};

use bridge::{Bridge, Veth};
use chroot::Chroot;
use nat::Nat;
use network::Network;
use nix::libc;
use ports::{Binding, MAPS, Ports, Protocol, repair};
use process::{
    Errno, Primitive, Undo,
    netlink::{
        Message, Prefix, Socket,
        nftables::{Transaction, elements, generation},
    },
};
use tests::{
    container::{List, Running, image, script_as_nobody, shell, start},
    engine::eventually,
    machine::{Machine, read_from},
};

const TABLE: &str = "ports-test";

fn addresses(number: u8, host: u8) -> Vec<Prefix> {
    [format!("10.1.{number}.{host}/24"), format!("fd01:{number}::{host}/64")].map(|text| text.parse().unwrap()).to_vec()
}

/// A container on the network 10.1.`number`.0/24 and fd01:`number`::/64.
fn list(number: u8, host: u8, publish: &[&str], image: &std::path::Path) -> List {
    let name = format!("br{number}");
    let bridge = Bridge { name: name.clone(), gateways: addresses(number, 1), mtu: None };
    let owner = format!("c{number}-{host}");
    let to: Vec<IpAddr> = addresses(number, host).iter().map(|a| a.address).collect();
    let publish = publish.iter().map(|text| text.parse().unwrap()).collect();
    let nat: Box<dyn Primitive> = Box::new(Nat { ipv6: true, ..Nat::new(TABLE, name.clone()) });
    let ports: Box<dyn Primitive> = Box::new(Ports::new(TABLE, &name, &owner, publish, to));
    let mut veth = Veth::new(bridge, owner, addresses(number, host));
    veth.hairpin = true;
    vec![Box::new(Network), Box::new(veth), nat, ports, Box::new(Chroot::new(image).unwrap())]
}

/// A container that tells whoever comes to `port` where he comes from.
struct Served {
    running: Running,
    inside: Machine,
}

fn serve(list: List) -> Served {
    serve_at(list, 80)
}

fn serve_at(list: List, port: u16) -> Served {
    let running = start(list, shell("echo ready; exec sleep 60")).unwrap();
    let inside = Machine::inside(&running);
    inside.tell_the_source_at(&format!("[::]:{port}"));
    Served { running, inside }
}

/// The host and a machine outside.
fn two() -> (Machine, Machine) {
    let (host, outside) = (Machine::new(), Machine::new());
    host.connect("up0", "192.0.2.1/24", &outside, "192.0.2.2/24");
    (host, outside)
}

#[test]
fn a_port_is_reached_from_outside_from_the_host_and_through_loopback() {
    let (host, outside) = two();
    host.run(move || {
        let image = image();
        assert!(outside.read_from("192.0.2.1:8080").is_err(), "nobody is there yet");
        let _served = serve(list(1, 2, &["8080:80"], image.path()));
        assert_eq!(outside.read_from("192.0.2.1:8080").as_deref(), Ok("192.0.2.2"), "from outside, by his address");
        assert_eq!(read_from("192.0.2.1:8080").as_deref(), Ok("10.1.1.1"), "the host's own address");
        assert_eq!(read_from("127.0.0.1:8080").as_deref(), Ok("10.1.1.1"), "loopback");
        assert_eq!(read_from("127.8.9.1:8080").as_deref(), Ok("10.1.1.1"), "all of loopback");
        assert_eq!(read_from("[fd01:1::1]:8080").as_deref(), Ok("fd01:1::1"), "IPv6");
        assert_eq!(read_from("[::1]:8080"), Err(ErrorKind::ConnectionRefused), "::1 says so at once");
        assert!(outside.read_from("192.0.2.1:80").is_err(), "only what was published");
    });
}

#[test]
fn a_port_of_loopback_is_not_reached_from_outside() {
    let (host, outside) = two();
    host.run(move || {
        let image = image();
        {
            let _open = serve(list(1, 2, &["8080:80"], image.path()));
            assert!(outside.read_from("192.0.2.1:8080").is_ok(), "published to all, it is");
        }
        let _served = serve(list(1, 3, &["127.0.0.1:8081:80", "127.9.0.1:8082:80"], image.path()));
        assert_eq!(read_from("127.0.0.1:8081").as_deref(), Ok("10.1.1.1"));
        assert_eq!(read_from("127.9.0.1:8082").as_deref(), Ok("10.1.1.1"));
        assert!(outside.read_from("192.0.2.1:8081").is_err());
    });
}

#[test]
fn packets_to_loopback_from_elsewhere_are_dropped() {
    let (host, outside) = two();
    host.run(move || {
        let image = image();
        // The worst case: the host takes such packets, and somebody outside sends them.
        std::fs::write("/proc/sys/net/ipv4/conf/up0/route_localnet", "1").unwrap();
        outside.run(|| {
            std::fs::write("/proc/sys/net/ipv4/conf/up0/route_localnet", "1").unwrap();
            let socket = Socket::route().unwrap();
            // What loopback's own table says of 127.0.0.0/8 comes first: its address must go.
            let mut header = [2, 8, 0, 0, 1, 0, 0, 0];
            header[4..8].copy_from_slice(&1_u32.to_ne_bytes());
            let gone = Message::new(libc::RTM_DELADDR, 0, &header).bytes(libc::IFA_LOCAL, &[127, 0, 0, 1]);
            socket.request(&[gone]).unwrap();
        });
        outside.route("127.0.0.0/8", "192.0.2.1");
        let naive = Machine::inside_this();
        naive.tell_the_source_at("127.0.0.1:7");
        assert_eq!(outside.read_from("127.0.0.1:7").as_deref(), Ok("192.0.2.2"), "a way in");
        let _served = serve(list(1, 3, &["127.0.0.1:8081:80"], image.path()));
        assert_eq!(read_from("127.0.0.1:8081").as_deref(), Ok("10.1.1.1"));
        assert_eq!(outside.read_from("127.0.0.1:8081"), Err(ErrorKind::TimedOut));
        assert_eq!(outside.read_from("127.0.0.1:7"), Err(ErrorKind::TimedOut));
    });
}

#[test]
fn containers_reach_published_ports_and_nothing_else_of_other_networks() {
    // Where br_netfilter is loaded, frames within a bridge may be filtered like packets, or not.
    for filtered in ["1", "0"] {
        let (host, _outside) = two();
        host.run(move || {
            for family in ["ip", "ip6"] {
                let _ = std::fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{family}tables"), filtered);
            }
            published_and_past_it();
        });
    }
}

fn published_and_past_it() {
    let image = image();
    let served = serve(list(1, 2, &["8080:80"], image.path()));
    let neighbour = serve(list(1, 3, &[], image.path()));
    let stranger = serve(list(2, 2, &[], image.path()));
    assert_eq!(neighbour.inside.read_from("10.1.1.2:80").as_deref(), Ok("10.1.1.3"), "a neighbour");
    assert_eq!(neighbour.inside.read_from("192.0.2.1:8080").as_deref(), Ok("10.1.1.1"), "by the host's address");
    assert_eq!(neighbour.inside.read_from("10.1.1.1:8080").as_deref(), Ok("10.1.1.1"), "by the gateway's");
    assert_eq!(neighbour.inside.read_from("[fd01:1::1]:8080").as_deref(), Ok("fd01:1::1"), "in IPv6");
    assert_eq!(served.inside.read_from("192.0.2.1:8080").as_deref(), Ok("10.1.1.1"), "itself");
    assert!(stranger.inside.read_from("192.0.2.1:8080").is_ok(), "another network, by what is published");
    for past in ["10.1.1.2:80", "10.1.1.3:80", "[fd01:1::2]:80"] {
        assert_eq!(stranger.inside.read_from(past), Err(ErrorKind::TimedOut), "another network, past it: {past}");
    }
    drop(served.running);
}

#[test]
fn udp_is_published_too() {
    let (host, outside) = two();
    host.run(move || {
        let image = image();
        let served = serve(list(1, 2, &["5353:53/udp"], image.path()));
        let socket = served.inside.run(|| UdpSocket::bind("0.0.0.0:53").unwrap());
        let client = outside.run(|| UdpSocket::bind("192.0.2.2:0").unwrap());
        for socket in [&socket, &client] {
            socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
        }
        client.send_to(b"hello", "192.0.2.1:5353").unwrap();
        let mut buffer = [0; 64];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (&b"hello"[..], client.local_addr().unwrap()));
        socket.send_to(b"you too", from).unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from.to_string().as_str()), (&b"you too"[..], "192.0.2.1:5353"));
    });
}

#[test]
fn a_range_that_keeps_its_ports_is_one_element() {
    let (host, outside) = two();
    host.run(move || {
        let image = image();
        let _served = serve_at(list(1, 2, &["8000-8999:8000-8999", "7000-7009:9000-9009"], image.path()), 8765);
        let socket = Socket::netfilter().unwrap();
        assert_eq!(elements(&socket, TABLE, "ranges4").unwrap().len(), 1);
        assert_eq!(elements(&socket, TABLE, "ports4").unwrap().len(), 10);
        assert!(outside.read_from("192.0.2.1:8765").is_ok());
        assert!(read_from("127.0.0.1:8765").is_ok());
        assert!(outside.read_from("192.0.2.1:8764").is_err());
    });
}

#[test]
fn somebody_s_port_is_refused() {
    Machine::new().run(|| {
        let image = image();
        let listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let error = start(list(1, 2, &["8080:80"], image.path()), shell("true")).err().unwrap();
        assert_eq!(error.errno, Errno::EADDRINUSE);
        assert!(error.to_string().contains("port 8080 is already allocated"), "{error}");
        let error = start(list(1, 2, &["192.0.2.77:80:80"], image.path()), shell("true")).err().unwrap();
        assert!(error.to_string().contains("the host has no such address"), "{error}");
        let error = start(list(1, 2, &["[::1]:80:80"], image.path()), shell("true")).err().unwrap();
        assert!(error.to_string().contains("publish to 127.0.0.1"), "{error}");
        // One of several, and any.
        let mut ports = Ports::new(TABLE, "br1", "x", vec![], vec!["10.1.1.2".parse().unwrap()]);
        ports.publish = ["8080-8082:80", "80", "8090-8091:90-91"].map(|text| text.parse().unwrap()).to_vec();
        let mut host = process::Host::new(process::Journal::in_memory());
        ports.prepare(&mut host).unwrap();
        let found: Vec<(u16, u16, u16)> = ports.bindings().iter().map(|b| (b.host, b.container, b.count)).collect();
        assert_eq!((found[0], found[2]), ((8081, 80, 1), (8090, 90, 2)));
        assert!(found[1].0 >= 1024, "{found:?}");
        assert!(TcpListener::bind(("0.0.0.0", found[1].0)).is_err(), "the kernel's choice is held");
        assert!(UdpSocket::bind("0.0.0.0:8081").is_ok());
        drop((ports, listener));
        // A child of another test may have a copy for as long as it takes to execute its program.
        eventually("the port is free again", || TcpListener::bind("127.0.0.1:8080").is_ok());
    });
}

#[test]
fn elements_go_with_their_owner_and_no_other_s() {
    Machine::new().run(|| {
        let image = image();
        let socket = Socket::netfilter().unwrap();
        let owners = || -> Vec<String> {
            let mut all: Vec<_> = elements(&socket, TABLE, "ports4").unwrap().into_iter().map(|e| e.owner).collect();
            all.sort();
            all
        };
        let one = serve(list(1, 2, &["8080:80", "8081:80"], image.path()));
        let _two = serve(list(1, 3, &["8082:80"], image.path()));
        assert_eq!(owners(), ["c1-2", "c1-2", "c1-3"]);
        let undo = one.running.host.journal.entries().to_vec();
        drop(one);
        assert_eq!(owners(), ["c1-3"]);
        undo.iter().filter(|undo| matches!(undo, Undo::RemoveElements { .. })).for_each(|undo| undo.perform().unwrap());
        assert_eq!(owners(), ["c1-3"], "undone twice");
        assert_eq!(repair(TABLE, |owner| owner == "c1-3").unwrap(), 0);
        // Both maps of IPv4 and IPv6.
        assert_eq!(repair(TABLE, |_| false).unwrap(), 2);
        assert_eq!(owners(), Vec::<String>::new());
    });
}

/// Whatever the dead have published, and however: the living are found, whatever they publish and however.
#[test]
fn what_the_dead_have_left_leads_nobody_astray() {
    let (host, _outside) = two();
    host.run(|| {
        let image = image();
        let published = [
            ("8080:80", "0.0.0.0", (8080, 80, 1)),
            ("127.0.0.1:8080:80", "127.0.0.1", (8080, 80, 1)),
            ("8080-8081:80-81", "0.0.0.0", (8080, 80, 2)),
            ("8078-8080:8078-8080", "0.0.0.0", (8078, 8078, 3)),
            ("127.0.0.1:8078-8080:8078-8080", "127.0.0.1", (8078, 8078, 3)),
        ];
        for (dead, address, (host, container, count)) in published {
            let address = address.parse().unwrap();
            let left = Binding { protocol: Protocol::Tcp, address, host, container, count };
            for (living, _, (_, container, count)) in published {
                ports::restore(TABLE, "br1", "dead", std::slice::from_ref(&left), &["10.1.1.9".parse().unwrap()])
                    .unwrap();
                let _served = serve_at(list(1, 3, &[living], image.path()), container + (count / 3 * 2));
                assert!(read_from("127.0.0.1:8080").is_ok(), "{dead} of the dead, {living} of the living");
                repair(TABLE, |_| false).unwrap();
            }
        }
    });
}

#[test]
fn a_port_that_somebody_else_has_by_now_is_left_to_him() {
    Machine::new().run(|| {
        let image = image();
        let socket = Socket::netfilter().unwrap();
        let owners = || -> Vec<String> {
            MAPS.iter().flat_map(|map| elements(&socket, TABLE, map).unwrap()).map(|e| e.owner).collect()
        };
        let all = ["8080:80", "8090-8099:8090-8099", "8100-8101:80-81/udp", "127.0.0.1:8103:80"];
        let _one = serve(list(1, 2, &all, image.path()));
        let binding = |protocol, host, container, count| {
            ["0.0.0.0", "::"].map(|a| Binding { protocol, address: a.parse().unwrap(), host, container, count })
        };
        let bindings = [
            binding(Protocol::Tcp, 8080, 80, 1),
            binding(Protocol::Tcp, 8090, 8090, 10),
            binding(Protocol::Udp, 8100, 80, 2),
        ];
        let mut bindings = bindings.concat();
        let (protocol, address) = (Protocol::Tcp, "127.0.0.1".parse().unwrap());
        bindings.push(Binding { protocol, address, host: 8103, container: 80, count: 1 });
        assert_eq!(owners(), vec!["c1-2"; 9]);
        assert_eq!(ports::remove(TABLE, &[("c1-3".to_owned(), bindings.clone())]), Ok(0));
        assert_eq!(ports::remove(TABLE, &[]), Ok(0));
        assert_eq!(owners().len(), 9);
        assert_eq!(ports::remove(TABLE, &[("c1-2".to_owned(), bindings.clone())]), Ok(9));
        assert_eq!(ports::remove(TABLE, &[("c1-2".to_owned(), bindings)]), Ok(0));
        assert_eq!(owners(), Vec::<String>::new());
        // What was looked at is removed only if it is so still.
        let before = generation(&socket).unwrap();
        let empty = Transaction::new(TABLE);
        assert_eq!(empty.clone().commit_at(&socket, Some(before)), Ok(()));
        let mut change = Transaction::new("other");
        change.table();
        change.commit(&socket).unwrap();
        assert_eq!(empty.commit_at(&socket, Some(before)).unwrap_err().errno, Errno::ERESTART);
    });
}

#[test]
fn the_binary_publishes_what_it_is_told() {
    let (host, outside) = two();
    let image = image();
    let path = image.path().to_owned();
    host.run(move || {
        let stage = env!("CARGO_BIN_EXE_stage-23-ports");
        let mut child = std::process::Command::new(stage)
            .env("PUBLISH", "127.0.0.1:8081:80 8080:80")
            .arg(&path)
            .args(["sh", "-c", "echo hello | nc -l -p 80"])
            .spawn()
            .unwrap();
        eventually("it says hello", || outside.read_from("192.0.2.1:8080").is_ok_and(|s| s == "hello\n"));
        assert!(child.wait().unwrap().success());
        assert!(elements(&Socket::netfilter().unwrap(), "stage-23-ports", "ports4").unwrap().is_empty());
        let wrong = std::process::Command::new(stage).env("PUBLISH", "x:80").arg(&path).arg("true").output().unwrap();
        let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
        assert!(wrong.status.code() == Some(125) && said.contains("invalid hostPort: x"), "{said}");
    });
}

#[test]
fn what_a_killed_binary_leaves_goes_with_the_next() {
    let image = image();
    let path = image.path().to_owned();
    Machine::new().run(move || {
        let stage = env!("CARGO_BIN_EXE_stage-23-ports");
        let mut killed = std::process::Command::new(stage);
        let mut killed = killed.env("PUBLISH", "8080:80").arg(&path).args(["sleep", "60"]).spawn().unwrap();
        let socket = Socket::netfilter().unwrap();
        let left = || elements(&socket, "stage-23-ports", "ports4").unwrap().len();
        eventually("its port is published", || left() == 1);
        killed.kill().unwrap();
        killed.wait().unwrap();
        assert_eq!(left(), 1);
        eventually("another one gets the port", || {
            let mut next = std::process::Command::new(stage);
            next.env("PUBLISH", "8080:80").arg(&path).arg("true").status().unwrap().success()
        });
        assert_eq!(left(), 0);
        let bridge = process::netlink::route::link(&Socket::route().unwrap(), "stage-23-ports").unwrap();
        assert_eq!(bridge, None);
        let left: Vec<_> = std::fs::read_dir(std::env::temp_dir())
            .unwrap()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.ends_with(format!("stage-23-ports-{}", killed.id())))
            .collect();
        // The writable layer of who was killed is his journal's, which he had in memory.
        for path in left {
            std::fs::remove_dir_all(path).unwrap();
        }
    });
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(env!("CARGO_BIN_EXE_stage-23-ports"), std::path::Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
