//! Containers on the wires of machines of the test's own.

use std::path::Path;

use bridge::DefaultRoute;
use chroot::Chroot;
use macvlan::{Beside, Kind, make_parent, make_vlan, remove_parent};
use network::Network;
use process::{
    Errno,
    netlink::{Socket, route},
};
use tests::{
    container::{List, Running, image, run, script_as_nobody, script_as_root, shell, start},
    machine::Machine,
};

const BRIDGE_MODE: Kind = Kind::Macvlan(4);
const PRIVATE_MODE: Kind = Kind::Macvlan(1);

fn beside(kind: Kind, address: &str) -> Beside {
    Beside::new("wire", kind, vec![address.parse().unwrap()])
}

fn sleeping(beside: Beside) -> Running {
    let list: List = vec![Box::new(Network), Box::new(beside)];
    let mut running = start(list, shell("echo ready; exec sleep 60")).unwrap();
    running.wait_for("ready");
    running
}

/// A host with a wire to a machine outside.
fn machines() -> (Machine, Machine) {
    let (host, outside) = (Machine::new(), Machine::new());
    host.connect("wire", "192.0.2.1/24", &outside, "192.0.2.2/24");
    (host, outside)
}

#[test]
fn the_container_is_a_machine_on_the_wire_and_the_host_is_out_of_reach() {
    let (host, outside) = machines();
    outside.tell_the_source_at("192.0.2.2:99");
    host.tell_the_source_at("192.0.2.1:99");
    host.run(move || {
        let mut beside = beside(BRIDGE_MODE, "192.0.2.3/24");
        beside.mac = Some([0x02, 0x42, 1, 2, 3, 4]);
        beside.mtu = Some(1400);
        beside.default_route = DefaultRoute::Via(vec!["192.0.2.2".parse().unwrap()]);
        let running = sleeping(beside);
        let inside = Machine::inside(&running);
        assert_eq!(inside.read_from("192.0.2.2:99").as_deref(), Ok("192.0.2.3"), "its own address, not the host's");
        assert!(inside.read_from("192.0.2.1:99").is_err(), "the host");
        assert_eq!(outside.read_from("192.0.2.1:99").as_deref(), Ok("192.0.2.2"), "who is there for others");
        inside.run(|| {
            let link = route::link(&Socket::route().unwrap(), "eth0").unwrap().unwrap();
            assert!(link.up && link.mtu == 1400 && link.kind.as_deref() == Some("macvlan"), "{link:?}");
        });
        let seen = std::fs::read_to_string(format!("/proc/{}/net/route", running.child.pid)).unwrap();
        assert!(seen.lines().any(|line| line.starts_with("eth0\t00000000\t020200C0")), "{seen}");
    });
}

#[test]
fn neighbours_hear_each_other_unless_private() {
    for (kind, heard) in [(BRIDGE_MODE, true), (PRIVATE_MODE, false)] {
        let (host, _outside) = machines();
        host.run(move || {
            let image = image();
            let _server = sleeping(beside(kind, "192.0.2.3/24"));
            let client: List = vec![
                Box::new(Network),
                Box::new(beside(kind, "192.0.2.4/24")),
                Box::new(Chroot::new(image.path()).unwrap()),
            ];
            let ran = run(client, shell("ping -c 1 -W 1 192.0.2.3"));
            assert_eq!(ran.out.contains("1 packets received"), heard, "{ran:?}");
        });
    }
}

#[test]
fn a_parent_that_is_not_there_is_named() {
    Machine::new().run(|| {
        let list: List = vec![Box::new(Network), Box::new(beside(BRIDGE_MODE, "192.0.2.3/24"))];
        let error = start(list, shell("true")).err().unwrap();
        assert_eq!((error.primitive, error.errno), ("macvlan", Errno::ENODEV));
        assert!(error.to_string().contains("find the parent wire"), "{error}");
    });
}

#[test]
fn parents_are_made_once_and_removed_whole() {
    let (host, _outside) = machines();
    host.run(|| {
        let socket = Socket::route().unwrap();
        let names = || -> Vec<String> { route::links(&socket).unwrap().into_iter().map(|link| link.name).collect() };
        let before = names();
        for _ in 0..2 {
            make_parent("dm-0").unwrap();
            assert!(route::link(&socket, "dm-0").unwrap().unwrap().up);
        }
        for _ in 0..2 {
            remove_parent("dm-0").unwrap();
        }
        assert_eq!(names(), before);
        // Not every kernel has VLANs.
        match make_vlan("wire.7", "wire", 7) {
            Ok(()) => {
                assert!(route::link(&socket, "wire.7").unwrap().unwrap().up);
                remove_parent("wire.7").unwrap();
                assert_eq!(names(), before);
            }
            Err(refusal) => assert_eq!(refusal.errno, Errno::EOPNOTSUPP),
        }
        assert_eq!(make_vlan("x.7", "nosuch", 7).unwrap_err().errno, Errno::ENODEV);
    });
}

#[test]
fn the_binary_s_containers_share_a_wire_that_the_last_removes() {
    let image = image();
    let path = image.path().to_owned();
    Machine::new().run(move || {
        let stage = env!("CARGO_BIN_EXE_stage-25-macvlan");
        let ran = script_as_root(stage, &path, "ip -4 -o addr show eth0; ip route");
        assert!(ran.out.contains("10.88.0.2/24") && !ran.out.contains("default") && ran.code == 0, "{ran:?}");
        assert_eq!(route::link(&Socket::route().unwrap(), "stage-25").unwrap(), None);
    });
}

#[test]
fn the_binary_needs_root_and_says_so() {
    let ran = script_as_nobody(env!("CARGO_BIN_EXE_stage-25-macvlan"), Path::new("/"), "true");
    assert!(ran.code == 125 && ran.out.contains("needs root"), "{ran:?}");
}
