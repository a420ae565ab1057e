//! Names that are not ours: servers that help, that fail, and that lie.

mod setup;

use std::{
    collections::HashSet,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use dns::{
    Message, Name, Names,
    message::{code, flag, kind},
};
use setup::{
    Setup, addresses, ask, code, limit, own_network, query, receive, receive_framed, says, send_framed, upstream, web,
    with_options,
};

/// What a mute server is given: any answer needs no longer than the mute one takes.
const HASTY: Duration = Duration::from_millis(500);

/// A server that answers every question about an address with this one.
fn honest(address: &str, says_: [u8; 4]) -> SocketAddr {
    upstream(address, move |query| Some(vec![says(query, says_).write(4096)])).0
}

/// An address where nobody answers and nobody refuses either.
fn mute() -> (SocketAddr, UdpSocket) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    (socket.local_addr().unwrap(), socket)
}

#[test]
fn other_names_are_asked_of_the_host_s_server_and_ours_are_not() {
    own_network();
    let (sender, asked) = mpsc::channel();
    // An address of loopback, such as systemd-resolved's: it is the host's loopback, not the container's.
    let (at, _) = upstream("127.0.0.53:0", move |query| {
        sender.send(query.clone()).unwrap();
        Some(vec![says(query, [192, 0, 2, 1]).write(512)])
    });
    let setup = Setup::new(web(), &[at], limit());
    for kind in [kind::A, kind::AAAA, 15, kind::ANY] {
        setup.ask(&query("WEB.", kind));
    }
    setup.ask(&query("2.0.0.10.in-addr.arpa", kind::PTR));
    assert!(asked.try_recv().is_err(), "not about names that are ours, whatever is asked");
    let sent = with_options(query("Other.example", kind::A), 1400);
    let answer = setup.ask(&sent);
    assert_eq!((answer.id, addresses(&answer)), (sent.id, vec!["192.0.2.1".to_owned()]));
    let forwarded = asked.recv().unwrap();
    assert_eq!(Message { id: sent.id, ..forwarded }, sent, "all but the id is passed on, the OPT record too");
    // A name without a dot may be one of the host's network; so does Docker.
    assert_eq!(addresses(&setup.ask(&query("printer", kind::A))), ["192.0.2.1"]);
}

#[test]
fn ids_and_ports_cannot_be_guessed() {
    own_network();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(web(), &[socket.local_addr().unwrap()], limit());
    let client = setup.client();
    let (mut ids, mut ports) = (HashSet::new(), HashSet::new());
    for number in 0..50 {
        client.send(&query(&format!("{number}.example"), kind::A).write(512)).unwrap();
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&says(&Message::read(&buffer[..length]).unwrap(), [1, 1, 1, 1]).write(512), from).unwrap();
        ids.insert(buffer[..2].to_vec());
        ports.insert(from.port());
        assert_eq!(receive(&client).id, 0x1234, "the client's own id comes back");
    }
    assert!(ids.len() > 45 && ports.len() > 45, "{} ids, {} ports of 50", ids.len(), ports.len());
}

#[test]
fn lies_are_ignored() {
    own_network();
    let liar = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = liar.local_addr().unwrap();
    let setup = Setup::new(web(), &[at], limit());
    let client = setup.client();
    client.send(&query("bank.example", kind::A).write(512)).unwrap();
    let mut buffer = [0; 512];
    let (length, from) = liar.recv_from(&mut buffer).unwrap();
    let asked = Message::read(&buffer[..length]).unwrap();
    let lie = says(&asked, [6, 6, 6, 6]);
    // The right packet from another address, and from another port.
    for other in ["127.0.0.66:0", "127.0.0.1:0"] {
        UdpSocket::bind(other).unwrap().send_to(&lie.write(512), from).unwrap();
    }
    let mut about_another = lie.clone();
    about_another.questions[0].name = Name::from_text("other.example").unwrap();
    let mut of_another_kind = lie.clone();
    of_another_kind.questions[0].kind = kind::AAAA;
    let lies = [
        Message { id: lie.id ^ 1, ..lie.clone() },
        Message { flags: lie.flags & !flag::RESPONSE, ..lie.clone() },
        Message { questions: Vec::new(), ..lie.clone() },
        about_another,
        of_another_kind,
    ];
    for lie in &lies {
        liar.send_to(&lie.write(512), from).unwrap();
    }
    liar.send_to(&lie.write(512)[..20], from).unwrap();
    // Case does not count: some servers write names as they know them.
    let mut truth = says(&asked, [192, 0, 2, 1]);
    truth.questions[0].name = Name::from_text("BANK.example").unwrap();
    liar.send_to(&truth.write(512), from).unwrap();
    assert_eq!(addresses(&receive(&client)), ["192.0.2.1"]);
}

