//! Networks: addresses, names and ports, as containers and their neighbours see them.

use std::{fs, path::Path};

use process::netlink::{
    Socket,
    expression::{DROP, Field, REGISTER, equal, interface, load, verdict},
    nftables::{self, Hook, Transaction},
};
use tests::{
    engine::{Engine, eventually},
    leaks,
    machine::{Machine, read_from},
};

fn engine() -> Engine {
    Engine::new(env!("CARGO_BIN_EXE_mini-docker"))
}

/// A program that says `word` to whoever connects to port 80.
fn says(word: &str) -> String {
    format!("while :; do echo {word} | nc -l -p 80; done")
}

/// Starts a container that says its name at port 80, on these networks.
fn server(engine: &Engine, name: &str, arguments: &[&str]) {
    start(engine, None, name, arguments);
}

fn start(engine: &Engine, machine: Option<&Machine>, name: &str, arguments: &[&str]) {
    let program = says(name);
    let all = [&["run", "-d", "--name", name], arguments, &["bb", "sh", "-c", &program]].concat();
    match machine {
        Some(machine) => engine.run_on(machine, &all).ok(),
        None => engine.run(&all).ok(),
    };
}

/// A container's address on one of its networks.
fn address(engine: &Engine, name: &str, network: &str) -> String {
    let settings = engine.inspect(name)["NetworkSettings"]["Networks"][network].clone();
    settings["IPAddress"].as_str().unwrap_or_default().to_owned()
}

/// What a new container on `network` hears at `address`.
fn heard(engine: &Engine, network: &str, address: &str) -> String {
    let script = format!("nc -w 2 {address} 80 </dev/null");
    engine.run(&["run", "--rm", "--network", network, "bb", "sh", "-c", &script]).out
}

/// The first free port of the host's.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port().to_string()
}

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
fn networks_are_made_and_removed_as_with_docker() {
    let engine = engine();
    let id = engine.run(&["network", "create", "--internal", "--label", "a=b", "one"]).ok();
    for (arguments, words) in [
        (&["network", "create", "one"][..], "network with name one already exists"),
        (&["network", "create", "bridge"], "predefined bridge network"),
        (&["network", "create", "a/b"], "invalid network name"),
        (&["network", "create", "--subnet", "bogus", "two"], "invalid CIDR address: bogus"),
        (&["network", "create", "--subnet", "10.127.9.1/24", "two"], "it should be 10.127.9.0/24"),
        (&["network", "create", "--subnet", "10.127.9.0/24", "--gateway", "10.0.0.1", "two"], "no matching subnet"),
        (&["network", "create", "-d", "nosuch", "two"], "plugin not found"),
        (&["network", "create", "-o", "nonsense=1", "two"], "no such option"),
        (&["network", "create", "-o", "com.docker.network.bridge.name=much-too-long-for-it", "two"], "bad value"),
        (&["network", "rm", "nosuch"], "network nosuch not found"),
        (&["network", "ls", "--filter", "nonsense=1"], "invalid filter 'nonsense'"),
        (&["network", "connect", "nosuch", "nobody"], "network nosuch not found"),
    ] {
        assert!(engine.run(arguments).refused(1).contains(words), "{arguments:?}");
    }
    assert_eq!(engine.run(&["network", "rm", "-f", "nosuch"]).ok(), "");
    assert_eq!(engine.run(&["network", "ls", "-q", "--no-trunc", "--filter", "label=a=b"]).ok(), id);
    assert_eq!(
        engine.run(&["network", "ls", "--filter", "type=builtin", "--format", "{{.Name}}"]).ok(),
        "bridge\nhost\nnone\n"
    );
    server(&engine, "user", &["--network", "one"]);
    assert!(engine.run(&["network", "rm", "one"]).refused(1).contains("active endpoints"));
    assert_eq!(engine.run(&["network", "prune", "-f"]).ok(), "");
    engine.run(&["stop", "-t", "0", "user"]).ok();
    engine.run(&["network", "create", "--label", "keep", "other"]).ok();
    assert_eq!(engine.run(&["network", "prune", "-f", "--filter", "label!=keep"]).ok(), "Deleted Networks:\none\n\n");
    assert!(engine.run(&["start", "user"]).code != 0 || engine.run(&["inspect", "user"]).code == 0);
    assert_eq!(engine.run(&["network", "rm", "other"]).ok(), "other\n");
}

