//! The way out and the walls, between machines of the test's own.

use std::{io::ErrorKind, net::UdpSocket, time::Duration};

use bridge::{Bridge, Veth};
use chroot::Chroot;
use nat::{Nat, obstacles, remove_network};
use network::Network;
use process::netlink::{
    Prefix, Socket,
    expression::DROP,
    nftables::{Hook, Transaction, elements, has_table},
    route,
};
use tests::{
    container::{List, Running, image, run, script_as_nobody, shell, start},
    machine::{Machine, read_from},
};

const TABLE: &str = "nat-test";

/// A container on the networks 10.1.`number`.0/24 and fd00:`number`::/64, with the stage or without it.
fn list(number: u8, host: u8, nat: Option<Nat>, image: &std::path::Path) -> List {
    let addresses = |host| -> Vec<Prefix> {
        [format!("10.1.{number}.{host}/24"), format!("fd00:{number}::{host}/64")].map(|a| a.parse().unwrap()).to_vec()
    };
    let bridge = Bridge { name: format!("br{number}"), gateways: addresses(1), mtu: None };
    let nat = nat.map(|nat| -> Box<dyn process::Primitive> { Box::new(nat) });
    let mut list: List =
        vec![Box::new(Network), Box::new(Veth::new(bridge, format!("c{number}{host}"), addresses(host)))];
    list.extend(nat);
    list.push(Box::new(Chroot::new(image).unwrap()));
    list
}

fn nat(number: u8) -> Nat {
    Nat::new(TABLE, format!("br{number}"))
}

fn internal(number: u8) -> Nat {
    Nat { internal: true, ..nat(number) }
}

/// A container whose port 80 tells whoever comes where he comes from.
fn server(list: List) -> (Running, Machine) {
    let running = start(list, shell("echo ready; exec sleep 60")).unwrap();
    let inside = Machine::inside(&running);
    inside.tell_the_source_at("[::]:80");
    (running, inside)
}

/// The host, and a machine outside that says who it sees.
fn two() -> (Machine, Machine) {
    let (host, outside) = (Machine::new(), Machine::new());
    host.connect("up0", "192.0.2.1/24", &outside, "192.0.2.2/24");
    outside.tell_the_source_at("192.0.2.2:7");
    (host, outside)
}

#[test]
fn a_container_reaches_the_world_with_the_host_s_address() {
    let (host, _outside) = two();
    host.run(|| {
        let image = image();
        let script = || shell("nc -w 2 192.0.2.2 7");
        let without = run(list(1, 2, None, image.path()), script());
        assert!(without.code != 0 && without.out != "192.0.2.1", "{without:?}");
        let with = run(list(1, 2, Some(nat(1)), image.path()), script());
        assert_eq!((with.code, with.out.as_str()), (0, "192.0.2.1"));
        let inside = run(list(2, 2, Some(internal(2)), image.path()), script());
        assert!(inside.code != 0 && inside.out != "192.0.2.1", "{inside:?}");
    });
}

#[test]
fn networks_do_not_reach_each_other_but_neighbours_do() {
    let (host, _outside) = two();
    host.run(|| {
        let image = image();
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let attack = |list| server(list).1.read_from("10.1.1.2:80");
        {
            let _server = server(list(1, 2, None, image.path()));
            assert_eq!(attack(list(2, 2, None, image.path())).as_deref(), Ok("10.1.2.2"), "without the stage");
        }
        let _server = server(list(1, 2, Some(nat(1)), image.path()));
        assert_eq!(attack(list(2, 3, Some(nat(2)), image.path())), Err(ErrorKind::TimedOut), "another network");
        assert_eq!(attack(list(3, 2, Some(internal(3)), image.path())), Err(ErrorKind::TimedOut), "an internal one");
        assert_eq!(attack(list(1, 3, Some(nat(1)), image.path())).as_deref(), Ok("10.1.1.3"), "a neighbour");
    });
}

#[test]
fn nobody_outside_gets_in_by_a_route() {
    let (host, outside) = two();
    outside.route("10.1.1.0/24", "192.0.2.1");
    host.run(move || {
        let image = image();
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let running = server(list(1, 2, None, image.path()));
        assert_eq!(outside.read_from("10.1.1.2:80").as_deref(), Ok("192.0.2.2"), "without the stage");
        drop(running);
        let _running = server(list(1, 2, Some(nat(1)), image.path()));
        assert_eq!(outside.read_from("10.1.1.2:80"), Err(ErrorKind::TimedOut));
    });
}