#[test]
fn a_server_that_cannot_answer_is_followed_by_the_next() {
    own_network();
    let refusing = |code| {
        move |query: &Message| {
            Some(vec![Message { flags: query.flags | flag::RESPONSE | code, ..query.clone() }.write(512)])
        }
    };
    let good = || honest("127.0.0.1:0", [192, 0, 2, 1]);
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (servfail, _) = upstream("127.0.0.1:0", refusing(code::SERVFAIL));
    let (refused, _) = upstream("127.0.0.1:0", refusing(code::REFUSED));
    let (headless, _) =
        upstream("127.0.0.1:0", |query| Some(vec![[&query.id.to_be_bytes()[..], &[0x81, 0x81], &[0; 8]].concat()]));
    for first in [closed, servfail, refused, headless, "[2001:db8::1]:53".parse().unwrap()] {
        // So patient that only the next server can be the reason for an answer.
        let setup = Setup::new(web(), &[first, good()], limit());
        assert_eq!(addresses(&setup.ask(&query("other.example", kind::A))), ["192.0.2.1"], "{first}");
        let setup = Setup::new(web(), &[first], limit());
        let failure = code(&setup.ask(&query("other.example", kind::A)));
        assert!([code::SERVFAIL, code::REFUSED].contains(&failure), "{first}: {failure}");
    }
    let (nxdomain, _) = upstream("127.0.0.1:0", refusing(code::NXDOMAIN));
    let setup = Setup::new(web(), &[nxdomain, good()], limit());
    assert_eq!(code(&setup.ask(&query("other.example", kind::A))), code::NXDOMAIN, "that is an answer");
}

#[test]
fn a_mute_server_is_followed_by_the_next_and_then_asked_last() {
    own_network();
    let (silent, socket) = mute();
    let setup = Setup::new(web(), &[silent, honest("127.0.0.1:0", [192, 0, 2, 1])], HASTY);
    for number in 0..20 {
        assert_eq!(addresses(&setup.ask(&query(&format!("{number}.example"), kind::A))), ["192.0.2.1"]);
    }
    socket.set_nonblocking(true).unwrap();
    let asked = std::iter::from_fn(|| socket.recv(&mut [0; 512]).ok()).count();
    assert!((1..20).contains(&asked), "asked {asked} times: once, and again after its penance");
    let setup = Setup::new(web(), &[silent], HASTY);
    assert_eq!(code(&setup.ask(&query("other.example", kind::A))), code::SERVFAIL);
    assert_eq!(std::iter::from_fn(|| socket.recv(&mut [0; 512]).ok()).count(), 2, "a lone one has a second chance");
}