#[test]
fn containers_come_to_networks_and_leave_them_while_they_run() {
    let engine = engine();
    let port = free_port();
    for name in ["blue", "green"] {
        engine.run(&["network", "create", name]).ok();
    }
    server(&engine, "web", &["--network", "blue", "-p", &format!("127.0.0.1:{port}:80")]);
    engine.run(&["network", "connect", "--alias", "www", "green", "web"]).ok();
    assert_eq!(heard(&engine, "green", "www"), "web\n");
    assert_eq!(heard(&engine, "blue", "web"), "web\n");
    assert!(engine.run(&["network", "connect", "green", "web"]).refused(1).contains("already exists"));
    assert!(engine.run(&["network", "connect", "host", "web"]).refused(1).contains("host network"));
    // Its ports and its way out follow it.
    engine.run(&["network", "disconnect", "blue", "web"]).ok();
    assert_eq!(heard(&engine, "blue", "web"), "");
    assert_eq!(heard(&engine, "green", "web"), "web\n");
    let at = format!("127.0.0.1:{port}");
    eventually("the port leads to the other network", || read_from(&at) == Ok("web\n".to_owned()));
    let gateway = engine.inspect("web")["NetworkSettings"]["Networks"]["green"]["Gateway"].as_str().unwrap().to_owned();
    let pid = engine.inspect("web")["State"]["Pid"].to_string();
    let routes = fs::read_to_string(format!("/proc/{pid}/net/route")).unwrap();
    let octets: std::net::Ipv4Addr = gateway.parse().unwrap();
    assert!(routes.contains(&format!("\t00000000\t{:08X}\t", u32::from_le_bytes(octets.octets()))), "{routes}");
    assert!(engine.run(&["network", "disconnect", "blue", "web"]).refused(1).contains("is not connected"));
    engine.run(&["network", "rm", "blue"]).ok();
}

#[test]
fn ports_lead_to_containers_and_are_nobody_else_s() {
    let engine = engine();
    let port = free_port();
    server(&engine, "web", &["-p", &format!("{port}:80"), "-P", "--expose", "81/udp"]);
    let gateway = engine.inspect("web")["NetworkSettings"]["Gateway"].as_str().unwrap().to_owned();
    for host in ["127.0.0.1", &gateway] {
        let at = format!("{host}:{port}");
        eventually(&at, || read_from(&at) == Ok("web\n".to_owned()));
    }
    let listed = engine.run(&["port", "web"]).ok();
    assert!(listed.starts_with(&format!("80/tcp -> 0.0.0.0:{port}\n81/udp -> 0.0.0.0:")), "{listed}");
    assert_eq!(engine.run(&["port", "web", "80"]).ok(), format!("0.0.0.0:{port}\n"));
    assert!(engine.run(&["port", "web", "82"]).refused(1).contains("no public port '82/tcp' published for web"));
    // From a container: another one, and itself.
    let script = format!("nc -w 2 {gateway} {port} </dev/null");
    assert_eq!(engine.run(&["run", "--rm", "bb", "sh", "-c", &script]).ok(), "web\n");
    let taken = engine.run(&["run", "-d", "--name", "second", "-p", &format!("{port}:80"), "bb", "true"]).refused(125);
    assert!(taken.contains("already allocated"), "{taken}");
    engine.run(&["rm", "-f", "web"]).ok();
    engine.run(&["run", "--rm", "-p", &format!("{port}:80"), "bb", "true"]).ok();
    for wrong in ["70000:80", "abc", "1.2.3:80:80", "80/foo", "9000-9005:8080-8081"] {
        engine.run(&["create", "-p", wrong, "bb", "true"]).refused(1);
    }
}

