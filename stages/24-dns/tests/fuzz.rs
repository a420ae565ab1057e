//! Hostile packets: none panics, none is answered with more than its sender takes, and what is written is read again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns::{
    Decision, Message, Name, Names, Transport, Turns, Zone, decide,
    message::{Data, IN, Question, Record, flag, kind},
};

/// Enough inputs that a mutation of each byte of a question occurs many times, and still seconds in a debug build.
const INPUTS: u32 = 250_000;

/// xorshift64*: the same numbers in each run, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    fn name(&mut self) -> Name {
        let known = ["web", "db.net", "", "2.0.0.10.in-addr.arpa", "a.long.name.of.another.domain.example"];
        if self.below(2) == 0 {
            return Name::from_text(known[self.below(known.len())]).unwrap();
        }
        let label = |random: &mut Self| "x".repeat(1 + random.below(63));
        let labels: Vec<_> = (0..=self.below(3)).map(|_| label(self)).collect();
        Name::from_text(&labels.join(".")).unwrap()
    }

    fn record(&mut self) -> Record {
        let (kind, data) = match self.below(5) {
            0 => (kind::A, Data::V4(Ipv4Addr::from(self.next() as u32))),
            1 => (kind::AAAA, Data::V6(Ipv6Addr::from(u128::from(self.next())))),
            2 => (kind::PTR, Data::Pointer(self.name())),
            3 => (kind::OPT, Data::Other(self.bytes(20))),
            _ => (16, Data::Other(self.bytes(300))),
        };
        Record { name: self.name(), kind, class: self.next() as u16, ttl: self.next() as u32, data }
    }

    fn message(&mut self) -> Message {
        let kinds = [kind::A, kind::AAAA, kind::PTR, kind::ANY, 15, 252];
        let mut message = Message { id: self.next() as u16, flags: flag::RECURSION_DESIRED, ..Message::default() };
        for _ in 0..usize::from(self.below(8) != 0) + usize::from(self.below(16) == 0) {
            let question = Question { name: self.name(), kind: kinds[self.below(kinds.len())], class: IN };
            message.questions.push(question);
        }
        for list in [&mut message.answers, &mut message.authorities, &mut message.additional] {
            for _ in 0..self.below(12).saturating_sub(8) {
                list.push(self.record());
            }
        }
        message
    }

    fn mutate(&mut self, packet: &mut Vec<u8>) {
        for _ in 0..self.below(6) {
            let at = self.below(packet.len().max(1));
            let pointer = [0xC0, self.below(64) as u8];
            match self.below(6) {
                0 => packet.truncate(at),
                1 => packet.insert(at.min(packet.len()), self.next() as u8),
                2 if at + 2 <= packet.len() => packet[at..at + 2].copy_from_slice(&pointer),
                3 => packet.extend(self.bytes(40)),
                _ if at < packet.len() => packet[at] = self.next() as u8,
                _ => {}
            }
        }
    }
}

fn zone() -> Names {
    let mut names = Names::default();
    for number in 1..=60 {
        names.add("web", Ipv4Addr::new(10, 0, 0, number).into());
        names.add("web", Ipv6Addr::from(0xfd00_u128 << 112 | u128::from(number)).into());
    }
    names.add("db.net", IpAddr::from([10, 0, 1, 1]));
    names
}

#[test]
fn what_is_written_is_read_again() {
    let mut random = Random(1);
    for number in 0..INPUTS / 5 {
        let message = random.message();
        let packet = message.write(dns::message::LONGEST_MESSAGE);
        assert_eq!(Message::read(&packet).as_ref(), Ok(&message), "input {number}");
        let short = message.write(1300 + random.below(1000));
        let read = Message::read(&short).expect("a short message is a whole one");
        assert!(read == message || read.flags & flag::TRUNCATED != 0);
        assert_eq!(read.options(), message.options(), "the first OPT record is kept");
    }
}

/// The bytes that a sender takes, or more: what an OPT record in any place says.
fn taken(packet: &[u8]) -> usize {
    let Ok(query) = Message::read(packet) else { return 512 };
    query.options().map_or(512, |options| usize::from(options.class).max(512))
}