#[test]
fn what_is_too_long_for_a_datagram_comes_over_tcp() {
    own_network();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (_, _) = upstream(&at.to_string(), |query| {
        Some(vec![Message { flags: query.flags | flag::RESPONSE | flag::TRUNCATED, ..query.clone() }.write(512)])
    });
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let asked = receive_framed(&mut stream).unwrap();
            let mut long = says(&asked, [192, 0, 2, 1]);
            long.answers = vec![long.answers[0].clone(); 3000];
            send_framed(&mut stream, &long);
        }
    });
    let setup = Setup::new(web(), &[at], limit());
    assert_ne!(setup.ask(&query("long.example", kind::A)).flags & flag::TRUNCATED, 0, "the client is told to");
    let answer = setup.ask_tcp(&query("long.example", kind::A));
    assert_eq!((answer.id, answer.answers.len()), (0x1234, 3000));
}

#[test]
fn an_answer_longer_than_its_client_takes_is_cut() {
    own_network();
    let (at, _) = upstream("127.0.0.1:0", |query| {
        let mut long = says(query, [192, 0, 2, 1]);
        long.answers = vec![long.answers[0].clone(); 100];
        Some(vec![long.write(4096)])
    });
    let setup = Setup::new(web(), &[at], limit());
    let cut = setup.ask(&query("long.example", kind::A));
    assert!(cut.flags & flag::TRUNCATED != 0 && cut.answers.is_empty());
    assert_eq!(setup.ask(&with_options(query("long.example", kind::A), 4096)).answers.len(), 100);
}

#[test]
fn tcp_servers_fail_over_too() {
    own_network();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs_up = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs_up_at = hangs_up.local_addr().unwrap();
    thread::spawn(move || while hangs_up.accept().is_ok() {});
    let good = TcpListener::bind("127.0.0.1:0").unwrap();
    let good_at = good.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = good.accept() {
            let asked = receive_framed(&mut stream).unwrap();
            send_framed(&mut stream, &says(&asked, [192, 0, 2, 1]));
        }
    });
    for (bad, timeout) in [(closed, limit()), (hangs_up_at, limit()), (silent.local_addr().unwrap(), HASTY)] {
        let setup = Setup::new(web(), &[bad, good_at], timeout);
        assert_eq!(addresses(&setup.ask_tcp(&query("other.example", kind::A))), ["192.0.2.1"], "{bad}");
        let setup = Setup::new(web(), &[bad], timeout);
        assert_eq!(code(&setup.ask_tcp(&query("other.example", kind::A))), code::SERVFAIL, "{bad}");
    }
}

/// What an attacker inside can make known outside: names that he asks about.
fn leak(internal: bool) -> usize {
    own_network();
    let leaked = Arc::new(AtomicUsize::new(0));
    let count = leaked.clone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (_, _) = upstream(&at.to_string(), move |query| {
        count.fetch_add(1, Ordering::SeqCst);
        Some(vec![says(query, [192, 0, 2, 1]).write(512)])
    });
    listener.set_nonblocking(true).unwrap();
    let mut zone: Names = web();
    zone.internal = internal;
    let setup = Setup::new(zone, &[at], Duration::from_millis(500));
    for name in ["secret.attacker.example", "secret", "secret.web", "web.attacker.example", "_x.secret\\.example"] {
        for kind in [kind::A, kind::AAAA, kind::PTR, 16, 10, 65, kind::ANY, 65399] {
            let answer = setup.ask(&query(name, kind));
            assert_eq!(code(&answer) == code::SERVFAIL, internal, "{name}");
        }
    }
    let ptr = setup.ask(&query("1.2.0.192.in-addr.arpa", kind::PTR));
    assert_eq!(code(&ptr) == code::SERVFAIL, internal);
    if internal {
        assert_eq!(code(&setup.ask_tcp(&query("secret.attacker.example", kind::A))), code::SERVFAIL);
        assert!(listener.accept().is_err(), "nothing over TCP either");
    }
    assert_eq!(addresses(&setup.ask(&query("web", kind::A))), ["10.0.0.2"], "names that are ours are answered");
    leaked.load(Ordering::SeqCst)
}

#[test]
fn nothing_leaves_an_internal_network_in_a_name() {
    assert_eq!(leak(false), 41, "without that, each name does");
    assert_eq!(leak(true), 0);
}

