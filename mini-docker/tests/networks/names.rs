//! Addresses and names in containers.

use std::{fs, net::UdpSocket, path::Path};

use process::netlink::{Socket, route};
use tests::machine::Machine;

use crate::{address, engine, heard, server};

#[test]
fn a_container_has_an_address_a_route_and_files_that_tell_of_it() {
    let engine = engine();
    engine
        .run(&["run", "-d", "--name", "box", "--hostname", "me", "--domainname", "example.org", "bb", "sleep", "100"])
        .ok();
    let ip = address(&engine, "box", "bridge");
    let settings = engine.inspect("box")["NetworkSettings"].clone();
    let gateway = settings["Gateway"].as_str().unwrap().to_owned();
    assert_eq!(settings["IPAddress"], ip.as_str());
    assert!(settings["MacAddress"].as_str().unwrap().starts_with("02:42:"));
    let script = "ip -4 -o addr show eth0; ip route; cat /etc/hosts /etc/hostname /etc/resolv.conf; \
        stat -c %a /etc/hosts /etc/hostname /etc/resolv.conf; grep -c ' /etc/' /proc/mounts";
    let said = engine
        .run(&[
            "run",
            "--rm",
            "--hostname",
            "me",
            "--domainname",
            "example.org",
            "--add-host",
            "db:192.0.2.7",
            "--add-host",
            "host:host-gateway",
            "bb",
            "sh",
            "-c",
            script,
        ])
        .ok();
    for line in [
        &format!("default via {gateway} dev eth0 "),
        "127.0.0.1\tlocalhost",
        "192.0.2.7\tdb",
        &format!("{gateway}\thost"),
        "me",
        "nameserver 127.0.0.11",
        "644",
        "3",
    ] {
        assert!(said.lines().any(|found| found == line), "{line:?} in {said}");
    }
    assert!(said.contains("\tme.example.org me\n"), "{said}");
    // The default network's state is the kernel's: one bridge, named after the store.
    let network = engine
        .run(&["network", "inspect", "-f", "{{index .Options \"com.docker.network.bridge.name\"}}", "bridge"])
        .ok();
    assert!(Path::new("/sys/class/net").join(network.trim()).exists());
}

#[test]
fn networks_that_are_no_bridge() {
    let engine = engine();
    let links = |network: &str| engine.run(&["run", "--rm", "--network", network, "bb", "ls", "/sys/class/net"]).ok();
    assert_eq!(links("none"), "lo\n");
    let mut host: Vec<_> =
        fs::read_dir("/sys/class/net").unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    host.retain(|name| name == "lo" || name.starts_with("eth"));
    assert!(host.iter().all(|name| links("host").lines().any(|line| line == name)));
    let list = engine.run(&["network", "ls", "--format", "{{.Name}}:{{.Driver}}"]).ok();
    assert_eq!(list, "bridge:bridge\nhost:host\nnone:null\n");
    for network in ["bridge", "host", "none"] {
        assert!(engine.run(&["network", "rm", network]).refused(1).contains("pre-defined network"));
    }
}

