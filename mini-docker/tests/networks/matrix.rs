//! Who reaches whom: every source, every destination, both families, TCP and UDP, by real packets.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use tests::{engine::Engine, machine::Machine};

use crate::engine;

/// How long silence takes to count. What is refused is so at once, and what is allowed is tried for longer.
const SILENCE: Duration = Duration::from_millis(700);

/// Says `name` to whoever comes to port 80 of a machine, by whatever way.
fn serve(machine: &Machine, name: &'static str) {
    let (tcp, udp) = machine.run(|| (TcpListener::bind("[::]:80").unwrap(), UdpSocket::bind("[::]:80").unwrap()));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = tcp.accept() {
            // Who has left need not know.
            let _ = stream.write_all(name.as_bytes());
        }
    });
    thread::spawn(move || {
        while let Ok((_, from)) = udp.recv_from(&mut [0; 16]) {
            let _ = udp.send_to(name.as_bytes(), from);
        }
    });
}

fn ask(tcp: bool, address: &str) -> std::io::Result<String> {
    let address = address.to_socket_addrs()?.next().expect("an address");
    let mut said = [0; 64];
    let length = if tcp {
        let mut stream = TcpStream::connect_timeout(&address, SILENCE)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.read(&mut said)?
    } else {
        let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.set_read_timeout(Some(SILENCE))?;
        socket.connect(address)?;
        socket.send(b"who?")?;
        socket.recv(&mut said)?
    };
    Ok(String::from_utf8_lossy(&said[..length]).into_owned())
}

/// What is heard there: tried again, as long as it should be and is not.
fn heard(tcp: bool, address: &str, expected: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let said = ask(tcp, address).unwrap_or_default();
        if said == expected || Instant::now() > deadline || expected.is_empty() {
            return said;
        }
    }
}

/// A container's addresses on a network, IPv4 and IPv6, and those of the network's gateway.
fn addresses(engine: &Engine, name: &str, network: &str) -> [String; 4] {
    let settings = engine.inspect(name)["NetworkSettings"]["Networks"][network].clone();
    let text = |key: &str| settings[key].as_str().unwrap().to_owned();
    [
        text("IPAddress"),
        format!("[{}]", text("GlobalIPv6Address")),
        text("Gateway"),
        format!("[{}]", text("IPv6Gateway")),
    ]
}

/// From where and by which name, to where, in what (tcp, udp or both), and who answers there: nobody is "".
type Cell<'a> = (&'a Machine, &'a str, String, &'a str, &'a str);