/// Who reaches whom, by real packets: a host of its own, and a machine outside.
#[test]
fn everybody_reaches_whom_he_should_and_nobody_else() {
    let engine = engine();
    let (host, outside) = (Machine::new(), Machine::new());
    host.connect("wire", "192.0.2.1/24", &outside, "192.0.2.2/24");
    outside.tell_the_source_at("192.0.2.2:99");
    let on_host = |arguments: &[&str]| engine.run_on(&host, arguments);
    for arguments in [&["blue"][..], &["green"], &["--internal", "inner"]] {
        on_host(&[&["network", "create"], arguments].concat()).ok();
    }
    start(&engine, Some(&host), "open", &["--network", "blue", "-p", "8080:80"]);
    start(&engine, Some(&host), "local", &["--network", "blue", "-p", "127.0.0.1:8081:80"]);
    start(&engine, Some(&host), "plain", &["--network", "green"]);
    start(&engine, Some(&host), "hidden", &["--network", "inner", "-p", "8082:80"]);
    let ip = |name: &str, network: &str| {
        let format = format!("{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}");
        on_host(&["inspect", "-f", &format, name]).ok().trim().to_owned()
    };
    let (open, plain, hidden) = (ip("open", "blue"), ip("plain", "green"), ip("hidden", "inner"));
    let gateway =
        on_host(&["inspect", "-f", "{{.NetworkSettings.Networks.blue.Gateway}}", "open"]).ok().trim().to_owned();
    // The outside world knows the way to the containers.
    for address in [&open, &plain, &hidden] {
        outside.route(&format!("{address}/32"), "192.0.2.1");
    }
    let word = |name: &str| Ok(format!("{name}\n"));
    let says = |machine: &Machine, address: &str, name: &str| {
        eventually(&format!("{name} at {address}"), || machine.read_from(address) == word(name));
    };
    // From the host: everybody, and ports wherever they are published.
    for (address, name) in [(&open, "open"), (&plain, "plain"), (&hidden, "hidden")] {
        says(&host, &format!("{address}:80"), name);
    }
    says(&host, "127.0.0.1:8080", "open");
    says(&host, "127.0.0.1:8081", "local");
    says(&host, "192.0.2.1:8080", "open");
    assert!(host.read_from("192.0.2.1:8081").is_err());
    assert!(host.read_from("127.0.0.1:8082").is_err(), "an internal network publishes nothing");
    // From outside: what is published on all addresses, alone.
    says(&outside, "192.0.2.1:8080", "open");
    for address in
        ["192.0.2.1:8081", "192.0.2.1:8082", &format!("{open}:80"), &format!("{plain}:80"), &format!("{hidden}:80")]
    {
        assert!(outside.read_from(address).is_err(), "{address} from outside");
    }
    // From containers.
    let from = |network: &str, address: &str, port: &str| {
        let script = format!("nc -w 2 {address} {port} </dev/null");
        on_host(&["run", "--rm", "--network", network, "bb", "sh", "-c", &script]).out
    };
    for (network, address, port, expected) in [
        ("blue", open.as_str(), "80", "open\n"),
        ("green", &open, "80", ""),
        ("blue", &plain, "80", ""),
        ("blue", &hidden, "80", ""),
        ("inner", &hidden, "80", "hidden\n"),
        ("inner", &open, "80", ""),
        // A published port is everybody's who reaches the host: his neighbours', other networks', not of internal ones.
        ("blue", &gateway, "8080", "open\n"),
        ("green", &gateway, "8080", "open\n"),
        ("blue", &gateway, "8081", ""),
        // Out of the host, under its address; not from within.
        ("blue", "192.0.2.2", "99", "192.0.2.1"),
        ("inner", "192.0.2.2", "99", ""),
    ] {
        assert_eq!(from(network, address, port), expected, "{address}:{port} from {network}");
    }
    // A container that asks for its own published port.
    assert_eq!(
        on_host(&["run", "--rm", "--network", "blue", "bb", "sh", "-c", &format!("nc -w 2 {gateway} 8080 </dev/null")])
            .out,
        "open\n"
    );

    // An administrator's table has a say in what is published: what it drops stays away.
    let bridge = on_host(&["network", "inspect", "-f", "{{slice .Id 0 12}}", "blue"]).ok();
    let bridge = format!("br-{}", bridge.trim());
    host.run(move || {
        let mut admin = Transaction::new("admin");
        admin.table();
        admin.base_chain("forward", "filter", Hook::Forward, 10);
        let from_wire = [load(Field::InputName, REGISTER), equal(REGISTER, &interface("wire"))];
        let to_bridge = [load(Field::OutputName, REGISTER), equal(REGISTER, &interface(&bridge)), verdict(DROP)];
        admin.rule("forward", from_wire.into_iter().chain(to_bridge));
        admin.commit(&Socket::netfilter().unwrap()).unwrap();
    });
    assert!(outside.read_from("192.0.2.1:8080").is_err(), "the administrator forbids it");
    says(&host, "127.0.0.1:8080", "open");

    // Somebody flushes all rules: the next command mends ours.
    let table = format!("mini-docker-{}", table_key(&engine));
    let gone = table.clone();
    host.run(move || {
        for table in ["admin", gone.as_str()] {
            let mut flush = Transaction::new(table);
            flush.delete_table();
            flush.commit(&Socket::netfilter().unwrap()).unwrap();
        }
    });
    assert!(outside.read_from("192.0.2.1:8080").is_err());
    on_host(&["ps"]).ok();
    says(&outside, "192.0.2.1:8080", "open");
    assert_eq!(from("blue", "192.0.2.2", "99"), "192.0.2.1");
    assert_eq!(from("green", &open, "80"), "");
    on_host(&["rm", "-f", "open", "local", "plain", "hidden"]).ok();
    on_host(&["network", "prune", "-f"]).ok();
    let left = host.run(move || nftables::has_table(&Socket::netfilter().unwrap(), &table));
    assert_eq!(left, Ok(false), "the table goes with the last network");
}

