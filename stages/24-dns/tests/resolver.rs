//! The sockets, and names that are ours.

mod setup;

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr},
    os::unix::fs::symlink,
    path::Path,
};

use dns::{
    Names,
    message::{Data, code, flag, kind},
};
use network::Network;
use nix::{sys::stat::Mode, unistd::mkfifo};
use setup::{Setup, addresses, ask, code, own_network, query, receive_framed, send_framed, web, with_options};
use tests::container::{Ran, as_nobody, image, sh, shell, start};

/// 127.0.0.11:53 in the kernel's tables.
const IN_TABLE: &str = "0B00007F:0035";
const STAGE: &str = env!("CARGO_BIN_EXE_stage-24-dns");

#[test]
fn the_sockets_stand_in_the_container_s_network_and_nowhere_else() {
    let setup = Setup::new(web(), &[], setup::limit());
    let tables = |of: &str| ["udp", "tcp"].map(|table| fs::read_to_string(format!("/proc/{of}/net/{table}")).unwrap());
    let pid = setup.running.child.pid.to_string();
    assert!(tables(&pid).iter().all(|table| table.contains(IN_TABLE)));
    assert!(!tables("self").iter().any(|table| table.contains(IN_TABLE)));
    for fd in fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let target = fs::read_link(fd.unwrap().path()).unwrap();
        assert!(!target.to_string_lossy().starts_with("socket:"), "the program has none of them: {target:?}");
    }
    assert!(!sh(vec![Box::new(Network)], "cat /proc/net/udp").contains(IN_TABLE), "without the stage there is none");
}

#[test]
fn a_namespace_has_one_resolver() {
    let twice = || Box::new(dns::Resolver::default()) as _;
    let error = start(vec![Box::new(Network), twice(), twice()], shell("true")).err().expect("the second one fails");
    assert_eq!((error.primitive, error.errno), ("dns", process::Errno::EADDRINUSE));
}

#[test]
fn names_have_addresses_of_both_families() {
    let mut names = web();
    names.add("both", [10, 0, 0, 3].into());
    names.add("both", "fd00::3".parse().unwrap());
    let setup = Setup::new(names, &[], setup::limit());
    let answer = setup.ask(&query("web", kind::A));
    assert_eq!(addresses(&answer), ["10.0.0.2"]);
    assert_eq!((answer.id, answer.answers[0].ttl), (0x1234, dns::TTL));
    let flags = flag::RESPONSE | flag::AUTHORITATIVE | flag::RECURSION_DESIRED | flag::RECURSION_AVAILABLE;
    assert_eq!(answer.flags, flags);
    assert_eq!(addresses(&setup.ask(&query("both.", kind::AAAA))), ["fd00::3"]);
    assert_eq!(addresses(&setup.ask(&query("both", kind::ANY))), ["10.0.0.3", "fd00::3"]);
    let shouted = setup.ask(&query("WeB", kind::A));
    assert_eq!(addresses(&shouted), ["10.0.0.2"]);
    assert!(shouted.questions[0].name.as_bytes().ends_with(b"WeB\0"), "spelt as it was asked");
    // There is such a name, and it has nothing of that kind: that is not the same as no such name.
    for kind in [kind::AAAA, 15, 16, 33, kind::PTR] {
        let nothing = setup.ask(&query("web", kind));
        assert_eq!((code(&nothing), nothing.answers.len()), (code::NOERROR, 0), "{kind}");
    }
}

#[test]
fn addresses_have_names() {
    let mut names = web();
    names.add("six", "fd00::3".parse().unwrap());
    let setup = Setup::new(names, &[], setup::limit());
    let six: String = Ipv6Addr::from(0xfd00_u128 << 112 | 3)
        .octets()
        .iter()
        .rev()
        .fold(String::new(), |text, byte| format!("{text}{:x}.{:x}.", byte & 15, byte >> 4));
    for (reversed, name) in [("2.0.0.10.in-addr.arpa", "web"), (&format!("{six}ip6.arpa"), "six")] {
        let answer = setup.ask(&query(reversed, kind::PTR));
        let Data::Pointer(found) = &answer.answers[0].data else { panic!("{answer:?}") };
        assert_eq!(found.text(), name);
        assert_eq!(setup.ask(&query(reversed, kind::A)).answers, []);
    }
}

