//! Ports by IPv6, wherever they are published and whatever the container has.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    thread,
    time::Duration,
};

use tests::{
    engine::{Engine, eventually},
    leaks,
    machine::Machine,
};

use crate::{engine, firewall::nft, start};

fn pid(engine: &Engine, name: &str) -> i64 {
    engine.inspect(name)["State"]["Pid"].as_i64().unwrap()
}

#[test]
fn a_port_is_reached_by_ipv6_whether_the_container_has_it_or_not() {
    let (engine, host) = (engine(), Machine::new());
    let outside = Machine::new();
    host.connect("wire", "fd01::1/64", &outside, "fd01::2/64");
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    run(&["network", "create", "four"]).ok();
    run(&["network", "create", "--ipv6", "six"]).ok();
    for (network, port) in [("four", "8080"), ("six", "8081")] {
        start(&engine, Some(&host), network, &["--network", network, "-p", &format!("{port}:80")]);
        for address in ["127.0.0.1", "[::1]", "[fd01::1]"] {
            let at = format!("{address}:{port}");
            eventually(&at, || host.read_from(&at) == Ok(format!("{network}\n")));
        }
        eventually("outside", || outside.read_from(&format!("[fd01::1]:{port}")) == Ok(format!("{network}\n")));
        let listed = run(&["port", network, "80"]).ok();
        assert_eq!(listed, format!("0.0.0.0:{port}\n[::]:{port}\n"));
    }
    // What is passed on ends at the host: there an administrator has his say.
    let forbid = "add table inet admin; add chain inet admin input { type filter hook input priority 0; };
        add rule inet admin input iifname wire tcp dport 8080 reject with tcp reset";
    nft(&host, forbid);
    assert_eq!(outside.read_from("[fd01::1]:8080"), Err(std::io::ErrorKind::ConnectionRefused));
    assert_eq!(host.read_from("[::1]:8080"), Ok("four\n".to_owned()));
    nft(&host, "delete table inet admin");
    // Of one address alone, and of one protocol: what cannot be passed on is refused at once, or when it is asked for.
    start(&engine, Some(&host), "local", &["--network", "four", "-p", "[::1]:8082:80"]);
    eventually("::1 alone", || host.read_from("[::1]:8082") == Ok("local\n".to_owned()));
    for address in ["127.0.0.1:8082", "[fd01::1]:8082"] {
        assert_eq!(host.read_from(address), Err(std::io::ErrorKind::ConnectionRefused), "{address}");
    }
    // It follows the container to another network, and survives its monitor.
    run(&["network", "connect", "six", "local"]).ok();
    run(&["network", "disconnect", "four", "local"]).ok();
    eventually("on another network", || host.read_from("[::1]:8082") == Ok("local\n".to_owned()));
    for monitor in leaks::monitors(&engine.root().canonicalize().unwrap()) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(monitor), nix::sys::signal::Signal::SIGKILL).unwrap();
    }
    eventually("by another monitor", || {
        // It is made when the killed one has gone.
        run(&["ps"]).ok();
        host.read_from("[::1]:8082") == Ok("local\n".to_owned())
    });
    run(&["rm", "-f", "four", "six", "local"]).ok();
    run(&["network", "prune", "-f"]).ok();
}

/// By ::1 and by another address, to a container with IPv6 and to one without; and each client gets its own answers.
#[test]
fn datagrams_are_passed_on_too() {
    let (engine, host) = (engine(), Machine::new());
    let outside = Machine::new();
    host.connect("wire", "fd01::1/64", &outside, "fd01::2/64");
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    run(&["network", "create", "four"]).ok();
    run(&["network", "create", "--ipv6", "six"]).ok();
    let ask = |from: &Machine, at: &str, word: String| {
        let at = at.to_owned();
        from.run(move || {
            let socket = UdpSocket::bind("[::]:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.connect(&at).unwrap();
            socket.send(word.as_bytes()).unwrap();
            let mut buffer = [0; 64];
            socket.recv(&mut buffer).map(|length| String::from_utf8_lossy(&buffer[..length]).into_owned())
        })
    };
    for (network, port) in [("four", 8080), ("six", 8081)] {
        let publish = format!("{port}:5353/udp");
        run(&["run", "-d", "--name", network, "--network", network, "-p", &publish, "bb", "sleep", "1000"]).ok();
        let inside = Machine::of_process(pid(&engine, network));
        let listener = inside.run(|| UdpSocket::bind("[::]:5353").unwrap());
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = listener.recv_from(&mut buffer) {
                let _ = listener.send_to(&buffer[..length], from);
            }
        });
        for client in 0..3 {
            let word = format!("{network} {client}");
            assert_eq!(ask(&host, &format!("[::1]:{port}"), word.clone()).ok(), Some(word.clone()));
            assert_eq!(ask(&outside, &format!("[fd01::1]:{port}"), word.clone()).ok(), Some(word));
        }
        let listed = run(&["port", network, "5353/udp"]).ok();
        assert_eq!(listed, format!("0.0.0.0:{port}\n[::]:{port}\n"));
    }
    // Many clients at once: the first ones make room for the last.
    host.run(|| {
        let all: Vec<UdpSocket> = (0..300).map(|_| UdpSocket::bind("[::1]:0").unwrap()).collect();
        for (number, socket) in all.iter().enumerate() {
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            socket.send_to(&[number as u8], "[::1]:8080").unwrap();
            let mut heard = [0; 8];
            assert_eq!((socket.recv(&mut heard).unwrap(), heard[0]), (1, number as u8));
        }
    });
    run(&["rm", "-f", "four", "six"]).ok();
    run(&["network", "prune", "-f"]).ok();
}