#[test]
fn files_of_etc_are_as_docker_makes_them() {
    let engine = engine();
    let run = |options: &[&str], script: &str| {
        engine.run(&[&["run", "--rm"], options, &["bb", "sh", "-c", script]].concat()).ok()
    };
    engine.run(&["network", "create", "blue"]).ok();
    for network in ["bridge", "blue", "none"] {
        let hosts = run(&["--network", network], "cat /etc/hosts");
        let local = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n\
            ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";
        assert!(hosts.starts_with(local), "{network}: {hosts}");
        let own = hosts.lines().count() - local.lines().count();
        assert_eq!(own, usize::from(network != "none"), "{network}: {hosts}");
    }
    let options = ["--dns-search", "a", "--dns-search", "b", "--dns", "9.9.9.9", "--dns-option", "timeout:1"];
    let conf = "search a b\nnameserver 9.9.9.9\noptions timeout:1\n";
    assert_eq!(run(&options, "cat /etc/resolv.conf"), conf);
    assert_eq!(run(&[&options[..], &["--network", "none"]].concat(), "cat /etc/resolv.conf"), conf);
    let conf = "search a b\nnameserver 127.0.0.11\noptions timeout:1 ndots:0\n";
    assert_eq!(run(&[&options[..], &["--network", "blue"]].concat(), "cat /etc/resolv.conf"), conf);
    // The host's address has a name everywhere, also where it cannot be reached.
    let gateway = engine.run(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge"]).ok();
    for (network, address) in [("none", gateway.trim()), ("host", "127.0.0.1")] {
        let line = run(&["--network", network, "--add-host", "up:host-gateway"], "grep up$ /etc/hosts");
        assert_eq!(line, format!("{address}\tup\n"));
    }
    let write = "for file in hosts hostname resolv.conf; do echo >>/etc/$file && echo $file; done 2>/dev/null; true";
    assert_eq!(run(&[], write), "hosts\nhostname\nresolv.conf\n");
    assert_eq!(run(&["--read-only"], write), "");
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn a_container_that_runs_is_found_by_its_new_name_alone() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    for network in ["blue", "bridge"] {
        server(&engine, "web", &["--network", network, "--hostname", "box"]);
        // One that is there all the time, and one that comes.
        engine.run(&["run", "-d", "--name", "asks", "--network", network, "bb", "sleep", "1000"]).ok();
        let asked = |name: &str| engine.run(&["exec", "asks", "nslookup", name]).code == 0;
        assert!(heard(&engine, network, "web") == "web\n" && asked("web"));
        for (old, new) in [("web", "net"), ("net", "web"), ("web", "net")] {
            engine.run(&["rename", old, new]).ok();
            assert!(asked(new) && !asked(old) && asked("box"), "{new} on {network}");
            assert_eq!((heard(&engine, network, new).as_str(), heard(&engine, network, old).as_str()), ("web\n", ""));
        }
        let format = "{{range .Containers}}{{.Name}} {{end}}";
        let there = engine.run(&["network", "inspect", "-f", format, network]).ok();
        let mut there: Vec<_> = there.split_whitespace().collect();
        there.sort_unstable();
        assert_eq!(there, ["asks", "net"]);
        engine.run(&["rm", "-f", "net", "asks"]).ok();
    }
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn containers_find_each_other_by_name() {
    let engine = engine();
    engine.run(&["network", "create", "blue"]).ok();
    for network in ["blue", "bridge"] {
        let name = format!("web-{network}");
        server(&engine, &name, &["--network", network, "--network-alias", "www", "--hostname", "box"]);
        let id = engine.inspect(&name)["Id"].as_str().unwrap()[..12].to_owned();
        for other in [name.as_str(), "www", &id, "box", &format!("{name}.{network}")] {
            assert_eq!(heard(&engine, network, other), format!("{name}\n"), "{other} on {network}");
        }
        let ip = address(&engine, &name, network);
        let reverse = engine.run(&["run", "--rm", "--network", network, "bb", "nslookup", &ip]).ok();
        assert!(reverse.contains(&format!("name = {name}.{network}")), "{reverse}");
        assert_eq!(
            engine
                .run(&[
                    "run",
                    "--rm",
                    "--network",
                    network,
                    "--link",
                    &format!("{name}:db"),
                    "bb",
                    "sh",
                    "-c",
                    "nc -w 2 db 80 </dev/null"
                ])
                .ok(),
            format!("{name}\n")
        );
    }
    assert_eq!(heard(&engine, "bridge", "web-blue"), "", "a name of another network");
    // A name goes with its container, and an alias is everybody's who has it.
    server(&engine, "other", &["--network", "blue", "--network-alias", "www"]);
    let both = engine.run(&["run", "--rm", "--network", "blue", "bb", "nslookup", "www"]).ok();
    assert_eq!(both.matches("Name:").count(), 2, "{both}");
    engine.run(&["rm", "-f", "other"]).ok();
    let one = engine.run(&["run", "--rm", "--network", "blue", "bb", "nslookup", "www"]).ok();
    assert_eq!(one.matches("Name:").count(), 1, "{one}");
    engine.run(&["rm", "-f", "web-blue"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn both_families_and_addresses_of_the_user_s_choice() {
    let engine = engine();
    let subnet = "10.127.211.0/28";
    engine
        .run(&[
            "network",
            "create",
            "--subnet",
            subnet,
            "--gateway",
            "10.127.211.7",
            "--ip-range",
            "10.127.211.8/29",
            "--aux-address",
            "printer=10.127.211.8",
            "--ipv6",
            "--label",
            "k=v",
            "six",
        ])
        .ok();
    let config =
        engine.run(&["network", "inspect", "-f", "{{range .IPAM.Config}}{{.Subnet}} {{.Gateway}} {{end}}", "six"]).ok();
    assert!(config.starts_with("10.127.211.0/28 10.127.211.7 fd"), "{config}");
    let script = "ip -o addr show eth0; ip route; ip -6 route";
    let given = engine
        .run(&[
            "run",
            "--rm",
            "--network",
            "six",
            "--mac-address",
            "92:d0:c6:0a:29:33",
            "bb",
            "sh",
            "-c",
            &format!("{script}; cat /sys/class/net/eth0/address"),
        ])
        .ok();
    for part in ["inet 10.127.211.9/28", "inet6 fd", "default via 10.127.211.7", "92:d0:c6:0a:29:33"] {
        assert!(given.contains(part), "{part} in {given}");
    }
    let chosen =
        engine.run(&["run", "--rm", "--network", "name=six,ip=10.127.211.3,alias=a", "bb", "sh", "-c", script]).ok();
    assert!(chosen.contains("inet 10.127.211.3/28"), "{chosen}");
    server(&engine, "holder", &["--network", "six", "--ip", "10.127.211.3"]);
    for (arguments, words) in [
        (&["run", "--rm", "--network", "six", "--ip", "10.127.211.3", "bb", "true"][..], "address already in use"),
        (
            &["run", "--rm", "--network", "six", "--ip", "10.127.212.3", "bb", "true"],
            "does not belong to any of the subnets",
        ),
        (&["run", "--rm", "--ip", "10.127.211.4", "bb", "true"], "supported on user defined networks only"),
        (&["run", "--rm", "--network", "nosuch", "bb", "true"], "network nosuch not found"),
        (&["run", "--rm", "--network", "none", "--network", "six", "bb", "true"], "conflicting options"),
    ] {
        assert!(engine.run(arguments).refused(125).contains(words), "{arguments:?}");
    }
    // IPv6 by name.
    let v6 = engine.run(&["run", "--rm", "--network", "six", "bb", "nslookup", "-type=aaaa", "holder"]).ok();
    assert!(v6.contains("Address: fd"), "{v6}");
}

#[test]
fn raw_sockets_are_for_those_who_are_among_themselves() {
    let engine = engine();
    let own = format!("own{}", std::process::id());
    engine.run(&["network", "create", &own]).ok();
    let does = |what: &str, arguments: &[&str]| {
        engine.run(&[&["run", "--rm"], arguments, &["bb", "sh", "-c", what]].concat()).code == 0
    };
    // busybox's takes a raw socket.
    let pings = |arguments: &[&str]| does("ping -c 1 -W 2 127.0.0.1", arguments);
    // Its arping takes one of packets.
    let claims = |arguments: &[&str]| {
        does("arping -c 1 -w 1 -I eth0 192.0.2.1 2>&1 | grep 'not permitted'; [ $? = 1 ]", arguments)
    };
    for strangers in [&[][..], &["--network", &own, "--network", "bridge"], &["--userns", "host"]] {
        assert!(pings(strangers) && !claims(strangers), "{strangers:?}");
        assert!(!pings(&[strangers, &["--cap-drop", "NET_RAW"]].concat()), "{strangers:?}");
        assert!(!pings(&[strangers, &["--cap-drop", "ALL"]].concat()), "{strangers:?}");
        // Nothing would close what else it opens.
        assert!(!pings(&[strangers, &["--security-opt", "seccomp=unconfined"]].concat()), "{strangers:?}");
        let asked = [strangers, &["--cap-add", "NET_RAW"]].concat();
        assert!(pings(&asked) && claims(&asked), "{strangers:?}");
    }
    let friends = ["--network", &own];
    assert!(pings(&friends) && claims(&friends));
    assert!(pings(&["--network", "none"]) && !pings(&["--network", "host"]));
    // Among strangers from its next start on.
    let arping = "arping -c 1 -w 1 -I eth0 192.0.2.1";
    engine.run(&["create", "--name", "later", "--network", &own, "bb", "sh", "-c", arping]).ok();
    engine.run(&["network", "connect", "bridge", "later"]).ok();
    let started = engine.run(&["start", "-a", "later"]);
    assert!(started.err.contains("not permitted"), "{started:?}");
    engine.run(&["rm", "later"]).ok();
    engine.run(&["network", "rm", &own]).ok();
}

/// One that was started among friends keeps the sockets that it has.
#[test]
fn who_comes_among_strangers_while_he_runs_cannot_claim_their_addresses() {
    let (engine, host) = (engine(), Machine::new());
    let run = |arguments: &[&str]| engine.run_on(&host, arguments).ok();
    run(&["network", "create", "own"]);
    for (name, flags, claims) in [("plain", &[][..], false), ("allowed", &["--cap-add", "NET_ADMIN"], true)] {
        run(&[&["run", "-d", "--name", name, "--network", "own"], flags, &["bb", "sleep", "1000"]].concat());
        // The second time it is known only by what has become of it.
        for _ in 0..2 {
            run(&["network", "connect", "bridge", name]);
            let settings = engine.inspect(name)["NetworkSettings"]["Networks"]["bridge"].clone();
            let text = |key: &str| settings[key].as_str().unwrap().to_owned();
            let (own, gateway) = (text("IPAddress"), text("Gateway"));
            let other = format!("{}.77", own.rsplit_once('.').unwrap().0);
            let socket = host.run(move || UdpSocket::bind((gateway, 0)).unwrap());
            socket.set_read_timeout(Some(tests::patience(20))).unwrap();
            let to = socket.local_addr().unwrap();
            let pid = engine.inspect(name)["State"]["Pid"].as_i64().unwrap();
            let senders = [other.clone(), own.clone()];
            Machine::of_process(pid).run(move || {
                let netlink = Socket::route().unwrap();
                let index = route::link(&netlink, "eth1").unwrap().unwrap().index;
                netlink.request(&[route::add_address(index, format!("{other}/32").parse().unwrap())]).unwrap();
                for sender in senders {
                    UdpSocket::bind((sender, 0)).unwrap().send_to(b"here", to).unwrap();
                }
            });
            let first = socket.recv_from(&mut [0; 8]).unwrap().1.ip().to_string();
            assert_eq!(first == own, !claims, "{name}: {first}");
            run(&["network", "disconnect", "bridge", name]);
        }
    }
    run(&["rm", "-f", "plain", "allowed"]);
    run(&["network", "prune", "-f"]);
}