#[test]
fn a_question_that_comes_back_to_us_ends_there() {
    own_network();
    let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(web(), &[relay.local_addr().unwrap()], limit());
    let back = setup.client();
    let rounds = thread::spawn(move || {
        let mut buffer = [0; 512];
        let mut rounds = 0;
        relay.set_read_timeout(Some(limit())).unwrap();
        loop {
            let (length, from) = relay.recv_from(&mut buffer).unwrap();
            if &buffer[12..17] == b"\x04done" {
                return rounds;
            }
            rounds += 1;
            // Sends on what comes, as it is, to the resolver that it came from.
            back.send(&buffer[..length]).unwrap();
            let length = back.recv(&mut buffer).unwrap();
            relay.send_to(&buffer[..length], from).unwrap();
        }
    });
    let answer = setup.ask(&query("loop.example", kind::A));
    assert!([code::REFUSED, code::SERVFAIL].contains(&code(&answer)), "{answer:?}");
    setup.client().send(&query("done", kind::A).write(512)).unwrap();
    assert_eq!(rounds.join().unwrap(), 1, "the second time it was known");
}

#[test]
fn a_thousand_questions_are_on_their_way_at_once() {
    own_network();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(limit())).unwrap();
    let setup = Setup::new(web(), &[socket.local_addr().unwrap()], limit());
    let client = setup.client();
    let mut buffer = [0; 512];
    let mut held = Vec::new();
    for id in 0..1000 {
        client.send(&Message { id, ..query(&format!("{id}.example"), kind::A) }.write(512)).unwrap();
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        held.push((Message::read(&buffer[..length]).unwrap(), from));
    }
    let ports: HashSet<u16> = held.iter().map(|(_, from)| from.port()).collect();
    assert_eq!(ports.len(), 20, "descriptors are not what a flood of questions can use up");
    for (number, (asked, from)) in held.iter().rev().enumerate() {
        socket.send_to(&says(asked, [192, 0, (number >> 8) as u8, number as u8]).write(512), from).unwrap();
        let answer = receive(&client);
        let name = answer.questions[0].name.text();
        assert_eq!(name, format!("{}.example", answer.id));
        assert_eq!(usize::from(answer.id), 999 - number);
    }
}

#[test]
fn of_too_many_questions_the_oldest_fail() {
    own_network();
    let (silent, socket) = mute();
    socket.set_read_timeout(Some(limit())).unwrap();
    let setup = Setup::new(web(), &[silent], limit());
    let client = setup.client();
    for id in 0..1030 {
        client.send(&Message { id, ..query(&format!("{id}.example"), kind::A) }.write(512)).unwrap();
        socket.recv(&mut [0; 512]).unwrap();
    }
    let failed: Vec<u16> =
        (0..6).map(|_| receive(&client)).inspect(|a| assert_eq!(code(a), code::SERVFAIL)).map(|a| a.id).collect();
    assert_eq!(failed, [0, 1, 2, 3, 4, 5]);
    let web = ask(&client, &query("web", kind::A));
    assert_eq!(addresses(&web), ["10.0.0.2"], "names that are ours need no place");
}

#[test]
fn a_client_that_hangs_up_takes_its_question_along() {
    own_network();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(web(), &[listener.local_addr().unwrap()], limit());
    let mut stream = setup.connect();
    send_framed(&mut stream, &query("other.example", kind::A));
    let (mut asked, _) = listener.accept().unwrap();
    assert!(receive_framed(&mut asked).is_some());
    // Closed with a reset, as by a process that was killed with unread input.
    nix::sys::socket::setsockopt(
        &stream,
        nix::sys::socket::sockopt::Linger,
        &nix::libc::linger { l_onoff: 1, l_linger: 0 },
    )
    .unwrap();
    drop(stream);
    asked.set_read_timeout(Some(limit())).unwrap();
    assert_eq!(receive_framed(&mut asked), None, "the connection upstream is closed too");
}
