//! Containers on a bridge, in machines of the test's own.

use std::{fs, net::UdpSocket};

use bridge::{Bridge, Veth, ports, remove};
use chroot::Chroot;
use network::Network;
use nix::libc;
use process::{
    Errno, Host, Journal, Undo,
    netlink::{
        Message, Socket,
        route::{self, link_header},
    },
};
use tests::{
    container::{List, Running, image, run, script_as_nobody, sh, shell, start},
    engine::eventually,
    machine::Machine,
};

fn bridge(name: &str, gateways: &[&str]) -> Bridge {
    let gateways = gateways.iter().map(|text| text.parse().unwrap()).collect();
    Bridge { name: name.to_owned(), gateways, mtu: None }
}

fn veth(id: &str, address: &str) -> Veth {
    Veth::new(bridge("br0", &["10.1.0.1/24"]), id, vec![address.parse().unwrap()])
}

fn list(veth: Veth) -> List {
    vec![Box::new(Network), Box::new(veth)]
}

/// The same over a busybox.
fn with_image(veth: Veth, image: &std::path::Path) -> List {
    vec![Box::new(Network), Box::new(veth), Box::new(Chroot::new(image).unwrap())]
}

fn sleeping(veth: Veth) -> Running {
    let mut running = start(list(veth), shell("echo ready; exec sleep 60")).unwrap();
    running.wait_for("ready");
    running
}