#[test]
fn no_packet_does_harm() {
    let (mut random, mut turns, mut zone) = (Random(2), Turns::default(), zone());
    let (mut dropped, mut replied, mut forwarded) = (0, 0, 0);
    for number in 0..INPUTS {
        let mut packet = if number % 8 == 0 { random.bytes(80) } else { random.message().write(4096) };
        random.mutate(&mut packet);
        zone.internal = number % 2 == 0;
        match decide(&packet, Transport::Udp, &zone, &mut turns) {
            Decision::Drop => {
                dropped += 1;
                assert!(packet.len() < 12 || packet[2] & 0x80 != 0, "input {number}");
            }
            Decision::Reply(reply) => {
                replied += 1;
                assert!(reply.len() <= taken(&packet), "input {number}: {} bytes", reply.len());
                assert_eq!(reply[..2], packet[..2], "input {number}");
                let read = Message::read(&reply).expect("an answer that can be read");
                assert_ne!(read.flags & flag::RESPONSE, 0);
            }
            Decision::Forward { question, .. } => {
                forwarded += 1;
                assert!(!zone.internal(), "input {number}");
                assert_eq!(zone.lookup(&question.name.text()), None, "input {number}");
            }
        }
    }
    // The inputs are of all sorts, or they would prove nothing.
    assert!(dropped > 5_000 && replied > 50_000 && forwarded > 10_000, "{dropped}, {replied}, {forwarded}");
}

#[test]
fn pointers_lead_back_and_never_round() {
    let mut packet = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let question = |pointer: &[u8]| [&packet[..], pointer, &[0, 1, 0, 1]].concat();
    for pointer in [&[0xC0, 12][..], &[0xC0, 14], &[1, b'a', 0xC0, 12], &[0xFF, 0xFF], &[0x40, 0], &[0x80, 0]] {
        assert!(Message::read(&question(pointer)).is_err(), "{pointer:?}");
    }
    // Two that point at each other.
    assert!(Message::read(&question(&[0xC0, 14, 0xC0, 12])).is_err());
    // A chain back through the whole packet: each name one pointer longer.
    packet[5] = 255;
    packet.extend([1, b'a', 0, 0, 1, 0, 1]);
    for number in 0..254_u16 {
        let before = if number == 0 { 12 } else { 19 + (number - 1) * 6 };
        packet.extend((0xC000 | before).to_be_bytes());
        packet.extend([0, 1, 0, 1]);
    }
    let read = Message::read(&packet).expect("all pointers lead back");
    assert_eq!(read.questions[254].name.text(), "a");
}

#[test]
fn names_have_their_limits() {
    let label = |length| "x".repeat(length);
    assert!(Name::from_text(&label(63)).is_some() && Name::from_text(&label(64)).is_none());
    let longest = [label(63), label(63), label(63), label(61)].join(".");
    assert_eq!(Name::from_text(&longest).unwrap().as_bytes().len(), 255);
    assert!(Name::from_text(&[label(63), label(63), label(63), label(62)].join(".")).is_none());
    assert!(Name::from_text("a..b").is_none() && Name::from_text(".a").is_none());
    assert_eq!(Name::from_text("a.").unwrap(), Name::from_text("A").unwrap());
    // The same by pointers: no name is longer because it comes in two pieces.
    let head = [&[0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0][..], Name::from_text(&longest).unwrap().as_bytes()].concat();
    let packet = [&head[..], &[0, 1, 0, 1, 1, b'a', 0xC0, 12, 0, 1, 0, 1]].concat();
    assert!(Message::read(&packet).is_err());
}

#[test]
fn a_dot_within_a_label_separates_nothing() {
    let packet = b"\0\x01\x01\0\0\x01\0\0\0\0\0\0\x06db.net\0\0\x01\0\x01";
    let decision = decide(packet, Transport::Udp, &zone(), &mut Turns::default());
    let Decision::Forward { question, .. } = decision else { panic!("{decision:?}") };
    assert_eq!(question.name.text(), "db\\046net");
}

#[test]
fn reversed_addresses_are_those_and_no_others() {
    let reversed = |text: &str| Name::from_text(text).unwrap().reversed_address();
    assert_eq!(reversed("2.0.0.10.IN-ADDR.arpa"), Some(IpAddr::from([10, 0, 0, 2])));
    for text in [
        "02.0.0.10.in-addr.arpa",
        "0.0.10.in-addr.arpa",
        "1.2.0.0.10.in-addr.arpa",
        "256.0.0.10.in-addr.arpa",
        "+2.0.0.10.in-addr.arpa",
        "in-addr.arpa",
        "x.2.0.0.10.in-addr.arpa",
    ] {
        assert_eq!(reversed(text), None, "{text}");
    }
    let digits: String = "2000000000000000000000000000000d".chars().flat_map(|c| [c, '.']).collect();
    assert_eq!(reversed(&format!("{digits}IP6.ARPA")), Some("d000::2".parse().unwrap()));
    assert_eq!(reversed(&format!("{}g.ip6.arpa", &digits[..62])), None);
    assert_eq!(reversed(&format!("0.{digits}ip6.arpa")), None);
}