/// What comes to the host of two datagrams: one from an address that is not the sender's, and one from its own.
fn heard_by_the_host(from: &Machine, claimed: &'static str, own: &'static str, gateway: &str) -> Vec<&'static str> {
    let socket = UdpSocket::bind((gateway, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let to = socket.local_addr().unwrap();
    from.run(move || {
        let netlink = Socket::route().unwrap();
        let index = route::link(&netlink, "eth0").unwrap().unwrap().index;
        let length = if claimed.contains(':') { 128 } else { 32 };
        let address = Prefix { address: claimed.parse().unwrap(), length };
        netlink.request(&[route::add_address(index, address)]).unwrap();
        for address in [claimed, own] {
            // An address of IPv6 is to be had only when nobody else was found to have it.
            tests::engine::eventually("it may be used", || {
                UdpSocket::bind((address, 0)).is_ok_and(|socket| socket.send_to(b"here", to).is_ok())
            });
        }
    });
    let mut heard = Vec::new();
    while !heard.contains(&own) {
        let from = socket.recv_from(&mut [0; 8]).unwrap().1.ip().to_string();
        heard.push(if from == own { own } else { claimed });
    }
    heard
}

#[test]
fn nobody_says_that_he_is_somebody_whom_his_bridge_does_not_lead_to() {
    Machine::new().run(|| {
        let image = image();
        // What a distribution may set, and does not have to.
        std::fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
        std::fs::write("/proc/sys/net/ipv4/conf/default/rp_filter", "0").unwrap();
        let _other = server(list(2, 2, Some(nat(2)), image.path()));
        for (stage, heard) in [(None, true), (Some(nat(1)), false)] {
            for (claimed, own, gateway) in [
                // Somebody outside, and somebody of another network.
                ("198.51.100.7", "10.1.1.2", "10.1.1.1"),
                ("10.1.2.9", "10.1.1.2", "10.1.1.1"),
                ("fd51::7", "fd00:1::2", "fd00:1::1"),
                ("fd00:2::9", "fd00:1::2", "fd00:1::1"),
            ] {
                let (_running, inside) = server(list(1, 2, stage.clone(), image.path()));
                let expected = if heard { vec![claimed, own] } else { vec![own] };
                assert_eq!(heard_by_the_host(&inside, claimed, own, gateway), expected, "{stage:?}");
            }
        }
    });
}

#[test]
fn an_internal_network_does_not_reach_the_host_but_the_host_reaches_it() {
    let host = Machine::new();
    host.tell_the_source_at("[::]:99");
    host.run(|| {
        let image = image();
        let (_running, inside) = server(list(1, 2, Some(nat(1)), image.path()));
        assert_eq!(inside.read_from("10.1.1.1:99").as_deref(), Ok("10.1.1.2"));
        assert_eq!(inside.read_from("[fd00:1::1]:99").as_deref(), Ok("fd00:1::2"));
        let (_running, inside) = server(list(2, 2, Some(internal(2)), image.path()));
        assert_eq!(inside.read_from("10.1.2.1:99"), Err(ErrorKind::TimedOut));
        assert_eq!(inside.read_from("[fd00:2::1]:99"), Err(ErrorKind::TimedOut));
        assert_eq!(read_from("10.1.2.2:80").as_deref(), Ok("10.1.2.1"));
        assert_eq!(read_from("[fd00:2::2]:80").as_deref(), Ok("fd00:2::1"));
    });
}

#[test]
fn a_network_is_elements_and_the_last_takes_the_table() {
    Machine::new().run(|| {
        let image = image();
        let socket = Socket::netfilter().unwrap();
        let count = |set| elements(&socket, TABLE, set).unwrap().len();
        for _ in 0..2 {
            for number in 1..=3 {
                run(list(number, 2, Some(nat(number)), image.path()), shell("true"));
            }
        }
        assert_eq!(["bridges", "same", "internal", "masquerade4"].map(count), [3, 3, 0, 3]);
        // The same network, changed.
        run(list(1, 2, Some(internal(1)), image.path()), shell("true"));
        assert_eq!(["bridges", "same", "internal", "masquerade4"].map(count), [3, 3, 1, 2]);
        for number in 1..=3 {
            assert!(has_table(&socket, TABLE).unwrap());
            remove_network(&socket, TABLE, &format!("br{number}")).unwrap();
        }
        assert!(!has_table(&socket, TABLE).unwrap());
        remove_network(&socket, TABLE, "br1").unwrap();
    });
}

#[test]
fn somebody_who_drops_is_named() {
    Machine::new().run(|| {
        let socket = Socket::netfilter().unwrap();
        let mut theirs = Transaction::new("theirs");
        theirs.table();
        theirs.base_chain("open", "filter", Hook::Forward, 0);
        theirs.commit(&socket).unwrap();
        assert_eq!(obstacles(TABLE).unwrap(), Vec::<String>::new());
        let mut closed = Transaction::new("theirs");
        closed.base_chain("closed", "filter", Hook::Forward, 5);
        closed.policy("closed", DROP);
        // Closed to what is for the host, which is nothing to us.
        closed.base_chain("early", "filter", Hook::Prerouting, 5);
        closed.policy("early", DROP);
        closed.commit(&socket).unwrap();
        assert_eq!(obstacles(TABLE).unwrap(), ["theirs closed"]);
    });
}

#[test]
fn the_binary_reaches_the_world_and_leaves_nothing() {
    let (host, _outside) = two();
    let image = image();
    let path = image.path().to_owned();
    host.run(move || {
        let ran = tests::container::script_as_root(env!("CARGO_BIN_EXE_stage-22-nat"), &path, "nc -w 5 192.0.2.2 7");
        assert_eq!((ran.code, ran.out.as_str()), (0, "192.0.2.1"), "{ran:?}");
        assert!(!has_table(&Socket::netfilter().unwrap(), "stage-22-nat").unwrap());
    });
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(env!("CARGO_BIN_EXE_stage-22-nat"), std::path::Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