#[test]
fn the_interface_has_its_name_addresses_and_route() {
    Machine::new().run(|| {
        let image = image();
        let gateways = bridge("br0", &["10.1.0.1/24", "fd01::1/64"]);
        let addresses = vec!["10.1.0.2/24".parse().unwrap(), "fd01::2/64".parse().unwrap()];
        let veth = Veth::new(Bridge { mtu: Some(1400), ..gateways }, "0123456789ab", addresses);
        let script = "ip link show eth0; ip addr show eth0; ip route; ip -6 route; cat /proc/net/if_inet6; \
                      ping -c 1 -W 5 10.1.0.1 && ping -6 -c 1 -W 5 fd01::1";
        let said = sh(with_image(veth, image.path()), script);
        for expected in [
            "mtu 1400",
            "02:42:0a:01:00:02",
            "UP,LOWER_UP",
            "inet 10.1.0.2/24 brd 10.1.0.255",
            "default via 10.1.0.1 dev eth0",
            "inet6 fd01::2/64",
            "default via fd01::1 dev eth0",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert!(!said.contains("tentative"), "{said}");
        let socket = Socket::route().unwrap();
        let link = route::link(&socket, "br0").unwrap().unwrap();
        assert!(link.up && link.mtu == 1400 && link.kind.as_deref() == Some("bridge"), "{link:?}");
        assert_eq!(fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap().matches("fd01").count(), 1);
        remove("br0").unwrap();
        remove("br0").unwrap();
        assert_eq!(route::link(&socket, "br0").unwrap(), None);
    });
}

#[test]
fn an_honest_one_is_heard_by_its_own_addresses_alone() {
    for honest in [false, true] {
        Machine::new().run(move || {
            let mut container = veth("container", "10.1.0.2/24");
            container.honest = honest;
            let running = sleeping(container);
            let inside = Machine::inside(&running);
            let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
            socket.set_read_timeout(Some(tests::patience(20))).unwrap();
            let to = socket.local_addr().unwrap();
            let own_mac = [2, 66, 10, 1, 0, 2];
            let mut heard = Vec::new();
            for (address, mac, word) in [
                ("10.1.0.2", own_mac, "own"),
                ("10.1.0.3", own_mac, "a neighbour's address"),
                ("10.1.0.2", [2, 66, 10, 1, 0, 3], "a neighbour's hardware address"),
                ("10.1.0.2", own_mac, "the last"),
            ] {
                inside.run(move || {
                    let netlink = Socket::route().unwrap();
                    let index = route::link(&netlink, "eth0").unwrap().unwrap().index;
                    let change = Message::new(libc::RTM_NEWLINK, 0, &link_header(index, true));
                    netlink.request(&[change.bytes(libc::IFLA_ADDRESS, &mac)]).unwrap();
                    let claim = route::add_address(index, format!("{address}/32").parse().unwrap());
                    let claimed = netlink.request(&[claim]).map_err(|refusal| refusal.errno);
                    assert!(matches!(claimed, Ok(()) | Err(Errno::EEXIST)), "{claimed:?}");
                    UdpSocket::bind((address, 0)).unwrap().send_to(word.as_bytes(), to).unwrap();
                });
                // Another hardware address takes along what still waits for its neighbour's.
                let is_awaited = !honest || ["own", "the last"].contains(&word);
                while is_awaited && heard.last().is_none_or(|last| last != word) {
                    let mut text = [0; 64];
                    let length = socket.recv(&mut text).unwrap();
                    heard.push(String::from_utf8_lossy(&text[..length]).into_owned());
                }
            }
            let all = ["own", "a neighbour's address", "a neighbour's hardware address", "the last"];
            assert_eq!(heard, if honest { vec![all[0], all[3]] } else { all.to_vec() });
        });
    }
}

#[test]
fn neighbours_reach_each_other_unless_isolated() {
    for isolated in [false, true] {
        Machine::new().run(move || {
            let image = image();
            let mut server = veth("server", "10.1.0.2/24");
            server.isolated = isolated;
            let mut client = veth("client", "10.1.0.3/24");
            client.isolated = isolated;
            let _server = sleeping(server);
            let wait = if isolated { 1 } else { 5 };
            let script = format!("ping -c 1 -W {wait} 10.1.0.2; ping -c 1 -W 5 10.1.0.1 >&-");
            let ran = run(with_image(client, image.path()), shell(&script));
            assert_eq!(ran.out.contains("1 packets received"), !isolated, "{ran:?}");
        });
    }
}

#[test]
fn without_the_stage_there_is_nobody_to_reach() {
    Machine::new().run(|| {
        let image = image();
        let _server = sleeping(veth("server", "10.1.0.2/24"));
        let alone: List = vec![Box::new(Network), Box::new(Chroot::new(image.path()).unwrap())];
        assert_ne!(run(alone, shell("ping -c 1 -W 1 10.1.0.2")).code, 0);
        let mut without_route = veth("inner", "10.1.0.4/24");
        without_route.default_route = false;
        let said = run(with_image(without_route, image.path()), shell("ip route; ping -c 1 -W 1 192.0.2.1")).out;
        assert!(!said.contains("default") && said.contains("unreachable"), "{said}");
    });
}

#[test]
fn without_ipv6_addresses_there_is_no_ipv6() {
    Machine::new().run(|| {
        assert_eq!(sh(list(veth("four", "10.1.0.2/24")), "grep -c eth0 /proc/self/net/if_inet6 || true"), "0\n");
        let six = Veth::new(bridge("br1", &["fd01::1/64"]), "six", vec!["fd01::2/64".parse().unwrap()]);
        let said = sh(list(six), "grep eth0 /proc/self/net/if_inet6");
        assert!(said.contains("fd010000000000000000000000000002"), "{said}");
    });
}

/// What a command of this machine says.
fn command(words: &[&str]) -> String {
    let output = std::process::Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a file of the kernel's has the name in its last column.
fn in_last_column(path: &str, name: &str) -> bool {
    fs::read_to_string(path).unwrap().lines().any(|line| line.split_whitespace().last() == Some(name))
}

#[test]
fn the_host_s_end_has_no_address_and_the_bridge_asks_for_no_groups() {
    Machine::new().run(|| {
        let six = Veth::new(bridge("br0", &["10.1.0.1/24", "fd01::1/64"]), "six", vec!["fd01::2/64".parse().unwrap()]);
        let running = sleeping(six);
        let ports = ports("br0").unwrap();
        let [port] = ports.as_slice() else { panic!("{ports:?}") };
        for path in ["/proc/thread-self/net/if_inet6", "/proc/thread-self/net/ipv6_route"] {
            assert!(in_last_column(path, "br0") && !in_last_column(path, port), "{path}");
        }
        let snooping = command(&["ip", "-d", "link", "show", "br0"]);
        assert!(snooping.contains("mcast_snooping 0"), "{snooping}");
        drop(running);
    });
}

#[test]
fn the_host_forgets_who_had_the_address_before_and_hears_of_who_has_it_now() {
    Machine::new().run(|| {
        let other = "02:00:00:00:00:01";
        let neighbour = || command(&["ip", "neigh", "show", "10.1.0.2", "dev", "br0"]);
        let remember =
            || command(&["ip", "neigh", "replace", "10.1.0.2", "lladdr", other, "dev", "br0", "nud", "stale"]);
        let first = sleeping(veth("one", "10.1.0.3/24"));
        remember();
        assert!(neighbour().contains(other));
        let running = sleeping(veth("two", "10.1.0.2/24"));
        assert!(!neighbour().contains(other), "{}", neighbour());
        let mut host = Host::new(Journal::in_memory());
        let two = veth("two", "10.1.0.2/24");
        // Nobody has asked.
        two.arrived(&mut host, &running.child).unwrap();
        assert_eq!(neighbour(), "");
        remember();
        two.arrived(&mut host, &running.child).unwrap();
        assert!(
            neighbour().contains("lladdr 02:42:0a:01:00:02") && neighbour().contains("REACHABLE"),
            "{}",
            neighbour()
        );
        drop((first, running));
    });
}

#[test]
fn what_listens_on_the_host_s_loopback_is_out_of_reach() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
    Machine::new().run(|| {
        let name = SocketAddr::from_abstract_name("stage-21-attack").unwrap();
        let _abstract = UnixListener::bind_addr(&name).unwrap();
        let this = Machine::inside_this();
        this.tell_the_source_at("127.0.0.1:7000");
        this.tell_the_source_at("0.0.0.0:7001");
        assert!(this.read_from("127.0.0.1:7000").is_ok() && UnixStream::connect_addr(&name).is_ok());
        let running = sleeping(veth("x", "10.1.0.2/24"));
        let inside = Machine::inside(&running);
        assert_eq!(inside.read_from("10.1.0.1:7001").as_deref(), Ok("10.1.0.2"), "what the bridge opens");
        for address in ["10.1.0.1:7000", "127.0.0.1:7000", "127.0.0.1:7001"] {
            assert!(inside.read_from(address).is_err(), "{address}");
        }
        assert!(inside.run(move || UnixStream::connect_addr(&name).is_err()));
    });
}

#[test]
fn many_make_the_same_bridge_at_once() {
    let machine = Machine::new();
    let namespace = machine.run(|| fs::File::open("/proc/thread-self/ns/net").unwrap());
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let namespace = namespace.try_clone().unwrap();
            std::thread::spawn(move || {
                nix::sched::setns(namespace, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                let mut host = Host::new(Journal::in_memory());
                bridge("br0", &["10.1.0.1/24", "fd01::1/64"]).ensure(&mut host, &Socket::route().unwrap()).unwrap()
            })
        })
        .collect();
    let indices: Vec<u32> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(indices.iter().all(|index| *index == indices[0]), "{indices:?}");
    machine.run(|| {
        let found = route::addresses(&Socket::route().unwrap()).unwrap();
        let texts: Vec<String> = found.iter().map(|(_, address)| address.to_string()).collect();
        for address in ["10.1.0.1/24", "fd01::1/64"] {
            assert_eq!(texts.iter().filter(|text| *text == address).count(), 1, "{texts:?}");
        }
    });
}

