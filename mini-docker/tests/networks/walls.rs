//! Who reaches whom.

use process::netlink::{
    Socket,
    expression::{DROP, Field, REGISTER, equal, interface, load, verdict},
    nftables::{self, Hook, Transaction},
};
use tests::{
    engine::{Engine, eventually},
    leaks,
    machine::Machine,
};

use crate::{engine, start};

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

pub(crate) fn table_key(engine: &Engine) -> String {
    let run = leaks::run_directories(&engine.root().canonicalize().unwrap()).next().unwrap();
    run.file_name().unwrap().to_string_lossy()[..8].to_owned()
}