fn table_key(engine: &Engine) -> String {
    let run = leaks::run_directories(&engine.root().canonicalize().unwrap()).next().unwrap();
    run.file_name().unwrap().to_string_lossy()[..8].to_owned()
}

#[test]
fn a_killed_monitor_takes_neither_names_nor_ports_away() {
    let engine = engine();
    let port = free_port();
    engine.run(&["network", "create", "blue"]).ok();
    server(&engine, "web", &["--network", "blue", "-p", &format!("127.0.0.1:{port}:80")]);
    server(&engine, "asker", &["--network", "blue"]);
    let root = engine.root().canonicalize().unwrap();
    for monitor in leaks::monitors(&root) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(monitor), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    eventually("the monitors are gone", || leaks::monitors(&root).is_empty());
    engine.run(&["ps"]).ok();
    assert_eq!(leaks::monitors(&root).len(), 2);
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
    assert_eq!(heard(&engine, "blue", "web"), "web\n");
    let at = format!("127.0.0.1:{port}");
    eventually("the port leads there", || read_from(&at) == Ok("web\n".to_owned()));
    // Its own resolver answers again.
    let pid = engine.inspect("asker")["State"]["Pid"].to_string();
    let listening = fs::read_to_string(format!("/proc/{pid}/net/udp")).unwrap();
    assert!(listening.contains("0B00007F:0035"), "{listening}");
}

#[test]
fn what_is_killed_with_its_monitor_leaves_no_address_name_or_port() {
    let engine = engine();
    let port = free_port();
    engine.run(&["network", "create", "--subnet", "10.127.213.0/29", "blue"]).ok();
    let publish = format!("127.0.0.1:{port}:80");
    server(&engine, "web", &["--network", "blue", "--ip", "10.127.213.3", "-p", &publish]);
    let pid = engine.inspect("web")["State"]["Pid"].as_i64().unwrap() as i32;
    let root = engine.root().canonicalize().unwrap();
    for victim in leaks::monitors(&root).into_iter().chain([pid]) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(victim), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    eventually("all are gone", || !Path::new(&format!("/proc/{pid}")).exists());
    // Without any repair in between: who wants its address and its port gets them.
    server(&engine, "next", &["--network", "blue", "--ip", "10.127.213.3", "-p", &publish]);
    let at = format!("127.0.0.1:{port}");
    eventually("the port leads to the next one", || read_from(&at) == Ok("next\n".to_owned()));
    engine.run(&["rm", "-f", "web", "next"]).ok();
    engine.run(&["network", "rm", "blue"]).ok();
}