#[test]
fn a_link_that_is_no_bridge_is_refused() {
    let (machine, other) = (Machine::new(), Machine::new());
    machine.connect("br0", "10.9.0.1/24", &other, "10.9.0.2/24");
    machine.run(|| {
        let error = start(list(veth("x", "10.1.0.2/24")), shell("true")).err().unwrap();
        assert_eq!(error.errno, Errno::EEXIST);
        assert!(error.to_string().contains("a link of that name is there, a veth"), "{error}");
        assert_eq!(remove("br0").unwrap_err().errno, Errno::EINVAL);
        for name in ["", "sixteen-letters-"] {
            let mut wrong = veth("x", "10.1.0.2/24");
            wrong.bridge.name = name.to_owned();
            let error = start(list(wrong), shell("true")).err().unwrap();
            assert!(error.to_string().contains("1 to 15 bytes"), "{error}");
        }
    });
}

#[test]
fn a_host_does_not_take_a_container_for_its_router() {
    Machine::new().run(|| {
        let _running = sleeping(veth("x", "10.1.0.2/24"));
        assert_eq!(fs::read_to_string("/proc/sys/net/ipv6/conf/br0/accept_ra").unwrap(), "0\n");
    });
}

#[test]
fn the_cable_goes_with_the_container_or_is_undone() {
    Machine::new().run(|| {
        let running = sleeping(veth("0123456789ab", "10.1.0.2/24"));
        let plugged = ports("br0").unwrap();
        assert!(plugged.len() == 1 && plugged[0].starts_with("ve012345"), "{plugged:?}");
        let undo: Vec<Undo> = running.host.journal.entries().to_vec();
        // The namespace lives: the undo takes the cable out of it, and is content the second time.
        let veth = undo.iter().find(|undo| matches!(undo, Undo::RemoveVeth { .. })).unwrap();
        veth.perform().unwrap();
        assert_eq!(ports("br0").unwrap(), Vec::<String>::new());
        veth.perform().unwrap();
        drop(running);
        drop(sleeping(self::veth("other", "10.1.0.3/24")));
        eventually("the kernel takes the cable", || ports("br0").unwrap().is_empty());
    });
}