/// A container `echo` whose port 80, published as 8080, says what it hears.
fn echo(engine: &Engine, host: &Machine) {
    engine.run_on(host, &["run", "-d", "--name", "echo", "-p", "8080:80", "bb", "sleep", "1000"]).ok();
    let inside = Machine::of_process(pid(engine, "echo"));
    let listener = inside.run(|| TcpListener::bind("0.0.0.0:80").unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || {
                let mut writer = stream.try_clone().unwrap();
                // Who hangs up early has heard enough.
                let _ = std::io::copy(&mut stream, &mut writer);
                let _ = writer.shutdown(Shutdown::Write);
            });
        }
    });
}

#[test]
fn one_client_keeps_nobody_else_from_a_port() {
    let (engine, host, outside) = (engine(), Machine::new(), Machine::new());
    host.connect("wire", "fd01::1/64", &outside, "fd01::2/64");
    echo(&engine, &host);
    // More than are passed on and wait, all silent.
    let silent: Vec<TcpStream> =
        outside.run(|| (0..500).map(|_| TcpStream::connect("[fd01::1]:8080").unwrap()).collect());
    let asked = |word: &'static [u8]| {
        let mut stream = TcpStream::connect("[::1]:8080").unwrap();
        stream.set_read_timeout(Some(tests::patience(30))).unwrap();
        stream.write_all(word).unwrap();
        let mut heard = vec![0; word.len()];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(heard, word);
        stream
    };
    let held = host.run(move || (0..20).map(|_| asked(b"hello")).collect::<Vec<_>>());
    // Nor does somebody who comes later make room at the expense of those who have few.
    let more = outside.run(|| (0..100).map(|_| TcpStream::connect("[fd01::1]:8080").unwrap()).collect::<Vec<_>>());
    for mut stream in held {
        stream.write_all(b"still").unwrap();
        let mut heard = [0; 5];
        stream.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"still");
    }
    drop((silent, more));
    engine.run_on(&host, &["rm", "-f", "echo"]).ok();
    engine.run_on(&host, &["network", "prune", "-f"]).ok();
}

/// Megabytes in both directions at once, ends that are closed one after the other, and many connections.
#[test]
fn what_is_passed_on_is_passed_on_whole() {
    const BYTES: usize = 8 << 20;
    let (engine, host) = (engine(), Machine::new());
    let run = |arguments: &[&str]| engine.run_on(&host, arguments);
    echo(&engine, &host);
    let echoed = || {
        let mut stream = TcpStream::connect("[::1]:8080").unwrap();
        let mut writer = stream.try_clone().unwrap();
        let sent: Vec<u8> = (0..BYTES).map(|n| (n * 7 + (n >> 11)) as u8).collect();
        let copy = sent.clone();
        let sender = thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        sender.join().unwrap();
        assert!(heard == sent, "{} of {} bytes", heard.len(), sent.len());
    };
    host.run(echoed);
    // More at once than it takes: all have their turn.
    host.run(|| {
        let all: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect("[::1]:8080").unwrap()).collect();
        for (number, mut stream) in all.into_iter().enumerate() {
            stream.write_all(&[number as u8]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            assert_eq!(heard, [number as u8]);
        }
    });
    run(&["rm", "-f", "echo"]).ok();
    run(&["network", "prune", "-f"]).ok();
}