#[test]
fn each_address_comes_first_in_its_turn() {
    let mut names = Names::default();
    for last in 1..=3 {
        names.add("web", [10, 0, 0, last].into());
    }
    let setup = Setup::new(names, &[], setup::limit());
    let first = |_| {
        // As a C library does it, both families in turn.
        setup.ask(&query("web", kind::AAAA));
        addresses(&setup.ask(&query("web", kind::A)))[0].clone()
    };
    let firsts: Vec<String> = (0..6).map(first).collect();
    assert_eq!(firsts, ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1", "10.0.0.2", "10.0.0.3"]);
}

#[test]
fn an_answer_is_as_long_as_its_client_takes() {
    let mut names = Names::default();
    for last in 1..=100 {
        names.add("many", Ipv4Addr::new(10, 0, 0, last).into());
    }
    let setup = Setup::new(names, &[], setup::limit());
    let short = setup.ask(&query("many", kind::A));
    assert!(short.flags & flag::TRUNCATED != 0 && short.write(512).len() <= 512 && short.answers.len() > 25);
    let longer = setup.ask(&with_options(query("many", kind::A), 1232));
    assert!(longer.flags & flag::TRUNCATED != 0 && longer.answers.len() > 70);
    assert!(longer.options().is_some_and(|options| options.ttl == 0x8000), "answered with an OPT record");
    let whole = setup.ask(&with_options(query("many", kind::A), 4096));
    assert_eq!((whole.flags & flag::TRUNCATED, whole.answers.len()), (0, 100));
    let whole = setup.ask_tcp(&query("many", kind::A));
    assert_eq!((whole.flags & flag::TRUNCATED, whole.answers.len()), (0, 100));
    let tiny = setup.ask(&with_options(query("many", kind::A), 1));
    assert_eq!(tiny.answers.len(), short.answers.len() - 1, "nobody takes less than 512: one less for the OPT record");
}

#[test]
fn a_connection_takes_many_questions() {
    let setup = Setup::new(web(), &[], setup::limit());
    let mut stream = setup.connect();
    for id in 0..100 {
        send_framed(&mut stream, &dns::Message { id, ..query("web", kind::A) });
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for id in 0..100 {
        let answer = receive_framed(&mut stream).expect("an answer");
        assert_eq!((answer.id, addresses(&answer)), (id, vec!["10.0.0.2".to_owned()]));
    }
    assert_eq!(receive_framed(&mut stream), None, "the end, after all answers");
}

#[test]
fn connections_are_counted() {
    let setup = Setup::new(web(), &[], setup::limit());
    let mut all: Vec<_> = (0..dns::MOST_CONNECTIONS).map(|_| setup.connect()).collect();
    for stream in &mut all {
        send_framed(stream, &query("web", kind::A));
        assert!(receive_framed(stream).is_some(), "as many as there may be are served");
    }
    let mut one_more = setup.connect();
    send_framed(&mut one_more, &query("web", kind::A));
    assert!(receive_framed(&mut one_more).is_some(), "and who comes later is not shut out");
    assert_eq!(receive_framed(&mut all[0]), None, "instead of the one that was idle for the longest time");
    send_framed(&mut all[1], &query("web", kind::A));
    assert!(receive_framed(&mut all[1]).is_some());
}

#[test]
fn hostile_packets_are_refused_and_forgotten() {
    let setup = Setup::new(web(), &[], setup::limit());
    let client = setup.client();
    let good = query("web", kind::A).write(512);
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        packet
    };
    // Dropped: nothing comes back before the answer to the next one.
    for packet in [vec![], vec![0; 11], changed(&|packet| packet[2] |= 0x80)] {
        client.send(&packet).unwrap();
    }
    let refused: [(Vec<u8>, u16); 9] = [
        (changed(&|packet| packet[2] |= 0x28), code::NOTIMP),
        (changed(&|packet| packet[5] = 2), code::FORMERR),
        (changed(&|packet| packet[5] = 0), code::FORMERR),
        (changed(&|packet| packet[7] = 1), code::FORMERR),
        (changed(&|packet| packet.push(0)), code::FORMERR),
        (changed(&|packet| packet.truncate(14)), code::FORMERR),
        (changed(&|packet| packet[12..14].copy_from_slice(&[0xC0, 12])), code::FORMERR),
        (changed(&|packet| packet.resize(60_000, 7)), code::FORMERR),
        (query("web", kind::AXFR).write(512), code::NOTIMP),
    ];
    for (packet, expected) in refused {
        client.send(&packet).unwrap();
        let answer = setup::receive(&client);
        assert_eq!((answer.id, code(&answer)), (0x1234, expected), "{packet:?}");
    }
    let mut future = with_options(query("web", kind::A), 1232);
    future.additional[0].ttl |= 1 << 16;
    let answer = ask(&client, &future);
    assert_eq!(answer.options().unwrap().ttl >> 24, 1, "BADVERS");
    let mut chaos = query("web", kind::A);
    chaos.questions[0].class = 3;
    assert_eq!(code(&ask(&client, &chaos)), code::REFUSED);
    assert_eq!(addresses(&ask(&client, &query("web", kind::A))), ["10.0.0.2"]);
    // Over TCP: a length that never comes, one that is too long, none at all.
    let mut broken = setup.connect();
    std::io::Write::write_all(&mut broken, &[0xFF, 0xFF, 1]).unwrap();
    assert_eq!(receive_framed(&mut broken), None);
    let mut empty = setup.connect();
    std::io::Write::write_all(&mut empty, &[0, 0]).unwrap();
    send_framed(&mut empty, &query("web", kind::A));
    assert!(receive_framed(&mut empty).is_some());
}

#[test]
fn a_thousand_questions_at_once_have_a_thousand_answers() {
    let setup = Setup::new(web(), &[], setup::limit());
    let clients: Vec<_> = (0..100).map(|_| setup.client()).collect();
    for (number, client) in clients.iter().enumerate() {
        for id in 0..10 {
            client.send(&dns::Message { id: number as u16 * 10 + id, ..query("web", kind::A) }.write(512)).unwrap();
        }
    }
    for (number, client) in clients.iter().enumerate() {
        let mut ids: Vec<u16> = (0..10).map(|_| setup::receive(client).id).collect();
        ids.sort_unstable();
        assert_eq!(ids, (number as u16 * 10..number as u16 * 10 + 10).collect::<Vec<_>>());
    }
}

fn stage(options: &[&str], root: &Path, script: &str) -> Ran {
    let mut arguments: Vec<&std::ffi::OsStr> = options.iter().map(AsRef::as_ref).collect();
    arguments.extend([root.as_os_str(), "sh".as_ref(), "-c".as_ref(), script.as_ref()]);
    as_nobody(STAGE, &arguments)
}

#[test]
fn the_binary_s_program_finds_names_without_root() {
    let image = image();
    // In a map of one user, what the image lacks can only be made in directories of his own.
    fs::write(image.path().join("etc/resolv.conf"), "").unwrap();
    let options = ["--internal", "--name", "web=10.0.0.2", "--name", "web=fd00::2"];
    let script = "cat /etc/resolv.conf; nslookup web; nslookup 10.0.0.2; nslookup fd00::2; nslookup other || exit 7";
    let ran = stage(&options, image.path(), script);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(ran.out.starts_with("nameserver 127.0.0.11\n"), "{ran:?}");
    for found in [
        "ndots:",
        "Address: 10.0.0.2",
        "Address: fd00::2",
        "in-addr.arpa\tname = web",
        "ip6.arpa\tname = web",
        "can't find other: SERVFAIL",
    ] {
        assert!(ran.out.contains(found), "{found}: {ran:?}");
    }
}

#[test]
fn the_image_s_own_resolv_conf_is_covered_and_kept() {
    let image = image();
    let file = image.path().join("etc/resolv.conf");
    fs::write(&file, "nameserver 192.0.2.1\n").unwrap();
    assert!(stage(&["--internal"], image.path(), "cat /etc/resolv.conf").out.starts_with("nameserver 127.0.0.11\n"));
    assert_eq!(fs::read_to_string(file).unwrap(), "nameserver 192.0.2.1\n");
}

/// Makes something at a path.
type Maker<'a> = &'a dyn Fn(&Path);

#[test]
fn whatever_the_image_has_at_resolv_conf_the_host_is_not_touched() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "the host's").unwrap();
    let hostile: [(&str, Maker); 3] = [
        ("a link", &|path| symlink(&victim, path).unwrap()),
        ("a pipe", &|path| mkfifo(path, Mode::from_bits_truncate(0o644)).unwrap()),
        ("a directory", &|path| fs::create_dir(path).unwrap()),
    ];
    for (what, make) in hostile {
        let image = image();
        make(&image.path().join("etc/resolv.conf"));
        let ran = stage(&["--internal"], image.path(), "cat /etc/resolv.conf");
        // Like the pipe, the link itself is covered: it is not followed.
        let works = ran.code == 0 && ran.out.starts_with("nameserver 127.0.0.11\n");
        let refused = ran.code == 125 && ran.out.contains("/etc/resolv.conf");
        assert!(if what == "a directory" { refused } else { works }, "{what}: {ran:?}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "the host's");
    }
}

#[test]
fn a_server_never_asks_itself() {
    own_network();
    let mut running = start(vec![Box::new(dns::Resolver::default())], shell("echo ready; exec sleep 1000")).unwrap();
    running.wait_for("ready");
    let listeners = dns::Listeners::take(&mut running.child).unwrap();
    let (until, stop) = std::io::pipe().unwrap();
    let server = std::thread::spawn(move || {
        let mut server = dns::Server::new(listeners, Box::new(web()), vec![setup::RESOLVER]).unwrap();
        server.run(std::os::fd::AsFd::as_fd(&until)).unwrap();
    });
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(setup::RESOLVER).unwrap();
    client.set_read_timeout(Some(dns::TIMEOUT)).unwrap();
    assert_eq!(code(&ask(&client, &query("other", kind::A))), code::SERVFAIL, "at once, for there is nobody to ask");
    drop(stop);
    server.join().unwrap();
}