/// Those cells that are not as they should be.
fn wrong_ones(cells: &[Cell]) -> Vec<String> {
    let one = |(machine, from, at, what, who): &Cell| {
        let protocols = [(true, "tcp"), (false, "udp")].into_iter().filter(|(_, name)| [name, "both"].contains(what));
        let wrong = protocols.filter_map(|(tcp, name)| {
            let (to, expected) = (at.clone(), (*who).to_owned());
            // A thread of its own there: many wait at a time.
            let said = Machine::beside(machine).run(move || heard(tcp, &to, &expected));
            (said != *who).then(|| format!("{from} to {at} by {name}: {said:?} and not {who:?}"))
        });
        wrong.collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let parts = cells.chunks(cells.len().div_ceil(16));
        let all: Vec<_> =
            parts.map(|part| scope.spawn(move || part.iter().flat_map(one).collect::<Vec<_>>())).collect();
        all.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

#[test]
#[allow(clippy::too_many_lines)] // A table.
fn everybody_hears_whom_he_should_by_every_way() {
    let (engine, host, outside) = (engine(), Machine::new(), Machine::new());
    host.connect("wire", "192.0.2.1/24", &outside, "192.0.2.2/24");
    host.connect("wire6", "fd01::1/64", &outside, "fd01::2/64");
    serve(&outside, "outside");
    serve(&host, "the host");
    let run = |arguments: &[&str]| engine.run_on(&host, arguments).ok();
    for network in ["blue", "green"] {
        run(&["network", "create", "--ipv6", network]);
    }
    run(&["network", "create", "--ipv6", "--internal", "inner"]);
    run(&["network", "create", "four"]);
    let start = |name: &'static str, network: &str, publish: &[&str]| {
        let publish: Vec<&str> = publish.iter().flat_map(|publish| ["-p", *publish]).collect();
        run(&[&["run", "-d", "--name", name, "--network", network], &publish[..], &["bb", "sleep", "1000"]].concat());
        let machine = Machine::of_process(engine.inspect(name)["State"]["Pid"].as_i64().unwrap());
        serve(&machine, name);
        machine
    };
    let open = start("open", "blue", &["8080:80", "8080:80/udp"]);
    let local = start("local", "blue", &["127.0.0.1:8081:80", "127.0.0.1:8081:80/udp"]);
    let plain = start("plain", "green", &[]);
    let hidden = start("hidden", "inner", &["8082:80", "8082:80/udp"]);
    let other = start("other", "inner", &[]);
    let four = start("four", "four", &["8083:80", "8083:80/udp"]);
    let [open4, open6, blue4, blue6] = addresses(&engine, "open", "blue");
    let [plain4, plain6, ..] = addresses(&engine, "plain", "green");
    let [hidden4, hidden6, inner4, inner6] = addresses(&engine, "hidden", "inner");
    let bare = |address: &String| address.trim_matches(['[', ']']).to_owned();
    for address in [&open4, &plain4, &hidden4] {
        outside.route(&format!("{address}/32"), "192.0.2.1");
    }
    for address in [&open6, &plain6, &hidden6] {
        outside.route(&format!("{}/128", bare(address)), "fd01::1");
    }
    let mut cells: Vec<Cell> = Vec::new();
    let mut cell = |(name, from): (&'static str, _), at: String, what, who| cells.push((from, name, at, what, who));
    let to = |address: &str, port: u16| format!("{address}:{port}");
    let (the_host, the_world) = (("the host", &host), ("outside", &outside));
    let (open, local, plain) = (("open", &open), ("local", &local), ("plain", &plain));
    let (hidden, other, four) = (("hidden", &hidden), ("other", &other), ("four", &four));

    // Past all that is published: neighbours, and the host.
    for [at4, at6, who] in [[&open4, &open6, "open"], [&plain4, &plain6, "plain"], [&hidden4, &hidden6, "hidden"]] {
        for at in [at4, at6] {
            let at = to(at, 80);
            cell(the_host, at.clone(), "both", who);
            cell(the_world, at.clone(), "both", "");
            cell(local, at.clone(), "both", if who == "open" { who } else { "" });
            cell(plain, at.clone(), "both", if who == "plain" { who } else { "" });
            cell(other, at.clone(), "both", if who == "hidden" { who } else { "" });
        }
    }
    // What is published on all addresses: everybody who reaches the host, but not from an internal network.
    for at in ["192.0.2.1", "[fd01::1]"] {
        for source in [the_host, the_world, local, plain, open] {
            cell(source, to(at, 8080), "both", "open");
        }
        cell(other, to(at, 8080), "both", "");
        cell(hidden, to(at, 8080), "both", "");
        // On 127.0.0.1 alone, and of an internal network.
        for source in [the_host, the_world, local, plain, other] {
            cell(source, to(at, 8081), "both", "");
            cell(source, to(at, 8082), "both", "");
        }
    }
    for at in [&blue4, &blue6] {
        cell(plain, to(at, 8080), "both", "open");
        cell(local, to(at, 8080), "both", "open");
    }
    // The host's own servers, but not from an internal network.
    for at in [&blue4, &blue6] {
        cell(local, to(at, 80), "both", "the host");
    }
    for at in [&inner4, &inner6] {
        cell(other, to(at, 80), "both", "");
    }
    for at in [&inner4, &inner6] {
        cell(other, to(at, 8080), "both", "");
        cell(other, to(at, 8083), "both", "");
    }
    cell(the_host, to("127.0.0.1", 8080), "both", "open");
    cell(the_host, to("127.0.0.1", 8081), "both", "local");
    cell(the_host, to("127.0.0.1", 8082), "both", "");
    cell(the_host, to("[::1]", 8080), "both", "open");
    cell(the_host, to("[::1]", 8081), "both", "");
    // A container without IPv6, which has it by the monitor.
    for source in [the_host, the_world, plain, local] {
        cell(source, to("192.0.2.1", 8083), "both", "four");
        cell(source, to("[fd01::1]", 8083), "both", "four");
    }
    // The way out.
    for at in ["192.0.2.2:80", "[fd01::2]:80"] {
        cell(open, at.to_owned(), "both", "outside");
        cell(plain, at.to_owned(), "both", "outside");
        cell(other, at.to_owned(), "both", "");
    }
    cell(four, "192.0.2.2:80".to_owned(), "both", "outside");
    cell(four, "[fd01::2]:80".to_owned(), "both", "");

    let wrong = wrong_ones(&cells);
    assert!(wrong.is_empty(), "of {} cells: {wrong:#?}", cells.len());
    run(&["rm", "-f", "open", "local", "plain", "hidden", "other", "four"]);
    run(&["network", "prune", "-f"]);
}