#[test]
fn a_container_that_does_not_start_leaves_no_cable() {
    Machine::new().run(|| {
        let wrong: List =
            vec![Box::new(Network), Box::new(veth("x", "10.1.0.2/24")), Box::new(veth("x", "10.1.0.2/24"))];
        let error = start(wrong, shell("true")).err().unwrap();
        assert_eq!((error.primitive, error.errno), ("bridge", Errno::EEXIST), "{error}");
        eventually("no cable is left", || ports("br0").unwrap().is_empty());
    });
}

#[test]
fn the_binary_gives_each_an_address_and_the_last_removes_the_bridge() {
    let image = image();
    let path = image.path().to_owned();
    Machine::new().run(move || {
        let stage = env!("CARGO_BIN_EXE_stage-21-bridge");
        let ran = tests::container::script_as_root(stage, &path, "ip -4 -o addr show eth0; ping -c 1 -W 5 10.88.0.1");
        assert!(ran.out.contains("10.88.0.2/24") && ran.code == 0, "{ran:?}");
        assert_eq!(route::link(&Socket::route().unwrap(), "stage-21-bridge").unwrap(), None);
        // The first network is taken: another one is found.
        let taken = bridge("other", &["10.88.0.200/25"]);
        taken.ensure(&mut Host::new(Journal::in_memory()), &Socket::route().unwrap()).unwrap();
        let ran = tests::container::script_as_root(stage, &path, "ip -4 -o addr show eth0");
        assert!(ran.out.contains("10.88.1.2/24"), "{ran:?}");
    });
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(env!("CARGO_BIN_EXE_stage-21-bridge"), std::path::Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
